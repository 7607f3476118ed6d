"""LowState and LowCmd to and from the bridge's arrays, for both families, without an object per motor.

Unitree's quaternion is wxyz, its gyroscope is in the frame of the IMU, whose axes are the base's; `tau_est` is the measured torque and
`tick` the robot's own time in milliseconds, 32 bits that wrap after 49.7 days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.joints import FloatArray, JointError, JointMap
from bridge.transports.unitree.layout import Frame, Layout
from bridge.transports.unitree.robots import GO, HG, UnitreeRobot

POSITION_STOP, VELOCITY_STOP = 2.146e9, 16000.0  # Unitree's marks for "no target" (`PosStopF`, `VelStopF` in the SDK)
ENABLED, DISABLED = 1, 0
UNSEALED = (
    "the check sum of LowState is wrong: there is none, as from a simulator, which is heard on this computer alone (without"
    " --network-interface, or lo)"
)
MODE_PR = 0  # ankles and waist commanded as pitch and roll
TICK_NS, TICKS = 1_000_000, 1 << 32


class UnitreeMessageError(ValueError):
    """A LowState or LowCmd that is damaged or of another robot."""


@dataclass(slots=True)
class LowState:
    """One LowState, joints in policy order.

    Attributes:
        position: [rad], (J,).
        velocity: [rad/s], (J,).
        effort: estimated torque [N m], (J,).
        imu_quat_wxyz: attitude of the base in the world, (4,).
        imu_angular_velocity_b: in the base frame [rad/s], (3,).
        tick: the robot's clock [ms], 32 bits.
        mode_machine: which variant of the robot it is, to be sent back in every command; 0 for quadrupeds.
        remote: the 40 bytes of the wireless remote.
        temperature: hottest sensor of each motor [degrees C], (J,); zero where the sender has none.
        sealed: whether it has a check sum.
        imu_acceleration_b: of the accelerometer, gravity included [m/s^2], (3,); None where it tells nothing.
        battery: its charge, from 0 to 1; None where the message has none.
    """

    position: FloatArray
    velocity: FloatArray
    effort: FloatArray
    imu_quat_wxyz: FloatArray
    imu_angular_velocity_b: FloatArray
    tick: int
    mode_machine: int
    remote: bytes
    temperature: FloatArray
    sealed: bool = True
    imu_acceleration_b: FloatArray | None = None
    battery: float | None = None


class LowStateDecoder:
    """Bytes of a LowState to arrays.

    Attributes:
        unsealed: whether messages without a check sum are taken, as long as none came with one. A wrong one is never taken.
    """

    def __init__(self, robot: UnitreeRobot, joints: JointMap, check_crc: bool = True, unsealed: bool = False) -> None:
        """Decode for a policy's joints.

        Args:
            robot: whose message.
            joints: from its motors to the policy's joints.
            check_crc: whether a wrong check sum refuses the message.
            unsealed: whether a sender that fills in none is heard.
        """
        self._frame, self._check_crc, self.unsealed = Frame(Layout(robot.family.low_state)), check_crc, unsealed
        layout, self._humanoid = self._frame.layout, robot.family is HG
        self._motors = np.stack([layout.index(f"motor_state.{name}")[joints.index] for name in ("q", "dq", "tau_est")])
        self._imu = np.concatenate([layout.index(f"imu_state.{name}") for name in ("quaternion", "gyroscope", "accelerometer")])
        self._temperature = layout.index("motor_state.temperature").reshape(robot.family.slots, -1)[joints.index]
        self._remote = layout.index("wireless_remote")
        self._tick = int(layout.index("tick")[0])

    def __call__(self, message: bytes) -> LowState:
        """Decode.

        Raises:
            UnitreeMessageError: another size or encoding, or a wrong check sum.
        """
        frame = self._frame
        if not frame.fits(message):
            want = f"{frame.layout.wire_size + 4} bytes of little-endian CDR"
            raise UnitreeMessageError(f"LowState has {len(message)} bytes that begin with {message[:2].hex()}, expected {want}")
        frame.load(message)
        intact = frame.intact
        if self._check_crc and not intact and (frame.sealed or not self.unsealed):
            raise UnitreeMessageError("the check sum of LowState is wrong" if frame.sealed else UNSEALED)
        self.unsealed &= not intact  # who fills it in is held to it
        numbers = frame.view("motor_state.q")
        position, velocity, effort = numbers[self._motors].astype(np.float64)
        imu = numbers[self._imu].astype(np.float64)
        return LowState(
            position=position,
            velocity=velocity,
            effort=effort,
            imu_quat_wxyz=imu[:4],
            imu_angular_velocity_b=imu[4:7],
            tick=int(frame.view("tick")[self._tick]),
            mode_machine=int(frame.get("mode_machine")[0]) if self._humanoid else 0,
            remote=frame.view("wireless_remote")[self._remote].tobytes(),
            temperature=frame.view("motor_state.temperature")[self._temperature].max(axis=1).astype(np.float64),
            sealed=frame.sealed,
            imu_acceleration_b=imu[7:] if imu[7:].any() and np.isfinite(imu[7:]).all() else None,
            battery=None if self._humanoid else self._charge(),
        )

    def _charge(self) -> float | None:
        """Charge of the battery, from 0 to 1; a sender that tells none leaves it 0, which no robot that runs has."""
        soc = int(self._frame.get("bms_state.soc")[0])
        return soc / 100 if 0 < soc <= 100 else None


class TickClock:
    """The robot's tick as a time that goes on when the 32 bits wrap, and back when the robot's clock does."""

    def __init__(self) -> None:
        self._time: int | None = None

    def __call__(self, tick: int) -> int:
        """The time of a tick [ns], never negative unless the tick goes back before the first one."""
        if self._time is None:
            self._time = tick
        step = (tick - self._time) % TICKS
        self._time += step if step < TICKS // 2 else step - TICKS
        return self._time * TICK_NS


class LowCmdEncoder:
    """Joint commands to the bytes of a LowCmd, in one message that is allocated once.

    Attributes:
        mode_machine: copied from the newest LowState; a humanoid that hears another number does not move.
    """

    def __init__(self, robot: UnitreeRobot, joints: JointMap) -> None:
        """Prepare the message: driven motors enabled, the empty slots disabled and without a target."""
        self._frame, self.mode_machine = Frame(Layout(robot.family.low_command)), 0
        layout, frame, count = self._frame.layout, self._frame, len(robot.motors)
        self._humanoid = robot.family is HG
        modes = np.full(robot.family.slots, DISABLED)
        modes[:count] = ENABLED
        frame.set("motor_cmd.mode", modes)
        if robot.family is GO:
            frame.set("head", (0xFE, 0xEF))
            frame.set("level_flag", 0xFF)
            numbers = frame.view("motor_cmd.q")
            numbers[layout.index("motor_cmd.q")[count:]] = POSITION_STOP
            numbers[layout.index("motor_cmd.dq")[count:]] = VELOCITY_STOP
        else:
            frame.set("mode_pr", MODE_PR)
        self._numbers = frame.view("motor_cmd.q")
        self._machine = int(layout.index("mode_machine")[0]) if self._humanoid else 0
        self._bytes = frame.view("motor_cmd.mode")
        self._fields = np.stack([layout.index(f"motor_cmd.{name}")[joints.index] for name in ("q", "dq", "tau", "kp", "kd")])

    def __call__(self, command: JointCommand) -> memoryview:
        """The message to send; valid until the next call.

        Raises:
            JointError: a number that is not finite as float32; nothing of it may reach a motor.
        """
        fields = (command.position, command.velocity, command.effort, command.kp, command.kd)
        numbers = np.array(fields, np.float32)
        if not np.isfinite(numbers).all():
            raise JointError("a command is not finite")
        self._numbers[self._fields] = numbers
        if self._humanoid:
            self._bytes[self._machine] = self.mode_machine
        return self._frame.seal()
