"""Judges a retargeted clip: how its feet stand, whether the robot could do it, how near it is to the person; and whether it is kept.

`slip` is that of a sole's touching points in the frames in which the foot is labelled as standing. `slip_by_height` needs
no label: it uses the stance of `gait.stance`, by height and speed, and so is comparable with motions from other sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robolearn.evaluation.gait.motion import motion_of
from robolearn.motions.kinematics import Kinematics
from robolearn.motions.rig import Rig
from robolearn.motions.targets import Targets

GRAVITY = 9.81  # m/s2
UNITS = {
    "seconds": "s", "slip": "m/s", "slip_most": "m/s", "slip_by_height": "m/s", "penetration": "mm", "float": "mm", "beyond_range": "rad",
    "speed_share": "%", "acceleration": "rad/s²", "stance": "%", "hips_off": "mm", "limbs_off": "°", "milliseconds": "ms/frame",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bars:
    """The limits for a clip to be kept.

    Attributes:
        slip: mean slip of standing feet [m/s].
        penetration: depth of a sole below the ground [mm].
        beyond_range: excess of a joint over its range [rad].
        speed_share: share of a joint's largest speed.
        hips_off: mean distance of the hips from their targets [mm]; beyond it, the robot cannot do this motion.
        leaps: share of frames to which a landmark leaps.
    """

    slip: float = 0.05
    penetration: float = 5.0
    beyond_range: float = 1e-6
    speed_share: float = 1.0
    hips_off: float = 120.0
    leaps: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Report:
    """Figures of a clip, in `UNITS` (shares as 0 to 1), remarks, and why it is not kept (empty if it is)."""

    name: str
    figures: Mapping[str, float]
    remarks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether it goes into a dataset."""
        return not self.faults

    def line(self) -> str:
        """One line of text."""
        f = self.figures
        told = (
            f"{f['seconds']:6.1f} s  slip {f['slip']:.3f} m/s ({f['slip_by_height']:.3f} by height)  below {f['penetration']:.1f} mm"
            f"  speed {100 * f['speed_share']:.0f} %  hips {f['hips_off']:.0f} mm  limbs {f['limbs_off']:.1f} deg"
        )
        return f"{self.name:32} {told}" + "".join(f"\n    not kept: {fault}" for fault in self.faults)


def figures_of(rig: Rig, kinematics: Kinematics, qpos: np.ndarray, dt: float, contact: np.ndarray | None = None) -> dict[str, float]:
    """Figures of any motion of a robot.

    Args:
        rig: the robot's limbs.
        kinematics: of the robot.
        qpos: poses, (T, nq).
        dt: between them [s].
        contact: feet that are down, left before right, (T, 2); None to infer it from height and speed.
    """
    by_height = motion_of(rig.anatomy, qpos, dt)
    order = list(rig.feet)
    labels = by_height.contact if contact is None else contact[:, np.argsort(order)]
    moving = motion_of(rig.anatomy, qpos, dt, contact=labels)
    joints = qpos[:, kinematics.joints]
    speed = np.diff(joints, axis=0) / dt
    lowest = moving.height.min() if len(moving.height) else 0.0
    beyond = np.maximum(kinematics.lower - joints, joints - kinematics.upper).max()
    return {
        "frames": float(len(qpos)),
        "seconds": len(qpos) * dt,
        "slip": _mean(_slips(moving.slip, labels)),
        "slip_most": float(_slips(moving.slip, labels).max(initial=0.0)),
        "slip_by_height": _mean(_slips(by_height.slip, by_height.contact)),
        "penetration": 1000 * max(0.0, -float(lowest)),
        "float": 1000 * _mean(moving.height[labels]),
        "beyond_range": max(0.0, float(beyond)),
        "speed_share": float((np.abs(speed) / kinematics.speed).max()),
        "acceleration": float(np.sqrt((np.diff(speed, axis=0) ** 2).mean()) / dt) if len(speed) > 1 else 0.0,
        "stance": float(labels.mean()),
    }


def judge(
    name: str,
    rig: Rig,
    kinematics: Kinematics,
    targets: Targets,
    qpos: np.ndarray,
    leaps: int = 0,
    seconds: float = 0.0,
    bars: Bars | None = None,
) -> Report:
    """The report of a retargeted clip.

    Args:
        name: name of the clip.
        rig: the robot's limbs.
        kinematics: of the robot.
        targets: the targets.
        qpos: poses, (T, nq).
        leaps: frames to which a landmark of the person leaps.
        seconds: computing time [s].
        bars: the limits.
    """
    bars = bars or Bars()
    found = figures_of(rig, kinematics, qpos, targets.dt, targets.contact)
    placed = kinematics.place(qpos)
    found["hips_off"] = 1000 * float(np.linalg.norm(placed.at(rig.hips) - targets.hips, axis=1).mean())
    found["limbs_off"] = limbs_off(rig, kinematics, targets, qpos)
    found["milliseconds"] = 1000 * seconds / len(qpos)
    faults = [
        f"{told} {found[key] * scale:.3g} {unit}, at most {getattr(bars, key) * scale:.3g}"
        for key, told, unit, scale in (
            ("slip", "standing feet slip", "m/s", 1),
            ("penetration", "a sole is below the ground by", "mm", 1),
            ("beyond_range", "a joint is beyond its range by", "rad", 1),
            ("speed_share", "a joint is as fast as", "% of its largest speed", 100),
            ("hips_off", "the hips are off by", "mm: the robot cannot do this motion", 1),
        )
        if found[key] > getattr(bars, key)
    ]
    if leaps > bars.leaps * len(qpos):
        faults.append(f"the recording leaps in {leaps} frames")
    if not np.isfinite(qpos).all():
        faults.append("some numbers are not finite")
    return Report(name=name, figures=found, remarks=targets.remarks, faults=tuple(faults))


def limbs_off(rig: Rig, kinematics: Kinematics, targets: Targets, qpos: np.ndarray) -> float:
    """Mean angle between a robot's thighs, shanks, upper and lower arms and their targets [degrees]."""
    placed = kinematics.place(qpos)
    angles = []
    for place, (a, b) in enumerate(pair for limb in (*rig.legs, *rig.arms) for pair in zip(limb.points[:-1], limb.points[1:], strict=True)):
        is_, asked = placed.at(b) - placed.at(a), targets.parts[:, place]
        known = targets.trust[:, place] > 0
        size = np.linalg.norm(is_, axis=1) * np.linalg.norm(asked, axis=1)
        cosine = np.clip((is_ * asked).sum(1) / np.maximum(size, 1e-9), -1.0, 1.0)
        angles.append(np.degrees(np.arccos(cosine))[known])
    return _mean(np.concatenate(angles))


def _slips(slip: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """Speeds over intervals with the foot down at both ends."""
    return slip[1:][contact[1:] & contact[:-1]]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
