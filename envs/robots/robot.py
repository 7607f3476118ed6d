"""A robot: a model and named constants, in Python (ours) or in a `robot.yaml` beside the model (yours).

The model, MJCF or URDF, describes the robot's bodies. The constants describe its drives and its pose: `Robot.scene()` replaces the file's
actuators, sensors and keyframes by those of the constants, with the same names for every robot.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco

from envs.robots import scene, spots
from envs.robots.errors import RobotError, raise_faults
from envs.robots.faults import shape_faults
from envs.robots.fingerprint import model_sha256
from policies.contract.spec import RobotSpec

__all__ = ["Box", "Camera", "Foot", "Gripper", "Imu", "Joint", "Robot", "RobotError", "Tool", "Vector"]

Vector = tuple[float, float, float]
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One controlled joint; for a slide joint read m for rad and N for N m.

    Attributes:
        default: angle in the default (standing) pose [rad].
        kp: position gain [N m / rad].
        kd: velocity gain [N m s / rad].
        effort: largest torque [N m].
        velocity: largest speed [rad/s].
        scale: change of the target per unit of action [rad].
        range: lowest and highest angle [rad]; None for the model's.
        armature: rotor inertia reflected to the joint [kg m^2]; None for the model's.
        damping: passive damping [N m s / rad]; None for the model's.
        friction: dry friction [N m]; None for the model's.
        posture: weight in the posture reward.
    """

    default: float
    kp: float
    kd: float
    effort: float
    velocity: float
    scale: float
    range: tuple[float, float] | None = None
    armature: float | None = None
    damping: float | None = None
    friction: float | None = None
    posture: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Foot:
    """One foot.

    Attributes:
        body: the body that carries it.
        position: middle of its sole or ball in that body's frame [m], where its height and speed are measured.
        turn: its lift-off in the gait's cycle, in turns.
        sole: whether it is flat and should lie flat on the ground, as a humanoid's.
        up: the upward normal of its sole in that body's frame.
        geoms: names of the geoms that it stands on; empty for all that collide, of that body and of bodies fixed to it.
    """

    body: str
    position: Vector
    turn: float = 0.0
    sole: bool = False
    up: Vector = (0.0, 0.0, 1.0)
    geoms: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Imu:
    """The inertial measurement unit: on the base, or on a body fixed to it, its axes parallel to the base's.

    Attributes:
        body: the body that carries it.
        position: in that body's frame [m].
        quat_wxyz: attitude in that body's frame.
    """

    body: str
    position: Vector = (0.0, 0.0, 0.0)
    quat_wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The end effector of an arm: a point.

    Attributes:
        body: the body that carries it.
        position: in that body's frame [m].
    """

    body: str
    position: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Gripper:
    """The gripper of an arm: fingers that close on the tool's point, moved by one controlled joint.

    Attributes:
        joint: that joint; others follow it in the model.
        opened: its position when open [rad or m].
        closed: its position when closed on nothing [rad or m].
        tips: how far the fingers reach beyond the tool's point [m].
    """

    joint: str
    opened: float
    closed: float = 0.0
    tips: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera on the robot, or beside it.

    Attributes:
        body: the body that carries it; `world` for one that stands beside the robot.
        position: of its lens in that body's frame [m].
        forward: where it looks, in that body's frame; of any length.
        up: what is up in its picture, in that body's frame; need not be at a right angle to `forward`.
        fovy_deg: angle of view from the lower to the upper edge of its picture [degrees].
    """

    body: str
    position: Vector = (0.0, 0.0, 0.0)
    forward: Vector = (1.0, 0.0, 0.0)
    up: Vector = (0.0, 0.0, 1.0)
    fovy_deg: float = 45.0


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot. Attributes of its joints as tuples (`kp`, `default_pose`, ...) are in policy order, which is the order of `joints`.

    Attributes:
        name: its name in commands, policies and logs.
        model: path of its MJCF or URDF.
        joints: the controlled joints by name, in policy order. Other joints of the model are passive if something else moves them (a
            spring, a mimic or a tendon), otherwise locked.
        base: the body that carries payloads and takes pushes; for a free base the root, or a body fixed to it. The root's frame has x
            forward and z up.
        trunk: the body that carries head and arms, whose lean is visible; None if that is the base.
        feet: the feet by name; sensors are named after them.
        imu: the IMU; None for a fixed base.
        tool: the end effector of an arm.
        gripper: what it grasps with; None for an arm that does not.
        cameras: on it and beside it, by name; a scene has those that an observation looks through.
        stand_height: height of the root's frame above the ground in the default pose [m]; None for a fixed base.
        max_tilt: largest tilt of the base in operation [rad].
        warm_motor_c: temperature of a motor from which a deployed robot warns [degrees C].
        hot_motor_c: temperature of a motor above which it does not stand up [degrees C].
        self_collision: whether its links collide with each other (never neighbours, nor links that overlap in the default pose). Pairs in
            the model's `<contact>` always collide.
        gravity_compensated: whether the manufacturer's controller compensates the robot's own weight, as for most arms.
        workspace: box of goals for the tool in the base's frame [m].
        mirror: joint -> (its image in the x-z plane, 1 or -1); None to find them by geometry; empty for no symmetry.
        source: the `robot.yaml` that it was read from; None for one written in Python.
    """

    name: str
    model: Path
    joints: Mapping[str, Joint]
    base: str
    trunk: str | None = None
    feet: Mapping[str, Foot] = field(default_factory=dict[str, Foot])
    imu: Imu | None = None
    tool: Tool | None = None
    gripper: Gripper | None = None
    cameras: Mapping[str, Camera] = field(default_factory=dict[str, Camera])
    stand_height: float | None = None
    max_tilt: float = 1.0
    warm_motor_c: float = 80.0
    hot_motor_c: float = 95.0
    self_collision: bool = False
    gravity_compensated: bool = False
    workspace: Box | None = None
    mirror: Mapping[str, tuple[str, float]] | None = None
    source: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "joints", dict(self.joints))  # never changed afterwards
        object.__setattr__(self, "feet", dict(self.feet))
        object.__setattr__(self, "cameras", dict(self.cameras))
        raise_faults(self.where, shape_faults(self))

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}  # cached values can be computed again

    def __hash__(self) -> int:
        return hash((self.name, self.model))

    @property
    def where(self) -> str:
        """Its name in messages: its file, or its name."""
        return f"robot {self.name}" if self.source is None else str(self.source)

    # joints, in policy order -----------------------------------------------------------------------------------------

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(self.joints)

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def default_pose(self) -> tuple[float, ...]:
        """[rad]."""
        return tuple(joint.default for joint in self.joints.values())

    @property
    def kp(self) -> tuple[float, ...]:
        """[N m / rad]."""
        return tuple(joint.kp for joint in self.joints.values())

    @property
    def kd(self) -> tuple[float, ...]:
        """[N m s / rad]."""
        return tuple(joint.kd for joint in self.joints.values())

    @property
    def effort_limit(self) -> tuple[float, ...]:
        """[N m]."""
        return tuple(joint.effort for joint in self.joints.values())

    @property
    def velocity_limit(self) -> tuple[float, ...]:
        """[rad/s]."""
        return tuple(joint.velocity for joint in self.joints.values())

    @property
    def action_scale(self) -> tuple[float, ...]:
        """Change of each target per unit of action [rad]."""
        return tuple(joint.scale for joint in self.joints.values())

    @property
    def posture(self) -> tuple[float, ...]:
        """Weight of each joint in the posture reward."""
        return tuple(joint.posture for joint in self.joints.values())

    @property
    def gait(self) -> tuple[float, ...]:
        """Lift-off of each foot, in turns of the gait's cycle."""
        return tuple(foot.turn for foot in self.feet.values())

    # the body --------------------------------------------------------------------------------------------------------

    @property
    def floating_base(self) -> bool:
        return self.stand_height is not None

    @property
    def leg_length(self) -> float:
        """The unit of length in a legged robot's task: the height of the base in the default pose [m].

        Raises:
            RobotError: it has a fixed base.
        """
        if self.stand_height is None:
            raise RobotError(f"{self.where}: a robot on a fixed base has no legs; this task is for walking robots")
        return self.stand_height

    @cached_property
    def compiled(self) -> mujoco.MjModel:
        """`scene()`, compiled once; for reading only.

        Raises:
            RobotError: see `scene`.
        """
        return self.scene().compile()

    @property
    def mass(self) -> float:
        """Mass of the whole robot [kg]."""
        return float(self.compiled.body_mass.sum())

    @cached_property
    def fingerprint(self) -> str:
        """`envs.robots.fingerprint.model_sha256` of its scene."""
        return model_sha256(self.compiled)

    @cached_property
    def built(self) -> scene.Built:
        """Its scene, and how it was made from the model.

        Raises:
            RobotError: the model cannot be read, or does not match the constants; lists everything that is missing or contradictory.
        """
        return scene.build(self)

    def remarks(self) -> tuple[str, ...]:
        """Notes on joints that the policy does not move, one sentence each.

        Raises:
            RobotError: see `built`.
        """
        said = {"is locked, since nothing moves it": self.built.locked, "moves without a motor": self.built.passive}
        return tuple(f"{self.name}: {name} {what}" for what, names in said.items() for name in names)

    def scene(self) -> mujoco.MjSpec:
        """A fresh copy of the robot above an infinite floor, with everything that tasks need.

        It contains: one position actuator per joint, named like the joint, in policy order; a geom `floor`; a key `stand` (for arms too);
        sites `imu`, `end_effector`, `<foot>_foot`; sensors `<joint>_torque`, `<foot>_touch`, `<foot>_position`, `<foot>_velocity`,
        `<foot>_upright` (the sole's normal, for feet with a sole), `end_effector_position`, `end_effector_quat`, `end_effector_velocity`,
        `trunk_quat`, `trunk_gyro` (of a trunk that is not the base), and `imu_quat`, `imu_gyro`, `imu_velocity`. Sensors of one kind are in
        the order of `feet` and `joints`.

        Raises:
            RobotError: see `built`.
        """
        return self.built.spec.copy()

    def foot_geoms(self, model: mujoco.MjModel) -> tuple[tuple[int, ...], ...]:
        """Ids of the geoms that each foot stands on, in a model made from `scene()`."""
        return tuple(tuple(model.geom(name).id for name in names) for names in self.built.foot_geoms.values())

    def spec(self) -> RobotSpec:
        """The robot in a policy's contract; ranges are those of the scene, infinite for joints without one.

        Raises:
            RobotError: see `built`.
        """
        ranges = [_range(self.compiled, name) for name in self.joints]
        return RobotSpec(
            name=self.name,
            joint_names=self.joint_names,
            default_pose=self.default_pose,
            kp=self.kp,
            kd=self.kd,
            effort_limit=self.effort_limit,
            velocity_limit=self.velocity_limit,
            position_lower=tuple(low for low, _ in ranges),
            position_upper=tuple(high for _, high in ranges),
            floating_base=self.floating_base,
            imu_frame=spots.IMU if self.imu is not None else None,
            max_tilt=self.max_tilt,
            warm_motor_c=self.warm_motor_c,
            hot_motor_c=self.hot_motor_c,
            model_sha256=self.fingerprint,
            source=str(self.source or self.name),
        )


def _range(model: mujoco.MjModel, name: str) -> tuple[float, float]:
    """The range of a joint [rad], infinite if it is not limited."""
    joint = model.joint(name).id
    if not model.jnt_limited[joint]:
        return -math.inf, math.inf
    low, high = model.jnt_range[joint]
    return float(low), float(high)
