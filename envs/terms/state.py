"""State derived from the physics and shared by rewards, terminations, observations and curricula.

Each quantity is computed at its first use in a step and kept until the physics advances, so that unused quantities cost nothing and terms
share them. `forget` is called after every change of the physics.

A robot has `JointState`; with a free base `BaseState`; with feet `FeetState`; with a tool `ToolState`.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import mujoco
import torch

from envs.engines.face import Engine
from envs.parts import Buffers
from envs.robots.robot import Robot
from envs.scene.terrain import Terrain
from envs.terms.ids import dof_ids, qpos_ids, sensor_ids
from envs.terms.joint_range import soft_range
from policies.contract.observation import ActionConstants, projected_gravity


class Derived:
    """Quantities that are computed once and kept until `forget`."""

    _derived: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._derived = tuple(name for name, value in vars(cls).items() if isinstance(value, cached_property))

    def forget(self) -> None:
        """The physics has moved on."""
        kept = self.__dict__
        for name in self._derived:
            kept.pop(name, None)


class JointState(Derived):
    """The controlled joints, in policy order.

    Attributes:
        in_qpos, in_qvel: their indices in qpos and qvel.
        default: pose that a zero action commands [rad], (J,).
        lower, upper: range [rad], infinite for unlimited joints, (J,).
        soft_lower, soft_upper: the inner 95 % of the range [rad], (J,).
        posture: weight of each joint in the posture reward, (J,).
    """

    def __init__(self, robot: Robot, engine: Engine, default: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor) -> None:
        self._engine = engine
        model, device = engine.model, engine.device
        names = tuple(robot.joints)
        self.in_qpos, self.in_qvel = qpos_ids(model, names, device), dof_ids(model, names, device)
        self._torque = sensor_ids(model, [f"{name}_torque" for name in names], device)
        self.default, self.lower, self.upper = default, lower, upper
        self.soft_lower, self.soft_upper = soft_range(lower, upper)
        self.posture = torch.tensor(robot.posture, dtype=torch.float32, device=device)

    @property
    def position(self) -> torch.Tensor:
        """[rad], (N, J)."""
        return self._engine.qpos[:, self.in_qpos]

    @property
    def velocity(self) -> torch.Tensor:
        """[rad/s], (N, J)."""
        return self._engine.qvel[:, self.in_qvel]

    @property
    def torque(self) -> torch.Tensor:
        """Torques of the motors [N m], (N, J)."""
        return self._engine.sensordata[:, self._torque]

    @cached_property
    def deviation(self) -> torch.Tensor:
        """Deviation from the default pose [rad], (N, J)."""
        return self.position - self.default

    @cached_property
    def beyond(self) -> torch.Tensor:
        """Distance of each joint outside its soft range [rad], (N, J)."""
        position = self.position
        return (position - self.soft_upper).relu() + (self.soft_lower - position).relu()


class BaseState(Derived):
    """The base of a robot that moves freely.

    Attributes:
        standing_height: height of the base of the robot standing on a plane [m].
    """

    def __init__(self, engine: Engine, terrain: Terrain | None, standing_height: torch.Tensor) -> None:
        self._engine, self._terrain, self.standing_height = engine, terrain, standing_height

    @property
    def position_w(self) -> torch.Tensor:
        """[m], (N, 3)."""
        return self._engine.qpos[:, :3]

    @property
    def quat_wxyz(self) -> torch.Tensor:
        """Attitude in the world, (N, 4)."""
        return self._engine.qpos[:, 3:7]

    @cached_property
    def velocity_b(self) -> torch.Tensor:
        """Linear velocity in the base frame [m/s], (N, 3)."""
        return rotate_inverse(self._engine.qpos[:, 3:7], self._engine.qvel[:, :3])

    @property
    def angular_velocity_b(self) -> torch.Tensor:
        """In the base frame [rad/s], (N, 3)."""
        return self._engine.qvel[:, 3:6]

    @cached_property
    def gravity_b(self) -> torch.Tensor:
        """Direction of gravity in the base frame, (N, 3)."""
        return projected_gravity(self._engine.qpos[:, 3:7])

    @cached_property
    def height(self) -> torch.Tensor:
        """Height above the ground below it [m], (N,)."""
        height = self._engine.qpos[:, 2]
        return height if self._terrain is None else height - self._terrain.height(self._engine.qpos[:, :2])

    @property
    def yaw(self) -> torch.Tensor:
        """Heading in the world [rad], (N,)."""
        w, x, y, z = self._engine.qpos[:, 3:7].unbind(1)
        return torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


class TrunkState(Derived):
    """The trunk, which carries head and arms; the base if a robot has no other."""

    def __init__(self, engine: Engine) -> None:
        self._engine, model = engine, engine.model
        self._own = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, "trunk_quat") >= 0
        if self._own:
            self._quat, self._gyro = (sensor_ids(model, [name], engine.device) for name in ("trunk_quat", "trunk_gyro"))

    @cached_property
    def gravity_b(self) -> torch.Tensor:
        """Direction of gravity in its frame, which equals the base's in the default pose, (N, 3)."""
        return projected_gravity(self._engine.sensordata[:, self._quat] if self._own else self._engine.qpos[:, 3:7])

    @property
    def angular_velocity_b(self) -> torch.Tensor:
        """In its frame [rad/s], (N, 3)."""
        return self._engine.sensordata[:, self._gyro] if self._own else self._engine.qvel[:, 3:6]

    @cached_property
    def pitch(self) -> torch.Tensor:
        """Lean forward in the world [rad], (N,)."""
        return torch.asin(self.gravity_b[:, 0].clamp(-1.0, 1.0))

    @cached_property
    def roll(self) -> torch.Tensor:
        """Lean to the right in the world [rad], (N,)."""
        return torch.asin(-self.gravity_b[:, 1].clamp(-1.0, 1.0))


