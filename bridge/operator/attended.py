"""The transport with an operator: keys and sticks are added to the inputs, the screen shows the status, and a dry run sends nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.joints import FloatArray
from bridge.control.loop import ControlLoop
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event
from bridge.operator.dashboard import Screen, snapshot
from bridge.operator.notices import HOT_C, Notice
from bridge.operator.said import Device
from bridge.transports.base import Transport

DRY_RUN_PERIOD_NS, FURTHEST = 1_000_000_000, 4


class Attended:
    """Implements `bridge.transports.base.Transport` around another one.

    Attributes:
        loop: the loop that runs on it; set it before the first tick.
        says: lines for the screen's list of events.
        tell: prints a line.
        recent: the newest notices, for the wire's status.
        shown: facts for the screen; see `bridge.operator.dashboard.snapshot`.
        alone: whether only this program's terminal can stop the robot or change its command; if that is lost, the robot stops.
    """

    def __init__(self, wire: Transport, devices: Sequence[Device], screen: Screen | None, dry_run: bool) -> None:
        """Wrap `wire`; `dry_run` keeps everything from the robot and prints once a second what would have been sent."""
        self._wire, self._devices, self._screen, self._dry_run = wire, tuple(devices), screen, dry_run
        self.loop: ControlLoop | None = None
        self.says: list[str] = []
        self.tell: Callable[[str], None] = print
        self.recent: Sequence[str] = ()
        self._hot = Notice()
        self.shown: dict[str, Any] = {"dry_run": dry_run}
        self.alone = self._lost = False
        self._said_ns = 0
        self._heard: FloatArray | None = None
        self._begin_ns = 0
        self.on_reading: Callable[[Reading], None] | None = wire.on_reading
        self.on_shutdown: Callable[[], None] | None = wire.on_shutdown
        self.on_line: Callable[[str], None] | None = wire.on_line
        self.now_ns, self.wait_until, self.rehearse = wire.now_ns, wire.wait_until, wire.rehearse

    @property
    def temperature(self) -> FloatArray | None:
        return self._wire.temperature

    @property
    def has_screen(self) -> bool:
        """Whether events are shown on a screen."""
        return self._screen is not None

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        wire = self._wire
        wire.on_reading, wire.on_shutdown, wire.on_line = self._hear, self.on_shutdown, self.on_line
        wire.open(refusal)
        self._begin_ns = self.now_ns()

    def _hear(self, reading: Reading) -> None:
        if self.loop is not None:
            self.loop.controller.hear(reading)
        if self.on_reading is not None:
            self.on_reading(reading)

    def read(self) -> Inputs:
        """The wire's inputs combined with the operator's devices. The latest input sets the command; a wire without commands leaves it to
        the devices.
        """
        inputs = self._wire.read()
        inputs.temperature = self.temperature if inputs.temperature is None else inputs.temperature
        self._listen(inputs.command)
        wired = inputs.command is not None
        said = [(device, device.poll()) for device in self._devices]
        for device, one in said:
            inputs.requests += one.requests
            if one.steered:
                for other in self._devices:
                    other.holds = other is device
            device.holds &= one.command is not None
            for line in one.notices:
                (self.on_line or self.tell)(line)
            if one.quit and self.loop is not None:
                self.loop.stop()
        held = any(device.holds for device in self._devices)
        for device, one in said:
            device.counts = device.holds or not (held or wired)
            if one.command is not None and device.counts:
                inputs.command, inputs.command_ns = one.command, self.now_ns() - round(one.age_s * 1e9)
                inputs.command_hint = one.hint
        if inputs.command is None and not inputs.command_hint:
            inputs.command_hint = "; ".join(one.hint for _, one in said if one.hint)
        lost = any(one.lost for _, one in said)
        if self.alone and lost and not self._lost:
            inputs.requests += (Event.STOP,)
        self._lost = lost
        self.shown["operator"] = "; ".join(one.state for _, one in said if one.state)
        return inputs

    def _listen(self, command: FloatArray | None) -> None:
        """A wire whose command changes takes it back from the devices."""
        if command is None:
            return
        if self._heard is not None and not np.array_equal(command, self._heard):
            for device in self._devices:
                device.holds = False
        self._heard = command.copy()

    def write(self, command: JointCommand) -> None:
        if not self._dry_run:
            self._wire.write(command)

    def report(self, status: Mapping[str, Any]) -> None:
        """Publish, show and, in a dry run without a screen, print what would have been sent.

        The status gets `dry_run` and `recent`, see above, and where the wire knows temperatures `temperature_c`, the hottest sensor [C] of
        each joint's motor by its name.
        """
        now_ns, loop = self.now_ns(), self.loop
        temperature = self.temperature
        warm = {} if temperature is None else {"temperature": np.asarray(temperature).tolist()}
        if warm and loop is not None:
            status = {**status, "temperature_c": dict(zip(loop.controller.joints.names, warm["temperature"], strict=True))}
            self._warn_of_heat(status["temperature_c"], now_ns)
        status = {**status, "dry_run": self._dry_run, "recent": tuple(self.recent)}
        self._wire.report(status)
        if loop is None:
            return
        if self._screen is not None:
            if self._screen.due(now_ns):
                seconds = {"time_s": (now_ns - self._begin_ns) * 1e-9}
                self._screen.show(now_ns, snapshot(loop, {**self.shown, **warm, **seconds, "events": self.says}))
                self.says.clear()
        elif self._dry_run and now_ns - self._said_ns >= DRY_RUN_PERIOD_NS:
            self._said_ns = now_ns
            shadow = loop.controller.shadow_command
            said = "; ".join([*status["problems"], *status.get("remarks", ())]) or "no guard has tripped"
            if hottest := _hottest(status.get("temperature_c") or {}):
                said += f"; hottest motor {hottest[0]}, {hottest[1]:.0f} C"
            reading = loop.controller.inputs.reading
            if shadow is None or reading is None:
                self.tell(f"dry run: {said}; would send nothing yet")
                return
            far = np.argsort(-np.abs(shadow.position - reading.position))[:FURTHEST]
            names = loop.controller.joints.names
            targets = ", ".join(f"{names[joint]} {reading.position[joint]:+.2f} -> {shadow.position[joint]:+.2f}" for joint in far)
            self.tell(f"dry run: {said}; would send, furthest first [rad]: {targets}, ...")

    def _warn_of_heat(self, celsius: Mapping[str, float], now_ns: int) -> None:
        hottest = _hottest(celsius)
        warm = HOT_C if self.loop is None else self.loop.controller.limits.warm_motor_c
        hot = f"warning: the motor of {hottest[0]} has {hottest[1]:.0f} C" if hottest is not None and hottest[1] >= warm else None
        if self._hot.update(hot, now_ns) and hot is not None and self.on_line is not None:
            self.on_line(hot)

    def close(self) -> None:
        """Disconnect and give terminal and devices back."""
        try:
            self._wire.close()
        finally:
            if self._screen is not None:  # first what draws on the terminal
                self._screen.close()
            for device in self._devices:
                device.close()


def _hottest(celsius: Mapping[str, float]) -> tuple[str, float] | None:
    """The hottest motor and its temperature [C]; None if unknown. A motor without a value (NaN) hides no other."""
    told = {joint: value for joint, value in celsius.items() if not math.isnan(value)}
    return max(told.items(), key=lambda item: item[1], default=None)
