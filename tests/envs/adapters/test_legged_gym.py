"""The interface of legged_gym on our worlds: the numbers are ours, and rsl_rl's own runner trains on it."""

import importlib.util

import pytest
import torch

from envs.adapters.legged_gym import LeggedGymEnv, RslRlEnv
from envs.tasks.registry import make_env

N = 4


def small(kind: type[LeggedGymEnv], **changes) -> LeggedGymEnv:
    return kind("velocity-flat", "go1", N, seed=3, num_threads=1, **changes)


def test_a_step_gives_what_our_own_worlds_give():
    env, ours = small(LeggedGymEnv), make_env("velocity-flat", "go1", num_worlds=N, seed=3, num_threads=1)
    first = ours.reset()
    assert torch.equal(env.get_observations(), first[0])
    assert torch.equal(env.get_privileged_observations(), first[1])
    assert (env.num_obs, env.num_privileged_obs, env.num_actions) == (first[0].shape[1], first[1].shape[1], 12)
    for seed in range(5):
        actions = torch.randn(N, 12, generator=torch.Generator().manual_seed(seed))
        obs, privileged, reward, ended, extras = env.step(actions)
        step = ours.step(actions)
        assert torch.equal(obs, step.policy)
        assert torch.equal(privileged, step.privileged)
        assert torch.equal(reward, step.reward)
        assert torch.equal(ended, step.terminated | step.truncated)
        assert torch.equal(extras["time_outs"], step.truncated & ~step.terminated)


def test_time_is_up_where_the_runner_says():
    """A runner spreads the episodes by writing their lengths: that world alone times out, and its last observation is handed on."""
    env = small(LeggedGymEnv)
    lengths = torch.zeros(N, dtype=torch.long)
    lengths[2] = env.max_episode_length - 1
    env.episode_length_buf = lengths
    obs, _, _, ended, extras = env.step(torch.zeros(N, 12))
    assert ended.tolist() == extras["time_outs"].tolist() == [False, False, True, False]
    assert env.episode_length_buf.tolist() == [1, 1, 0, 1]
    assert not torch.equal(extras["final_obs"][2], obs[2])
    assert torch.equal(extras["final_obs"][0], obs[0])
    assert "rew_track_velocity" in extras["episode"] or len(extras["episode"]) > 3


@pytest.mark.skipif(
    importlib.util.find_spec("rsl_rl") is None or importlib.util.find_spec("tensordict") is None, reason="needs rsl-rl-lib and tensordict"
)
def test_the_runner_of_rsl_rl_trains_on_it(tmp_path):
    from rsl_rl.runners import OnPolicyRunner

    env = small(RslRlEnv)
    model = {"class_name": "MLPModel", "hidden_dims": [16], "activation": "elu", "obs_normalization": True}
    cfg = {
        "num_steps_per_env": 8,
        "save_interval": 1,
        "obs_groups": {"actor": ["policy"], "critic": ["privileged"]},
        "actor": model | {"distribution_cfg": {"class_name": "GaussianDistribution", "init_std": 1.0}},
        "critic": dict(model),
        "algorithm": {"class_name": "PPO", "num_learning_epochs": 2, "num_mini_batches": 2, "learning_rate": 1e-3},
    }
    runner = OnPolicyRunner(env, cfg, log_dir=None, device="cpu")
    before = [value.detach().clone() for value in runner.alg.actor.parameters()]
    runner.learn(2, init_at_random_ep_len=True)
    assert any(not torch.equal(old, new) for old, new in zip(before, runner.alg.actor.parameters(), strict=True))
    assert all(torch.isfinite(value).all() for value in runner.alg.actor.parameters())
