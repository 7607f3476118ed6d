"""What a simulated robot's cameras show. The bridge knows no scenes: whoever starts the simulation brings what draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bridge.cameras.eyes import Eyes
from bridge.control.joints import FloatArray


class Scenery(Protocol):
    """Draws the pictures of a policy's cameras, for example `robolearn.scenery.TrainingScenery`.

    Attributes:
        key: name of the keyframe that the scene begins with; None for none.
    """

    key: str | None

    def draw(
        self, groups: Sequence[str], joints: tuple[str, ...], qpos: FloatArray, command: FloatArray | None
    ) -> Mapping[str, NDArray[Any]]:
        """Pictures (height, width, channels) by observation group.

        Args:
            groups: those that are due.
            joints: names of the joints of the simulated scene.
            qpos: their positions, as `PhysicsRobot.qpos` has them.
            command: the operator's (C,), which a scene may show; None for none.
        """
        ...


class SimulatedCameras:
    """The cameras of a robot that is simulated in lock-step: a picture is taken, encoded and there at once, as in training.

    Attributes:
        eyes: where the pictures go.
    """

    def __init__(self, eyes: Eyes, scenery: Scenery, control_dt: float) -> None:
        """Let `scenery` draw for `eyes`, at the rates of a policy with this control step [s]."""
        self.eyes, self._scenery = eyes, scenery
        self._period_ns = {name: round(group.every * control_dt * 1e9) for name, group in eyes.groups.items()}

    def look(self, robot: Any, now_ns: int, command: FloatArray | None) -> None:
        """Take the pictures that are due at a time [ns] of the simulation; at its first one all are.

        Args:
            robot: a `bridge.simulated.physics.PhysicsRobot`.
            now_ns: the time.
            command: the operator's, (C,).
        """
        newest = self.eyes.newest
        due = [name for name, period_ns in self._period_ns.items() if name not in newest or now_ns % period_ns == 0]
        if not due:
            return
        asked = None if command is None else np.asarray(command, np.float64)
        pictures = self._scenery.draw(due, robot.joints, robot.qpos, asked)
        stamp_ns = robot.sample().stamp_ns
        for name in due:
            self.eyes.take(name, pictures[name], stamp_ns, now_ns)
