"""The humanoid's tasks: no reward names an arm, feet follow the gait, and the rough twins stand on their map."""

import pytest
import torch

from envs.scene.terrain import TerrainCfg
from envs.snapshot import restore, snapshot
from envs.terms import rewards
from envs.terms.observations import HeightScan
from robolearn.config import schema
from robolearn.learning.teacher import TeacherTrainer
from tests.learning_helpers import tiny_cfg
from tests.pairs import TASKS, cfg_of, make_env

ROUGH = [name for name in TASKS if cfg_of(name).terrain is not None]
SMALL_MAP = TerrainCfg(kinds=("flat", "slope_up", "rough"), levels=2, tile=6.0, border=2.0)


def is_arm(joint: str) -> bool:
    """Whether a joint of G1 is one of its arms."""
    return joint.split("_")[1] in ("shoulder", "elbow", "wrist")


@pytest.mark.parametrize("task", ["g1-velocity-flat", "g1-velocity-rough"])
def test_no_reward_knows_which_joints_are_arms(task):
    """What the arms and the legs do may change places without any reward noticing, but for the posture, which leaves the arms alone."""
    env = make_env(task, num_worlds=4, num_threads=1)
    env.reset()
    env.step(torch.zeros(4, env.spec.action_dim))
    names = list(env.robot.joints)
    arms = [names.index(name) for name in names if is_arm(name)]
    legs = [names.index(name) for name in names if not is_arm(name)][: len(arms)]
    assert len(arms) == 14
    swapped = list(range(len(names)))
    for arm, leg in zip(arms, legs, strict=True):
        swapped[arm], swapped[leg] = leg, arm
    generator = torch.Generator().manual_seed(0)
    values = {what: torch.randn(4, len(names), generator=generator) for what in ("deviation", "beyond", "velocity", "torque", "action")}

    def rewards(order: list[int]) -> dict[str, torch.Tensor]:
        env.moved()
        vars(env.joints).update({what: values[what][:, order] for what in ("deviation", "beyond")})
        env.engine.qvel[:, env.joints.in_qvel] = values["velocity"][:, order]
        env.engine.sensordata[:, env.joints._torque] = values["torque"][:, order]
        env.action, env.previous_action = values["action"][:, order], torch.zeros(4, len(names))
        return {term.name: term.compute().clone() for term in env._tables.rewards}

    one, other = rewards(list(range(len(names)))), rewards(swapped)
    assert set(one) == {name for name, term in env.cfg.rewards.items() if term.weight}
    for name in one:
        if name != "pose":
            torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(one["pose"], other["pose"])
    weights = dict(zip(names, env.robot.posture, strict=True))
    assert [name for name in names if weights[name] == 0] == [name for name in names if is_arm(name)]


def test_commands_reach_as_far_as_promised():
    command = cfg_of("g1-velocity-flat").command
    assert command is not None
    assert [command.params[name] for name in ("vx", "vy", "yaw_rate")] == [(-0.6, 1.2), (-0.6, 0.6), (-1.0, 1.0)]


def test_feet_swing_in_turns_with_both_down_in_between():
    """The gait's reference: never both in the air, each in the air for two fifths of the cycle; heights and contacts read the same one."""
    env = make_env("g1-velocity-flat", num_worlds=1000, num_threads=1)
    env.reset()
    env.hold_command(torch.tensor([0.5, 0.0, 0.0]))
    env.episode_steps[:] = torch.arange(1000)  # 24 cycles
    env.moved()
    gait, contact = (env.cfg.rewards[name].params for name in ("gait", "gait_contact"))
    assert (gait["swing_share"], gait["soft"]) == (contact["swing_share"], contact["soft"])
    swing = rewards.swing(env, contact["swing_share"], contact["soft"]) > rewards.STANCE
    assert not swing.all(1).any()
    assert swing.float().mean(0).tolist() == pytest.approx([0.36, 0.36], abs=0.03)  # 42 steps a cycle


@pytest.mark.parametrize("task", ROUGH)
def test_rough_worlds_stand_on_their_tiles(task):
    env = make_env(task, num_worlds=12, num_threads=1, terrain=SMALL_MAP)
    assert env.terrain is not None
    env.reset()
    origins = env.places.origins(torch.arange(12))
    assert (env.engine.qpos[:, :2] - origins).abs().max() <= 0.3 + 1e-6
    stand = env.rest[2]
    assert ((env.base.height >= stand - 1e-4) & (env.base.height <= stand + 0.031)).all()
    look = HeightScan(env)
    scan = look(env)
    assert scan.shape == (12, 77)
    near = scan[:, look._points.norm(dim=1) < 0.4]
    assert near.min() >= -1e-4  # the middle of a tile is flat and the robots start up to 3 cm above their stand
    assert near.max() <= 0.031
    # the slope's tile, 2 m away from its middle: the scan sees the grade along the way
    column = SMALL_MAP.kinds.index("slope_up")
    qpos = env.rest.repeat(1, 1)
    spot = env.terrain.origins[1, column] + torch.tensor([1.4, 0.0])
    qpos[:, :2], qpos[:, 2] = spot, qpos[:, 2] + env.terrain.height(spot)
    env.engine.write_state(torch.tensor([0]), qpos, torch.zeros(1, env.engine.model.nv))
    env.moved()
    points = look._points[:, 0]
    ahead = look(env)[0]
    slope = (ahead[points == 0.3].mean() - ahead[points == -0.3].mean()) / 0.6
    assert float(slope) == pytest.approx(-SMALL_MAP.grade, rel=0.02)
    assert float(env.base.height[0]) == pytest.approx(float(stand), abs=1e-5)


def test_leaving_the_map_truncates_and_levels_are_in_the_snapshot():
    env = make_env("go1-velocity-rough", num_worlds=6, num_threads=1, terrain=SMALL_MAP)
    env.reset()
    qpos = env.engine.qpos[:1].clone()
    qpos[:, 0] = float(env.terrain.half[0]) - 0.5
    env.engine.write_state(torch.tensor([0]), qpos, torch.zeros(1, env.engine.model.nv))
    step = env.step(torch.zeros(6, 12))
    assert bool(step.truncated[0])
    assert not bool(step.terminated[0])
    assert not step.truncated[1:].any()
    env.places.level[:] = torch.tensor([0, 1, 0, 1, 1, 0])
    state = snapshot(env)
    env.places.level[:] = 0
    restore(env, state)
    assert env.places.level.tolist() == [0, 1, 0, 1, 1, 0]


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
    with pytest.raises(ValueError, match="numbers, and there are"):
        flat.start_from(rough.state_dict())
