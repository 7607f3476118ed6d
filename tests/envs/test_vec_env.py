"""What a step of the batched environment means, for every registered task."""

import dataclasses

import numpy as np
import pytest
import torch

from envs.snapshot import restore, snapshot
from envs.terms.randomization import Range, without_randomization
from envs.vec_env import Step, VecEnv
from policies.contract.observation import Sensors, observe
from tests.pairs import TASKS, cfg_of, make_env

EACH = pytest.mark.parametrize("task", TASKS)
WORLDS = 6


def make(task: str, **changes) -> VecEnv:
    return make_env(task, **{"num_worlds": WORLDS, "num_threads": 1, **changes})


def with_command(task: str, **changes):
    """The task's command config with some settings replaced."""
    return cfg_of(task).command.changed(**changes)


def actions(env: VecEnv, steps: int, seed: int = 0) -> torch.Tensor:
    """Random actions (steps, N, J) that shake the robot."""
    return torch.randn(steps, env.num_worlds, len(env.robot.joints), generator=torch.Generator().manual_seed(seed))


def run(env: VecEnv, steps: int, seed: int = 0) -> list[Step]:
    return [env.step(action) for action in actions(env, steps, seed)]


def assert_same(one: list[Step], other: list[Step]) -> None:
    for a, b in zip(one, other, strict=True):
        for field in dataclasses.fields(Step):
            assert torch.equal(getattr(a, field.name), getattr(b, field.name)), field.name


def tilt_over(env: VecEnv, world: int) -> None:
    """Lay a legged robot on its back."""
    qpos, qvel = env.engine.qpos[world : world + 1].clone(), env.engine.qvel[world : world + 1].clone()
    qpos[:, 2], qpos[:, 3:7] = 0.4, torch.tensor([0.0, 1.0, 0.0, 0.0])
    env.engine.write_state(torch.tensor([world]), qpos, qvel)


def block(env: VecEnv, name: str) -> slice:
    """Where a term stands in the observation."""
    start = 0
    for term in env.spec.terms:
        if term.name == name:
            return slice(start, start + term.dim)
        start += term.dim
    raise KeyError(name)


@EACH
def test_shapes_and_types(task):
    env = make(task)
    policy, privileged = env.reset()
    step = env.step(torch.zeros(WORLDS, len(env.robot.joints)))
    assert policy.shape == step.policy.shape == step.final_policy.shape == (WORLDS, env.spec.observation_dim)
    assert privileged.shape == step.privileged.shape == step.final_privileged.shape
    for value in (policy, privileged, step.policy, step.privileged, step.reward):
        assert value.dtype == torch.float32
        assert torch.isfinite(value).all()
    for value in (step.reward, step.terminated, step.truncated):
        assert value.shape == (WORLDS,)
    assert step.terminated.dtype == step.truncated.dtype == torch.bool
    assert privileged.shape[1] > policy.shape[1]
    expected = sum(env.reward_means().values()) * env.cfg.control_dt
    assert float(step.reward.mean()) == pytest.approx(expected, abs=1e-6)


@EACH
def test_truncation_is_not_termination(task):
    env = make(task, episode_s=0.1)
    env.reset()
    steps = run(env, 10)
    assert [bool(step.truncated.all()) for step in steps] == [False, False, False, False, True] * 2
    assert not any(step.terminated.any() for step in steps)


def test_a_fall_is_termination_and_never_truncation():
    env = make("go1-velocity-flat", episode_s=0.1, randomization=without_randomization())
    env.reset()
    run(env, 4)
    tilt_over(env, 2)
    step = env.step(torch.zeros(WORLDS, 12))
    assert step.terminated.tolist() == [False, False, True, False, False, False]
    assert step.truncated.tolist() == [True, True, False, True, True, True]
    upright = block(env, "projected_gravity")
    assert step.final_policy[2, upright][2] > 0.9  # lying on its back
    assert step.policy[2, upright][2] < -0.9  # standing again
    assert env.episode_steps.tolist() == [0] * WORLDS


