"""Arms with grippers and what they handle: objects of many shapes, goals, a drawer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from envs.robots.errors import RobotError
from envs.robots.loading import dump_robot, load_robot
from envs.robots.panda_gripper import PANDA_GRIPPER
from envs.robots.registry import get_robot
from envs.robots.robot import Gripper
from envs.scene.objects import CUBE, EACH, HIDDEN, KINDS, PARTS, catalogue
from envs.snapshot import restore, snapshot
from envs.tasks import manipulation as common
from envs.tasks.pick import CLOSE, HEIGHT, PICK_EVALUATION, is_lifted
from envs.tasks.registry import get_task, make_env
from envs.terms import drawers, manipulation, objects, rewards
from envs.terms.randomization import RandomizationCfg
from envs.terms.shapes import ObjectShapes
from envs.terms.starts import ObjectBeforeHand
from envs.terms.term import EventTerm, ResetTerm
from envs.vec_env import VecEnv

ARMS = ("panda-gripper", "xarm7")
TASKS = ("pick", "move", "push", "open-drawer")


def nominal(task: str, robot: str = "panda-gripper", worlds: int = 32, helped: float = 0.0, held: float = 0.0, **shapes: object) -> VecEnv:
    """A task's worlds that differ in their objects alone."""
    cfg = get_task(task).make(get_robot(robot))
    keep = {"object": EventTerm(ObjectShapes, **shapes)} if "object" in cfg.scene else {}
    reset = ResetTerm(ObjectBeforeHand, helped=helped, held=held) if "object" in cfg.scene else cfg.reset
    cfg = dataclasses.replace(cfg, randomization=RandomizationCfg(keep, noise=0.0), reset=reset)
    env = make_env(task, robot, cfg, num_worlds=worlds, num_threads=1)
    env.reset()
    return env


def act(env: VecEnv, steps: int, **joints: float) -> None:
    """Hold the same action: that of each joint by its place in policy order, as `j7=-1.0`; the others stand still."""
    action = torch.zeros(env.num_worlds, env.spec.action_dim)
    for name, value in joints.items():
        action[:, int(name.removeprefix("j"))] = value
    for _ in range(steps):
        env.step(action)


# the gripper -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("robot", ARMS)
def test_the_second_finger_follows_the_first(robot: str) -> None:
    model, arm = get_robot(robot).compiled, get_robot(robot)
    assert arm.gripper is not None
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    leader = int(model.joint(arm.gripper.joint).qposadr[0])
    follower = int(model.jnt_qposadr[model.eq_obj1id[0]])
    data.ctrl[list(arm.joints).index(arm.gripper.joint)] = 0.4 * arm.gripper.opened
    mujoco.mj_step(model, data, 400)
    assert data.qpos[leader] == pytest.approx(0.4 * arm.gripper.opened, abs=1e-3)
    assert data.qpos[follower] == pytest.approx(data.qpos[leader], abs=5e-4)


@pytest.mark.parametrize("robot", ARMS)
def test_a_closed_gripper_lifts_what_is_between_its_fingers(robot: str) -> None:
    env = nominal("pick", robot, worlds=128, helped=1.0, kinds=("box", "cylinder", "tee"), mass=(0.1, 0.3), friction=(0.8, 1.2))
    near = objects.tool_to_object(env)[:, 2].abs() < 0.01
    assert near.sum() > 20
    act(env, 20, j7=-1.0)
    held = objects.gripped(env)
    assert held[near].float().mean() > 0.9
    act(env, 20, j7=-1.0, j1=-0.5)
    assert (objects.object_height(env)[near & held] > 0.1).float().mean() > 0.9


def test_fingers_that_close_on_nothing_hold_nothing() -> None:
    env = nominal("pick")
    act(env, 30, j7=-1.0)
    assert not objects.gripped(env).any()
    assert env.joint_position[:, 7].max() < 0.002


def test_a_gripper_has_a_joint_of_its_robot(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match=r"gripper.joint: 'finger' is not one of its joints.*\n?.*gripper.opened, closed: 0 and 0"):
        dataclasses.replace(PANDA_GRIPPER, gripper=Gripper(joint="finger", opened=0.0))
    file = tmp_path / "robot.yaml"
    file.write_text(dump_robot(PANDA_GRIPPER))
    assert load_robot(file).gripper == PANDA_GRIPPER.gripper


@pytest.mark.parametrize("task", TASKS)
def test_an_arm_without_a_gripper_is_told_which_has_one(task: str) -> None:
    with pytest.raises(ValueError, match="needs a gripper; panda has none: use --robot panda-gripper or xarm7"):
        get_task(task).make(get_robot("panda"))
    with pytest.raises(ValueError, match="is for arms on a fixed base; go1 walks"):
        get_task(task).make(get_robot("go1"))


# objects -----------------------------------------------------------------------------------------------------------------


