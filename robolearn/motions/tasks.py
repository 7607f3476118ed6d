"""Targets of a pose as rows of a least-squares problem: residuals over their tolerances, and their Jacobians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.motions.kinematics import ROOT, Kinematics, Placed
from robolearn.motions.rig import Point, Rig
from robolearn.motions.rotation import logarithm
from robolearn.motions.targets import Targets


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """Tolerances of the targets: a residual as large as its tolerance costs 1.

    Attributes:
        hips: place of the hips [m].
        trunk: attitude of pelvis and chest [rad].
        stance, swing: place of a foot in stance and in swing [m].
        sole, tilt: attitude of a foot in stance and in swing [rad].
        sunk: depth of a sole below the ground [m].
        leg: thighs and shanks [m].
        arm: upper and lower arms [m].
        neutral, kept: difference of a joint from its default, and from a recording of this robot [rad].
        joint_acceleration: acceleration of a joint [rad/s^2].
        root_acceleration: acceleration of the root [m/s^2].
        speed: excess over a joint's largest speed minus a margin, as a share of it.
    """

    hips: float = 0.02
    trunk: float = 0.05
    stance: float = 0.0004
    swing: float = 0.01
    sole: float = 0.01
    tilt: float = 0.1
    sunk: float = 0.001
    leg: float = 0.12
    arm: float = 0.03
    neutral: float = 1.0
    kept: float = 0.1
    joint_acceleration: float = 40.0
    root_acceleration: float = 5.0
    speed: float = 0.02


SURFACE = 0.0005  # m: height to which a sole below the ground is lifted
NEAR_S = 0.08
"""Time before and after a stance in which a swinging foot's tolerances blend into a standing one's."""


class Tasks:
    """R residuals per frame for a robot and its targets."""

    def __init__(self, rig: Rig, kinematics: Kinematics, targets: Targets, tolerances: Tolerances) -> None:
        self._rig, self._kinematics, self._targets = rig, kinematics, targets
        limbs = [*rig.legs, *rig.arms]
        self._points = [
            rig.hips,
            *(Point(body=sole.body, local=np.zeros(3)) for sole in rig.soles),
            *(p for limb in limbs for p in limb.points),
        ]
        self._bodies = [rig.pelvis, rig.chest, *(sole.body for sole in rig.soles)]
        t, contact = tolerances, targets.contact
        count = len(targets.hips)
        part = np.repeat([t.leg] * 4 + [t.arm] * (2 * len(rig.arms)), 1)
        near = np.stack([_nearness(contact[:, i], round(NEAR_S / targets.dt)) for i in (0, 1)], 1)
        place = np.concatenate([np.full((count, 1), 1 / t.hips), (1 / t.swing) * (t.swing / t.stance) ** near], 1)
        turn = np.concatenate([targets.trust[:, -2:] / t.trunk, (1 / t.tilt) * (t.tilt / t.sole) ** near], 1)
        self._weights = np.repeat(np.concatenate([place, turn, targets.trust[:, :-2] / part], 1), 3, axis=1)  # (T, R)
        self._attitudes = np.concatenate([targets.trunk @ rig.level, targets.sole @ rig.upright], 1)
        self._places = np.concatenate([targets.hips[:, None], targets.foot], 1)
        self._pull, self._sunk = 1 / (t.neutral if targets.joints is None else t.kept) ** 2, t.sunk
        self._drawn = np.broadcast_to(rig.neutral, (count, len(rig.neutral))) if targets.joints is None else targets.joints

    def rows(self, qpos: np.ndarray, frames: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Jacobian (T, R, n) and residual (T, R) of the poses qpos (T, nq) of some frames; the residual is target minus actual value."""
        placed = self._kinematics.place(qpos)
        points = self._kinematics.jacobian(placed, self._points)  # (T, P, 3, n)
        turning = self._kinematics.turning(placed, self._bodies)
        at = np.stack([placed.at(point) for point in self._points], 1)
        limbs = (len(self._points) - 3) // 3
        first = 3 + 3 * np.arange(limbs)
        starts = np.stack([first, first + 1], 1).reshape(-1)
        attitude = placed.attitude[:, self._bodies]
        turned = logarithm(self._attitudes[frames] @ np.swapaxes(attitude, -1, -2))
        residual = np.concatenate(
            [self._places[frames] - at[:, :3], turned, self._targets.parts[frames] - (at[:, starts + 1] - at[:, starts])], axis=1
        )
        jacobian = np.concatenate([points[:, :3], turning, points[:, starts + 1] - points[:, starts]], axis=1)
        count, weights = len(qpos), self._weights[frames]
        rows, off = self._floor(placed, points[:, 1:3, 2], turning[:, 2:])
        jacobian = np.concatenate([jacobian.reshape(count, -1, jacobian.shape[-1]) * weights[..., None], rows], 1)
        return jacobian, np.concatenate([residual.reshape(count, -1) * weights, off], 1)

    def _floor(self, placed: Placed, rising: np.ndarray, turning: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (T, 2, n) and residuals (T, 2) that lift the lowest point of each sole above the ground if it is below."""
        rows, off = [], []
        for foot, sole in enumerate(self._rig.soles):
            arms = np.einsum("tij,pj->tpi", placed.attitude[:, sole.body], sole.points)
            heights = placed.position[:, sole.body, None, 2] + arms[..., 2] - sole.radius
            lowest = heights.argmin(1)[:, None]
            height = np.take_along_axis(heights, lowest, 1)
            x, y = (np.take_along_axis(arms[..., axis], lowest, 1) for axis in (0, 1))
            weight = np.where(height < 0.0, 1 / self._sunk, 0.0)
            rows.append(weight * (rising[:, foot] + turning[:, foot, 0] * y - turning[:, foot, 1] * x))
            off.append(weight * (SURFACE - height))
        return np.stack(rows, 1), np.concatenate(off, 1)

    def normal(
        self, qpos: np.ndarray, frames: slice | np.ndarray, softness: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Normal equations of each frame separately, with a pull to the default pose.

        Args:
            qpos: poses, (T, nq).
            frames: their indices in the clip.
            softness: factor on the tolerances of the feet.

        Returns:
            H (T, n, n); b (T, n); the cost (T,); the largest distance of a standing foot from its place [m].
        """
        jacobian, residual = self.rows(qpos, frames)
        off = np.linalg.norm(residual[:, 3:9].reshape(-1, 2, 3), axis=-1) / self._weights[frames][:, [3, 6]]
        off = float(np.where(self._targets.contact[frames], off, 0.0).max(initial=0.0))
        if softness != 1.0:
            jacobian[:, 3:9] /= softness
            residual[:, 3:9] /= softness
        across = np.swapaxes(jacobian, 1, 2)
        own, right = across @ jacobian, (across @ residual[..., None])[..., 0]
        joints = np.arange(ROOT, own.shape[-1])
        own[:, joints, joints] += self._pull
        right[:, ROOT:] += self._pull * (self._drawn[frames] - qpos[:, self._kinematics.joints])
        own[:, np.arange(ROOT), np.arange(ROOT)] += 1e-6
        return own, right, (residual**2).sum(1), off


def _nearness(contact: np.ndarray, reach: int) -> np.ndarray:
    """1 in stance, falling to 0 within `reach` frames before and after it, (T,)."""
    near = contact.astype(float)
    for away in range(1, reach + 1):
        share = 1.0 - away / (reach + 1)
        near[away:] = np.maximum(near[away:], share * contact[:-away])
        near[:-away] = np.maximum(near[:-away], share * contact[away:])
    return near
