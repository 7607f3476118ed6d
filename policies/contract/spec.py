"""The contract between training and robot: one frozen `PolicySpec`, written by the task, read by everything else.

Joint order, default pose, gains, limits, observation terms, action law, normaliser and rates stand here and nowhere else, so that
training, export, evaluation, bridge and viewer cannot disagree about them. The spec travels inside the policy file as JSON whose
numbers are written with Python's shortest exact representation: reading gives back the same bits.

This module needs the standard library alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass

SCHEMA_VERSION = 1
ACTION_MODES = ("position_offset", "position_delta")
ENDS = {"position_lower": -math.inf, "position_upper": math.inf}
"""Fields of `RobotSpec`, and their value for a joint without an end."""


class SpecError(ValueError):
    """A policy spec that is malformed, incomplete or inconsistent."""


@dataclass(frozen=True, kw_only=True)
class RobotSpec:
    """The robot as the policy knows it; every tuple is in policy joint order, J entries.

    Attributes:
        name: robot's name, as in `envs/robots/<name>`.
        joint_names: names of the J controlled joints; wires are matched to them by name, never by position.
        default_pose: joint positions that a zero action stands for [rad].
        kp: position gain of the joint PD [N m / rad].
        kd: velocity gain of the joint PD [N m s / rad].
        effort_limit: largest torque [N m]; above zero, since there is no value that stands for "none".
        velocity_limit: largest joint speed [rad/s]; likewise.
        position_lower, position_upper: joint range [rad]; -inf and inf where a joint has no end there (a wheel). JSON has `null` for both.
        floating_base: whether the base moves freely and an IMU is expected.
        imu_frame: name of the frame that the IMU reports in; its axes are the base's. None for a fixed base.
        max_tilt: largest angle between the base's z axis and the vertical that is still operation [rad].
    """

    name: str
    joint_names: tuple[str, ...]
    default_pose: tuple[float, ...]
    kp: tuple[float, ...]
    kd: tuple[float, ...]
    effort_limit: tuple[float, ...]
    velocity_limit: tuple[float, ...]
    position_lower: tuple[float, ...]
    position_upper: tuple[float, ...]
    floating_base: bool
    imu_frame: str | None = None
    max_tilt: float = 1.0

    @property
    def num_joints(self) -> int:
        return len(self.joint_names)


@dataclass(frozen=True, kw_only=True)
class ObservationTerm:
    """One block of the observation vector. value = clip(raw, -clip, clip) * scale, computed by `policies.contract.observation`.

    Attributes:
        name: key into `policies.contract.observation.TERMS`.
        dim: number of entries.
        unit: physical unit of the raw value.
        frame: frame of the raw value: `base`, `joint`, `command` or `action`.
        scale: factor after clipping.
        clip: limit of the raw value's magnitude, in `unit`.
        noise: half-width of the uniform noise that training added to the raw value, in `unit`.
        delay_s: largest sensing delay that training simulated [s].
    """

    name: str
    dim: int
    unit: str
    frame: str
    scale: float = 1.0
    clip: float = 100.0
    noise: float = 0.0
    delay_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """How an action becomes joint position targets.

    `position_offset`: target = default_pose + scale * clip(action).
    `position_delta`: target = previous target + scale * clip(action), kept inside the joint range; the first previous target is
    the measured pose.

    Attributes:
        mode: one of `ACTION_MODES`.
        scale: J factors [rad].
        clip: limit of the raw action's magnitude.
        delay_s: largest actuation delay that training simulated [s].
    """

    mode: str
    scale: tuple[float, ...]
    clip: float
    delay_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """What a person or planner asks of the policy.

    Attributes:
        name: `velocity` (vx [m/s], vy [m/s], yaw rate [rad/s], base frame) or `goal_position` (x, y, z [m], base frame).
        labels: name of each entry.
        lower, upper: range that training covered; the bridge clamps to it.
    """

    name: str
    labels: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class NormalizerSpec:
    """(observation - mean) / std, applied inside the policy's graph; recorded here for people. O entries, in observation order."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """Everything a runtime needs to run a policy as it was trained.

    Attributes:
        task: name of the task, e.g. `go1-velocity-flat`.
        robot, action, command: see their classes.
        observation: terms in order; the observation vector is their concatenation, O entries, of the present step only: the past
            is in the network's key-value cache.
        history_steps: how many past observations the network can see through its cache, oldest first; the cache starts empty and
            masked after a reset, nothing is filled in.
        control_dt: time between two actions [s].
        decimation: physics steps a control step in training.
        clock_hz: rate of the gait clock that the term `clock` gives, 0 for none.
        pd_hz: rate at which the joint PD ran in training [Hz].
        normalizer: statistics of the observation, None where the network has none.
        quaternion_order: order inside; ROS's xyzw is converted at the edge.
    """

    task: str
    robot: RobotSpec
    observation: tuple[ObservationTerm, ...]
    action: ActionSpec
    command: CommandSpec
    control_dt: float
    decimation: int
    history_steps: int = 1
    clock_hz: float = 0.0
    normalizer: NormalizerSpec | None = None
    quaternion_order: str = "wxyz"
    schema_version: int = SCHEMA_VERSION

    @property
    def observation_dim(self) -> int:
        return sum(term.dim for term in self.observation)

    @property
    def action_dim(self) -> int:
        return self.robot.num_joints

    @property
    def pd_hz(self) -> float:
        return self.decimation / self.control_dt

    def __post_init__(self) -> None:
        validate(self)

    def to_json(self) -> str:
        """Serialize exactly; a joint without an end has `null` for it, since JSON has no infinity."""
        raw = dataclasses.asdict(self)
        for name in ENDS:
            raw["robot"][name] = [None if math.isinf(value) else value for value in raw["robot"][name]]
        return json.dumps(raw, indent=1, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> PolicySpec:
        """Read what `to_json` wrote.

        Raises:
            SpecError: malformed JSON, unknown or missing key, wrong type, inconsistent sizes, other schema version.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise SpecError(f"policy spec is not JSON: {error}") from error
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != SCHEMA_VERSION:
            raise SpecError(f"policy spec has schema version {version!r}; this robolearn reads version {SCHEMA_VERSION}")
        robot = raw.get("robot")
        for name, no_end in ENDS.items():
            if isinstance(robot, dict) and isinstance(robot.get(name), list):
                robot[name] = [no_end if value is None else value for value in robot[name]]
        return build(PolicySpec, raw, "spec")


