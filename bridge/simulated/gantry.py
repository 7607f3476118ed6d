"""Holds a simulated humanoid until it can stand: a soft hold of its base, like a gantry for the real one.

It carries the robot upright from the beginning and from each `stand` on, and gives way once the policy runs. It is a weld constraint of
MuJoCo's, which stays stable however stiff it is, to a body that nothing else moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.control.safety import Mode

RELEASE_S = 1.5
BODY, WELD = "gantry", "gantry"
SOLREF = (0.08, 1.0)  # time constant [s] and damping ratio of the hold
IMPEDANCE = 0.99  # of the hold while it carries fully
STIFF, RIGID, HUNG = (0.004, 1.0), 0.9999, 0.3  # a hold that hardly gives, for identification, with the feet in the air [m]
MODES = ("auto", "until_policy", "always", "none")
"""`auto`: `until_policy` for bipeds, otherwise `none`. `always` hangs the robot up with its feet in the air."""


def add_gantry(mujoco: Any, scene: Any, base: str) -> None:
    """Put a gantry for body `base` into a scene that is not yet compiled."""
    scene.worldbody.add_body(name=BODY, mocap=True)
    weld = scene.add_equality(name=WELD, type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name1=BODY, name2=base)
    weld.solref = SOLREF
    weld.data[:] = 0.0
    weld.data[6] = weld.data[10] = 1.0  # the frames coincide; attitude is held as position is


class Gantry:
    """The hold of one robot.

    Attributes:
        carries: share of the hold that acts now, from 0 to 1.
    """

    def __init__(self, model: Any, data: Any, base: int, always: bool = False) -> None:
        """Hang the robot as it is now, by its body `base`; `always` keeps it there, clear of the ground."""
        self._model, self._data, self._base, self._always = model, data, base, always
        self._weld = int(model.equality(WELD).id)
        self._mocap = int(model.body(BODY).mocapid[0])
        self._height = float(data.xpos[base][2]) + (HUNG if always else 0.0)
        self._impedance = RIGID if always else IMPEDANCE
        if always:
            model.eq_solref[self._weld] = STIFF
        self.carries, self._mode = 1.0, str(Mode.DAMPING)
        self._hang()

    def _hang(self) -> None:
        w, _, _, z = self._data.xquat[self._base]
        heading = np.array([w, 0.0, 0.0, z])
        length = float(np.linalg.norm(heading))
        self._data.mocap_quat[self._mocap] = heading / length if length > 1e-6 else (1.0, 0.0, 0.0, 0.0)
        self._data.mocap_pos[self._mocap] = (*self._data.xpos[self._base][:2], self._height)
        self._carry(1.0)

    def _carry(self, share: float) -> None:
        self.carries = share
        self._model.eq_solimp[self._weld, :2] = max(1e-3, self._impedance * share)
        self._data.eq_active[self._weld] = share > 0.0

    def follow(self, mode: str) -> None:
        """Take the robot's safety state: `stand` hangs it up again where it is, `policy` begins to let go."""
        if mode == Mode.STAND and self._mode != Mode.STAND:
            self._hang()
        self._mode = mode

    def advance(self, dt: float) -> None:
        """Release gradually in the next physics step of `dt` [s], if it is time to."""
        if self._mode == Mode.POLICY and self.carries > 0.0 and not self._always:
            self._carry(max(0.0, self.carries - dt / RELEASE_S))
