"""The object of a scene (`envs.scene.objects`) and the gripper that holds it: state, observations and metrics.

Each function takes the environment and returns (N, k) or (N,). Positions are in the base frame, which is the world's for an arm.
"""

from __future__ import annotations

import mujoco
import torch

from envs.scene.objects import CUBE, OBJECT
from envs.terms.face import Env

HALF = "object.half"
"""Buffer of the half extents of each world's object [m], (N, 3)."""
GRIP_FORCE = 1.0  # N, of the gripper's motor
GRIP_SPEED = 0.02  # m/s
GRIP_LEAST = 0.002  # m between the finger and its closed position
GRIP_REACH = 0.04  # m from the tool to the middle of the object
GRIP_CLEAR = 0.001  # m between the fingers' tips and the floor


def half_extents(env: Env) -> torch.Tensor:
    """Half extents of each world's object [m], (N, 3); those of the nominal cube until they are drawn."""
    if HALF not in env.buffers:
        env.buffer(HALF, (3,)).fill_(CUBE)
    return env.buffers[HALF]


def _start(env: Env, which: str) -> int:
    """Where the object's position or velocity begins in qpos or qvel."""
    model = env.engine.model
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, OBJECT) < 0:
        raise ValueError("this needs an object in the scene: add one, e.g. scene: {object: {func: 'envs.scene.objects:add_object'}}")
    joint = model.joint(OBJECT)
    return int((joint.qposadr if which == "qpos" else joint.dofadr)[0])


def object_position(env: Env) -> torch.Tensor:
    """Position of the object's middle [m], (N, 3)."""
    start = _start(env, "qpos")
    return env.engine.qpos[:, start : start + 3]


def object_attitude(env: Env) -> torch.Tensor:
    """The first two columns of the object's rotation matrix, (N, 6)."""
    start = _start(env, "qpos") + 3
    w, x, y, z = env.engine.qpos[:, start : start + 4].unbind(1)
    columns = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
               2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))  # fmt: skip
    return torch.stack(columns, dim=1)


def object_velocity(env: Env) -> torch.Tensor:
    """Linear velocity of the object [m/s], (N, 3)."""
    start = _start(env, "qvel")
    return env.engine.qvel[:, start : start + 3]


def object_size(env: Env) -> torch.Tensor:
    """Half extents of the object along its own axes [m], (N, 3)."""
    return half_extents(env).clone()


def tool_to_object(env: Env) -> torch.Tensor:
    """Vector from the tool to the object [m], (N, 3)."""
    return env.once("tool_to_object", lambda: object_position(env) - env.tool.position)


def object_to_goal(env: Env) -> torch.Tensor:
    """Vector from the object to the commanded position [m], (N, 3)."""
    return env.command[:, :3] - object_position(env)


def object_height(env: Env) -> torch.Tensor:
    """Height of the object above where it would lie on the floor as it was put there [m], (N,)."""
    return object_position(env)[:, 2] - half_extents(env)[:, 2]


def hand_down(env: Env) -> torch.Tensor:
    """Direction of the tool's z axis, out of the hand, (N, 3); (0, 0, -1) if it points down."""
    w, x, y, z = env.tool.quat_wxyz.unbind(1)
    return torch.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], dim=1)


def finger_turn(env: Env) -> torch.Tensor:
    """Direction in which the fingers move, the tool's y axis, (N, 3)."""
    w, x, y, z = env.tool.quat_wxyz.unbind(1)
    return torch.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], dim=1)


def _finger(env: Env) -> tuple[int, float, float]:
    """Index of the gripper's joint in policy order, the sign of closing, and its closed position."""
    gripper = env.robot.gripper
    if gripper is None:
        raise ValueError(f"this needs a gripper; {env.robot.name} has none: use e.g. panda-gripper, or give the robot one")
    return env.robot.joint_names.index(gripper.joint), 1.0 if gripper.closed > gripper.opened else -1.0, gripper.closed


def grip_force(env: Env) -> torch.Tensor:
    """Force with which the gripper's motor closes [N], (N,); negative while it opens."""
    finger, sign, _ = _finger(env)
    return sign * env.joints.torque[:, finger]


def gripped(env: Env) -> torch.Tensor:
    """Worlds (N,) bool whose fingers press on the object from two sides.

    The motor presses and the fingers rest before their end, so there is something between them. It is the object if that is near and
    reaches up beyond the tool's point (fingers on top of it do not), and if the tips are clear of the floor, whose friction holds fingers
    as well.
    """

    def compute() -> torch.Tensor:
        finger, _, closed = _finger(env)
        pressed = (grip_force(env) > GRIP_FORCE) & (env.joints.velocity[:, finger].abs() < GRIP_SPEED)
        between = (env.joints.position[:, finger] - closed).abs() > GRIP_LEAST
        to = tool_to_object(env)
        beside = (to.norm(dim=1) < GRIP_REACH) & ((to * hand_down(env)).sum(1) < half_extents(env)[:, 2])
        return pressed & between & beside & (tip_height(env) > GRIP_CLEAR)

    return env.once("gripped", compute)


def tip_height(env: Env) -> torch.Tensor:
    """Height of the fingers' tips above the floor [m], (N,)."""
    tips = 0.0 if env.robot.gripper is None else env.robot.gripper.tips
    return env.tool.position[:, 2] + tips * hand_down(env)[:, 2]


def holding(env: Env) -> torch.Tensor:
    """Share of the worlds that hold the object."""
    return gripped(env).float()