def test_held_out_shapes_are_none_of_those_in_training() -> None:
    seen, unseen = catalogue(), catalogue(held_out=True)
    assert {shape.kind for shape in unseen} == set(KINDS) - {"ball"}
    assert (len(seen), len(unseen)) == ((len(KINDS) - 1) * EACH * 4 // 5 + EACH, (len(KINDS) - 1) * EACH // 5)
    for shape in unseen:
        for other in (item for item in seen if item.kind == shape.kind):
            proportions = [np.sort(item.sizes[item.sizes > HIDDEN]) for item in (shape, other)]
            assert np.abs(proportions[0] / proportions[0][-1] - proportions[1] / proportions[1][-1]).max() > 1e-3
    with pytest.raises(ValueError, match="there is no shape 'cube'; valid: box, ball"):
        catalogue(("cube",))


@pytest.mark.parametrize("shape", [shape for kind in KINDS for shape in catalogue((kind,))[:2]], ids=lambda shape: shape.kind)
def test_inertia_is_that_of_a_solid(shape) -> None:
    """Against MuJoCo's own from geoms of equal density."""
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="object")
    kinds = [mujoco.mjtGeom.mjGEOM_BOX] * 3 + [mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER]
    for kind, size, place in zip(kinds, shape.sizes, shape.places, strict=True):
        if size.max() > HIDDEN:
            body.add_geom(type=kind, size=size, pos=place, density=1000.0)
    model = spec.compile()
    own = np.empty(9)
    mujoco.mju_quat2Mat(own, model.body_iquat[1])
    turned = own.reshape(3, 3) @ np.diag(model.body_inertia[1]) @ own.reshape(3, 3).T / model.body_mass[1]
    np.testing.assert_allclose(model.body_ipos[1], 0, atol=1e-8)
    np.testing.assert_allclose(turned, np.diag(shape.inertia), atol=1e-3 * shape.inertia.max())


@pytest.mark.parametrize("held_out", [False, True])
def test_objects_lie_where_they_are_put(held_out: bool) -> None:
    """Per-world sizes are those that the physics collides with: nothing sinks, jumps, or falls over."""
    env = nominal("pick", worlds=128, held_out=held_out)
    before = objects.object_position(env).clone()
    act(env, 25)
    standing = objects.object_attitude(env)[:, :3].norm(dim=1)
    assert standing.allclose(torch.ones(128), atol=1e-3)
    assert (objects.object_position(env) - before).abs().max() < 2e-3


def test_without_randomization_the_object_is_a_cube() -> None:
    cfg = dataclasses.replace(get_task("pick").make(PANDA_GRIPPER), randomization=RandomizationCfg(noise=0.0))
    env = make_env("pick", PANDA_GRIPPER, cfg, num_worlds=2, num_threads=1)
    env.reset()
    act(env, 10)
    assert objects.object_size(env).allclose(torch.full((2, 3), CUBE))
    assert objects.object_height(env).abs().max() < 1e-3


def test_worlds_have_different_objects_and_snapshots_keep_them() -> None:
    env, other = nominal("pick", worlds=16), nominal("pick", worlds=16)
    sizes = env.engine.field("geom_size")[:, [env.engine.model.geom(name).id for name in PARTS]]
    masses = env.engine.field("body_mass")[:, env.engine.model.body("object").id]
    assert len({tuple(row.ravel().tolist()) for row in sizes}) > 12
    assert masses.min() >= 0.05
    assert masses.max() <= 0.3
    assert masses.std() > 0.02
    act(env, 10)
    restore(other, snapshot(env))
    assert torch.equal(objects.half_extents(other), objects.half_extents(env))
    act(env, 10, j1=0.3)
    act(other, 10, j1=0.3)
    assert torch.equal(env.engine.qpos, other.engine.qpos)


# starts, goals, success ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("robot", ARMS)
def test_helped_hands_begin_above_their_object_and_evaluations_have_none(robot: str) -> None:
    env = nominal("pick", robot, worlds=64, helped=1.0)
    gap = objects.tool_to_object(env)
    assert gap[:, :2].norm(dim=1).max() < 5e-3
    assert env.tool.position[:, 2].min() > 0.01
    assert objects.hand_down(env)[:, 2].max() < -0.999
    cfg = get_task("pick").make(get_robot(robot))
    assert cfg.reset.params["helped"] == common.HELPED
    assert PICK_EVALUATION.prepare is common.unhelped
    assert common.unhelped(cfg).reset.params["helped"] == 0.0


def put(env: VecEnv, z: torch.Tensor) -> None:
    """Put objects at heights z (N,) above where they lay, at rest."""
    qpos = env.engine.qpos.clone()
    start = int(env.engine.model.joint("object").qposadr[0])
    qpos[:, start + 2] = objects.half_extents(env)[:, 2] + z
    env.engine.write_state(torch.arange(env.num_worlds), qpos, torch.zeros(env.num_worlds, env.engine.model.nv))
    env.moved()


def test_lifted_means_within_ten_centimetres_of_forty() -> None:
    env = nominal("pick", worlds=4)
    put(env, torch.tensor([HEIGHT - CLOSE - 0.01, HEIGHT - CLOSE + 0.01, HEIGHT + CLOSE - 0.01, HEIGHT + CLOSE + 0.01]))
    assert is_lifted(env).tolist() == [0.0, 1.0, 1.0, 0.0]


