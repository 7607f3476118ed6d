"""The transport for Unitree's robots: LowState in and LowCmd out over DDS, and the robot's own wireless remote as the operator.

    the loop's thread:    wait -> newest LowState -> read ... controller ... write -> CommandStream
    the stream's thread:  the newest command, every 2 ms, until the transport is closed

The command writer is made with the first command that drives the robot (or with a fault), so a process that is only started, or in a dry
run, disturbs nothing. From then on the robot gets a command every 2 ms, whatever the control loop does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.control.command import JointCommand, damping
from bridge.control.joints import FloatArray, JointError
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import ACTIVE, Event, Mode
from bridge.control.stream import CommandStream, quick_switches
from bridge.operator.notices import charge
from bridge.transports.unitree.messages import LowCmdEncoder, LowState, LowStateDecoder, UnitreeMessageError
from bridge.transports.unitree.options import UnitreeOptions
from bridge.transports.unitree.remote import Keys, decode, velocity
from bridge.transports.unitree.robots import robot_of
from bridge.transports.unitree.sender import Sender
from policies.contract.spec import PolicySpec

DISCOVERY_NS = 3_000_000_000  # who else publishes is not known before
BAD_IN_A_ROW = 10  # damaged messages that make a fault of the wire: 20 ms of them
MESSAGE_GAP_NS = 1_000_000  # a robot that floods this computer with messages must not eat its processor
FAREWELL_S = 0.02


class UnitreeWireError(RuntimeError):
    """The command stream has ended by itself."""


class UnitreeTransport:
    """Implements `bridge.transports.base.Transport`.

    Attributes:
        on_reading: called with every LowState that arrives.
        messages, damaged: LowStates decoded, and dropped for their size or check sum.
        stream: the command stream; None before the first command that drives.
    """

    def __init__(self, spec: PolicySpec, options: UnitreeOptions | None = None, fixed_command: Sequence[float] | None = None) -> None:
        """Prepare; nothing is connected before `open`.

        Args:
            spec: the contract; its robot's name says which messages and motors.
            options: how to reach the robot.
            fixed_command: operator's command (C,) that never ages; None for the sticks of the remote. The remote's keys act in any case.

        Raises:
            JointError: no Unitree robot, other joints, or a policy that the sticks cannot command.
            InterfaceError: no such network interface.
            ModuleNotFoundError: Cyclone DDS or Unitree's SDK is not installed.
        """
        from bridge.transports.unitree.dds import choose_domain, choose_interface, types_of

        self._spec, self._options = spec, options or UnitreeOptions()
        if fixed_command is None and spec.command.kind != "velocity":
            raise JointError(f"the remote's sticks give velocities, this policy takes {spec.command.kind!r}: give it one (--command)")
        self._robot, joints = robot_of(spec)
        self._domain = choose_domain(self._options.domain)
        self._loopback = choose_interface(self._options.interface, self._domain)
        types_of(self._robot.family.name)
        self._decode = LowStateDecoder(self._robot, joints, self._options.check_crc, unsealed=self._loopback)
        self._sender = Sender(self._robot, spec.robot.joint_names, self._loopback)
        self._encode = LowCmdEncoder(self._robot, joints)
        self._fixed = None if fixed_command is None else np.array(fixed_command, np.float64)
        self._keys = Keys()
        self._reading: Reading | None = None
        self._command: tuple[FloatArray, int] | None = None
        self._requests: list[Event] = []
        self._fault: str | None = None
        self._bad_in_a_row = 0
        self._battery: float | None = None
        self._hint, self._rival_names = "", ()
        self._rivals: int | None = None
        self._shown = ""
        self._damping = damping(self._options.damping_factor * np.array(spec.robot.kd))
        self._newest = self._damping
        self._writer: Any = None
        self._wire: Any = None
        self.on_reading: Callable[[Reading], None] | None = None
        self.on_shutdown: Callable[[], None] | None = None
        self.on_line: Callable[[str], None] | None = None
        self.messages = self.damaged = 0
        self.stream: CommandStream | None = None

    @property
    def temperature(self) -> FloatArray | None:
        """Hottest sensor of each motor [degrees C], (J,); None before the first LowState, and where it has none."""
        return self._sender.temperature

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Join the domain and listen.

        Raises:
            DDSException: the interface cannot be used.
        """
        from bridge.transports.unitree.dds import LOW_STATE, Wire

        self._wire = Wire(self._robot.family.name, self._domain)
        self._reader: Any = self._wire.reader(LOW_STATE, self._wire.types.LowState_)
        self._opened_ns = self.now_ns()

    def now_ns(self) -> int:
        """Steady clock [ns], common to all processes of this computer."""
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Receive until the deadline, or a LowState after `fresh_ns`; sleeps between messages."""
        while (left_ns := deadline_ns - self.now_ns()) > 0:
            if self._wire.wait(left_ns):
                self._receive()
                if fresh_ns is not None and self._reading is not None and self._reading.received_ns >= fresh_ns:
                    return
                time.sleep(max(0, min(MESSAGE_GAP_NS, deadline_ns - self.now_ns())) * 1e-9)
        self._receive()

    def _receive(self) -> None:
        messages: list[bytes] = self._reader.take_frames()
        every = self.on_reading is not None
        for message in messages if every else messages[-1:]:
            try:
                state = self._decode(message)
            except UnitreeMessageError as error:
                self._leave_out(str(error))
            else:
                self._accept(state, self.now_ns(), 1 if every else len(messages))

    def _leave_out(self, said: str) -> None:
        """Take a message for none. One is no reason to latch a robot that walks; as many in a row are no accident."""
        self.damaged += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= BAD_IN_A_ROW:
            self._fault = f"{self._bad_in_a_row} messages in a row: {said}"

    def _accept(self, state: LowState, now_ns: int, passed: int) -> None:
        quat, gyro, stamps_ns = state.imu_quat_wxyz, state.imu_angular_velocity_b, (self._sender.hear(state, now_ns, passed),)
        if self._sender.fault is not None and self._shown in ACTIVE:  # else at once: nothing is driven yet
            self._leave_out(self._sender.fault)
            return
        self._bad_in_a_row = 0
        self.messages += 1
        self._reading = Reading(
            state.position, state.velocity, state.effort, quat, gyro, stamps_ns, now_ns, self._loopback, state.imu_acceleration_b
        )
        self._battery = state.battery
        self._encode.mode_machine, self._fault = state.mode_machine, self._sender.fault or self._fault
        self._operate(state.remote, now_ns)
        if self.on_reading is not None:
            self.on_reading(self._reading)

    def _operate(self, data: bytes, now_ns: int) -> None:
        remote = decode(data)
        request = self._keys(remote)
        if request is not None and request not in self._requests:
            self._requests.append(request)
        if remote is not None and self._fixed is None:
            self._command = velocity(remote, self._spec.command.lower, self._spec.command.upper), now_ns

    def read(self) -> Inputs:
        """The newest inputs."""
        requests, self._requests = tuple(self._requests), []
        fault, self._fault = self._fault, None
        value, command_ns = (self._fixed, self.now_ns()) if self._fixed is not None else self._command or (None, 0)
        return Inputs(
            reading=self._reading,
            command=value,
            command_ns=command_ns,
            requests=requests,
            wire_fault=fault,
            rivals=self._rivals,
            rival_names=self._rival_names,
            sensor_hint=self._hint,
            remarks=(*self._sender.remarks, *([low] if (low := charge(self._battery)) else [])),
            temperature=self.temperature,
            battery=self._battery,
        )

    def write(self, command: JointCommand) -> None:
        """Hand a command to the stream, from the first one on that drives the robot or follows a fault.

        Raises:
            UnitreeWireError: the stream has ended; damping has been sent instead, once.
        """
        if self.stream is None:
            if self._reading is None or (not command.drives and self._shown != Mode.FAULT):
                return
            self._start_stream()
        assert self.stream is not None
        if self.stream.failure is not None:
            self._send(self._damping)
            raise UnitreeWireError("the command stream has ended; damping goes out from the control loop") from self.stream.failure
        self._newest = command
        self.stream.put(command, self.now_ns())

    def _start_stream(self) -> None:
        from bridge.transports.unitree.dds import LOW_COMMAND

        quick_switches()
        self._writer = self._wire.writer(LOW_COMMAND, self._wire.types.LowCmd_)
        self.stream = CommandStream(self._send, self._damping.kd, self._spec.control_dt, self._options.rate_hz)
        self.stream.start()

    def _send(self, command: JointCommand) -> None:
        self._writer.write_frame(self._encode(command))

    def rehearse(self) -> None:
        """Nothing: messages come every 2 ms."""

    def report(self, status: Mapping[str, Any]) -> None:
        """Remember the state, and look who publishes commands and who is the robot."""
        from bridge.transports.unitree.dds import LOW_COMMAND, LOW_STATE

        self._shown = str(status["mode"])
        known = self.now_ns() - self._opened_ns >= DISCOVERY_NS
        commanders = max(0, self._wire.publishers(LOW_COMMAND) - self._options.known_publishers)
        senders = max(0, self._wire.publishers(LOW_STATE, self._wire.types.LowState_) - 1 - self._options.known_senders)
        self._rivals = commanders + senders if commanders or senders or known else None
        excepts = f"--known-publishers {commanders + self._options.known_publishers} excepts such as are known to be silent"
        names = [f"{commanders} other publishers on {LOW_COMMAND} ({excepts})"] if commanders else []
        if senders:
            excepted = senders + self._options.known_senders
            said = f"{1 + excepted} publishers on {LOW_STATE}, where one robot has one (one that was killed counts for 10 s"
            names.append(f"{said}; --known-senders {excepted} excepts such as are known to be silent)")
        self._rival_names = tuple(names)
        silent = known and self._reading is None
        self._hint = self._wire.missing(LOW_STATE, self._wire.types.LowState_, self._loopback) if silent else ""

    def close(self) -> None:
        """Stream damping a little longer, end the stream, and leave the domain.

        Raises:
            Exception: what ended the stream before.
        """
        try:
            if self.stream is not None:
                if self._newest.drives:
                    self.stream.put(self._damping, self.now_ns())
                time.sleep(FAREWELL_S)
                self.stream.stop()
        finally:
            self._writer = self._reader = None
            if self._wire is not None:
                self._wire.close()
                self._wire = None
