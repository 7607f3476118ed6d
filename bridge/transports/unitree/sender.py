"""Identifies the sender at the robot's end of the wire by the fields that its LowStates leave empty.

Unitree's own simulator in Python fills in neither check sum nor tick nor temperatures nor `mode_machine`; others leave out some of
these, or count messages in the tick. On loopback, where no robot can be, this is reported and accepted. On a cable it is not: there an
empty field means a robot that is not ready, a broken part, or a damaged message.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bridge.control.joints import FloatArray
from bridge.transports.unitree.messages import TICK_NS, LowState, TickClock
from bridge.transports.unitree.robots import HG, UnitreeRobot

LOOKED = 25  # messages after which an empty field is one that the sender does not fill in: 50 ms at 500 Hz
MOVED = 500  # messages in which a motor that is there has said something
COUNTED = 1.5  # milliseconds between messages whose ticks differ by one: the tick is no clock


class Sender:
    """What is known of the sender from its messages so far.

    Attributes:
        fault: what is wrong with the newest message; None if nothing is.
        temperature: hottest sensor of each motor [degrees C], (J,); None where the sender has none.
        remarks: what is unusual of the sender, and accepted.
    """

    def __init__(self, robot: UnitreeRobot, joint_names: Sequence[str], loopback: bool) -> None:
        """Begin.

        Args:
            robot: what the sender should be.
            joint_names: the policy's joints.
            loopback: whether no robot can be at the other end, only a program on this computer that plays one.
        """
        self._robot, self._names, self._loopback = robot, tuple(joint_names), loopback
        self._clock, self._tick_ns, self._stamp_ns, self._offset_ns = TickClock(), 0, 0, 0
        self._ticks = self._counts = self._sealed = self._machine = self._warm = self._remote = False
        self._silent = np.ones(len(self._names), bool)
        self._first: tuple[int, int] | None = None
        self._messages = self._passed = 0
        self.remarks: list[str] = []
        self.fault: str | None = None
        self.temperature: FloatArray | None = None

    def hear(self, state: LowState, received_ns: int, passed: int = 1) -> int:
        """Look at a message.

        Args:
            state: the message.
            received_ns: when it came [ns].
            passed: messages since the one before that was looked at, with this one.

        Returns:
            Its time stamp [ns]: the robot's tick, or on loopback, where the tick is no clock, the time of arrival.
        """
        self._messages, self._passed = self._messages + 1, self._passed + passed
        self._ticks |= state.tick != 0
        self._sealed |= state.sealed
        self._machine |= state.mode_machine != 0
        self._remote |= any(state.remote)
        self._warm |= bool(state.temperature.any())
        self.temperature = state.temperature if self._warm else None
        silent = (state.position == 0) & (state.velocity == 0) & (state.effort == 0) & (state.temperature == 0)
        self._silent &= silent
        self.fault = self._foreign(state) or self._unready(state, silent)
        tick_ns = self._clock(state.tick)
        if self._first is None:
            self._first, self._passed, self._tick_ns = (tick_ns, received_ns), 0, tick_ns
        if self._loopback:
            self._look(tick_ns - self._first[0], received_ns - self._first[1])
        step_ns, self._tick_ns = tick_ns - self._tick_ns, tick_ns
        self._stamp_ns = self._stamp(tick_ns, step_ns, received_ns)
        return self._stamp_ns

    def _stamp(self, tick_ns: int, step_ns: int, received_ns: int) -> int:
        if self._loopback and not self._ticks:
            self._offset_ns = received_ns  # a clock that begins to run later goes on from here
            return received_ns
        if self._counts:  # then it says whether it goes on, and no more
            return received_ns if step_ns > 0 else self._stamp_ns - (step_ns < 0)
        return self._offset_ns + tick_ns

    def _foreign(self, state: LowState) -> str | None:
        other = self._robot.others.get(state.mode_machine)
        return None if other is None else f"mode_machine {state.mode_machine} is {other}, the policy drives {len(self._names)}"

    def _unready(self, state: LowState, silent: NDArray[np.bool_]) -> str | None:
        """What a robot that is ready does not leave empty."""
        if self._loopback:
            return None
        if self._robot.family is HG and state.mode_machine == 0:
            return "mode_machine is 0: the robot does not say yet what it is, or it is a simulator"
        if silent.any():
            return f"no word from the motors of {self._listed(silent)}: position, velocity, torque and temperature are exactly 0"
        return None

    def _listed(self, which: NDArray[np.bool_]) -> str:
        return ", ".join(name for name, one in zip(self._names, which, strict=True) if one)

    def _look(self, ticked_ns: int, passed_ns: int) -> None:
        """Say what a simulator leaves empty, once."""
        if self._messages == LOOKED:
            filled = {"check sum": self._sealed, "tick": self._ticks, "motor temperatures": self._warm, "remote": self._remote}
            filled |= {"mode_machine": self._machine} if self._robot.family is HG else {}
            empty = [name for name, is_filled in filled.items() if not is_filled]
            if empty and empty != ["remote"]:
                self.remarks.append(f"a simulator sends LowState without {', '.join(empty)}; accepted, since it is on this computer")
            steps = ticked_ns // TICK_NS
            self._counts = steps == self._passed and passed_ns > COUNTED * ticked_ns > 0
            if self._counts:
                self.remarks.append("the tick of LowState counts messages and is no clock; times of arrival stand in for it")
        if self._messages == MOVED and self._silent.any() and not self._silent.all():
            said = f"no word from the motors of {self._listed(self._silent)}: all 0 in {MOVED} messages"
            self.remarks.append(f"{said}; is it a robot with fewer joints?")
