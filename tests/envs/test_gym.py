"""The tasks as Gymnasium environments, held against Gymnasium's own checker and its own vectorization."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from envs.adapters.gymnasium import TaskEnv, TaskVectorEnv, gym_id, register_all
from envs.robots.registry import get_robot
from tests.pairs import PAIRS, TASKS, cfg_of

EACH = pytest.mark.parametrize("task", TASKS)
WORLDS = 4
HARMLESS = ("symmetric and normalized", "render", "-infinity", "is infinity")
"""What Gymnasium recommends but does not ask for: actions in [-1, 1]; bounds on privileged values, which have none."""


def make(task: str, **options: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(gym_id(*PAIRS[task]), **options)


def make_vec(task: str, worlds: int = WORLDS, **options: Any) -> Any:
    options = {"num_threads": 1, **options}
    return gymnasium.make_vec(gym_id(*PAIRS[task]), num_envs=worlds, vectorization_mode="vector_entry_point", **options)


def actions(env: Any, steps: int, scale: float = 0.2) -> np.ndarray:
    """Random actions (steps, ...) for an environment's action space."""
    rng = np.random.default_rng(3)
    return rng.uniform(env.action_space.low * scale, env.action_space.high * scale, (steps, *env.action_space.shape)).astype(np.float32)


def command(env: TaskEnv | TaskVectorEnv) -> np.ndarray:
    return env.worlds.command.numpy().copy()


