"""What a pose should be, as rows of a least-squares problem: residual over its tolerance, and how it changes with the coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.motions.kinematics import ROOT, Kinematics
from robolearn.motions.rig import Point, Rig
from robolearn.motions.rotation import logarithm
from robolearn.motions.targets import Targets


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How far each thing may stay from what is asked: a residual as large as its tolerance costs 1.

    Attributes:
        hips: [m].
        trunk: of pelvis and chest [rad].
        stance, swing: of a foot's place [m].
        sole: of a foot's attitude [rad].
        leg: of thighs and shanks [m].
        arm: of upper and lower arms [m].
        neutral: of a joint from its default [rad].
        joint_acceleration: [rad/s^2].
        root_acceleration: [m/s^2].
        limit: beyond a joint's range, less a margin [rad].
        speed: beyond a joint's largest speed, less a margin, as a share of it.
    """

    hips: float = 0.02
    trunk: float = 0.05
    stance: float = 0.0004
    swing: float = 0.006
    sole: float = 0.01
    leg: float = 0.12
    arm: float = 0.03
    neutral: float = 1.0
    joint_acceleration: float = 40.0
    root_acceleration: float = 5.0
    limit: float = 0.003
    speed: float = 0.02


class Tasks:
    """Rows of R residuals a frame for a robot and what is asked of it."""

    def __init__(self, rig: Rig, kinematics: Kinematics, targets: Targets, tolerances: Tolerances) -> None:
        self._rig, self._kinematics, self._targets = rig, kinematics, targets
        limbs = [*rig.legs, *rig.arms]
        self._points = [rig.hips, *(Point(body=sole.body, local=np.zeros(3)) for sole in rig.soles), *(p for limb in limbs for p in limb.points)]
        self._bodies = [rig.pelvis, rig.chest, *(sole.body for sole in rig.soles)]
        t, contact = tolerances, targets.contact
        count = len(targets.hips)
        part = np.repeat([t.leg] * 4 + [t.arm] * (2 * len(rig.arms)), 1)
        place = np.stack([np.full(count, 1 / t.hips), *(np.where(contact[:, i], 1 / t.stance, 1 / t.swing) for i in (0, 1))], 1)
        turn = np.full((count, 4), 1.0)
        turn[:, :2], turn[:, 2:] = targets.trust[:, -2:] / t.trunk, 1 / t.sole
        self._weights = np.repeat(np.concatenate([place, turn, targets.trust[:, :-2] / part], 1), 3, axis=1)  # (T, R)
        self._attitudes = np.concatenate([targets.trunk @ rig.level, targets.sole @ rig.upright], 1)
        self._places = np.concatenate([targets.hips[:, None], targets.foot], 1)
        self._pull = 1 / t.neutral**2

    def rows(self, qpos: np.ndarray, frames: slice) -> tuple[np.ndarray, np.ndarray]:
        """Jacobian (T, R, n) and residual (T, R) of the poses qpos (T, nq) of some frames; the residual is what is asked less what is."""
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
        return jacobian.reshape(count, -1, jacobian.shape[-1]) * weights[..., None], residual.reshape(count, -1) * weights

    def normal(self, qpos: np.ndarray, frames: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normal equations of each frame by itself: H (T, n, n), b (T, n), and the cost (T,); with a pull to the default pose."""
        jacobian, residual = self.rows(qpos, frames)
        across = np.swapaxes(jacobian, 1, 2)
        own, right = across @ jacobian, (across @ residual[..., None])[..., 0]
        joints = np.arange(ROOT, own.shape[-1])
        own[:, joints, joints] += self._pull
        right[:, ROOT:] += self._pull * (self._rig.neutral - qpos[:, self._kinematics.joints])
        own[:, np.arange(ROOT), np.arange(ROOT)] += 1e-6
        return own, right, (residual**2).sum(1)