class FeetState(Derived):
    """The feet, in the robot's order.

    Attributes:
        names: of the feet.
        turns: lift-off of each foot in the gait's cycle, in turns, (F,).
        air_time_s: time since each foot was on the ground [s], (N, F); counted by `count`.
        has_soles: whether the feet have soles that can be tilted.
    """

    def __init__(self, robot: Robot, engine: Engine, terrain: Terrain | None, loaded: float, air_time_s: torch.Tensor) -> None:
        """A foot with a load above `loaded` [N] counts as on the ground."""
        self._engine, self._terrain, self._loaded = engine, terrain, loaded
        model, device = engine.model, engine.device
        self._robot, self.names = robot.name, tuple(robot.feet)
        self.turns = torch.tensor(robot.gait, dtype=torch.float32, device=device)
        self._touch, self._position, self._velocity = (
            sensor_ids(model, [f"{foot}_{kind}" for foot in self.names], device) for kind in ("touch", "position", "velocity")
        )
        soles = [f"{foot}_upright" for foot in self.names if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, f"{foot}_upright") >= 0]
        self.has_soles = len(soles) == len(self.names)
        if self.has_soles:
            self._upright = sensor_ids(model, soles, device)
        self._grounded = grounded_height(model, self.names)
        self._shape = (engine.num_worlds, len(self.names), 3)
        self.air_time_s = air_time_s

    @cached_property
    def position_w(self) -> torch.Tensor:
        """Positions of the soles [m], (N, F, 3)."""
        return self._engine.sensordata[:, self._position].reshape(self._shape)

    @cached_property
    def height(self) -> torch.Tensor:
        """Height above the ground below each foot, minus that of the standing robot [m], (N, F)."""
        height = self.position_w[..., 2] - self._grounded
        return height if self._terrain is None else height - self._terrain.height(self.position_w[..., :2])

    @property
    def force(self) -> torch.Tensor:
        """Force on the ground [N], (N, F)."""
        return self._engine.sensordata[:, self._touch]

    @cached_property
    def contact(self) -> torch.Tensor:
        """Feet (N, F) bool that are on the ground."""
        return self.force > self._loaded

    @cached_property
    def velocity_w(self) -> torch.Tensor:
        """Velocities of the soles [m/s], (N, F, 3)."""
        return self._engine.sensordata[:, self._velocity].reshape(self._shape)

    @cached_property
    def speed2(self) -> torch.Tensor:
        """Squared planar speed [m2/s2], (N, F)."""
        return self.velocity_w[..., :2].square().sum(-1)

    @cached_property
    def tilt2(self) -> torch.Tensor:
        """Squared sine of the angle between sole and horizontal, (N, F).

        Raises:
            ValueError: the robot has no soles.
        """
        if not self.has_soles:
            raise ValueError(f"the tilt of feet is for robots with soles; {self._robot} has none")
        return self._engine.sensordata[:, self._upright].reshape(self._shape)[..., :2].square().sum(-1)

    def count(self, seconds: float) -> None:
        """Advance `air_time_s`, once per step."""
        self.air_time_s.add_(seconds).masked_fill_(self.contact, 0.0)