def test_moved_means_within_five_centimetres_and_pushed_along_the_floor() -> None:
    for task, planar in (("move", False), ("push", True)):
        env = nominal(task, worlds=3)
        goal = objects.object_position(env).clone()
        goal[:, 0] += torch.tensor([0.0, 0.045, 0.055])
        env.hold_command(goal)
        assert manipulation.arrived(env, 0.05, planar).tolist() == [True, True, False]
        env.hold_command(goal + torch.tensor([0.0, 0.0, 0.06]))
        assert manipulation.arrived(env, 0.05, planar).tolist() == ([True, True, False] if planar else [False] * 3)


def test_goals_on_the_floor_are_away_from_the_object() -> None:
    env = nominal("push", worlds=256)
    distance = manipulation.goal_distance(env, planar=True)
    assert distance.max() < 0.2 + 1e-4
    assert (distance > 0.09).float().mean() > 0.95
    before = env.command.clone()
    env.hold_command(before)
    env.commander.sample(torch.arange(256))
    assert torch.equal(env.command, before)  # a held goal stays


def test_an_object_out_of_reach_ends_the_episode() -> None:
    env = nominal("pick", worlds=2)
    qpos = env.engine.qpos.clone()
    qpos[0, int(env.engine.model.joint("object").qposadr[0])] = 0.9
    env.engine.write_state(torch.arange(2), qpos, torch.zeros(2, env.engine.model.nv))
    env.moved()
    step = env.step(torch.zeros(2, env.spec.action_dim))
    assert step.terminated.tolist() == [True, False]


def test_the_drawer_opens_by_its_handle_and_counts_from_fifteen_centimetres() -> None:
    env = nominal("open-drawer", worlds=3)
    column = int(env.engine.model.joint("drawer").qposadr[0])
    closed = drawers.handle_position(env).clone()
    qpos = env.engine.qpos.clone()
    qpos[:, column] = torch.tensor([0.0, 0.14, 0.16])
    env.engine.write_state(torch.arange(3), qpos, torch.zeros(3, env.engine.model.nv))
    env.moved()
    assert drawers.opened(env, 0.15).tolist() == [False, False, True]
    data = mujoco.MjData(env.engine.model)
    for world in range(3):
        data.qpos[:] = env.engine.qpos[world].numpy()
        mujoco.mj_kinematics(env.engine.model, data)
        np.testing.assert_allclose(drawers.handle_position(env)[world].numpy(), data.geom("handle").xpos, atol=1e-5)
    assert closed[2, 0] - drawers.handle_position(env)[2, 0] == pytest.approx(0.16)


def test_cabinets_stand_in_different_places() -> None:
    env = make_env("open-drawer", "panda-gripper", num_worlds=16, num_threads=1)
    env.reset()
    place = env.engine.field("body_pos")[:, env.engine.model.body("cabinet").id]
    assert place.std(0).min() > 0.005
    data = mujoco.MjData(env.engine.model)
    model = env.engine.model
    model.body_pos[model.body("cabinet").id] = place[3].numpy()
    data.qpos[:] = env.engine.qpos[3].numpy()
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(drawers.handle_position(env)[3].numpy(), data.geom("handle").xpos, atol=1e-5)


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_steps_and_resets(task: str, robot: str) -> None:
    env = make_env(task, robot, num_worlds=8, num_threads=1, episode_s=0.4, seed=2)
    env.reset()
    ended = torch.zeros(8, dtype=torch.bool)
    for _ in range(15):
        step = env.step(torch.randn(8, env.spec.action_dim, generator=torch.Generator().manual_seed(1)))
        ended |= step.terminated | step.truncated
        assert torch.isfinite(step.privileged).all()
        assert torch.isfinite(step.reward).all()
    assert ended.all()
    assert env.failure_count == 0
    assert env.spec.action.mode == "position_delta"
    assert env.spec.action.scale == pytest.approx((0.05,) * 7 + (0.002,))


def test_a_hand_before_the_bar_is_led_over_it() -> None:
    """At the same distance from where fingers hook, what is above the bar is worth more than what is below."""
    env = nominal("open-drawer", worlds=2)
    handle = drawers.handle_position(env)
    real = env.tool.position
    assert (handle[:, 0] > real[:, 0] + 0.05).all()
    reward = drawers.approach_handle(env)
    to = handle + torch.tensor([0.025, 0.0, 0.045]) - real
    assert reward.allclose(1.0 - torch.tanh(to.norm(dim=1) / 0.2), atol=1e-5)


def test_fingers_on_the_floor_or_on_top_of_the_object_do_not_hold_it() -> None:
    """A policy once pressed its open fingers onto the floor beside the object, where friction kept them from closing."""
    env = nominal("pick", worlds=64, helped=1.0, kinds=("box",), held=0.0)
    act(env, 40, j1=1.0)  # down, as far as it goes
    act(env, 15, j1=1.0, j7=-1.0)
    assert (objects.grip_force(env) > objects.GRIP_FORCE).float().mean() > 0.5
    floor = objects.tip_height(env) < 0.0005
    assert floor.float().mean() > 0.2
    assert not objects.gripped(env)[floor].any()
    assert rewards.strain(env).mean() > 0.1
