"""The node's ROS parameters: values fixed by the policy file and the command line, and the guards' thresholds.

What was fixed is read-only. A value given for it (`-p policy_sha256:=...`) does not choose anything: it must agree, or the node does
not start, so a launch file can pin the file that it expects. Thresholds may be set at start (`-p sensor_timeout_s:=0.1`), and while the
robot is damped. While anything is driven, and in a fault, a change is refused and says why.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter

from bridge.control.safety import Mode, SafetyLimits
from bridge.transports.ros2.options import Ros2OptionError, Ros2Options
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec

Value = bool | float | str | list[str]

THRESHOLDS: Mapping[str, tuple[float, str]] = {
    "sensor_timeout_s": (1.0, "largest age of a sensor message [s]"),
    "frozen_s": (1.0, "longest time without the robot's stamps advancing [s]"),
    "command_timeout_s": (math.inf, "age at which the operator's command becomes zero [s]"),
    "heartbeat_timeout_s": (math.inf, "age of the operator's command at which the policy is stopped [s]"),
    "max_lateness_s": (1.0, "largest delay of a tick's start [s]"),
    "max_overruns": (50.0, "ticks in a row that may end after the next deadline"),
    "max_tilt": (math.pi, "largest angle between the base and the vertical [rad]"),
    "position_excess": (1.0, "largest distance of a measured joint outside its range [rad]"),
    "velocity_factor": (10.0, "largest measured speed, as a multiple of the robot's limits"),
    "effort_factor": (10.0, "largest measured torque, as a multiple of the robot's limits"),
    "stand_s": (60.0, "duration of the ramp to the default pose [s]"),
    "gain_ramp_s": (60.0, "duration of the gains' ramp when standing up [s]"),
    "command_ramp_s": (10.0, "time in which the velocity command may cross its whole trained range [s]"),
    "entry_pose": (math.pi, "largest distance of a joint from the default pose when the policy starts [rad]"),
    "entry_tilt": (math.pi, "largest tilt when the policy starts [rad]"),
    "entry_speed": (10.0, "largest joint speed when the policy starts [rad/s]"),
}
"""Thresholds of `SafetyLimits` that may change while damped: the largest value, and what it is."""
SMALLEST = 1e-3


def fixed_parameters(
    spec: PolicySpec, options: Ros2Options, names: Sequence[str], policy: PolicyFile | None
) -> dict[str, tuple[Value, str]]:
    """The read-only parameters: name -> (value, description).

    Args:
        spec: the contract.
        options: names, interface and joints.
        names: the policy's joints as the wire calls them.
        policy: the file; None where it is not known.
    """
    file: dict[str, tuple[Value, str]] = {}
    if policy is not None:
        file = {"policy_file": (str(policy.path), "the policy file"), "policy_sha256": (policy.sha256, "its SHA-256")}
    return {
        **file,
        "task": (spec.task, "the task that the policy was trained on"),
        "robot": (spec.robot.name, "the robot that it is for"),
        "rate_hz": (1.0 / spec.control_dt, "control rate, that of training [Hz]"),
        "command_interface": (options.interface, "command interface of the robot"),
        "command_topic": (options.topic, "topic of commands"),
        "policy_joints": (list(spec.robot.joint_names), "joints in the policy's order and names"),
        "wire_joints": (list(names), "the same joints by their names on the wire"),
        "joint_order": (list(options.joint_order or names), "joint order of commands, in the wire's names"),
        "base_frame": (options.base_frame, "frame of goals"),
        "managed": (options.managed, "whether a lifecycle manager configures and activates the node"),
    }


class Parameters:
    """Declares the parameters and answers who sets them."""

    def __init__(
        self,
        node: Any,
        fixed: Mapping[str, tuple[Value, str]],
        limits: SafetyLimits | None,
        mode: Callable[[], Mode],
        on_limits: Callable[[SafetyLimits], None],
    ) -> None:
        """Declare.

        Args:
            node: the rclpy node.
            fixed: read-only parameters: name -> (value, description).
            limits: the thresholds so far; parameters given at start overrule them. None to declare no thresholds.
            mode: the safety state now.
            on_limits: takes new thresholds.

        Raises:
            Ros2OptionError: a parameter given at start contradicts what is fixed, or is out of range or of the wrong type.
        """
        self._node, self._mode, self._on_limits = node, mode, on_limits
        try:
            for name, (value, text) in fixed.items():
                self._declare_fixed(name, value, text)
            if limits is not None:
                self._limits = limits
                self._declare_thresholds()
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise Ros2OptionError(f"parameter on the command line or in a parameter file: {error}") from error
        node.add_on_set_parameters_callback(self._on_set)

    def _declare_fixed(self, name: str, value: Value, text: str) -> None:
        found: Any = self._node.declare_parameter(name, value, ParameterDescriptor(description=text, read_only=True)).value
        if (list(found) if isinstance(value, list) else found) != value:
            raise Ros2OptionError(f"parameter {name} is given as {found!r}, but it is {value!r}: the policy file and the options say so")

    def _declare_thresholds(self) -> None:
        start: dict[str, float] = {}
        for name, (largest, text) in THRESHOLDS.items():
            value = float(getattr(self._limits, name))
            between = FloatingPointRange(from_value=min(SMALLEST, value), to_value=max(largest, value))
            descriptor = ParameterDescriptor(description=f"{text}; settable while damped", floating_point_range=[between])
            start[name] = float(self._node.declare_parameter(name, value, descriptor).value)
        if any(value != getattr(self._limits, name) for name, value in start.items()):
            self._take(start)

    def _take(self, values: Mapping[str, float]) -> None:
        self._limits = dataclasses.replace(self._limits, **values)
        self._on_limits(self._limits)

    def _on_set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        """Types, ranges and read-only are rclpy's to check, before this."""
        if any(parameter.name == "use_sim_time" for parameter in parameters):
            return SetParametersResult(successful=False, reason="use_sim_time cannot change while the node runs: restart it")
        values = {parameter.name: float(parameter.value) for parameter in parameters if parameter.name in THRESHOLDS}
        if not values:
            return SetParametersResult(successful=True)
        mode = self._mode()
        if mode not in (Mode.DAMPING, Mode.ZERO_TORQUE):
            way = "reset first" if mode is Mode.FAULT else "stop first"
            return SetParametersResult(successful=False, reason=f"{', '.join(values)} can only change in damping, not in {mode}: {way}")
        self._take(values)
        return SetParametersResult(successful=True)
