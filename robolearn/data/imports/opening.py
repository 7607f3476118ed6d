"""Opens any recording as episodes: detects the kind of file, completes the map with guesses, and notes what was used."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from robolearn.data.imports.bag import SUFFIXES, Bag
from robolearn.data.imports.building import build
from robolearn.data.imports.csv import Table
from robolearn.data.imports.guessing import guess_arrays, guess_bag, guess_table
from robolearn.data.imports.log import is_own_log, read_episodes
from robolearn.data.imports.mapping import ImportMap
from robolearn.data.imports.npz import Arrays
from robolearn.data.imports.series import RecordingError
from robolearn.data.imports.tabled import Tabled
from robolearn.data.source import Episode, Source

TABLES = (".csv", ".tsv", ".txt")


@dataclass(slots=True)
class Found:
    """The result of an import.

    Attributes:
        path: of the recording.
        robot: the robot that moves.
        episodes: in the order of time.
        fps: of the episodes.
        command_labels: names of the command's entries.
        notes: notes for the user.
    """

    path: Path
    robot: Robot
    episodes: list[Episode]
    fps: int
    command_labels: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Number of frames in all episodes."""
        return sum(map(len, self.episodes)) / self.fps


def load(path: Path, mapping: ImportMap, fps: int | None = None) -> Found:
    """Read one recording.

    Args:
        path: a log of robolearn deploy, a ROS 2 bag (file or folder), a table or an npz file.
        mapping: the map as far as it is given.
        fps: frames per second; None for the recording's own.

    Raises:
        RecordingError: it cannot be made into episodes; says why and what to type.
    """
    if not path.exists():
        raise RecordingError(f"there is no recording at {path}")
    if is_own_log(path):
        return _own(path, mapping, fps)
    robot = _robot(mapping)
    recording, guessed = opened(path, mapping, robot)
    full = mapping.over(guessed())
    if full.joint_position is None:
        raise RecordingError(
            f"{path}: the positions of the {robot.num_joints} joints of {robot.name} cannot be found by names; give their place in a map:"
            f" joint_position: {{at: ...}} (what is there: robolearn data import {path} --show)"
        )
    if isinstance(recording, Bag) and full.orientation is not None and recording.is_quaternion(full.orientation.at):
        if full.orientation.order not in ("", (), "xyzw"):
            raise RecordingError(
                f"orientation: `{full.orientation.at}` has fields called x, y, z and w, so it needs no order; leave it out"
            )
        full = dataclasses.replace(full, orientation=dataclasses.replace(full.orientation, order="xyzw"))
    notes = []
    guessed_action = full.action.at if full.action is not None and mapping.action is None else ""
    if guessed_action and isinstance(recording, Tabled) and "target" not in guessed_action and full.action_is == "target":
        notes.append(
            f"action: `{guessed_action}` was read as joint targets [rad]; if it is something else, say so in a map, e.g. action_is: raw"
        )
    source = Source(
        kind=full.kind,
        robot=robot.name,
        licence=full.licence,
        attribution=full.attribution,
        file_hash=_hash(path),
        note="; ".join(filter(None, [full.note, f"from {path.name}"])),
    )
    if isinstance(recording, Tabled):
        recording = Tabled(path, recording.rows, full)
    made = build(recording, full, robot, source, fps)
    return Found(path, robot, made.episodes, made.fps, made.command_labels, [*made.notes, *notes])


def opened(path: Path, mapping: ImportMap, robot: Robot) -> tuple[Bag | Tabled, Callable[[], ImportMap]]:
    """Open a recording that is not our own log; returns it with the function that guesses its map.

    Raises:
        RecordingError: unknown kind of file.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in SUFFIXES:
        bag = Bag(path, mapping.clock)
        return bag, lambda: guess_bag(bag, robot)
    if suffix == ".npz":
        arrays = Arrays(path)
        return Tabled(path, arrays, mapping), lambda: guess_arrays(arrays, robot)
    if suffix in TABLES:
        table = Table(path)
        return Tabled(path, table, mapping), lambda: guess_table(table, robot)
    raise RecordingError(
        f"{path}: cannot read {suffix or 'a file without an ending'}; valid: .mcap, .db3, a bag's folder,"
        f" {', '.join(TABLES)}, .npz (motions of people: robolearn retarget)"
    )


def _own(path: Path, mapping: ImportMap, fps: int | None) -> Found:
    if mapping.given():
        raise RecordingError(
            f"{path} is a log of robolearn deploy, which needs no map; leave it out, or keep only licence and attribution in it"
        )
    episodes, spec, notes = read_episodes(path, mapping.licence, mapping.attribution, mapping.least_s)
    own = round(1.0 / spec.control_dt)
    if abs(own * spec.control_dt - 1.0) > 1e-6:
        raise RecordingError(
            f"{path} was recorded at {1.0 / spec.control_dt:.3f} steps per second; a dataset needs a whole number of frames per second"
        )
    if fps not in (None, own):
        raise RecordingError(f"{path} holds an action for every step at {own} per second; leave out --fps {fps}")
    robot = get_robot(mapping.robot or spec.robot.source or spec.robot.name)
    if robot.joint_names != spec.robot.joint_names:
        raise RecordingError(f"{path} is of {spec.robot.name}, whose joints are not those of {robot.where}")
    if mapping.task:
        episodes = [dataclasses.replace(item, task=mapping.task) for item in episodes]
    return Found(path, robot, episodes, own, spec.command.labels, notes)


def _robot(mapping: ImportMap) -> Robot:
    if not mapping.robot:
        raise RecordingError("give the robot of the recording: --robot NAME|robot.yaml, or `robot:` in the map")
    return get_robot(mapping.robot)


def _hash(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files in order."""
    found = hashlib.sha256()
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as opened_file:
            while block := opened_file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
