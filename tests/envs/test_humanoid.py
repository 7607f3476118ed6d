"""The humanoid's tasks: no reward names an arm, feet follow the gait, and the rough twins stand on their map."""

import dataclasses

import pytest
import torch

from envs.scene.terrain import TerrainCfg
from envs.snapshot import restore, snapshot
from tests.pairs import TASKS, cfg_of, make_env
from envs.tasks.velocity import VelocityCfg, VelocityEnv
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.evaluation.evaluate import command_grid
from robolearn.learning.teacher import TeacherTrainer
from tests.learning_helpers import tiny_cfg

ARM_WORDS = ("arm", "shoulder", "elbow", "wrist", "hand", "swing_arm")
ROUGH = [name for name, task in TASKS.items() if isinstance(task.cfg, VelocityCfg) and task.cfg.terrain is not None]
SMALL_MAP = TerrainCfg(kinds=("flat", "slope_up", "rough"), levels=2, tile=6.0, border=2.0)


@pytest.mark.parametrize("preset", ["g1-velocity-flat", "g1-velocity-rough"])
def test_no_reward_names_an_arm(preset):
    """Neither a key nor a value of the resolved config's rewards, nor a weight of the posture on a joint of the arms."""
    cfg = schema.load(preset)
    names = " ".join(dataclasses.asdict(cfg.env.reward))
    assert not [word for word in ARM_WORDS if word in names.replace("foot", "").split("_")]
    text = config.dump(cfg)
    reward = text[text.index("reward:") : text.index("randomization:")] if "randomization:" in text else text
    assert not [word for word in ("shoulder", "elbow", "wrist", "hand") if word in reward]
    robot = make_env(cfg.task, num_worlds=1, num_threads=1).robot
    weights = dict(zip(robot.joints, robot.posture, strict=True))
    arms = [name for name in robot.joints if name.split("_")[1] in ("shoulder", "elbow", "wrist")]
    assert len(arms) == 14
    assert all(weights[name] == 0 for name in arms)
    assert all(weights[name] > 0 for name in robot.joints if name not in arms)


def test_commands_reach_as_far_as_promised():
    command = cfg_of("g1-velocity-flat").command
    assert (command.vx[1], command.vx[0], command.vy, command.yaw_rate) == (1.2, -0.6, (-0.6, 0.6), (-1.0, 1.0))
    grid = command_grid(cfg_of("g1-velocity-flat"))
    assert len(grid) == 45
    assert min(vx for vx, _, _ in grid) == pytest.approx(-0.48)
    assert max(vx for vx, _, _ in grid) == pytest.approx(0.96)


def test_feet_swing_in_turns_with_both_down_in_between():
    """The gait's reference: never both in the air, each in the air for `swing_share` of the cycle."""
    env = make_env("g1-velocity-flat", num_worlds=1, num_threads=1)
    assert isinstance(env, VelocityEnv)
    turns = torch.linspace(0, 1, 1001)[:-1, None]
    swing = torch.remainder(turns + torch.tensor(env.robot.gait), 1.0) < env.cfg.reward.swing_share
    assert not swing.all(1).any()
    assert swing.float().mean(0).tolist() == pytest.approx([0.42, 0.42], abs=2e-3)


@pytest.mark.parametrize("task", ROUGH)
def test_rough_worlds_stand_on_their_tiles(task):
    env = make_env(task, num_worlds=12, num_threads=1, terrain=SMALL_MAP)
    assert isinstance(env, VelocityEnv)
    assert env.terrain is not None
    env.reset()
    origins = env._curriculum.origins(torch.arange(12))
    assert (env.engine.qpos[:, :2] - origins).abs().max() <= 0.3 + 1e-6
    stand = env._stand[2]
    assert ((env.base_height >= stand - 1e-4) & (env.base_height <= stand + 0.031)).all()
    scan = env.height_scan()
    assert scan.shape == (12, 77)
    near = scan[:, env._scan.norm(dim=1) < 0.4]
    assert near.min() >= -1e-4  # the middle of a tile is flat and the robots start up to 3 cm above their stand
    assert near.max() <= 0.031
    # the slope's tile, 2 m away from its middle: the scan sees the grade along the way
    column = SMALL_MAP.kinds.index("slope_up")
    qpos = env._stand.repeat(1, 1)
    spot = env.terrain.origins[1, column] + torch.tensor([1.4, 0.0])
    qpos[:, :2], qpos[:, 2] = spot, qpos[:, 2] + env.terrain.height(spot)
    env.engine.write_state(torch.tensor([0]), qpos, torch.zeros(1, env.engine.model.nv))
    env.update_state()
    points = env._scan[:, 0]
    ahead = env.height_scan()[0]
    slope = (ahead[points == 0.3].mean() - ahead[points == -0.3].mean()) / 0.6
    assert float(slope) == pytest.approx(-SMALL_MAP.grade, rel=0.02)
    assert float(env.base_height[0]) == pytest.approx(float(stand), abs=1e-5)


def test_leaving_the_map_truncates_and_levels_are_in_the_snapshot():
    env = make_env("go1-velocity-rough", num_worlds=6, num_threads=1, terrain=SMALL_MAP)
    assert isinstance(env, VelocityEnv)
    env.reset()
    qpos = env.engine.qpos[:1].clone()
    qpos[:, 0] = float(env.terrain.half[0]) - 0.5
    env.engine.write_state(torch.tensor([0]), qpos, torch.zeros(1, env.engine.model.nv))
    step = env.step(torch.zeros(6, 12))
    assert bool(step.truncated[0])
    assert not bool(step.terminated[0])
    assert not step.truncated[1:].any()
    env._curriculum.level[:] = torch.tensor([0, 1, 0, 1, 1, 0])
    state = snapshot(env)
    env._curriculum.level[:] = 0
    restore(env, state)
    assert env._curriculum.level.tolist() == [0, 1, 0, 1, 1, 0]


def test_a_teacher_goes_on_to_rough_ground_as_it_was():
    """`--init`: the same actions before the first update, though the new task shows more; history tells where it came from."""
    flat = TeacherTrainer(tiny_cfg("go1-velocity-flat"))
    for _ in range(2):
        flat.iterate()
    cfg = schema.load("go1-velocity-rough", [
        "--threads=1", "--env.num_worlds=8", "--env.num_threads=1", "--teacher.hidden=[16,16]", "--teacher.ppo.rollout_steps=4",
        "--teacher.ppo.epochs=1", "--teacher.ppo.minibatches=1", "--env.terrain.levels=2", "--env.terrain.tile=4.0",
    ])  # fmt: skip
    rough = TeacherTrainer(cfg)
    rough.start_from(flat.state_dict() | {"config": "task: go1-velocity-flat", "minutes": 1.0})
    seen = rough._privileged
    known = len(flat.policy.normalizer.mean)
    torch.testing.assert_close(rough.policy.act(seen), flat.policy.act(seen[:, :known]))
    assert rough.history == [{"config": "task: go1-velocity-flat", "iterations": 2, "minutes": 1.0}]
    rough.iterate()
    assert rough.state_dict()["history"] == rough.history
    with pytest.raises(ValueError, match="numbers, here are"):
        flat.start_from(rough.state_dict())
