"""The parts of a `PolicySpec`: robot, observation groups, action law, command, normaliser; each a frozen dataclass of plain values.

This module only needs the standard library. Valid values are defined in `policies.contract.validation`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ACTION_MODES = ("position_offset", "position_delta")
ENDS = {"position_lower": -math.inf, "position_upper": math.inf}
"""Fields of `RobotSpec`, and their value for an unlimited joint."""

COMMAND_SIZES: dict[str, int | None] = {"velocity": 3, "goal_position": 3, "goal_pose": 7, "motion": None, "none": 0}
"""Kinds of command, with their number of entries; None for any."""

STATE = "state"
"""Name of the group that every policy has: the flat vector of sensor readings."""

DTYPES = ("float32", "uint8")
IMAGE_KINDS = {"rgb": 3, "depth": 1, "segmentation": 1}
"""Kinds of image, with their number of channels."""


class SpecError(ValueError):
    """A policy spec is malformed, incomplete or inconsistent."""


@dataclass(frozen=True, kw_only=True)
class RobotSpec:
    """The robot in the policy's contract; every tuple is in policy joint order, J entries.

    Attributes:
        name: the robot's name, as registered or in its `robot.yaml`.
        joint_names: names of the J controlled joints; wires are matched to them by name, never by position.
        default_pose: joint positions that a zero action commands [rad].
        kp: position gain of the joint PD [N m / rad].
        kd: velocity gain of the joint PD [N m s / rad].
        effort_limit: largest torque [N m]; positive, since there is no value for "unlimited".
        velocity_limit: largest joint speed [rad/s]; positive, too.
        position_lower, position_upper: joint range [rad]; -inf and inf for a joint without that limit (a wheel). In JSON both are `null`.
        floating_base: whether the base moves freely and an IMU is expected.
        imu_frame: name of the frame that the IMU reports in; its axes are the base's. None for a fixed base.
        max_tilt: largest angle between the base's z axis and the vertical in operation [rad].
        warm_motor_c: temperature of a motor above which a person should know of it [degrees C].
        hot_motor_c: temperature of a motor above which the robot should not stand up [degrees C].
        model_sha256: fingerprint of the compiled model that it was trained on; "" if unknown.
        source: the robot in training: a registered name, or the absolute path of its `robot.yaml`; "" if unknown.
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
    warm_motor_c: float = 80.0
    hot_motor_c: float = 95.0
    model_sha256: str = ""
    source: str = ""

    @property
    def num_joints(self) -> int:
        """Number of joints J."""
        return len(self.joint_names)


@dataclass(frozen=True, kw_only=True)
class ObservationTerm:
    """One block of an observation vector. value = clip(raw, -clip, clip) * scale, computed by `policies.contract.observation`.

    Attributes:
        name: key into `policies.contract.observation.TERMS`.
        dim: number of entries.
        unit: physical unit of the raw value.
        frame: frame of the raw value: `base`, `joint`, `command` or `action`.
        scale: factor after clipping.
        clip: largest magnitude of the raw value, in `unit`.
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
class ImageSpec:
    """A camera image as an array (height, width, channels), row 0 at the top.

    A point at (x, y, z) [m] in the camera's optical frame (x right, y down, z forward) lies at column fx x / z + cx and row fy y / z + cy.
    The middle of the first pixel is column 0, row 0, as in OpenCV and ROS.

    Attributes:
        kind: `rgb` (3 channels), `depth` (1 channel, z [m], 0 where nothing was measured) or `segmentation` (1 channel, an index into
            `labels`).
        width, height: [pixels].
        frame: the camera's name, which is also the name of its frame.
        fx, fy: focal lengths [pixels].
        cx, cy: principal point [pixels].
        near, far: range of depths in training [m]; both 0 if not applicable.
        labels: the meaning of each value of a segmentation; empty for the other kinds.
    """

    kind: str
    width: int
    height: int
    frame: str
    fx: float
    fy: float
    cx: float
    cy: float
    near: float = 0.0
    far: float = 0.0
    labels: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels: 3 for `rgb`, 1 for the others."""
        return IMAGE_KINDS[self.kind]


@dataclass(frozen=True, kw_only=True)
class ObservationGroup:
    """One input of the policy: a vector of terms, or an image.

    Attributes:
        name: name of the input in the policy's graph.
        terms: the terms, in order; the vector is their concatenation. Empty for an image.
        image: the image; None for a vector.
        dtype: `float32` or, for images, `uint8`.
        every: control steps between readings; in between the policy gets the last one again.
    """

    name: str
    terms: tuple[ObservationTerm, ...] = ()
    image: ImageSpec | None = None
    dtype: str = "float32"
    every: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape: (O,) for a vector, (height, width, channels) for an image."""
        if self.image is not None:
            return (self.image.height, self.image.width, self.image.channels)
        return (sum(term.dim for term in self.terms),)


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """The conversion of actions to joint position targets.

    `position_offset`: target = default_pose + scale * clip(action).
    `position_delta`: target = previous target + scale * clip(action), kept inside the joint range; the first previous target is
    the measured pose.

    Attributes:
        mode: one of `ACTION_MODES`.
        scale: J factors [rad].
        clip: largest magnitude of the raw action.
        delay_s: largest actuation delay that training simulated [s].
    """

    mode: str
    scale: tuple[float, ...]
    clip: float
    delay_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """The command that an operator or planner gives to the policy.

    Attributes:
        kind: `velocity` (vx [m/s], vy [m/s], yaw rate [rad/s], base frame), `goal_position` (x, y, z [m], base frame), `goal_pose`
            (a position and a quaternion wxyz, base frame), `motion` (defined by the task) or `none`.
        labels: name of each entry.
        lower, upper: range in training; the bridge clamps to it.
        ages: whether it expires unless it is repeated. A velocity does, so that a robot does not walk on when its operator is gone; a goal
            is a set point that stays.
    """

    kind: str
    labels: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    ages: bool

    @property
    def dimension(self) -> int:
        """Number of entries C."""
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class NormalizerSpec:
    """(observation - mean) / std of the group `state`, applied inside the policy's graph; recorded here for information. O entries, in
    order.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
