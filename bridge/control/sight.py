"""One picture as the policy sees it, and what is known of it: the numbers that guards judge and the log holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.contract.spec import ObservationGroup, PolicySpec

TIMES = ("number", "stamp_ns", "received_ns", "ready_ns", "same_ns", "stamped_ns")
FACTS = ("brightness", "contrast", "hz")


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture of one camera, ready for the policy.

    Attributes:
        number: of the camera's pictures since the start, from 1.
        stamp_ns: the camera's own time stamp [ns].
        received_ns: when it arrived, on the loop's clock [ns].
        ready_ns: when it was encoded, on the loop's clock [ns].
        same_ns: when the first of the latest pictures with these very bytes arrived [ns].
        stamped_ns: when the first of the latest pictures with this very stamp arrived [ns].
        brightness: mean of colours from 0 to 1; of depth the share of pixels that were measured; 1 for labels.
        contrast: standard deviation of colours from 0 to 1; 1 for other kinds.
        hz: how often pictures have come lately [Hz]; 0 while unknown.
        picture: (height, width, channels), in the contract's shape and type; None in a row of a log.
        latent: (D,), where the policy file has its encoder apart.
    """

    number: int
    stamp_ns: int
    received_ns: int
    ready_ns: int
    same_ns: int
    stamped_ns: int
    brightness: float
    contrast: float
    hz: float
    picture: NDArray[Any] | None = None
    latent: NDArray[np.float32] | None = None


Sights = Mapping[str, Sight]
"""The newest picture of each camera, by its observation group; a camera that has given none yet is missing."""


def eyes_of(spec: PolicySpec) -> tuple[ObservationGroup, ...]:
    """The observation groups that are images, in the contract's order."""
    return tuple(group for group in spec.observation if group.image is not None)


def period_s(group: ObservationGroup, control_dt: float) -> float:
    """Time between two pictures of a camera in training [s]."""
    return group.every * control_dt


class Fresh:
    """Which pictures the policy has not been given since its reset."""

    def __init__(self) -> None:
        """Begin with none given."""
        self._given: dict[str, int] = {}

    def forget(self) -> None:
        """All are new to a policy that was reset."""
        self._given.clear()

    def __call__(
        self, sights: Sights, others: Mapping[str, NDArray[Any]] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float32]]]:
        """The new ones by group: pictures that the step encodes itself, and latents of those that were encoded before.

        Args:
            sights: the newest pictures.
            others: readings of further groups, which are passed on with the pictures.
        """
        new = {name: sight for name, sight in sights.items() if self._given.get(name) != sight.number}
        self._given |= {name: sight.number for name, sight in new.items()}
        latents = {name: sight.latent for name, sight in new.items() if sight.latent is not None}
        pictures = {name: sight.picture for name, sight in new.items() if name not in latents and sight.picture is not None}
        return pictures | dict(others or {}), latents


def put_sights(row: Any, sights: Sights, names: tuple[str, ...]) -> None:
    """Copy the numbers of the newest pictures into a tick's row; cameras without one get zeros."""
    for index, name in enumerate(names):
        sight = sights.get(name)
        row["sight_times"][index] = 0 if sight is None else [getattr(sight, field) for field in TIMES]
        row["sight_facts"][index] = 0.0 if sight is None else [getattr(sight, field) for field in FACTS]


def get_sights(row: Any, names: tuple[str, ...]) -> dict[str, Sight]:
    """The numbers of a row's pictures, without the pictures themselves."""
    found: dict[str, Sight] = {}
    for index, name in enumerate(names):
        times, facts = row["sight_times"][index], row["sight_facts"][index]
        if int(times[0]):
            numbers: dict[str, Any] = {field: int(value) for field, value in zip(TIMES, times, strict=True)}
            numbers |= {field: float(value) for field, value in zip(FACTS, facts, strict=True)}
            found[name] = Sight(**numbers)
    return found