class ToolState(Derived):
    """The tool of an arm."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._position, self._velocity = (
            sensor_ids(engine.model, [f"end_effector_{kind}"], engine.device) for kind in ("position", "velocity")
        )
        self._quat = sensor_ids(engine.model, ["end_effector_quat"], engine.device)

    @property
    def position(self) -> torch.Tensor:
        """In the base frame [m], (N, 3)."""
        return self._engine.sensordata[:, self._position]

    @property
    def velocity(self) -> torch.Tensor:
        """In the base frame [m/s], (N, 3)."""
        return self._engine.sensordata[:, self._velocity]

    @property
    def quat_wxyz(self) -> torch.Tensor:
        """Attitude in the base frame, (N, 4)."""
        return self._engine.sensordata[:, self._quat]


class States:
    """State that is derived from the physics once per step.

    Attributes:
        joints: state of the joints, which always exists.
    """

    def __init__(
        self,
        robot: Robot,
        engine: Engine,
        terrain: Terrain | None,
        constants: ActionConstants,
        rest: torch.Tensor,
        contact_force: float,
        buffers: Buffers,
    ) -> None:
        """Find the parts of a robot with the rest state `rest` (nq,); a foot with more than `contact_force` [N] is on the ground."""
        self._name = robot.name
        self.joints = JointState(robot, engine, constants.default_pose, constants.lower, constants.upper)
        self._base = BaseState(engine, terrain, rest[2]) if robot.floating_base else None
        self._trunk = TrunkState(engine) if robot.floating_base else None
        self._feet, self._tool = None, None
        if robot.feet:
            self._feet = FeetState(robot, engine, terrain, contact_force, buffers.new("air_time_s", (len(robot.feet),)))
        if mujoco.mj_name2id(engine.model, mujoco.mjtObj.mjOBJ_SENSOR, "end_effector_position") >= 0:
            self._tool = ToolState(engine)
        self._parts: tuple[Derived, ...] = tuple(p for p in (self.joints, self._base, self._trunk, self._feet, self._tool) if p is not None)

    @property
    def base(self) -> BaseState:
        """State of the base.

        Raises:
            ValueError: the base is fixed.
        """
        if self._base is None:
            raise ValueError(f"this needs a base that moves; that of {self._name} is fixed")
        return self._base

    @property
    def trunk(self) -> TrunkState:
        """State of the trunk.

        Raises:
            ValueError: the base is fixed.
        """
        if self._trunk is None:
            raise ValueError(f"this needs a trunk that moves; {self._name} has a fixed base")
        return self._trunk

    @property
    def feet(self) -> FeetState:
        """State of the feet.

        Raises:
            ValueError: the robot has no feet.
        """
        if self._feet is None:
            raise ValueError(f"this needs feet; {self._name} has none")
        return self._feet

    @property
    def tool(self) -> ToolState:
        """State of the tool.

        Raises:
            ValueError: the robot has no tool.
        """
        if self._tool is None:
            raise ValueError(f"this needs a tool; {self._name} has none")
        return self._tool

    def forget(self) -> None:
        """The physics has moved on."""
        for part in self._parts:
            part.forget()

    def count(self, seconds: float) -> None:
        """Advance the counters, once per step."""
        if self._feet is not None:
            self._feet.count(seconds)

    def reset(self, ids: torch.Tensor) -> None:
        """New episodes begin in the worlds `ids`."""
        if self._feet is not None:
            self._feet.air_time_s[ids] = 0.0


def grounded_height(model: mujoco.MjModel, feet: tuple[str, ...]) -> float:
    """Height of the feet's position sensors on the standing robot [m]."""
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_forward(model, data)
    return sum(float(data.sensor(f"{foot}_position").data[2]) for foot in feet) / len(feet)


def rotate_inverse(quat_wxyz: torch.Tensor, vector_w: torch.Tensor) -> torch.Tensor:
    """R(q)^T v: a world vector (N, 3) in the frame of unit quaternion (N, 4)."""
    w, u = quat_wxyz[:, :1], quat_wxyz[:, 1:]
    t = 2 * torch.linalg.cross(u, vector_w)
    return vector_w - w * t + torch.linalg.cross(u, t)
