"""The same figures of recorded people, by what they do: standing, walking ahead, backward, sideways, turning.

An episode is a stretch of two seconds in which a person steadily walks one way or turns, or 0.6 s of standing. Figures that need forces are
left out. The figures of TWIST2's walks are kept in `people.json` (facts; the recordings themselves are not part of this repository).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.robots.robot import Robot
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.gait.anatomy import Anatomy
from robolearn.evaluation.gait.conditions import Condition
from robolearn.evaluation.gait.manner import cycles, manner, stretch
from robolearn.evaluation.gait.motion import Motion, motion_of
from robolearn.evaluation.gait.recordings import Recording
from robolearn.evaluation.gait.study import pooled, stride_poses

Activity = tuple[str, float]
"""Kind of a `Condition`, and speed [m/s]."""
KEPT = "people.json"
WINDOW_S, STAND_S, HOP_S = 2.0, 0.6, 0.2
STILL = 0.08  # m/s of the base, below which a person is standing
STRIDE = 0.3  # m/s between the speeds by which windows are grouped
NEAR = 0.2  # m/s: largest difference of speed for comparing a person with a robot
BENT = 30.0  # degrees of trunk pitch beyond which a person is picking something up, not walking
UNSTEADY = 0.3  # m/s between the two halves of a window
UNTOLD = ("sag", "touchdown", "touchdown_most")
FLYING = 0.12  # share of a window in which neither foot seems to be down, so that its ground is unknown
PROVENANCE = {
    "source": "amazon-far/TWIST2, assets/example_motions, walk_001 to walk_009 (2025-12-03)",
    "licence": "MIT",
    "what": "one person, retargeted to Unitree G1 by its authors; frames 0 and 1 left out",
}


@dataclass(frozen=True, kw_only=True)
class People:
    """People's figures for one kind of motion at one speed.

    Attributes:
        kind: kind as in `Condition`.
        speed: speed in the direction of their motion [m/s].
        figures: figures over windows.
        knee: mean, 5th and 95th percentile over the gait cycle [degrees], (3, 101); None without strides.
        poses: poses of one stride for pictures, (frames, nq); None if only figures are stored.
        step_s: time between poses [s].
    """

    kind: str
    speed: float
    figures: Mapping[str, Figure]
    knee: np.ndarray | None = None
    poses: np.ndarray | None = None
    step_s: float = 0.0


def people_of(recordings: Sequence[Recording], robot: Robot) -> list[People]:
    """The figures of recorded people on a robot, by kind of motion and speed."""
    anatomy = Anatomy.of(robot)
    found: dict[Activity, list[Motion]] = {}
    for recording in recordings:
        motion = motion_of(anatomy, recording.qpos, recording.dt)
        for tell, seconds in ((activity, WINDOW_S), (standing, STAND_S)):
            for key, window in _windows(motion, tell, seconds):
                found.setdefault(key, []).append(window)
    rows = []
    for (kind, _), windows in sorted(found.items()):
        episodes = [manner(anatomy, window) for window in windows]
        curves = np.concatenate([cycles(window) for window in windows])
        best = min(windows, key=lambda window: float(np.ptp(window.velocity[:, :2], axis=0).sum()))
        poses, step_s = stride_poses(best)
        speed = float(np.mean([figures["speed"] for figures in episodes]))
        knee = np.stack([curves.mean(0), *np.percentile(curves, [5, 95], axis=0)]) if len(curves) else None
        rows.append(People(kind=kind, speed=speed, figures=_without_forces(pooled(episodes)), knee=knee, poses=poses, step_s=step_s))
    return rows


def activity(window: Motion) -> Activity | None:
    """A person's kind of motion in a window and its rounded speed [m/s]; None if it is not steady or not walking."""
    vx, vy, turning = window.velocity.mean(0)
    half = len(window.velocity) // 2
    change = np.linalg.norm(window.velocity[:half, :2].mean(0) - window.velocity[half:, :2].mean(0))
    if window.pitch.max() > BENT or change > UNSTEADY or (~window.contact.any(1)).mean() > FLYING:
        return None
    speed = float(np.hypot(vx, vy))
    if speed < 0.1:
        return ("turn", 0.0) if abs(turning) > 0.5 else None
    if abs(turning) > 0.5 or speed < 0.2:
        return None
    rounded = round(max(STRIDE, STRIDE * round(speed / STRIDE)), 2)
    if vx > 0 and abs(vy) < 0.4 * vx:
        return "ahead", rounded
    if vx < 0 and abs(vy) < 0.4 * -vx:
        return "back", rounded
    return ("side", rounded) if abs(vx) < 0.6 * abs(vy) else None


def standing(window: Motion) -> Activity | None:
    """Whether a person stands upright in a window, on both feet and without a step."""
    still = np.linalg.norm(window.velocity[:, :2], axis=1).mean() < STILL and bool(window.contact.all())
    return ("stand", 0.0) if still and window.pitch.max() < BENT else None


def _windows(motion: Motion, tell: Callable[[Motion], Activity | None], seconds: float) -> Iterator[tuple[Activity, Motion]]:
    """Stretches of one length that do not overlap and that `tell` can classify."""
    start, length, hop = 0, round(seconds / motion.dt), round(HOP_S / motion.dt)
    while start + length <= len(motion.pitch):
        window = stretch(motion, start, start + length)
        if (key := tell(window)) is not None:
            yield key, window
        start += hop if key is None else length


def match(people: Sequence[People], condition: Condition) -> People | None:
    """The people who do what a robot is commanded, at its speed; None if there are none."""
    speed = float(np.hypot(*condition.command[:2]))
    alike = [row for row in people if row.kind == condition.kind and abs(row.speed - speed) <= NEAR]
    return min(alike, key=lambda row: abs(row.speed - speed), default=None)


def to_dict(people: Sequence[People], provenance: Mapping[str, str]) -> dict[str, Any]:
    """Figures as plain JSON values, without poses."""
    rows = []
    for row in people:
        figures = {
            name: [None if value is None else round(value, 5) for value in (figure.value, figure.low, figure.high)] + [figure.count]
            for name, figure in row.figures.items()
            if figure.value is not None
        }
        knee = None if row.knee is None else row.knee.round(1).tolist()
        rows.append({"kind": row.kind, "speed": round(row.speed, 3), "figures": figures, "knee": knee})
    return {**provenance, "people": rows}


def from_dict(told: Mapping[str, Any]) -> list[People]:
    """Read the result of `to_dict`."""
    return [
        People(
            kind=row["kind"],
            speed=row["speed"],
            figures={name: Figure(*values) for name, values in row["figures"].items()},
            knee=None if row["knee"] is None else np.array(row["knee"]),
        )
        for row in told["people"]
    ]


def kept() -> list[People]:
    """The people of `people.json`."""
    return from_dict(json.loads(kept_path().read_text(encoding="utf-8")))


def kept_path() -> Path:
    """Path of `people.json`."""
    return Path(__file__).parent / KEPT


def _without_forces(figures: dict[str, Figure]) -> dict[str, Figure]:
    """The figures that a recording can give: not landing speeds, since feet float, nor the sag of the base, which is not a person's."""
    return {name: figure for name, figure in figures.items() if figure.value is not None and name not in UNTOLD}
