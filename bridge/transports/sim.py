"""The lock-step transport: the robot is an object in this process, and time only advances when the loop waits.

The control loop, the guards and the limits are those of the real robot; one second takes as long as the physics needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.joints import FloatArray, JointMap
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event
from bridge.simulated.physics import Sample
from bridge.simulated.scenery import SimulatedCameras

HELD = "a gantry holds the simulated robot (--gantry says how long)"


class Robot(Protocol):
    """The interface of a simulated robot for the transport, for example `bridge.simulated.physics.PhysicsRobot`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Joint order of `sample` and `apply`."""
        ...

    @property
    def dt(self) -> float:
        """Duration of a step [s]."""
        ...

    def step(self) -> None:
        """Advance by `dt`."""
        ...

    def sample(self) -> Sample:
        """Read the sensors."""
        ...

    def apply(self, command: JointCommand) -> None:
        """Take a command that holds until the next."""
        ...


class SimTransport:
    """Implements `bridge.transports.base.Transport`.

    Attributes:
        robot: the robot.
        command: operator's command (C,), refreshed at each tick; None for no operator.
        requests: append an `Event` to ask for a state change.
        on_tick: called with each status, for example to record or to change `command`.
    """

    def __init__(
        self,
        robot: Robot,
        joint_names: Sequence[str],
        command: FloatArray | None = None,
        realtime: bool = False,
        cameras: SimulatedCameras | None = None,
    ) -> None:
        """Connect.

        Args:
            robot: the robot.
            joint_names: the policy's joints.
            command: see the class.
            realtime: whether it is kept from running ahead of the wall clock.
            cameras: the robot's cameras; None for none.
        """
        self.cameras = cameras
        self.robot, self.command = robot, command
        self._ahead_ns: int | None = None if not realtime else 0
        self.requests: list[Event] = []
        self.temperature: FloatArray | None = None
        self.on_tick: Callable[[Mapping[str, Any]], None] | None = None
        self.on_reading: Callable[[Reading], None] | None = None
        self.on_line: Callable[[str], None] | None = None
        self.on_shutdown: Callable[[], None] | None = None
        self._map = JointMap(joint_names, robot.names)
        self._step_ns = round(robot.dt * 1e9)
        self._now_ns = 0

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Nothing to connect; prints notes on the robot's model."""
        held = getattr(self.robot, "gantry", None) is not None
        for line in (*(f"the robot's model: {note}" for note in getattr(self.robot, "notes", ())), *((HELD,) if held else ())):
            (self.on_line or print)(line)

    def now_ns(self) -> int:
        """Simulated time [ns]."""
        return self._now_ns

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Step the physics up to the deadline: a reading is always fresh here."""
        while self._now_ns + self._step_ns <= deadline_ns:
            self.robot.step()
            self._now_ns += self._step_ns
            if self.cameras is not None:
                self.cameras.look(self.robot, self._now_ns, self.command)
            if self.on_reading is not None:
                self.on_reading(self._reading())
        if self._ahead_ns is not None:
            self._pace()

    def _pace(self) -> None:
        """Sleep until the wall clock has caught up; what is late stays late."""
        wall_ns = time.monotonic_ns()
        if not self._ahead_ns or self._now_ns + self._ahead_ns < wall_ns:
            self._ahead_ns = wall_ns - self._now_ns
        time.sleep((self._now_ns + self._ahead_ns - wall_ns) * 1e-9)

    def _reading(self) -> Reading:
        sample, mapped = self.robot.sample(), self._map.from_wire
        return Reading(
            mapped(sample.position, "position"),
            mapped(sample.velocity, "velocity"),
            mapped(sample.effort, "effort"),
            sample.imu_quat_wxyz,
            sample.imu_angular_velocity_b,
            (sample.stamp_ns,),
            self._now_ns,
        )

    def read(self) -> Inputs:
        """Sample the robot now."""
        requests, self.requests = tuple(self.requests), []
        inputs = Inputs(self._reading(), None if self.command is None else np.asarray(self.command, np.float64), self._now_ns, requests)
        if self.cameras is not None:
            self.cameras.eyes.give(inputs, self._now_ns)
        return inputs

    def write(self, command: JointCommand) -> None:
        """Hand the command to the robot in its own order."""
        to_wire = self._map.to_wire
        fields = (command.position, command.velocity, command.effort, command.kp, command.kd)
        self.robot.apply(JointCommand(*(to_wire(field) for field in fields)))

    def rehearse(self) -> None:
        """Nothing: no wire."""

    def report(self, status: Mapping[str, Any]) -> None:
        """Tell the gantry, where there is one, and call `on_tick`."""
        gantry = getattr(self.robot, "gantry", None)
        if gantry is not None:
            gantry.follow(str(status["mode"]))
        if self.on_tick is not None:
            self.on_tick(status)

    def close(self) -> None:
        """Nothing to disconnect."""
