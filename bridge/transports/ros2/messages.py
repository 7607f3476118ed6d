"""Standard ROS 2 messages to and from the bridge's arrays; both the policy node and the simulated robot use them.

Message fields are not checked by default, so every number goes through `float()`. The quaternion changes order here: xyzw on the wire,
wxyz inside. Five command interfaces, all of standard messages:

- `impedance` (Float64MultiArray, self-describing): the layout's first label holds the joint names, the second the five columns;
- `trajectory` (JointTrajectory, one point): positions by name, for a joint_trajectory_controller;
- `forward` (Float64MultiArray): positions in the controller's own joint order, for a forward_command_controller;
- `forward_velocity`: likewise velocities: those at which the impedance law's spring and damper balance, kp / kd (q* - q) + dq*;
- `forward_effort`: likewise torques: the impedance law, kp (q* - q) + kd (dq* - dq) + effort, with the newest q and dq.

`trajectory` and `forward` are position interfaces. A position-controlled robot cannot be damped, so damping means holding the pose measured
when damping began. On `forward_velocity` it means zero velocity, on `forward_effort` -kd dq; with a broken measurement both send zeros.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Float64MultiArray, MultiArrayDimension
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from bridge.control.command import JointCommand
from bridge.control.joints import FloatArray, JointError, JointMap
from bridge.simulated.physics import Sample
from bridge.transports.ros2.absent import angular_velocity, check_arrays, orientation
from bridge.transports.ros2.gripper import Part
from bridge.transports.ros2.options import INTERFACES, UNNAMED, check_names
from policies.contract.spec import PolicySpec

COLUMNS = "position,velocity,effort,kp,kd"
MESSAGE_TYPES: dict[str, Any] = {name: JointTrajectory if name == "trajectory" else Float64MultiArray for name in INTERFACES}


def type_name(kind: Any) -> str:
    """A message class as the graph calls it, for example `sensor_msgs/msg/Imu`."""
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time as [ns]."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def to_stamp(time_ns: int) -> Any:
    """[ns] as a builtin_interfaces/Time."""
    return Time(sec=time_ns // 1_000_000_000, nanosec=time_ns % 1_000_000_000)


def _floats(values: FloatArray) -> array[float]:
    return array("d", np.asarray(values, np.float64).tobytes())


def encode_sensors(sample: Sample, names: Sequence[str], time_ns: int, imu_frame: str) -> tuple[Any, Any]:
    """A robot's sample as (JointState, Imu); Imu is None for a fixed base."""
    stamp = to_stamp(time_ns)
    position, velocity, effort = _floats(sample.position), _floats(sample.velocity), _floats(sample.effort)
    joints = JointState(name=list(names), position=position, velocity=velocity, effort=effort)
    joints.header.stamp = stamp
    if sample.imu_quat_wxyz is None or sample.imu_angular_velocity_b is None:
        return joints, None
    imu = Imu()
    imu.header.stamp, imu.header.frame_id = stamp, imu_frame
    o, r = imu.orientation, imu.angular_velocity
    o.w, o.x, o.y, o.z = (float(value) for value in sample.imu_quat_wxyz)
    r.x, r.y, r.z = (float(value) for value in sample.imu_angular_velocity_b)
    return joints, imu


def decode_imu(imu: Any, needs_turn: bool = True) -> tuple[FloatArray, FloatArray | None]:
    """(attitude wxyz (4,), angular velocity [rad/s] (3,)) of an Imu message; the latter None if it has none and nobody `needs_turn`.

    Raises:
        NotAvailableError: the message says that it lacks what is needed.
    """
    return orientation(imu), angular_velocity(imu, needs_turn)