@EACH
def test_final_observation_is_that_of_before_the_reset(task):
    """An environment with longer episodes, the same otherwise, shows what would have been seen."""
    short, long = make(task, episode_s=0.1), make(task, episode_s=10.0)
    assert all(torch.equal(a, b) for a, b in zip(short.reset(), long.reset(), strict=True))
    for ours, theirs in zip(run(short, 5), run(long, 5), strict=True):
        assert torch.equal(ours.final_policy, theirs.policy)
        assert torch.equal(ours.final_privileged, theirs.privileged)
        assert torch.equal(ours.reward, theirs.reward)
        if not ours.truncated.any():
            assert torch.equal(ours.policy, ours.final_policy)
            assert torch.equal(ours.privileged, ours.final_privileged)
    assert ours.truncated.all()
    assert not torch.equal(ours.policy, ours.final_policy)


@EACH
def test_first_observation_is_that_of_the_new_episode(task):
    env = make(task, episode_s=0.1, randomization=dataclasses.replace(cfg_of(task).randomization, noise=0.0))
    env.reset()
    step = run(env, 5)[-1]
    assert (step.policy[:, block(env, "last_action")] == 0).all()
    assert not (step.final_policy[:, block(env, "last_action")] == 0).any()
    assert (env.action == 0).all()
    # just reset: the reading has its offset on and is not late
    reading = env.joint_position + env.joint_offset - env.default_pose
    torch.testing.assert_close(step.policy[:, block(env, "joint_position")], reading)
    fresh = observe(env.sensors(), env.spec, env.default_pose)
    torch.testing.assert_close(step.policy, fresh)


@EACH
def test_only_the_worlds_that_ended_are_reset(task):
    env = make(task, randomization=without_randomization())
    env.reset()
    run(env, 3)
    env.episode_steps[1] = env.max_steps - 1
    twin = make(task, randomization=without_randomization())
    twin.reset()
    run(twin, 3)
    ours, theirs = env.step(actions(env, 1)[0]), twin.step(actions(env, 1)[0])
    others = torch.arange(WORLDS) != 1
    assert ours.truncated.tolist() == [False, True] + [False] * (WORLDS - 2)
    assert torch.equal(ours.policy[others], theirs.policy[others])
    assert torch.equal(env.engine.qpos[others], twin.engine.qpos[others])
    assert not torch.equal(env.engine.qpos[1], twin.engine.qpos[1])
    assert env.episode_steps.tolist() == [4, 0] + [4] * (WORLDS - 2)


@EACH
def test_a_step_leaves_the_callers_actions_alone(task):
    env = make(task, episode_s=0.06)
    env.reset()
    given = actions(env, 7)
    kept = given.clone()
    for action in given:
        env.step(action)
    assert torch.equal(given, kept)


@EACH
def test_commands_are_held_and_drawn_anew(task):
    env = make(task, command=with_command(task, hold_s=(0.09, 0.09)), num_worlds=32)
    env.reset()
    before, changes = env.command.clone(), []
    for _ in range(12):
        env.step(torch.zeros(32, len(env.robot.joints)))
        changed = (env.command != before).any(dim=1)
        changes.append(int(changed.sum()))
        before = env.command.clone()
    held = [count for k, count in enumerate(changes, 1) if k % 5]
    assert held == [0] * 10  # 0.09 s end in the fifth step
    assert changes[4] >= 24  # standing commands may be drawn twice
    assert changes[9] >= 24
    spec = env.spec.command
    assert ((env.command >= torch.tensor(spec.lower) - 1e-6) & (env.command <= torch.tensor(spec.upper) + 1e-6)).all()


def test_commands_cover_their_range_and_a_share_stands():
    env = make("go1-velocity-flat", num_worlds=4000, command=with_command("go1-velocity-flat", standing=0.2))
    env.release_command()
    standing = (env.command == 0).all(dim=1)
    assert float(standing.float().mean()) == pytest.approx(0.2, abs=0.03)
    moving = env.command[~standing]
    for axis, (low, high) in enumerate(zip(env.spec.command.lower, env.spec.command.upper, strict=True)):
        assert float(moving[:, axis].min()) == pytest.approx(low, abs=0.02)
        assert float(moving[:, axis].max()) == pytest.approx(high, abs=0.02)


