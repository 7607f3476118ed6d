"""PPO against plain numpy: advantages, bootstraps, the clipped objective, mirrored samples; the teacher's run is reproducible."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.pairs import TASKS, make_env
from envs.vec_env import Step
from policies.networks.normalizer import Normalizer
from policies.networks.teacher import TeacherPolicy
from robolearn.learning.ppo import Ppo, PpoCfg, Rollout, clipped_surrogate, gae, gaussian_kl
from robolearn.learning.teacher import TeacherTrainer, load_teacher
from tests.learning_helpers import assert_identical, randomize, tiny_cfg

EACH = pytest.mark.parametrize("task", TASKS)
CPU = torch.device("cpu")


def numpy_gae(reward, value, last_value, terminated, truncated, final_value, gamma, lam):
    """The sum of discounted deltas from each step to the end of its episode, world by world, step by step."""
    steps, worlds = reward.shape
    advantage = np.zeros((steps, worlds))
    for n in range(worlds):
        for start in range(steps):
            factor = 1.0
            for t in range(start, steps):
                if terminated[t, n]:
                    following = 0.0
                elif truncated[t, n]:
                    following = final_value[t, n]
                else:
                    following = value[t + 1, n] if t + 1 < steps else last_value[n]
                advantage[start, n] += factor * (reward[t, n] + gamma * following - value[t, n])
                factor *= gamma * lam
                if terminated[t, n] or truncated[t, n]:
                    break
    return advantage


def random_rollout(steps: int, worlds: int, seed: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, 6, (steps, worlds), generator=g)
    values = {name: torch.randn(steps, worlds, generator=g) for name in ("reward", "value", "final_value")}
    return values | {"last_value": torch.randn(worlds, generator=g), "terminated": ends == 0, "truncated": ends == 1}


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31), st.floats(0.5, 1.0), st.floats(0.0, 1.0))
def test_advantages_are_those_of_a_plain_loop(steps: int, worlds: int, seed: int, gamma: float, lam: float) -> None:
    data = random_rollout(steps, worlds, seed)
    got = gae(**data, discount=gamma, gae_lambda=lam)
    expected = numpy_gae(**{k: v.numpy() for k, v in data.items()}, gamma=gamma, lam=lam)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_ends_in_the_middle_by_hand() -> None:
    """One world, gamma 1/2, lambda 1: truncated after step 0 in a state worth 8, terminated after step 1, cut by the rollout's end."""
    column = lambda *values: torch.tensor(values)[:, None]  # noqa: E731
    advantage = gae(
        reward=column(1.0, 2.0, 3.0),
        value=column(10.0, 20.0, 30.0),
        last_value=torch.tensor([40.0]),
        terminated=column(False, True, False),
        truncated=column(True, False, False),
        final_value=column(8.0, 99.0, 99.0),
        discount=0.5,
        gae_lambda=1.0,
    )
    assert advantage[:, 0].tolist() == [1 + 4 - 10, 2 - 20, 3 + 20 - 30]


@given(st.integers(0, 2**31))
def test_final_values_count_where_truncated_and_nowhere_else(seed: int) -> None:
    data = random_rollout(10, 3, seed)
    before = gae(**data, discount=0.9, gae_lambda=0.8)
    elsewhere = data | {"final_value": torch.where(data["truncated"], data["final_value"], torch.full((10, 3), float("nan")))}
    assert torch.equal(gae(**elsewhere, discount=0.9, gae_lambda=0.8), before)
    there = gae(**data | {"final_value": data["final_value"] + 1.0}, discount=0.9, gae_lambda=0.8)
    difference = (there - before)[data["truncated"]]
    torch.testing.assert_close(difference, torch.full_like(difference, 0.9), rtol=1e-4, atol=1e-4)