class JointStateDecoder:
    """JointState messages in any joint order to vectors in policy order."""

    def __init__(self, policy_names: Sequence[str], extra: Sequence[str] = ()) -> None:
        """Expect these joints; `extra` ones may be on the wire too."""
        self._names, self._extra, self._count = tuple(policy_names), tuple(extra), len(policy_names)
        self._map: JointMap | None = None

    def __call__(self, message: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(position [rad], velocity [rad/s], effort [N m]), (J,) each; effort is NaN where the message has none.

        Raises:
            NotAvailableError: no names, positions or velocities.
            JointError: names or sizes that do not match.
        """
        check_arrays(message)
        names = tuple(message.name)
        if self._map is None or self._map.wire_names != names:
            self._map = JointMap(self._names, names, self._extra)
        position, velocity = self._map.from_wire(message.position, "position"), self._map.from_wire(message.velocity, "velocity")
        effort = self._map.from_wire(message.effort, "effort") if len(message.effort) else np.full(self._count, np.nan)
        return position, velocity, effort


class CommandEncoder:
    """Joint commands to messages of one interface."""

    def __init__(
        self, spec: PolicySpec | Part, interface: str, joint_order: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> None:
        """Choose the interface.

        Args:
            spec: the contract, or a part of its joints; `joints` means those.
            interface: one of `INTERFACES`.
            joint_order: the controller's joint order in the wire's names, for the interfaces in `UNNAMED`.
            names: the policy's joints as the wire calls them, (J,) in policy order; None for the policy's names.

        Raises:
            JointError: the order is missing or is not that of the policy's joints, a joint has no damping to divide by, or a name that
                the interface cannot carry.
        """
        robot = spec.robot
        if interface in UNNAMED and joint_order is None:
            raise JointError(f"the {interface} interface carries no joint names: give the controller's joint order (--joint-order)")
        if interface == "forward_velocity" and min(robot.kd) <= 0:
            raise JointError("the forward_velocity interface needs kd > 0 on every joint of the policy file")
        self.interface = interface
        names = names or robot.joint_names
        check_names(names, interface)
        self._map = JointMap(names, joint_order or names)
        self._lower, self._upper = np.array(robot.position_lower), np.array(robot.position_upper)
        self._velocity, self._effort = np.array(robot.velocity_limit), np.array(robot.effort_limit)
        self._dt_ns = round(spec.control_dt * 1e9)
        self._driven = False
        self._last: FloatArray | None = None
        self._hold: FloatArray | None = None
        self._layout = [
            MultiArrayDimension(label=",".join(self._map.wire_names), size=robot.num_joints, stride=5 * robot.num_joints),
            MultiArrayDimension(label=COLUMNS, size=5, stride=5),
        ]

    def __call__(self, command: JointCommand, measured: FloatArray | None, velocity: FloatArray | None = None) -> Any:
        """The message to publish, or None for silence: a position, velocity or torque robot that was never driven is left alone.

        Args:
            command: joints in policy order.
            measured: newest positions [rad] (J,) in policy order; None before the first reading.
            velocity: newest velocities [rad/s] (J,) likewise; only `forward_effort` needs them.
        """
        if self.interface == "impedance":
            fields = (command.position, command.velocity, command.effort, command.kp, command.kd)
            message = Float64MultiArray(data=_floats(np.stack([self._map.to_wire(field) for field in fields], axis=1)))
            message.layout.dim = self._layout
            return message
        self._driven = self._driven or command.drives
        if not self._driven:
            return None
        if self.interface in ("forward_velocity", "forward_effort"):
            return Float64MultiArray(data=_floats(self._map.to_wire(self._law(command, measured, velocity))))
        positions = _floats(self._map.to_wire(self._position(command, measured)))
        if self.interface == "forward":
            return Float64MultiArray(data=positions)
        point = JointTrajectoryPoint(positions=positions, time_from_start=Duration(nanosec=self._dt_ns))
        return JointTrajectory(joint_names=list(self._map.wire_names), points=[point])

    def _law(self, command: JointCommand, measured: FloatArray | None, velocity: FloatArray | None) -> FloatArray:
        """Velocities or torques that do what the command says, inside the robot's limits, (J,); zeros where the measurement is broken."""
        speeds = self.interface == "forward_velocity"
        limit = self._velocity if speeds else self._effort
        if measured is None or not np.isfinite(measured).all():
            return np.zeros_like(limit)
        error = command.position - measured
        if speeds:
            if not command.drives:
                return np.zeros_like(limit)
            return np.clip(command.kp / np.maximum(command.kd, 1e-9) * error + command.velocity, -limit, limit)
        if velocity is None or not np.isfinite(velocity).all():
            return np.zeros_like(limit)
        return np.clip(command.kp * error + command.kd * (command.velocity - velocity) + command.effort, -limit, limit)

    def _position(self, command: JointCommand, measured: FloatArray | None) -> FloatArray:
        if command.drives:
            self._last, self._hold = command.position, None
            return command.position
        assert self._last is not None  # driven before
        if self._hold is None:
            usable = measured is not None and bool(np.isfinite(measured).all())
            self._hold = np.clip(measured, self._lower, self._upper) if usable and measured is not None else self._last
        return self._hold


class CommandDecoder:
    """Messages of one interface to joint commands in the robot's own joint order; the robot's end of `CommandEncoder`."""

    def __init__(self, names: Sequence[str], interface: str, kp: FloatArray, kd: FloatArray) -> None:
        """Decode for a robot.

        Args:
            names: its joints, in its own order.
            interface: one of `INTERFACES`.
            kp, kd: gains of its own controller, for the position and velocity interfaces, (J,) in its own order.
        """
        self._names, self._interface, self._kp, self._kd = tuple(names), interface, kp, kd
        self._map: JointMap | None = None

    def _from(self, wire_names: Sequence[str]) -> JointMap:
        if self._map is None or self._map.wire_names != tuple(wire_names):
            self._map = JointMap(self._names, wire_names)
        return self._map

    def __call__(self, message: Any) -> JointCommand:
        """Decode.

        Raises:
            JointError: names or sizes that do not match, or a value that is not finite.
        """
        if self._interface == "impedance":
            dims = message.layout.dim
            if len(dims) != 2 or dims[1].label != COLUMNS:
                raise JointError(f"an impedance command needs the layout labels <joint names> and {COLUMNS!r}")
            joints = self._from(dims[0].label.split(","))
            table = np.asarray(message.data, np.float64).reshape(len(self._names), 5)
            command = JointCommand(*(joints.from_wire(column, "command") for column in table.T))
        else:
            named = self._interface == "trajectory"
            names = tuple(message.joint_names) if named else self._names
            values = self._from(names).from_wire(message.points[0].positions if named else message.data, "command")
            zero = np.zeros(len(self._names))
            if self._interface == "forward_effort":
                command = JointCommand(zero, zero, values, zero, zero)
            elif self._interface == "forward_velocity":
                command = JointCommand(zero, values, zero, zero, self._kd)
            else:
                command = JointCommand(values, zero, zero, self._kp, self._kd)
        if not all(np.isfinite(v).all() for v in (command.position, command.velocity, command.effort, command.kp, command.kd)):
            raise JointError("a command is not finite")
        return command
