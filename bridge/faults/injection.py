"""Fault injection: a wrapper around any transport that loses, damages, delays and reorders messages.

Loop, guards and limits are those of the robot, so the behaviour is the same as there. Messages are
taken from the wire one by one between the ticks, at the robot's rate, so that a fault may hit one message in ten and arrive at any moment.
Everything random comes from one seed.

    wire --read at message_period_s--> lose | damage | delay --newest that arrived--> controller --command--> wire
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.control.command import JointCommand
from bridge.control.joints import JointError, JointMap
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event
from bridge.faults.damage import DAMAGES, altered
from bridge.faults.kinds import MESSAGE_KINDS, Fault, FaultError, FaultKind
from bridge.transports.base import Transport
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec


class InjectedError(RuntimeError):
    """An exception that a transport raises deliberately."""


@dataclass(slots=True)
class Injection:
    """A fault on the clock of a transport.

    Attributes:
        fault: the fault.
        begin_ns, end_ns: when it lasts [ns].
        onset_ns: when it first had an effect [ns]; None if it has not yet. For lost messages, the arrival of the last good one.
        done_ns: when it last had an effect [ns]; None if it has not yet.
    """

    fault: Fault
    begin_ns: int
    end_ns: int
    onset_ns: int | None = None
    done_ns: int | None = None


class FaultyTransport:
    """Implements `bridge.transports.base.Transport` around another one.

    Attributes:
        injections: all faults, in the order they were added.
        sent: (time [ns], whether it drives) of the newest command that reached the wire; None before the first.
    """

    def __init__(
        self, wire: Transport, spec: PolicySpec, faults: Sequence[Fault] = (), *, seed: int = 0, message_period_s: float = 0.002
    ) -> None:
        """Wrap a transport.

        Args:
            wire: the real transport.
            spec: the policy's contract, for joint names and ranges.
            faults: `Fault.at_s` counts from now.
            seed: seed of everything random.
            message_period_s: period of the robot's messages, at which the wire is read [s].

        Raises:
            FaultError: the period is not above zero.
        """
        if not message_period_s > 0:
            raise FaultError(f"message_period_s must be above zero, not {message_period_s:g}")
        self._wire, self._spec = wire, spec
        self._random = random.Random(seed)
        self._period_ns = round(message_period_s * 1e9)
        self._inputs = Inputs()
        self._requests: list[Event] = []
        self._wire_fault: str | None = None
        self._on_the_way: list[tuple[int, int, Reading]] = []  # (arrival, running number, message)
        self._sent_messages = 0
        self._taken: tuple[tuple[int, ...], int] | None = None
        self._stamps: tuple[int, ...] | None = None
        self._good: Reading | None = None
        self._arrived: Reading | None = None
        self._seen_stamps: tuple[int, ...] | None = None
        self._command_ns: int | None = None
        self._lag_s = 0.0
        self._set_ns = 0
        self._kinds: set[FaultKind] = set()
        self.on_reading: Callable[[Reading], None] | None = None
        self.injections: list[Injection] = []
        self.sent: tuple[int, bool] | None = None
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> Injection:
        """Schedule a fault; its `at_s` counts from now."""
        begin_ns = self._wire.now_ns() + round(fault.at_s * 1e9)
        self.injections.append(Injection(fault, begin_ns, begin_ns + round(fault.duration_s * 1e9)))
        self._kinds.add(fault.kind)
        return self.injections[-1]

    def policy(self, policy: PolicyFile) -> FaultyPolicy:
        """The policy with this transport's action faults."""
        return FaultyPolicy(policy, self)

    def strike(self, *kinds: FaultKind) -> Iterator[Fault]:
        """The faults of given kinds that act now; each is marked as having acted."""
        if self._kinds.isdisjoint(kinds):
            return
        now_ns = self._wire.now_ns()
        for injection in self.injections:
            if injection.fault.kind in kinds and injection.begin_ns <= now_ns and (injection.done_ns is None or now_ns < injection.end_ns):
                injection.done_ns = now_ns
                if injection.onset_ns is None and injection.fault.kind is not FaultKind.REORDER:
                    lost = injection.fault.kind in (FaultKind.LOSS, FaultKind.DELAY) and self._arrived is not None
                    injection.onset_ns = self._arrived.received_ns if lost and self._arrived is not None else now_ns
                yield injection.fault

    def _raise(self, kind: FaultKind) -> None:
        for fault in self.strike(kind):
            raise InjectedError(f"{fault.kind} on purpose")

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Connect the wire."""
        self._wire.open(refusal)

    def now_ns(self) -> int:
        """The wire's clock [ns]."""
        return self._wire.now_ns()

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Let messages pass until the deadline, or longer."""
        self._raise(FaultKind.WAIT_ERROR)
        self._advance(deadline_ns)
        for fault in self.strike(FaultKind.LATE_TICK):
            self._advance(deadline_ns + round(fault.size * 1e9))

    def _advance(self, until_ns: int) -> None:
        while (before_ns := self._wire.now_ns()) < until_ns:
            self._wire.wait_until(min(until_ns, before_ns - before_ns % self._period_ns + self._period_ns))
            if self._wire.now_ns() == before_ns:  # a lock-step wire with steps longer than a message's period
                self._wire.wait_until(until_ns)
            self._take()
            if self._wire.now_ns() == before_ns:
                return

    def _take(self) -> None:
        """Take a message off the wire, schedule it, and deliver those that are due."""
        self._inputs = inputs = self._wire.read()
        self._requests += inputs.requests
        self._wire_fault = inputs.wire_fault or self._wire_fault
        reading = inputs.reading
        if reading is not None and self._taken != (key := (reading.stamps_ns, reading.received_ns)):
            self._taken = key
            self._send(reading)
        now_ns = self._wire.now_ns()
        while self._on_the_way and self._on_the_way[0][0] <= now_ns:
            arrival_ns, _, reading = self._on_the_way.pop(0)
            self._arrived = dataclasses.replace(reading, received_ns=arrival_ns)
            if self.on_reading is not None:
                self.on_reading(self._arrived)

    def _send(self, reading: Reading) -> None:
        if not self._kinds.isdisjoint(MESSAGE_KINDS):
            if any(self._random.random() < fault.size for fault in self.strike(FaultKind.LOSS)):
                return
            good, reading = reading, self._damaged(reading)
            self._good = self._good if reading is not good else good
            for fault in self.strike(FaultKind.LAG):
                self._lag_s += fault.size * self._period_ns * 1e-9
            delay_s = self._lag_s + sum(fault.size for fault in self.strike(FaultKind.DELAY))
            delay_s += sum(fault.size for fault in self.strike(FaultKind.REORDER) if self._random.random() < 0.5)
            for fault in self.strike(FaultKind.DUPLICATE):
                self._post(reading, delay_s + fault.size)
            self._post(reading, delay_s)
        else:
            self._stamps, self._good = reading.stamps_ns, reading
            self._post(reading, 0.0)

    def _post(self, reading: Reading, delay_s: float) -> None:
        # Of two that arrive together the late one comes last, which is the worse order.
        self._sent_messages += 1
        number = -self._sent_messages if delay_s else -(1 << 62)
        self._on_the_way.append((reading.received_ns + round(delay_s * 1e9), number, reading))
        self._on_the_way.sort(key=lambda entry: entry[:2])

    def _damaged(self, reading: Reading) -> Reading:
        stamps = before = reading.stamps_ns
        for _ in self.strike(FaultKind.FROZEN_STAMP):
            stamps = self._stamps or before
        self._stamps = stamps
        for fault in self.strike(FaultKind.BACKWARD_STAMP):
            stamps = tuple(max(1, stamp - round(fault.size * 1e9)) for stamp in stamps)
        for fault in self.strike(FaultKind.CLOCK_SET):
            self._set_ns = round(fault.size * 1e9)
        stamps = tuple(stamp + self._set_ns for stamp in stamps)
        changed: dict[str, Any] = {"stamps_ns": stamps} if stamps != before else {}
        for kind, damage in DAMAGES.items():
            for fault in self.strike(kind):
                changed |= damage(reading, fault, self._spec, self._good)
        for _ in self.strike(FaultKind.SECOND_SENDER):
            if self._random.random() < 0.5:
                zero = np.zeros_like(reading.position)
                changed |= {"position": zero, "velocity": zero.copy()}
        for fault in self.strike(FaultKind.JOINT_NAMES):
            names = list(self._spec.robot.joint_names)
            names[fault.index % len(names)] = names[(fault.index + 1) % len(names)]
            try:
                JointMap(self._spec.robot.joint_names, names)
            except JointError as error:
                self._wire_fault = str(error)
        return dataclasses.replace(reading, **changed) if changed else reading

    def read(self) -> Inputs:
        """The newest inputs that arrived."""
        self._raise(FaultKind.READ_ERROR)
        self._take()
        wire_fault, self._wire_fault = self._wire_fault, None
        requests, self._requests = tuple(self._requests), []
        inputs = dataclasses.replace(self._inputs, reading=self._arrived, requests=requests, wire_fault=wire_fault)
        self._note_overtaken()
        lost = any(True for _ in self.strike(FaultKind.OPERATOR_LOST))
        self._command_ns = (self._command_ns or inputs.command_ns) if lost else None
        inputs.command_ns = self._command_ns if self._command_ns is not None else inputs.command_ns
        for fault in self.strike(FaultKind.OPERATOR_NOT_FINITE):
            inputs.command = altered(inputs.command, fault.index, fault.size)
        for fault in self.strike(FaultKind.HOT_MOTOR):
            cool = np.full(self._spec.robot.num_joints, 30.0) if inputs.temperature is None else inputs.temperature
            inputs.temperature = altered(cool, fault.index, fault.size)
        for _ in self.strike(FaultKind.RIVAL):
            inputs.rivals = (inputs.rivals or 0) + 1
        return inputs

    def _note_overtaken(self) -> None:
        """Reordered messages count as a fault from the first one that a tick sees."""
        seen, self._seen_stamps = self._seen_stamps, None if self._arrived is None else self._arrived.stamps_ns
        if self._arrived is not None and seen is not None and self._arrived.stamps_ns < seen:
            for injection in self.injections:
                if injection.fault.kind is FaultKind.REORDER and injection.onset_ns is None and injection.done_ns is not None:
                    injection.onset_ns = self._arrived.received_ns

    def write(self, command: JointCommand) -> None:
        """Send a command, or fail, or take long."""
        self._raise(FaultKind.WRITE_ERROR)
        self._wire.write(command)
        self.sent = (self._wire.now_ns(), command.drives)
        for fault in self.strike(FaultKind.SLOW_TICK):
            self._advance(self._wire.now_ns() + round(fault.size * 1e9))

    def report(self, status: Mapping[str, Any]) -> None:
        """Publish the status."""
        self._wire.report(status)

    def close(self) -> None:
        """Disconnect the wire."""
        self._wire.close()


class FaultyPolicy(PolicyFile):
    """A policy whose action is changed by a transport's faults; it takes over the memory of the original policy."""

    def __init__(self, policy: PolicyFile, transport: FaultyTransport) -> None:
        """Take over `policy`, which must not run any more."""
        self.__dict__.update(policy.__dict__)
        self._transport = transport

    def act(
        self,
        observation: NDArray[np.float32],
        groups: Mapping[str, NDArray[Any]] | None = None,
        latents: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> NDArray[np.float32]:
        """Advance one control step, as `PolicyFile.act` does."""
        action = super().act(observation, groups, latents)
        for fault in self._transport.strike(FaultKind.ACTION_NOT_FINITE):
            action[fault.index % len(action)] = fault.size
        for fault in self._transport.strike(FaultKind.ACTION_JUMP):
            action[fault.index % len(action)] += fault.size
        return action
