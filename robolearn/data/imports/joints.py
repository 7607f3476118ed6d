"""Finds which entry of a recording is which joint of the robot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from robolearn.data.imports.mapping import UNITS, Field
from robolearn.data.imports.series import RecordingError, Series
from robolearn.errors import suggestion


def arranged(
    what: str,
    series: Series,
    field: Field,
    wanted: Sequence[str],
    renamed: Mapping[str, str],
    fixed: Mapping[str, float],
    notes: list[str],
) -> tuple[Series, list[int]]:
    """The entries of a series in the robot's order, scaled to our units.

    Args:
        what: the quantity, for messages.
        series: as recorded.
        field: where it came from.
        wanted: the robot's joints or feet, in order.
        renamed: robot's name -> the recording's.
        fixed: joints that the recording may lack.
        notes: list to which notes for the user are added.

    Returns: The entries that the recording has, and their indices in `wanted`.

    Raises:
        RecordingError: a joint is not found, or the entries have no names and the wrong number.
    """
    names = field.names or series.names
    if field.names and len(field.names) != series.width:
        raise RecordingError(f"{what}: `order` has {len(field.names)} names, the recording {series.width} entries in `{field.at}`")
    series = scaled(what, series, field)
    if not names:
        if series.width != len(wanted) - len(fixed):
            raise RecordingError(
                f"{what}: `{field.at}` has {series.width} entries without names, the robot {len(wanted)} joints;"
                " name them with `order: [...]`, and those that are missing with `fixed_joints: {name: angle}`"
            )
        here = [index for index, name in enumerate(wanted) if name not in fixed]
        notes.append(f"{what}: entries have no names and were taken in the robot's order ({', '.join(wanted[i] for i in here[:3])}, ...)")
        return series, here
    found = match_names(wanted, names, renamed)
    missing = [name for name in wanted if name not in found and name not in fixed]
    if missing:
        near = suggestion(missing[0], names)
        raise RecordingError(
            f"{what}: `{field.at}` has no {', '.join(missing)}{near}; it has: {', '.join(names)}. Give its names for them"
            " with `joint_names: {robot's: recording's}`, or, if it lacks them, their angles with `fixed_joints: {name: angle}`"
        )
    here = [index for index, name in enumerate(wanted) if name in found]
    return series.columns([found[wanted[index]] for index in here]), here


def scaled(what: str, series: Series, field: Field) -> Series:
    """A series in our units.

    Raises:
        RecordingError: `scale` or `offset` has another number of entries.
    """
    values = series.values * UNITS[field.unit]
    for name, given in (("scale", field.scale), ("offset", field.offset)):
        if len(given) not in (0, 1, series.width):
            raise RecordingError(
                f"{what}: `{name}` has {len(given)} numbers; give one, or {series.width}, one for each entry of `{field.at}`"
            )
    if field.scale:
        values = values * np.array(field.scale)
    if field.offset:
        values = values + np.array(field.offset)
    return Series(series.time_s, values, series.names)


def match_names(wanted: Sequence[str], names: Sequence[str], renamed: Mapping[str, str]) -> dict[str, int]:
    """Robot's joint name -> index of its entry: the one named by the map, the one of the same name, or the only one that contains it."""
    found: dict[str, int] = {}
    plain = [_plain(name) for name in names]
    for name in wanted:
        said = renamed.get(name, name)
        said = said if said in names else name  # some topics use the robot's own names despite the map
        inside = [i for i, other in enumerate(plain) if _plain(said) and _plain(said) in other]
        if said in names:
            found[name] = list(names).index(said)
        elif _plain(said) in plain and plain.count(_plain(said)) == 1:
            found[name] = plain.index(_plain(said))
        elif len(inside) == 1:
            found[name] = inside[0]
    taken = list(found.values())
    return {name: index for name, index in found.items() if taken.count(index) == 1}


def _plain(name: str) -> str:
    """A name without differences of spelling: `FL_hip_joint`, `fl-hip`, `/robot/FL_hip_joint`."""
    return re.sub(r"joint|[^a-z0-9]", "", name.rpartition("/")[2].lower())