@EACH
def test_rollouts_bootstrap_from_the_true_final_state(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer's targets, rebuilt in numpy from the steps that the environment gave."""
    trainer = TeacherTrainer(tiny_cfg(task))
    randomize(trainer.policy, 3)
    steps: list[Step] = []
    env_step = trainer.env.step

    def step(action: torch.Tensor) -> Step:
        steps.append(env_step(action))
        return steps[-1]

    monkeypatch.setattr(trainer.env, "step", step)
    trainer._collect()
    rollout, ppo = trainer._rollout, trainer.cfg.teacher.ppo
    truncated = torch.stack([s.truncated for s in steps])
    terminated = torch.stack([s.terminated for s in steps])
    assert truncated.any()
    with torch.no_grad():
        final = torch.stack([trainer.policy.value(s.final_privileged) for s in steps])
        after = torch.stack([trainer.policy.value(s.privileged) for s in steps])
    assert not torch.isclose(final, after)[truncated].all()  # else the test could not tell them apart
    torch.testing.assert_close(rollout.value[1:], after[:-1], rtol=0, atol=1e-6)
    reward = torch.stack([s.reward for s in steps])
    arrays = [x.double().numpy() for x in (reward, rollout.value, after[-1])] + [terminated.numpy(), truncated.numpy(), final.numpy()]
    expected = numpy_gae(*arrays, gamma=ppo.discount, lam=ppo.gae_lambda)
    np.testing.assert_allclose(rollout.target.numpy(), expected + rollout.value.numpy(), rtol=1e-4, atol=1e-4)
    standard = (expected - expected.mean()) / (expected.std(ddof=1) + 1e-8)
    np.testing.assert_allclose(rollout.advantage.numpy(), standard, rtol=1e-3, atol=1e-3)


def toy(cfg: PpoCfg, worlds: int = 256, seed: int = 0) -> tuple[TeacherPolicy, Ppo, Rollout]:
    torch.manual_seed(seed)
    policy = TeacherPolicy(3, 2, (16,), 0.6)
    return policy, Ppo(cfg, policy, torch.Generator().manual_seed(seed)), Rollout(1, worlds, 3, 2, CPU)


def play(policy: TeacherPolicy, rollout: Rollout, cfg: PpoCfg, generator: torch.Generator) -> float:
    """One-step episodes whose reward is the negative squared distance of the action from a place that the observation tells."""
    with torch.no_grad():
        x = torch.randn(rollout.observation.shape, generator=generator)
        mean = policy.actor(x)
        action = policy.distribution.sample(mean, generator)
        reward = -(action - torch.stack([x[..., 0], 1 - x[..., 1]], dim=-1)).square().sum(-1)
        rollout.observation, rollout.mean, rollout.action, rollout.reward = x, mean, action, reward
        rollout.log_prob, rollout.value = policy.distribution.log_prob(mean, action), policy.critic(x).squeeze(-1)
        rollout.terminated[:] = True
        rollout.finish(torch.zeros(reward.shape[1]), cfg)
    return float(reward.mean())


def test_updates_improve_a_toy_objective() -> None:
    cfg = PpoCfg(epochs=4, minibatches=4, learning_rate=3e-3, target_kl=0.02, entropy=0.0)
    policy, ppo, rollout = toy(cfg)
    generator = torch.Generator().manual_seed(1)
    rewards, losses = [], []
    for _ in range(60):
        rewards.append(play(policy, rollout, cfg, generator))
        losses.append(ppo.update(rollout)["value_loss"])
    assert np.mean(rewards[-5:]) > 0.35 * rewards[0]  # rewards are negative
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def one_batch(clip: float = 0.2, **changes: float) -> tuple[TeacherPolicy, Ppo, Rollout, PpoCfg]:
    """An update that is a single gradient step on a rollout whose ratios lie on both sides of the clip."""
    cfg = PpoCfg(epochs=1, minibatches=1, clip=clip, target_kl=0.0, entropy=0.0, max_grad_norm=1e9, **changes)
    policy, ppo, rollout = toy(cfg)
    play(policy, rollout, cfg, torch.Generator().manual_seed(2))
    rollout.log_prob += 0.5 * torch.randn(rollout.log_prob.shape, generator=torch.Generator().manual_seed(3))
    return policy, ppo, rollout, cfg


def surrogate(ratio: float, advantage: float, clip: float) -> float:
    """Schulman et al. 2017, equation 7, with the lower bound of Ye et al. 2020 at 3 A."""
    clipped = min(ratio * advantage, min(max(ratio, 1 - clip), 1 + clip) * advantage)
    return max(clipped, 3 * advantage) if advantage < 0 else clipped


@given(st.floats(-3, 3), st.floats(-4, 4), st.floats(0.01, 0.5))
def test_surrogate_of_one_sample(log_ratio: float, advantage: float, clip: float) -> None:
    got = clipped_surrogate(torch.tensor([log_ratio], dtype=torch.float64), torch.tensor([advantage], dtype=torch.float64), clip)
    assert float(got) == pytest.approx(surrogate(float(np.exp(log_ratio)), advantage, clip), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("log_ratio", [-1e4, -50.0, 50.0, 1e4])
@pytest.mark.parametrize("advantage", [-2.0, 2.0])
def test_surrogate_of_the_impossible_stays_finite(log_ratio: float, advantage: float) -> None:
    x = torch.tensor([log_ratio], requires_grad=True)
    value = clipped_surrogate(x, torch.tensor([advantage]), 0.2)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(x.grad).all()
    assert abs(float(value.detach())) <= 3 * abs(advantage)


def test_a_minibatch_without_finite_gradient_is_left_out() -> None:
    cfg = PpoCfg(epochs=1, minibatches=4, target_kl=0.0)
    policy, ppo, rollout = toy(cfg, 64)
    play(policy, rollout, cfg, torch.Generator().manual_seed(2))
    rollout.target[0, 5] = float("nan")
    before = {name: value.clone() for name, value in policy.named_parameters()}
    metrics = ppo.update(rollout)
    assert metrics["skipped_updates"] == 1
    assert np.isfinite(list(metrics.values())).all()
    assert all(torch.isfinite(value).all() for value in policy.parameters())
    assert not torch.equal(policy.actor[0].weight, before["actor.0.weight"])


def test_clipped_objective_is_the_papers() -> None:
    policy, ppo, rollout, cfg = one_batch()
    with torch.no_grad():
        new = policy.distribution.log_prob(policy.actor(rollout.observation), rollout.action).double().numpy()
        value = policy.critic(rollout.observation).squeeze(-1).double().numpy()
    ratio, advantage = np.exp(new - rollout.log_prob.double().numpy()), rollout.advantage.double().numpy()
    terms = [surrogate(r, a, 0.2) for r, a in zip(ratio.ravel(), advantage.ravel(), strict=True)]
    assert (ratio > 1.2).mean() > 0.1
    assert (ratio < 0.8).mean() > 0.1
    metrics = ppo.update(rollout)
    assert metrics["policy_loss"] == pytest.approx(-np.mean(terms), rel=1e-4)
    assert metrics["value_loss"] == pytest.approx(np.mean((value - rollout.target.double().numpy()) ** 2), rel=1e-4)
    assert cfg.clip == 0.2


def test_samples_beyond_the_clip_give_no_gradient() -> None:
    """All ratios pushed past the clip on the side of their advantage: the actor stays as it is, the critic moves."""
    policy, ppo, rollout, _ = one_batch()
    with torch.no_grad():
        new = policy.distribution.log_prob(policy.actor(rollout.observation), rollout.action)
        rollout.log_prob = new - 0.5 * rollout.advantage.sign()
    before = {name: value.clone() for name, value in policy.named_parameters()}
    ppo.update(rollout)
    moved = {name.split(".")[0] for name, value in policy.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"critic"}


def test_an_old_policy_that_is_the_new_one_has_no_divergence() -> None:
    cfg = PpoCfg(epochs=1, minibatches=1)
    policy, ppo, rollout = toy(cfg)
    play(policy, rollout, cfg, torch.Generator().manual_seed(2))
    assert ppo.update(rollout)["kl"] == pytest.approx(0.0, abs=1e-6)
    std = policy.distribution.log_std.detach()
    with torch.no_grad():
        expected = float(gaussian_kl(rollout.mean, std, policy.actor(rollout.observation), std).mean())
    assert expected > 0
    assert ppo.update(rollout)["kl"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("kl", "factor"), [(0.05, 1 / 1.5), (0.01, 1.0), (0.001, 1.5), (0.0, 1.0)])
def test_learning_rate_follows_the_divergence(kl: float, factor: float) -> None:
    _, ppo, _ = toy(PpoCfg(target_kl=0.01, learning_rate=1e-3))
    ppo._adapt(kl)
    assert ppo.learning_rate == pytest.approx(1e-3 * factor)
    assert {group["lr"] for group in ppo.optimizer.param_groups} == {ppo.learning_rate}
    for _ in range(50):
        ppo._adapt(1.0)
    assert ppo.learning_rate == 1e-5
    fixed = toy(PpoCfg(target_kl=0.0, learning_rate=1e-3))[1]
    fixed._adapt(5.0)
    assert fixed.learning_rate == 1e-3


@pytest.mark.parametrize(("worlds", "minibatches"), [(10, 4), (3, 4)])
def test_rollouts_that_do_not_divide_into_minibatches(worlds: int, minibatches: int) -> None:
    """Metrics are means over the updates that were done; with the same figures in each, the figure itself."""
    cfg = PpoCfg(epochs=2, minibatches=minibatches, learning_rate=0.0, target_kl=0.0, entropy=0.0, value_weight=0.0)
    policy, ppo, rollout = toy(cfg, worlds)
    play(policy, rollout, cfg, torch.Generator().manual_seed(2))
    rollout.target = rollout.value + 2.0
    assert ppo.update(rollout)["value_loss"] == pytest.approx(4.0, rel=1e-5)


def mirrored_ppo(symmetric: bool) -> tuple[Ppo, Normalizer, torch.Tensor, dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    env = make_env("go1-velocity-flat", tiny_cfg("go1-velocity-flat").env)
    env.reset()
    mirror = env.mirror()
    raw = torch.cat([env.step(torch.randn(8, 12, generator=torch.Generator().manual_seed(i))).privileged for i in range(12)])
    policy = TeacherPolicy(raw.shape[1], 12, (8,), 0.5)
    permutation, sign = mirror["privileged"]
    policy.normalizer.update(torch.cat([raw, raw[:, permutation] * sign]) if symmetric else raw)
    return Ppo(PpoCfg(), policy, torch.Generator(), mirror), policy.normalizer, raw, mirror


def test_mirrored_samples_are_the_mirrored_raw_ones_normalised() -> None:
    ppo, normalizer, raw, mirror = mirrored_ppo(symmetric=False)
    permutation, sign = mirror["privileged"]
    x, mirrored_x = normalizer(raw), normalizer(raw[:, permutation] * sign)
    action = torch.randn(len(raw), 12)
    observations, actions = ppo._with_mirrored(x, action)
    assert torch.equal(observations[: len(raw)], x)
    assert torch.equal(actions[: len(raw)], action)
    inside = (x[:, permutation].abs() < normalizer.CLIP) & (mirrored_x.abs() < normalizer.CLIP)
    assert inside.float().mean() > 0.95
    torch.testing.assert_close(observations[len(raw) :][inside], mirrored_x[inside], rtol=1e-3, atol=2e-3)
    joint_permutation, joint_sign = mirror["action"]
    assert torch.equal(actions[len(raw) :], action[:, joint_permutation] * joint_sign)
    assert not torch.equal(actions[len(raw) :], action)


def test_with_symmetric_statistics_clipped_values_are_mirrored_too() -> None:
    ppo, normalizer, raw, mirror = mirrored_ppo(symmetric=True)
    permutation, sign = mirror["privileged"]
    raw = raw * 20.0
    x = normalizer(raw)
    assert (x.abs() == normalizer.CLIP).any()
    observations, _ = ppo._with_mirrored(x, torch.zeros(len(raw), 12))
    torch.testing.assert_close(observations[len(raw) :], normalizer(raw[:, permutation] * sign), rtol=1e-3, atol=2e-3)


def test_a_mirrored_sample_is_weighed_by_the_probability_it_was_drawn_with() -> None:
    """ratio = pi(mirrored action | mirrored state) / pi_old(action | state), and not to pi_old of the mirrored pair, which would be one."""
    ppo, normalizer, raw, mirror = mirrored_ppo(symmetric=True)
    policy = ppo.policy
    torch.nn.init.normal_(policy.actor[-1].weight, std=0.1, generator=torch.Generator().manual_seed(1))  # lopsided
    cfg = PpoCfg(epochs=1, minibatches=1, learning_rate=0.0, target_kl=0.0, entropy=0.0, value_weight=0.0)
    ppo = Ppo(cfg, policy, torch.Generator().manual_seed(3), mirror)
    draw = torch.Generator().manual_seed(2)
    rollout = Rollout(12, 8, raw.shape[1], 12, torch.device("cpu"))
    with torch.no_grad():
        rollout.observation[:] = normalizer(raw).view(12, 8, -1)
        rollout.mean[:] = policy.actor(rollout.observation)
        rollout.action[:] = policy.distribution.sample(rollout.mean, draw)
        rollout.log_prob[:] = policy.distribution.log_prob(rollout.mean, rollout.action)
        rollout.advantage = torch.randn(12, 8, generator=draw)
        observation, action = ppo._with_mirrored(rollout.observation.flatten(0, 1), rollout.action.flatten(0, 1))
        now = policy.distribution.log_prob(policy.actor(observation), action).numpy()
    again = torch.Generator().manual_seed(3)
    order = torch.randperm(96, generator=again).numpy()
    seen = order + 96 * torch.randint(0, 2, (96,), generator=again).numpy()
    ratio = np.exp(now[seen] - rollout.log_prob.flatten().numpy()[order])
    assert np.abs(ratio[seen >= 96] - 1).mean() > 0.1
    np.testing.assert_allclose(ratio[seen < 96], 1, atol=1e-4)
    advantage = rollout.advantage.flatten().numpy()[order]
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    surrogate = np.where(advantage < 0, np.maximum(surrogate, 3 * advantage), surrogate)
    assert ppo.update(rollout)["policy_loss"] == pytest.approx(-surrogate.mean(), rel=1e-4, abs=1e-6)


def test_mirroring_twice_changes_nothing() -> None:
    for permutation, sign in make_env("go1-velocity-flat", tiny_cfg("go1-velocity-flat").env).mirror().values():
        x = torch.randn(5, len(sign))
        assert torch.equal((x[:, permutation] * sign)[:, permutation] * sign, x)
        assert not torch.equal(x[:, permutation] * sign, x)


@EACH
def test_same_seed_same_training(task: str) -> None:
    first, second, other = (TeacherTrainer(tiny_cfg(task, f"--seed={seed}")) for seed in (5, 5, 6))
    runs = []
    for trainer in (first, second, other):
        torch.rand(3)  # what others draw from torch's own generator must not matter
        runs.append([trainer.iterate() for _ in range(3)])
    assert_identical(runs[0], runs[1], "metrics")
    assert_identical(first.state_dict(), second.state_dict())
    assert runs[0] != runs[2]


def test_a_teacher_survives_its_checkpoint() -> None:
    cfg = tiny_cfg("panda-reach")
    trainer = TeacherTrainer(cfg)
    trainer.iterate()
    loaded = load_teacher(trainer.state_dict(), cfg)
    x = torch.randn(4, len(loaded.normalizer.mean))
    with torch.no_grad():
        assert torch.equal(loaded.act(x), trainer.policy.act(x))
        assert torch.equal(loaded.value(x), trainer.policy.value(x))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_statistics_are_of_the_rollout_and_its_mirror_image() -> None:
    trainer = TeacherTrainer(tiny_cfg("go1-velocity-flat"))
    trainer.iterate()
    permutation, sign = trainer.env.mirror()["privileged"]
    normalizer = trainer.policy.normalizer
    assert float(normalizer.count) == 2 * 8 * 8
    torch.testing.assert_close(normalizer.mean[permutation] * sign, normalizer.mean, rtol=0, atol=1e-6)
    raw = trainer._raw.flatten(0, 1)
    both = torch.cat([raw, raw[:, permutation] * sign]).double()
    torch.testing.assert_close(normalizer.var, both.var(dim=0, correction=0), rtol=1e-3, atol=1e-5)


def test_a_world_that_fails_is_ended_and_poisons_nothing() -> None:
    trainer = TeacherTrainer(tiny_cfg("panda-reach"))
    engine = trainer.env.engine
    engine.set_velocity(torch.tensor([0]), torch.full_like(engine.qvel[:1], float("inf")))
    metrics = trainer.iterate()
    assert metrics["failed_worlds"] == 1
    assert trainer._rollout.terminated[0].tolist() == [True] + [False] * 7
    assert float(trainer._rollout.reward[0, 0]) == 0.0
    assert np.isfinite(list(metrics.values())).all()
    assert all(torch.isfinite(parameter).all() for parameter in trainer.policy.parameters())