def build(cls: typing.Any, raw: typing.Any, where: str) -> typing.Any:
    """Make a frozen dataclass from plain JSON values, strictly.

    Raises:
        SpecError: names the key that is unknown, missing or of the wrong type.
    """
    if isinstance(cls, type) and dataclasses.is_dataclass(cls):
        if not isinstance(raw, dict):
            raise SpecError(f"{where} must be an object, not {type(raw).__name__}")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        hints = typing.get_type_hints(cls)
        unknown = sorted(set(raw) - set(fields))
        if unknown:
            raise SpecError(f"{where} has unknown keys {unknown}; known: {sorted(fields)}")
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
        missing = sorted(required - set(raw))
        if missing:
            raise SpecError(f"{where} lacks {missing}")
        return cls(**{key: build(hints[key], value, f"{where}.{key}") for key, value in raw.items()})
    origin, args = typing.get_origin(cls), typing.get_args(cls)
    if origin is types.UnionType:
        if raw is None and type(None) in args:
            return None
        return build(next(arg for arg in args if arg is not type(None)), raw, where)
    if origin is tuple:
        if not isinstance(raw, list | tuple):
            raise SpecError(f"{where} must be a list, not {type(raw).__name__}")
        return tuple(build(args[0], item, f"{where}[{index}]") for index, item in enumerate(raw))
    if cls is float and isinstance(raw, int | float) and not isinstance(raw, bool):
        return float(raw)
    if (cls is int and isinstance(raw, bool)) or not isinstance(raw, cls):
        raise SpecError(f"{where} must be {cls.__name__}, not {raw!r}")
    return raw