def assert_equal(one: Any, other: Any, where: str = "infos") -> None:
    """Nested infos agree in structure, types and values."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}[{key!r}]")
    elif one.dtype == object:
        for a, b in zip(one, other, strict=True):
            assert (a is None) == (b is None), where
            if a is not None:
                np.testing.assert_array_equal(a, b, where)
    else:
        assert one.dtype == other.dtype, where
        np.testing.assert_array_equal(one, other, where)


def test_ids() -> None:
    assert gym_id("velocity-flat", "go1") == "robolearn/Go1VelocityFlat-v0"
    assert gym_id("reach", "panda") == "robolearn/PandaReach-v0"
    assert gym_id("velocity-flat") == "robolearn/VelocityFlat-v0"
    register_all()  # again: no complaint, nothing twice
    there = {name for name in gymnasium.registry if name.startswith("robolearn/")}
    assert {gym_id(*PAIRS[task]) for task in TASKS} <= there
    assert not any("PandaVelocity" in name or "Go1Reach" in name for name in there)  # robots that cannot


def test_a_task_takes_a_robot_of_ones_own() -> None:
    env = gymnasium.make(gym_id("velocity-flat"), robot=get_robot("go1"))
    same = gymnasium.make(gym_id("velocity-flat", "go1"))
    np.testing.assert_array_equal(env.reset(seed=3)[0], same.reset(seed=3)[0])
    with pytest.raises(TypeError, match="robot"):
        gymnasium.make(gym_id("velocity-flat"))


def test_gymnasium_imports_the_module_that_a_name_begins_with() -> None:
    code = (
        "import gymnasium; env = gymnasium.make('envs.adapters.gymnasium:robolearn/PandaReach-v0'); env.reset(seed=1); print(env.spec.id)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.strip() == "robolearn/PandaReach-v0"


@EACH
@pytest.mark.parametrize("observation", ["policy", "privileged"])
def test_gymnasiums_checker_is_content(task: str, observation: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = make(task, observation=observation)
        check_env(env.unwrapped, skip_render_check=True)
    serious = [str(w.message) for w in caught if not any(word in str(w.message) for word in HARMLESS)]
    assert not serious


@EACH
def test_the_policys_space_is_bounded_and_true(task: str) -> None:
    env: Any = make_vec(task, 16)
    space = env.single_observation_space
    assert np.isfinite(space.low).all()
    assert space.shape == (env.worlds.spec.observation_dim,)
    clip = env.worlds.spec.action.clip
    assert (env.single_action_space.high == clip).all()
    assert (env.single_action_space.low == -clip).all()
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    for action in actions(env, 60, 1.0):
        assert env.observation_space.contains(env.step(action)[0])
    env.worlds.hold_command(torch.full_like(env.worlds.command, 1e6))  # beyond every clip: the noise is on top of it
    clipped = env.worlds.observe()[0].numpy()
    assert all(space.contains(row) for row in clipped)
    assert np.abs(clipped).max() > 99.0


@EACH
def test_a_seed_decides_all_that_follows(task: str) -> None:
    def trajectory(env: Any, seed: int) -> list[Any]:
        run = [env.reset(seed=seed)[0]]
        for action in actions(env, 30):
            observation, reward, terminated, truncated, _ = env.step(action)
            run += [observation, np.asarray(reward), np.asarray(terminated), np.asarray(truncated)]
        return run

    for make_one in (lambda: make(task).unwrapped, lambda: make_vec(task, episode_s=0.3)):
        used, fresh = make_one(), make_one()
        used.reset(seed=5)
        for action in actions(used, 7):
            used.step(action)
        one, other, third = trajectory(used, 1), trajectory(fresh, 1), trajectory(used, 2)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(one[-4], third[-4])


@EACH
def test_without_a_seed_two_differ(task: str) -> None:
    one, other = make(task), make(task)
    assert not np.array_equal(one.reset()[0], other.reset()[0])
    fixed = [make(task, seed=3).reset()[0] for _ in range(2)]
    np.testing.assert_array_equal(*fixed)


def test_lists_of_seeds() -> None:
    env = make_vec("panda-reach")
    one = env.reset(seed=[1, 2, 3, 4])[0]
    np.testing.assert_array_equal(env.reset(seed=[1, 2, 3, 4])[0], one)
    assert not np.array_equal(env.reset(seed=[1, 2, 3, 5])[0], one)
    assert not np.array_equal(env.reset(seed=[None] * 4)[0], one)
    with pytest.raises(ValueError, match="3 seeds for 4 worlds"):
        env.reset(seed=[1, 2, 3])


@EACH
def test_a_given_command_is_kept_until_the_next_reset(task: str) -> None:
    given = np.array([0.4, 0.1, 0.3], np.float32)
    cfg = cfg_of(task).command
    assert cfg is not None
    cfg = cfg.changed(hold_s=(0.04, 0.06))
    env: Any = make(task, command=cfg).unwrapped
    env.reset(seed=0, options={"command": given})
    zero = np.zeros(env.action_space.shape, np.float32)
    for _ in range(10):
        env.step(zero)
        np.testing.assert_array_equal(command(env)[0], given)
    first = env.reset(seed=0)[0]
    assert not np.array_equal(command(env)[0], given)
    assert not np.array_equal(env.reset(seed=0, options={"command": given})[0], first), "the observation shows the command"

    many: Any = make_vec(task, command=cfg, episode_s=0.1)
    each = given * np.arange(1, 1 + WORLDS, dtype=np.float32)[:, None] / WORLDS
    many.reset(options={"command": each})
    for action in actions(many, 12, 0.0):
        many.step(action)
        np.testing.assert_array_equal(command(many), each)  # through autoresets too


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"comand": [0.0, 0.0, 0.0]}, "unknown reset option comand; valid: command"),
        ({"command": [0.0, 0.0]}, r"3 finite numbers \(vx, vy, yaw_rate\)"),
        ({"command": [0.0, 0.0, float("nan")]}, "3 finite numbers"),
    ],
)
def test_wrong_options_say_what_is_valid(options: dict[str, Any], message: str) -> None:
    for env in (make("go1-velocity-flat"), make_vec("go1-velocity-flat")):
        with pytest.raises(ValueError, match=message):
            env.reset(options=options)


def test_wrong_arguments_say_what_is_valid() -> None:
    with pytest.raises(ValueError, match="observation must be one of policy, privileged, not 'camera'"):
        TaskEnv("reach", "panda", observation="camera")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="render_mode must be rgb_array"):
        TaskEnv("reach", "panda", render_mode="human")
    with pytest.raises(ValueError, match="only a single world can render"):
        make_vec("panda-reach", render_mode="rgb_array")


@EACH
@pytest.mark.parametrize("observation", ["policy", "privileged"])
def test_one_world_of_the_vector_is_the_single_environment(task: str, observation: str) -> None:
    """The same seed gives the same numbers; with autoreset, infos are in all what Gymnasium's own vectorization makes of ours."""
    options = {"observation": observation, "episode_s": 0.2}
    ours = make_vec(task, 1, **options)
    theirs = gymnasium.make_vec(
        gym_id(*PAIRS[task]),
        num_envs=1,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **options,
    )
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    np.testing.assert_array_equal(ours.reset(seed=7)[0], theirs.reset(seed=7)[0])
    ended = 0
    for number, action in enumerate(actions(ours, 25)):
        here, there = ours.step(action), theirs.step(action)
        first = number < 10  # theirs draws a reset of its own on top of ours: then the numbers part, the form does not
        for a, b in zip(here[:4], there[:4], strict=True):
            assert a.shape == b.shape
            if first and not (here[2] | here[3]).any():
                np.testing.assert_array_equal(a, b)
        assert set(here[4]) == set(there[4])
        if first:
            assert_equal(here[4], there[4])
        ended += int((here[2] | here[3]).sum())
    assert ended >= 2


