"""Stable-Baselines3 on the tasks: its checker, its PPO unchanged, and what the adapter tells it of ended worlds."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from envs.adapters import sb3 as adapter
from envs.adapters.gymnasium import gym_id
from envs.adapters.sb3 import Sb3VecEnv
from robolearn.cli import main
from robolearn.config import schema
from robolearn.learning.run import Run
from robolearn.learning.sb3 import MODEL, make_ppo, train_sb3
from tests.pairs import PAIRS, TASKS

EACH = pytest.mark.parametrize("task", TASKS)
PRESET = "go1-velocity-flat-sb3"
TINY = ["--env.num_worlds=4", "--env.num_threads=1", "--env.episode_s=0.2", "--sb3.timesteps=96", "--sb3.steps=12", "--sb3.epochs=1"]
TINY += ["--sb3.batch_size=24", "--sb3.hidden=[8,8]", "--threads=1"]


def make(task: str, worlds: int = 4, **changes: Any) -> Sb3VecEnv:
    return Sb3VecEnv(*PAIRS[task], worlds, **{"num_threads": 1, **changes})


def weights(model: PPO) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.policy.parameters()]).clone()


@EACH
def test_their_checker_is_content_with_single_worlds(task: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized Box action space.*")
        check_env(gymnasium.make(gym_id(*PAIRS[task])).unwrapped)


@EACH
@pytest.mark.parametrize("observation", ["policy", "privileged"])
def test_their_ppo_trains_unchanged_on_the_adapter(task: str, observation: Any) -> None:
    env = make(task, observation=observation, episode_s=0.2)
    model = PPO("MlpPolicy", env, n_steps=12, batch_size=24, n_epochs=2, seed=0, device="cpu")
    before = weights(model)
    model.learn(96)
    assert model.num_timesteps == 96
    after = weights(model)
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)
    assert model.ep_info_buffer is not None
    assert {info["l"] for info in model.ep_info_buffer} >= {10}, "ended episodes are seen"
    assert adapter.NO_INFO == {}, "nobody wrote into the infos that all worlds share"


def test_their_ppo_trains_unchanged_on_a_single_environment() -> None:
    model = PPO("MlpPolicy", gymnasium.make(gym_id("reach", "panda")), n_steps=16, batch_size=16, n_epochs=1, seed=0, device="cpu")
    before = weights(model)
    model.learn(32)
    assert not torch.equal(before, weights(model))


def test_their_wrappers_work() -> None:
    env = VecNormalize(VecMonitor(make("go1-velocity-flat", episode_s=0.1)))
    env.reset()
    seen = []
    for _ in range(12):
        infos = env.step(np.zeros((4, 12), np.float32))[3]
        seen += [info["episode"]["l"] for info in infos if "episode" in info]
    assert set(seen) == {5}
    assert adapter.NO_INFO == {}


def test_infos_tell_truncation_from_termination() -> None:
    env = make("go1-velocity-flat", episode_s=0.2, observation="privileged")
    env.reset()
    zero = np.zeros((4, 12), np.float32)
    for _ in range(4):
        observation, _, done, infos = env.step(zero)
        assert not done.any()
        assert infos == [{}] * 4
    qpos, qvel = env.worlds.engine.qpos[:1].clone(), env.worlds.engine.qvel[:1].clone()
    qpos[:, 2], qpos[:, 3:7] = 0.4, torch.tensor([0.0, 1.0, 0.0, 0.0])  # world 0 on its back
    env.worlds.engine.write_state(torch.tensor([0]), qpos, qvel)
    env.worlds.episode_steps[1] = env.worlds.max_steps - 1
    observation, reward, done, infos = env.step(zero)
    assert done.tolist() == [True, True, False, False]
    assert [info.get("TimeLimit.truncated") for info in infos] == [False, True, None, None]
    assert infos[0]["episode"]["l"] == 5
    assert reward.shape == (4,)
    for index in (0, 1):
        final = infos[index]["terminal_observation"]
        assert final.shape == env.observation_space.shape
        assert not np.array_equal(final, observation[index])
    up = env.worlds.spec.terms[0].dim + 2  # z of projected gravity: -1 upright, 1 on its back
    assert env.worlds.spec.terms[1].name == "projected_gravity"
    assert infos[0]["terminal_observation"][up] > 0.9
    assert observation[0][up] < -0.9


def test_a_terminal_observation_is_the_true_last_one() -> None:
    """Two environments of one seed, one of which ends: its terminal observation is what the other sees."""
    ending, going = make("panda-reach", episode_s=0.1, seed=3), make("panda-reach", episode_s=9.0, seed=3)
    ending.seed(4), going.seed(4)
    np.testing.assert_array_equal(ending.reset(), going.reset())
    zero = np.zeros((4, 7), np.float32)
    for _ in range(5):
        _, _, done, infos = ending.step(zero)
        observation = going.step(zero)[0]
    assert done.all()
    np.testing.assert_array_equal(np.stack([info["terminal_observation"] for info in infos]), observation)


def test_a_seed_decides_all_that_follows() -> None:
    runs = []
    for _ in range(2):
        env = make("go1-velocity-flat", episode_s=0.2)
        env.seed(5)
        env.reset()
        runs.append(np.stack([env.step(np.full((4, 12), 0.3, np.float32))[0] for _ in range(15)]))
    np.testing.assert_array_equal(*runs)


def test_the_same_seed_trains_the_same_model() -> None:
    cfg = schema.load(PRESET, TINY)
    models = []
    for _ in range(2):
        model = make_ppo(cfg)
        model.learn(96)
        models.append(weights(model))
    assert torch.equal(*models)


def test_the_preset_trains_and_saves(tmp_path: Path) -> None:
    cfg = schema.load(PRESET, TINY)
    run = Run(tmp_path / "run", cfg)
    train_sb3(cfg, run)
    run.close()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["steps"] for line in lines] == [48.0, 96.0]
    assert {"reward", "velocity_error_xy", "steps_per_s"} <= set(lines[0])
    model = PPO.load(tmp_path / "run" / MODEL, device="cpu")
    assert model.gamma == cfg.teacher.ppo.discount
    env = make("go1-velocity-flat", observation="privileged")
    assert model.predict(env.reset(), deterministic=True)[0].shape == (4, 12)
    assert [path.name for path in (tmp_path / "run").iterdir() if "tmp" in path.name] == []


def test_ctrl_c_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Sb3VecEnv.step_wait

    def interrupted(self: Sb3VecEnv) -> Any:
        if self.worlds.episode_steps.max() >= 3:
            raise KeyboardInterrupt
        return steps(self)

    monkeypatch.setattr(Sb3VecEnv, "step_wait", interrupted)
    cfg = schema.load(PRESET, TINY)
    run = Run(tmp_path, cfg)
    with pytest.raises(KeyboardInterrupt):
        train_sb3(cfg, run)
    run.close()
    PPO.load(tmp_path / MODEL, device="cpu")


def test_robolearn_train_runs_the_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", PRESET, f"--runs={tmp_path}", *TINY]) == 0
    assert len(list(tmp_path.glob(f"{PRESET}/*/{MODEL}"))) == 1
    assert "run: " in capsys.readouterr().out


def test_options_of_a_reset_act_or_are_refused() -> None:
    env = Sb3VecEnv("reach", "panda", num_envs=3, num_threads=1)
    goal = [0.45, 0.1, 0.4]
    env.set_options({"command": goal})
    env.reset()
    assert env.worlds.command.tolist() == [pytest.approx(goal)] * 3
    each = [[0.4, 0.0, 0.3 + 0.1 * world] for world in range(3)]
    env.set_options([{"command": command} for command in each])
    env.reset()
    assert env.worlds.command.tolist() == [pytest.approx(command) for command in each]
    drawn = [env.reset() is not None and env.worlds.command.clone() for _ in range(2)]  # Stable-Baselines3's options hold for one reset
    assert not torch.equal(*drawn)
    env.set_options({"goal": goal})
    with pytest.raises(ValueError, match="unknown reset option goal; valid: command"):
        env.reset()
    env.set_options([{"command": goal}, {}, {}])
    with pytest.raises(ValueError, match="1 of 3 worlds have a command"):
        env.reset()


def test_the_number_of_worlds_is_said_once() -> None:
    with pytest.raises(ValueError, match="leave num_worlds out"):
        Sb3VecEnv("reach", "panda", num_envs=3, num_worlds=5)


def test_a_training_of_theirs_that_diverges_says_so_and_saves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", PRESET, *TINY, "--runs", str(tmp_path), "--sb3.learning_rate=1e30"]) == 2
    err = capsys.readouterr().err
    assert "Stable-Baselines3's training diverged after" in err
    assert not list(tmp_path.rglob(MODEL))