def validate(spec: PolicySpec) -> None:
    """Check sizes, ranges and finiteness.

    Raises:
        SpecError: names what is wrong.
    """
    robot = spec.robot
    count = robot.num_joints
    if count == 0 or len(set(robot.joint_names)) != count:
        raise SpecError(f"robot.joint_names must be distinct and not empty: {robot.joint_names}")
    for name in ("default_pose", "kp", "kd", "effort_limit", "velocity_limit", "position_lower", "position_upper"):
        _check_vector(f"robot.{name}", getattr(robot, name), count, ENDS.get(name))
    _check_vector("action.scale", spec.action.scale, count)
    for name in ("kp", "kd", "effort_limit", "velocity_limit"):
        if min(getattr(robot, name)) < 0:
            raise SpecError(f"robot.{name} must not be negative: {getattr(robot, name)}")
    for name in ("effort_limit", "velocity_limit"):  # 0 is what a URDF has for "none"; here it would hold the joint for ever
        unable = [joint for joint, most in zip(robot.joint_names, getattr(robot, name), strict=True) if most == 0]
        if unable:
            raise SpecError(f"robot.{name} of {', '.join(unable)} is 0: such a joint may never move; give the motor's real limit")
    _check_not_negative({"clock_hz": spec.clock_hz, "action.delay_s": spec.action.delay_s})
    for joint, low, pose, high in zip(robot.joint_names, robot.position_lower, robot.default_pose, robot.position_upper, strict=True):
        if low == high:
            raise SpecError(
                f"the range of joint {joint} is [{low}, {high}] rad: nothing; a joint without limits has -inf and inf (JSON: null)"
            )
        if not low <= pose <= high:
            raise SpecError(f"default pose of joint {joint} is {pose} rad, outside its range [{low}, {high}]")
    if spec.action.mode not in ACTION_MODES:
        raise SpecError(f"action.mode is {spec.action.mode!r}; valid: {', '.join(ACTION_MODES)}")
    labels = len(spec.command.labels)
    _check_vector("command.lower", spec.command.lower, labels)
    _check_vector("command.upper", spec.command.upper, labels)
    for label, low, high in zip(spec.command.labels, spec.command.lower, spec.command.upper, strict=True):
        if low > high:
            raise SpecError(f"command.lower of {label} is {low}, above command.upper {high}")
    if not spec.observation:
        raise SpecError("observation has no terms")
    names = [term.name for term in spec.observation]
    if len(set(names)) != len(names):
        raise SpecError(f"observation terms must be distinct: {names}")
    for term in spec.observation:
        if term.dim < 1 or not math.isfinite(term.scale) or not 0 < term.clip < math.inf:
            raise SpecError(f"observation term {term.name} needs dim >= 1, a finite scale and a positive, finite clip: {term}")
        _check_not_negative({f"{name} of observation term {term.name}": getattr(term, name) for name in ("noise", "delay_s")})
    if "clock" in names and spec.clock_hz == 0:
        raise SpecError("observation has the term clock, but clock_hz is 0")
    if spec.normalizer is not None:
        _check_vector("normalizer.mean", spec.normalizer.mean, spec.observation_dim)
        _check_vector("normalizer.std", spec.normalizer.std, spec.observation_dim)
        if min(spec.normalizer.std) <= 0:
            raise SpecError("normalizer.std must be positive")
    positive = {"control_dt": spec.control_dt, "decimation": spec.decimation, "history_steps": spec.history_steps}
    positive |= {"action.clip": spec.action.clip, "robot.max_tilt": robot.max_tilt}
    for name, value in positive.items():
        if not value > 0 or not math.isfinite(value):
            raise SpecError(f"{name} must be positive, not {value}")
    if spec.quaternion_order != "wxyz":
        raise SpecError(f"quaternion_order is {spec.quaternion_order!r}; inside robolearn it is always wxyz")


def _check_not_negative(values: dict[str, float]) -> None:
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise SpecError(f"{name} must be finite and not negative: {value}")


def _check_vector(name: str, values: tuple[float, ...], count: int, none: float | None = None) -> None:
    """Check size and finiteness; `none` is a value that stands for "no limit" and may be there too."""
    if len(values) != count:
        raise SpecError(f"{name} has {len(values)} entries, expected {count}")
    if not all(math.isfinite(value) or value == none for value in values):
        raise SpecError(f"{name} holds a value that is not finite: {values}")
