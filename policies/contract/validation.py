"""Which values the parts of a `PolicySpec` may have: sizes, ranges, finiteness. Every error names the entry and says what is valid.

This module only needs the standard library.
"""

from __future__ import annotations

import difflib
import math
import re

from policies.contract.parts import (
    ACTION_MODES,
    COMMAND_SIZES,
    DTYPES,
    ENDS,
    IMAGE_KINDS,
    STATE,
    ActionSpec,
    CommandSpec,
    ImageSpec,
    NormalizerSpec,
    ObservationGroup,
    RobotSpec,
    SpecError,
)

MOST_LABELS = 256
"""Of what a segmentation tells apart: a pixel is a byte."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_robot(robot: RobotSpec) -> None:
    """Raises `SpecError` if the robot's vectors do not fit its joints or each other."""
    count = robot.num_joints
    if count == 0 or len(set(robot.joint_names)) != count:
        raise SpecError(f"robot.joint_names must be distinct and not empty: {robot.joint_names}")
    for name in ("default_pose", "kp", "kd", "effort_limit", "velocity_limit", "position_lower", "position_upper"):
        check_vector(f"robot.{name}", getattr(robot, name), count, ENDS.get(name))
    for name in ("kp", "kd", "effort_limit", "velocity_limit"):
        if min(getattr(robot, name)) < 0:
            raise SpecError(f"robot.{name} must not be negative: {getattr(robot, name)}")
    for name in ("effort_limit", "velocity_limit"):  # a URDF uses 0 for "unlimited"; here it would mean that the joint never moves
        unable = [joint for joint, most in zip(robot.joint_names, getattr(robot, name), strict=True) if most == 0]
        if unable:
            raise SpecError(f"robot.{name} of {', '.join(unable)} is 0: such a joint could never move; give the motor's real limit")
    for joint, low, pose, high in zip(robot.joint_names, robot.position_lower, robot.default_pose, robot.position_upper, strict=True):
        if low == high:
            raise SpecError(
                f"the range of joint {joint} is [{low}, {high}] rad, which is empty; a joint without limits has -inf and inf (JSON: null)"
            )
        if not low <= pose <= high:
            raise SpecError(f"default pose of joint {joint} is {pose} rad, outside its range [{low}, {high}]")
    check_positive({f"robot.{name}": getattr(robot, name) for name in ("max_tilt", "warm_motor_c", "hot_motor_c")})


def check_action(action: ActionSpec, joints: int) -> None:
    """Raises `SpecError` if the action law does not fit J joints."""
    if action.mode not in ACTION_MODES:
        raise SpecError(f"action.mode is {action.mode!r}; valid: {', '.join(ACTION_MODES)}")
    check_vector("action.scale", action.scale, joints)
    check_positive({"action.clip": action.clip})
    check_not_negative({"action.delay_s": action.delay_s})


def check_command(command: CommandSpec) -> None:
    """Raises `SpecError` if a command has an unknown kind, the wrong size for its kind, or an empty range."""
    if command.kind not in COMMAND_SIZES:
        raise SpecError(f"command.kind is {command.kind!r}{_nearest(command.kind, COMMAND_SIZES)}; valid: {', '.join(COMMAND_SIZES)}")
    size, labels = COMMAND_SIZES[command.kind], len(command.labels)
    if size is not None and labels != size:
        raise SpecError(f"command.labels has {labels} entries; a command of kind {command.kind} has {size}")
    check_vector("command.lower", command.lower, labels)
    check_vector("command.upper", command.upper, labels)
    for label, low, high in zip(command.labels, command.lower, command.upper, strict=True):
        if low > high:
            raise SpecError(f"command.lower of {label} is {low}, above command.upper {high}")


