"""What the suite reads from a policy's memory: the hidden states themselves, their controls, and the probes on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policies.contract.file import PolicyFile
from policies.networks.transformer import Transformer
from robolearn.evaluation.locomotion import memory
from robolearn.evaluation.locomotion.probes import Reduction, balanced_accuracy, logistic, r_squared, ridge, scores
from robolearn.policy_path import find_policy
from tests.learning_helpers import constant_policy, random_transformer, transformer_file

GO1 = "go1-velocity-flat"


@pytest.mark.parametrize("known", [True, False])
def test_probes_find_what_is_there_and_nothing_else(known: bool) -> None:
    """400 features of 24 worlds, of which a hidden direction tells class and number, or none does."""
    rng = np.random.default_rng(3)
    world = np.repeat(np.arange(24), 40)
    load = rng.uniform(-1, 4, 24)[world]
    slope = (np.arange(len(world)) % 40) >= 20
    features = rng.standard_normal((len(world), 20)) @ rng.standard_normal((20, 400)) + 0.3 * rng.standard_normal((len(world), 400))
    features += 2.0 * rng.standard_normal((24, 400))[world]  # what makes each world's samples alike
    if known:
        features += 1.5 * np.outer(load, rng.standard_normal(400)) + 3.0 * np.outer(slope, rng.standard_normal(400))
    fitted = world % 2 == 0
    x = Reduction(features[fitted])(features)
    accuracy = balanced_accuracy(scores(x[~fitted], logistic(x[fitted], slope[fitted])), slope[~fitted], world[~fitted])
    told = r_squared(scores(x[~fitted], ridge(x[fitted], load[fitted], world[fitted])), load[~fitted], world[~fitted])
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert told.low <= told.value <= told.high
    assert accuracy.count == told.count == 12
    if known:
        assert accuracy.value > 0.95
        assert told.value > 0.8
    else:
        assert accuracy.value < 0.62
        assert told.value < 0.35


def test_hidden_states_are_the_last_tokens(tmp_path: Path) -> None:
    """Against torch: what the file's state holds is what the network's memory holds; the past is in it, and not in a context of one."""
    file = PolicyFile(transformer_file(tmp_path / "policy.onnx"))
    net = random_transformer(file.spec.observation_dim, file.spec.action_dim, seed=5)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((6, file.spec.observation_dim)).astype(np.float32)
    for row in rows:
        file.act(row)
    _, kept = net(torch.from_numpy(rows)[None], net.start(1))
    last = np.concatenate([value[0, :, -1].flatten() for name, value in kept.items() if name != "age"])
    np.testing.assert_allclose(memory.features(file.memory), last, atol=1e-5)
    full = memory.features(file.memory).copy()
    file.reset()
    file.act(rows[-1])
    layer = len(full) // net.cfg.layers
    np.testing.assert_allclose(memory.features(file.memory)[:layer], full[:layer], atol=1e-5)  # the first layer has no past
    assert np.abs(memory.features(file.memory)[layer:] - full[layer:]).max() > 1e-3
    assert memory.features({"age": np.zeros((1, 1))}).size == 0
    assert memory.features({"age": np.zeros((1, 1)), "h": np.ones((2, 3))}).size == 6


def test_the_untrained_network_has_the_files_shape(tmp_path: Path) -> None:
    file = PolicyFile(find_policy(GO1))
    net = memory.untrained(file)
    assert isinstance(net, Transformer)
    heads, past, size = file.memory["key_0"].shape[-3:]
    assert (net.cfg.heads, net.cfg.window, net.cfg.width) == (heads, past + 1, heads * size)
    assert len(net.blocks) == sum(name.startswith("key_") for name in file.memory)
    np.testing.assert_allclose(net.normalizer.mean, file.spec.normalizer.mean)
    np.testing.assert_allclose(net.normalizer.std, file.spec.normalizer.std, rtol=1e-6)
    assert memory.untrained(PolicyFile(constant_policy(tmp_path / "stand.onnx"))) is None
