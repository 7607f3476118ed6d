"""The interface of controllers: from a robot's true state and its command to targets of its joints.

A controller knows its robot's nominal model and nothing of what an environment has varied. Its output is a policy's, targets of the
position actuators, so that the same delays, limits and randomization apply to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, kw_only=True)
class State:
    """One robot at one moment.

    Attributes:
        qpos: as in a model made of `Robot.scene()`: position [m] and attitude (wxyz) of the root in the world, joints as their encoders
            read them [rad], (nq,).
        qvel: linear velocity of the root in the world [m/s], angular velocity in its own frame [rad/s], joints [rad/s], (nv,).
        contact: which feet are on the ground, in the robot's order, (F,) bool.
    """

    qpos: np.ndarray
    qvel: np.ndarray
    contact: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When a controller acts.

    Attributes:
        control_dt: time between two steps [s].
        delay_s: time until a target reaches the motors, on average [s]; can be measured once per robot.
    """

    control_dt: float
    delay_s: float = 0.0

    @property
    def ahead_s(self) -> float:
        """Time from measuring a state to the middle of its target's action [s]."""
        return self.control_dt / 2 + self.delay_s


class Controller(Protocol):
    """A controller of one robot in one world."""

    def reset(self) -> None:
        """Forget the past: the next state is the first of an episode."""
        ...

    def step(self, state: State, command: np.ndarray) -> np.ndarray:
        """Joint targets [rad] in policy order, (J,), for the next control step; `command` is vx, vy [m/s], yaw rate [rad/s], (3,)."""
        ...