def check_groups(groups: tuple[ObservationGroup, ...], clock_hz: float) -> None:
    """Raises `SpecError` if the observation has no group `state`, or a group is malformed."""
    names = [group.name for group in groups]
    if len(set(names)) != len(names):
        raise SpecError(f"observation groups must have distinct names: {names}")
    if STATE not in names:
        raise SpecError(f"observation has no group {STATE!r}, the vector of sensor readings; its groups: {', '.join(names) or 'none'}")
    for group in groups:
        where = f"observation group {group.name}"
        if not NAME.fullmatch(group.name):
            raise SpecError(f"{where!r}: a name is letters, digits and underscores, a letter first")
        if group.dtype not in DTYPES or (group.image is None and group.dtype != DTYPES[0]):
            raise SpecError(f"{where} has dtype {group.dtype!r}; valid: float32, and uint8 for images")
        if group.every < 1:
            raise SpecError(f"{where}: every is {group.every}, it must be at least 1 control step")
        if group.image is not None and group.terms:
            raise SpecError(f"{where} has both terms and an image; split it into two groups")
        if group.image is not None:
            _check_image(group.image, where)
        else:
            _check_terms(group, where, clock_hz)
        if group.name == STATE and (group.image is not None or group.every != 1):
            raise SpecError(f"{where} must be a vector with a reading at every control step")


def _check_terms(group: ObservationGroup, where: str, clock_hz: float) -> None:
    if not group.terms:
        raise SpecError(f"{where} has no terms")
    names = [term.name for term in group.terms]
    if len(set(names)) != len(names):
        raise SpecError(f"observation terms of one group must be distinct: {names}")
    for term in group.terms:
        if term.dim < 1 or not math.isfinite(term.scale) or not 0 < term.clip < math.inf:
            raise SpecError(f"observation term {term.name} needs dim >= 1, a finite scale and a positive, finite clip: {term}")
        check_not_negative({f"{name} of observation term {term.name}": getattr(term, name) for name in ("noise", "delay_s")})
    if "clock" in names and clock_hz == 0:
        raise SpecError("observation has the term clock, but clock_hz is 0")


def _check_image(image: ImageSpec, where: str) -> None:
    if image.kind not in IMAGE_KINDS:
        raise SpecError(f"{where}: image.kind is {image.kind!r}; valid: {', '.join(IMAGE_KINDS)}")
    check_positive({f"{where}: image.{name}": getattr(image, name) for name in ("width", "height", "fx", "fy")})
    check_not_negative({f"{where}: image.{name}": getattr(image, name) for name in ("near", "far")})
    if not (math.isfinite(image.cx) and math.isfinite(image.cy)):
        raise SpecError(f"{where}: image.cx and image.cy must be finite, not {image.cx}, {image.cy}")
    if bool(image.labels) != (image.kind == "segmentation") or len(image.labels) > MOST_LABELS:
        raise SpecError(f"{where}: image.labels has {len(image.labels)} names; a segmentation has 1 to {MOST_LABELS}, other kinds none")
    if image.near > image.far:
        raise SpecError(f"{where}: image.near is {image.near} m, beyond image.far {image.far} m")


def check_normalizer(normalizer: NormalizerSpec, size: int) -> None:
    """Raises `SpecError` if it does not have O entries or divides by zero."""
    check_vector("normalizer.mean", normalizer.mean, size)
    check_vector("normalizer.std", normalizer.std, size)
    if min(normalizer.std) <= 0:
        raise SpecError("normalizer.std must be positive")


def check_positive(values: dict[str, float]) -> None:
    """Raises `SpecError` if a value is not finite and positive."""
    for name, value in values.items():
        if not value > 0 or not math.isfinite(value):
            raise SpecError(f"{name} must be positive, not {value}")


def check_not_negative(values: dict[str, float]) -> None:
    """Raises `SpecError` if a value is negative or not finite."""
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise SpecError(f"{name} must be finite and not negative: {value}")


def check_vector(name: str, values: tuple[float, ...], count: int, none: float | None = None) -> None:
    """Raises `SpecError` for another size, or a value that is not finite; `none` means "no limit" and is allowed."""
    if len(values) != count:
        raise SpecError(f"{name} has {len(values)} entries, expected {count}")
    if not all(math.isfinite(value) or value == none for value in values):
        raise SpecError(f"{name} holds a value that is not finite: {values}")


def _nearest(name: str, known: dict[str, int | None]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""
