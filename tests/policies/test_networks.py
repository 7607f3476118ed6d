"""Normaliser and Gaussian against numpy and torch.distributions."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from policies.networks.fold import Folded
from policies.networks.gaussian import Gaussian
from policies.networks.layers import mlp
from policies.networks.normalizer import Normalizer
from policies.networks.protocol import STATE
from policies.networks.registry import make_network, network_cfg
from policies.networks.teacher import TeacherPolicy
from robolearn.learning.ppo import gaussian_kl
from robolearn.learning.symmetry import make_fold
from tests.pairs import make_env


def uneven_batches(size: int, seed: int) -> list[torch.Tensor]:
    """Batches of different lengths, places and spreads."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, size, generator=generator) * (i + 0.5) + 3 * i for i, n in enumerate((7, 1, 40, 3))]


@given(st.integers(0, 2**31), st.integers(1, 6))
def test_statistics_of_batches_are_those_of_all_samples_together(seed: int, size: int) -> None:
    batches = uneven_batches(size, seed)
    normalizer = Normalizer(size, epsilon=1e-2)
    for batch in batches:
        normalizer.update(batch)
    everything = torch.cat(batches).double().numpy()
    assert float(normalizer.count) == len(everything)
    np.testing.assert_allclose(normalizer.mean.numpy(), everything.mean(axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(normalizer.std.numpy(), everything.std(axis=0) + 1e-2, rtol=1e-4)
    x = batches[2]
    expected = np.clip((x.numpy() - everything.mean(axis=0)) / (everything.std(axis=0) + 1e-2), -Normalizer.CLIP, Normalizer.CLIP)
    np.testing.assert_allclose(normalizer(x).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_leading_dimensions_are_samples() -> None:
    x = torch.randn(5, 6, 3)
    flat, deep = Normalizer(3), Normalizer(3)
    flat.update(x.reshape(30, 3))
    deep.update(x)
    assert torch.equal(flat.mean, deep.mean)
    assert torch.equal(flat.var, deep.var)
    assert float(deep.count) == 30


def test_fresh_normalizer_is_near_identity_and_clips() -> None:
    normalizer = Normalizer(2)
    torch.testing.assert_close(normalizer(torch.tensor([[0.505, 100.0], [-0.505, -100.0]])), torch.tensor([[0.5, 8.0], [-0.5, -8.0]]))


def test_loading_an_untrained_one_changes_nothing() -> None:
    source, twin = Normalizer(3), Normalizer(3)
    twin.load_state_dict(source.state_dict())
    x = torch.randn(4, 3)
    assert torch.equal(twin(x), source(x))


def test_constant_input_does_not_blow_up() -> None:
    normalizer = Normalizer(1, epsilon=1e-2)
    normalizer.update(torch.full((100, 1), 4.0))
    assert float(normalizer(torch.tensor([[4.0]]))) == 0.0
    assert float(normalizer(torch.tensor([[4.01]]))) == pytest.approx(1.0, rel=1e-3)


def test_loading_weights_makes_the_same_function() -> None:
    source, twin = Normalizer(4), Normalizer(4)
    source.update(torch.randn(50, 4) * 3 + 1)
    twin.load_state_dict(source.state_dict())
    x = torch.randn(9, 4)
    assert torch.equal(twin(x), source(x))
    assert torch.equal(copy.deepcopy(source)(x), source(x))


def test_copy_head_takes_the_first_entries() -> None:
    long, short = Normalizer(5), Normalizer(3)
    long.update(torch.randn(50, 5) * 3 + 1)
    short.copy_head(long)
    x = torch.randn(9, 5)
    assert torch.equal(short(x[:, :3]), long(x)[:, :3])
    assert float(short.count) == 50


def random_gaussian(size: int, seed: int) -> tuple[Gaussian, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    gaussian = Gaussian(size, 0.5)
    with torch.no_grad():
        gaussian.log_std.copy_(torch.randn(size, generator=generator) * 0.7)
    return gaussian, torch.randn(11, size, generator=generator), torch.randn(11, size, generator=generator)


@given(st.integers(0, 2**31), st.integers(1, 7))
def test_density_entropy_and_divergence_are_those_of_torch(seed: int, size: int) -> None:
    gaussian, mean, action = random_gaussian(size, seed)
    reference = Independent(Normal(mean, gaussian.log_std.exp()), 1)
    torch.testing.assert_close(gaussian.log_prob(mean, action), reference.log_prob(action), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gaussian.entropy(), reference.entropy()[0], rtol=1e-5, atol=1e-5)
    other, other_mean, _ = random_gaussian(size, seed + 1)
    divergence = gaussian_kl(mean, gaussian.log_std, other_mean, other.log_std)
    expected = kl_divergence(reference, Independent(Normal(other_mean, other.log_std.exp()), 1))
    torch.testing.assert_close(divergence, expected, rtol=1e-4, atol=1e-4)
    assert (divergence > 0).all()
    assert torch.equal(gaussian_kl(mean, gaussian.log_std, mean, gaussian.log_std), torch.zeros(11))


def test_divergence_in_closed_form() -> None:
    """One dimension: log(s2/s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2, by hand; the order of the arguments matters."""
    one, two = (torch.tensor([0.3]), torch.tensor([0.5]).log()), (torch.tensor([1.3]), torch.tensor([2.0]).log())
    assert float(gaussian_kl(*one, *two)) == pytest.approx(np.log(4.0) + (0.25 + 1.0) / 8.0 - 0.5, rel=1e-6)
    assert float(gaussian_kl(*two, *one)) == pytest.approx(np.log(0.25) + (4.0 + 1.0) / 0.5 - 0.5, rel=1e-6)


def test_samples_have_the_moments_that_the_density_says() -> None:
    gaussian, _, _ = random_gaussian(3, 4)
    mean = torch.tensor([1.0, -2.0, 0.5]).expand(40_000, 3)
    draws = gaussian.sample(mean, torch.Generator().manual_seed(0)).detach()
    torch.testing.assert_close(draws.mean(0), mean[0], rtol=0, atol=0.05)
    torch.testing.assert_close(draws.std(0), gaussian.log_std.exp().detach(), rtol=0.03, atol=0)
    again = gaussian.sample(mean, torch.Generator().manual_seed(0)).detach()
    assert torch.equal(draws, again)


def test_mlp_starts_orthogonal_and_quiet() -> None:
    net = mlp((6, 16, 3), gain=0.01)
    first, last = net[0].weight.detach(), net[-1].weight.detach()
    torch.testing.assert_close(first.T @ first, 2 * torch.eye(6), rtol=0, atol=1e-5)
    torch.testing.assert_close(last @ last.T, 1e-4 * torch.eye(3), rtol=0, atol=1e-8)
    assert len(net) == 3  # no activation after the last layer


def test_teacher_acts_and_values_on_normalised_state() -> None:
    policy = TeacherPolicy(5, 2, (8,), 0.5)
    policy.normalizer.update(torch.randn(30, 5) * 2 + 1)
    x = torch.randn(4, 5)
    assert torch.equal(policy.act(x), policy.actor(policy.normalizer(x)))
    assert torch.equal(policy.value(x), policy.critic(policy.normalizer(x))[:, 0])
    assert policy.value(x).shape == (4,)


def test_a_fold_makes_a_policy_symmetric_and_sees_half_the_cycle() -> None:
    """pi(M s) = M pi(s) and V(M s) = V(s) for any weights; what the network sees has the clock in its first half."""
    env = make_env("g1-velocity-flat", num_worlds=16, num_threads=1)
    privileged = env.reset()[1]
    for _ in range(3):
        privileged = env.step(0.1 * torch.randn(16, 29)).privileged
    mirror = env.mirror()
    assert mirror is not None
    fold = make_fold(env, "privileged", "teacher")
    phase = torch.linspace(0.1, 6.2, 16)
    privileged[:, fold.clock], privileged[:, fold.clock + 1] = phase.sin(), phase.cos()
    permutation, sign = mirror["privileged"]
    torch.manual_seed(0)
    policy = TeacherPolicy(privileged.shape[1], 29, (32,), 0.5, fold).requires_grad_(False)
    torch.nn.init.normal_(policy.actor[-1].weight)
    torch.nn.init.normal_(policy.critic[-1].weight)
    policy.normalizer.update(fold(privileged)[0])
    reflected = privileged[:, permutation] * sign
    joint_permutation, joint_sign = mirror["action"]
    torch.testing.assert_close(policy.act(reflected), policy.act(privileged)[:, joint_permutation] * joint_sign)
    torch.testing.assert_close(policy.value(reflected), policy.value(privileged))
    folded, mirrored = fold(privileged)
    assert (folded[:, fold.clock] >= 0).all()
    assert mirrored[:, 0].tolist() == [bool(angle > torch.pi) for angle in phase]
    assert fold(folded)[1].sum() == 0
    both = torch.cat([folded, folded[:, permutation] * sign])
    whole = policy.world_statistics()
    epsilon = policy.normalizer.epsilon
    torch.testing.assert_close(whole.mean.float(), both.mean(0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close((whole.std - epsilon).float(), both.std(0, correction=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["transformer", "lstm", "tcn", "mlp"])
def test_a_student_behind_a_fold_is_symmetric_whatever_it_remembers(kind: str) -> None:
    """Over a history of more than a cycle, with standing in it: in one pass, step by step, and as a file would hold it."""
    env = make_env("g1-velocity-flat", num_worlds=1, num_threads=1)
    mirror = env.mirror()
    assert mirror is not None
    fold = make_fold(env, "policy", "student")
    torch.manual_seed(0)
    net = Folded(make_network(env.spec.observation_dim, 29, network_cfg(kind)()), fold).requires_grad_(False)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    steps, phase = 60, 0.1 + torch.arange(60) * 2 * torch.pi / 38
    seen = torch.randn(2, steps, env.spec.observation_dim)
    seen[..., fold.clock], seen[..., fold.clock + 1] = phase.sin(), phase.cos()
    (permutation, sign), (joint_permutation, joint_sign) = mirror["policy"], mirror["action"]
    action, after = net(seen, net.start(2))
    reflected, after_reflected = net(seen[..., permutation] * sign, net.start(2))
    assert float(action.std()) > 1e-3
    torch.testing.assert_close(reflected, action[..., joint_permutation] * joint_sign)
    assert all(torch.equal(after[name], after_reflected[name]) for name in after)
    stream, memory = net.stream(net.start(2)), net.start(2)
    for t in range(steps):
        torch.testing.assert_close(stream.step(seen[:, t], torch.full((2,), t == 0)), action[:, t], rtol=1e-3, atol=1e-4)
        held, memory = net.prepared().step({STATE: seen[:, t]}, memory)
        torch.testing.assert_close(held, action[:, t], rtol=1e-3, atol=1e-4)