def test_infos_of_several_worlds() -> None:
    """Some worlds end, others do not: every key has its mask."""
    env: Any = make_vec("panda-reach", episode_s=0.1, observation="privileged")
    env.reset(seed=0)
    env.worlds.episode_steps[1::2] = 2
    zero = np.zeros(env.action_space.shape, np.float32)
    for _ in range(2):
        infos = env.step(zero)[4]
        assert set(infos) == {"reward_terms", "_reward_terms"}
        assert infos["_reward_terms"].all()
    observation, reward, terminated, truncated, infos = env.step(zero)
    ended = np.array([False, True, False, True])
    np.testing.assert_array_equal(truncated, ended)
    assert not terminated.any()
    for key in ("final_obs", "final_info"):
        np.testing.assert_array_equal(infos[f"_{key}"], ended)
    np.testing.assert_array_equal(infos["_reward_terms"], ~ended)
    np.testing.assert_array_equal(infos["final_info"]["reward_terms"]["_distance"], ended)
    for index in range(WORLDS):
        final = infos["final_obs"][index]
        assert (final is not None) == ended[index]
        if final is not None:
            assert env.single_observation_space.contains(final)
            assert not np.array_equal(final, observation[index]), "the observation is of the next episode"
    both = {**infos["reward_terms"]}, infos["final_info"]["reward_terms"]
    total = sum(both[0][name] + both[1][name] for name in both[0] if not name.startswith("_"))
    np.testing.assert_allclose(reward, total * env.worlds.cfg.control_dt, atol=1e-5)


def test_what_was_given_stays() -> None:
    """No array that came out of a step is changed by the next, and the caller's action may be."""
    env = make_vec("go1-velocity-flat")
    env.reset(seed=0)
    action = actions(env, 1)[0]
    results = env.step(action)
    kept = copy.deepcopy(results)
    before = env.worlds.action.clone()
    action[:] = 9.0
    assert (env.worlds.action == before).all()
    env.step(action)
    for a, b in zip(results[:4], kept[:4], strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal(results[4], kept[4])


def test_gymnasiums_wrappers_work_on_the_vector() -> None:
    env = RecordEpisodeStatistics(make_vec("panda-reach", episode_s=0.1))
    env.reset(seed=0)
    lengths = []
    for action in actions(env, 12):
        infos = env.step(action)[4]
        if "episode" in infos:
            lengths += infos["episode"]["l"][infos["_episode"]].tolist()
    assert lengths
    assert set(lengths[:WORLDS]) == {5}


@EACH
def test_rendering(task: str) -> None:
    env = make(task, render_mode="rgb_array")
    env.reset(seed=0)
    picture: Any = env.render()
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 5
    env.close()
    assert env.unwrapped.metadata["render_fps"] == 50
    assert make(task).unwrapped.render() is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reward": {"torque": -1.0}}, "no field 'reward'; did you mean 'rewards'?"),
        ({"rewards": {"torque": -1.0}}, "rewards['torque'] must be a RewardTerm(FUNCTION, ...), not -1.0; to change one"),
        ({"rewards": -1.0}, "rewards must be a table of RewardTerm by name, not -1.0"),
        ({"observations": {"clock": "x"}}, "observations['clock'] must be a SensedTerm(...) or CameraTerm(...), not 'x'"),
        ({"episode_s": "5"}, "episode_s must be a finite number, not '5'"),
        ({"decimation": 2.5}, "decimation must be a whole number, not 2.5"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_when_the_environment_is_made(given: dict[str, Any], told: str) -> None:
    for make_one in (lambda: make("go1-velocity-flat", **given), lambda: make_vec("go1-velocity-flat", **given)):
        with pytest.raises(ValueError, match=re.escape(told)):
            make_one()
