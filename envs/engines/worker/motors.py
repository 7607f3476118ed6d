"""MuJoCo's position actuators for engines with a drive at each joint: stiffness, damping and a symmetric limit of the torque."""

from __future__ import annotations

import numpy as np

from .face import Model, Refused


class Motors:
    """One drive for each actuator: force = stiffness * (target - position) - damping * velocity, clamped.

    Attributes:
        qpos, dof: where each actuator's joint is in qpos and qvel, (nu,).
        fields: the per-world fields that `read` needs.

    Raises:
        Refused: an actuator is something else.
    """

    fields = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange")

    def __init__(self, model: Model) -> None:
        joints = model.actuator_trnid[:, 0]
        self.qpos, self.dof = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        self._limited = model.actuator_forcelimited.astype(bool)
        self._clamped = model.actuator_ctrllimited.astype(bool)
        self._range = model.actuator_ctrlrange
        gear = model.actuator_gear
        if (gear[:, 0] != 1.0).any() or gear[:, 1:].any() or len(set(joints.tolist())) < len(joints):
            raise Refused("has one drive at a joint, with gear 1")
        if (model.actuator_gaintype != 0).any() or (model.jnt_type[joints] < 2).any():
            raise Refused("has only motors with constant gains, at hinges and slides")
        if (model.actuator_biastype != 1).any():
            raise Refused("has only position actuators (biastype affine)")

    def read(self, gain: np.ndarray, bias: np.ndarray, limits: np.ndarray) -> None:
        """Take over the fields (N, nu, ...) of all worlds.

        Raises:
            Refused: they are no position actuator's.
        """
        self.stiffness, self.damping = gain[..., 0].copy(), -bias[..., 2]
        if not np.allclose(-bias[..., 1], self.stiffness, rtol=1e-5, atol=1e-9) or bias[..., 0].any():
            raise Refused("has only position actuators, whose bias is that of their gain")
        if not np.allclose(limits[..., 0], -limits[..., 1]):
            raise Refused("has only torque limits that are the same in both directions")
        self.limit = np.where(self._limited, limits[..., 1], 1e6)

    def target(self, control: np.ndarray) -> np.ndarray:
        """Controls (N, nu), within their range."""
        return np.where(self._clamped, np.clip(control, self._range[:, 0], self._range[:, 1]), control)

    def force(self, control: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        """The drives' forces (N, nu) in a state."""
        wanted = self.stiffness * (self.target(control) - qpos[:, self.qpos]) - self.damping * qvel[:, self.dof]
        return np.clip(wanted, -self.limit, self.limit)