@EACH
def test_same_seed_same_trajectory(task):
    first, second, other = make(task, seed=3), make(task, seed=3), make(task, seed=4)
    starts = [env.reset() for env in (first, second, other)]
    assert torch.equal(starts[0][0], starts[1][0])
    assert not torch.equal(starts[0][0], starts[2][0])
    assert_same(run(first, 50), run(second, 50))
    assert not torch.equal(run(first, 1)[0].policy, run(other, 1)[0].policy)


@EACH
def test_the_number_of_threads_changes_nothing(task):
    one, two = make(task, num_threads=1), make(task, num_threads=2)
    one.reset(), two.reset()
    assert_same(run(one, 10), run(two, 10))


@EACH
def test_snapshot_continues_to_the_bit(task):
    table = dataclasses.replace(cfg_of(task).randomization, mass=Range(low=0.9, high=1.1, when="reset"))
    env = make(task, episode_s=0.24, randomization=table)  # resets fall before and after the snapshot
    env.reset()
    run(env, 20)
    state = snapshot(env)
    ahead = run(env, 30, seed=1)
    other = make(task, episode_s=0.24, randomization=table, seed=99)
    other.reset()
    run(other, 3)
    restore(other, state)
    assert_same(ahead, run(other, 30, seed=1))
    restore(env, state)  # and within the environment itself
    assert_same(ahead, run(env, 30, seed=1))


def test_snapshot_of_another_shape_is_refused():
    state = snapshot(make("panda-reach"))
    with pytest.raises(ValueError, match=r"has shape .* another config"):
        restore(make("panda-reach", num_worlds=2), state)


@EACH
def test_numpy_observes_the_same(task):
    """The robot's side computes the observation in numpy; the environment in torch."""
    env = make(task, randomization=dataclasses.replace(cfg_of(task).randomization, noise=0.0))
    env.reset()
    for action in actions(env, 20):
        given = env.step(action).final_privileged[:, : env.spec.observation_dim]
        if (env.episode_steps == 0).any():
            continue
        now = env.sensors()
        values = {f.name: getattr(now, f.name) for f in dataclasses.fields(Sensors)}
        arrays = Sensors(**{name: None if value is None else value.numpy() for name, value in values.items()})
        ours = observe(arrays, env.spec, np.array(env.spec.robot.default_pose, np.float32))
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, given.numpy(), rtol=0, atol=1e-6)


@EACH
@pytest.mark.parametrize("engine", ["mujoco", "precise"])
def test_a_nan_from_the_policy_ends_its_world_and_touches_no_other(task, engine, caplog):
    env, twin = (make(task, engine=engine, randomization=without_randomization()) for _ in range(2))
    env.reset(), twin.reset()
    good = actions(env, 1)[0]
    bad = good.clone()
    bad[3, 2] = float("nan")
    ours, theirs = env.step(bad), twin.step(good)
    assert ours.terminated.tolist() == [False, False, False, True, False, False]
    assert not ours.truncated.any()
    assert ours.reward[3] == 0
    assert env.engine.failure_count == 1
    assert "physics failed in 1 of 6 worlds (first: 3)" in caplog.text
    others = torch.arange(WORLDS) != 3
    assert torch.equal(ours.policy[others], theirs.policy[others])
    assert torch.equal(env.engine.qpos[others], twin.engine.qpos[others])
    for step in [ours, *run(env, 10)]:
        for field in dataclasses.fields(Step):
            assert torch.isfinite(getattr(step, field.name)).all(), field.name
        assert all(np.isfinite(value) for value in env.reward_means().values())
    assert env.engine.failure_count == 1


@EACH
def test_other_engines_run_the_task(task):
    env = make(task, engine="precise", num_worlds=2)
    env.reset()
    assert all(torch.isfinite(step.policy).all() for step in run(env, 5))


@pytest.mark.slow
@EACH
def test_warp_runs_the_task(task):
    pytest.importorskip("mujoco_warp")
    env = make(task, engine="warp", num_worlds=2, episode_s=0.1)
    env.reset()
    steps = run(env, 12)
    assert all(torch.isfinite(step.policy).all() for step in steps)
    assert [bool(step.truncated.all()) for step in steps] == [False, False, False, False, True] * 2 + [False] * 2
