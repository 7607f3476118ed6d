"""bf16 in updates: taken where it is right and faster, refused where it is not, and of no consequence to what a training means."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from policies.networks.layers import mlp
from policies.networks.registry import network_cfg
from robolearn.config.schema import TrainCfg
from robolearn.learning import distributed, precision
from robolearn.learning import trainer as loop
from robolearn.learning.precision import choose
from robolearn.learning.run import Run, load_checkpoint
from tests.learning_helpers import assert_identical, make_trainer, randomize, tiny_cfg, untimed

CPU = torch.device("cpu")
LARGE = nn.Linear(64, 64)  # with ROWS of them there is something to gain
ROWS = 10_000


@pytest.fixture(autouse=True)
def _fresh():
    yield
    precision.layer_error.cache_clear()
    precision.time_share.cache_clear()


def found(monkeypatch: pytest.MonkeyPatch, error: float, share: float) -> None:
    """A computer whose bf16 products are so wrong and so slow."""
    monkeypatch.setattr(precision, "layer_error", lambda layers, rows: error)
    monkeypatch.setattr(precision, "time_share", lambda layers, rows: share)


@pytest.mark.parametrize(
    ("error", "share", "name", "why"),
    [(3e-3, 0.5, "bf16", "0.50"), (3e-3, 1.2, "fp32", "1.20"), (3e-3, 0.95, "fp32", "0.95"), (2e-2, 0.5, "fp32", "2.0e-02")],
)
def test_auto_takes_bf16_where_it_is_right_and_faster(
    error: float, share: float, name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, error, share)
    products = choose("auto", LARGE, ROWS, CPU)
    assert products.name == name
    assert why in str(products), "one line tells which, and why"
    assert "\n" not in str(products)


def test_a_word_switches_it_off_or_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 3e-3, 0.5)
    assert choose("fp32", LARGE, ROWS, CPU).name == "fp32"
    assert choose("auto", LARGE, 10, CPU).name == "fp32", "too small to benefit"
    assert choose("bf16", LARGE, 10, CPU).name == "bf16"
    found(monkeypatch, 3e-3, 2.0)
    assert choose("bf16", LARGE, ROWS, CPU).name == "bf16", "slower, but asked for"
    found(monkeypatch, 3e-2, 0.5)
    assert choose("bf16", LARGE, ROWS, CPU).name == "fp32", "nobody asks for wrong products"


def test_a_training_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 3e-3, 0.9)  # not clearly faster, as a busy computer may say of one that is
    assert choose("auto", LARGE, ROWS, CPU, before="bf16").name == "bf16"
    found(monkeypatch, 3e-3, 3.0)  # another computer
    assert choose("auto", LARGE, ROWS, CPU, before="bf16").name == "fp32"
    found(monkeypatch, 3e-3, 0.5)
    assert choose("auto", LARGE, ROWS, CPU, before="fp32").name == "fp32"


def test_processes_choose_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 3e-3, 0.5)
    monkeypatch.setattr(distributed, "largest", lambda number: 1)  # another one cannot
    assert choose("auto", LARGE, ROWS, CPU).name == "fp32"


def test_bf16_of_this_computer_is_right() -> None:
    assert precision.layer_error(((96, 64), (64, 29)), 128) <= precision.ACCURATE


def test_sums_in_bf16_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(len(x), len(weight), dtype=torch.bfloat16)
        for k in range(x.shape[1]):
            total = total + (x[:, k, None] * weight[None, :, k]).bfloat16()
        return total

    monkeypatch.setattr(F, "linear", narrow)
    assert precision.layer_error(((512, 8),), 16) > precision.ACCURATE


@pytest.mark.parametrize("wrong", [lambda y: 1.01 * y, lambda y: y.flip(0), lambda y: y * float("nan")])
def test_a_wrong_product_is_noticed(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    linear = F.linear
    monkeypatch.setattr(F, "linear", lambda x, weight: wrong(linear(x, weight)))
    assert precision.layer_error(((32, 32),), 64) > precision.ACCURATE
    assert choose("bf16", LARGE, 64, CPU).name == "fp32"


def test_a_network_that_cannot_be_passed_in_bf16_stays_in_fp32() -> None:
    net, x = nn.Linear(64, 64), torch.randn(8, 64)

    def own() -> torch.Tensor:
        return net(x) @ torch.eye(64, dtype=torch.float64).to(x.dtype)

    def fp32_alone() -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("expected scalar type Float but found BFloat16")
        return net(x)

    def unlike() -> torch.Tensor:
        return net(x) * (2.0 if torch.is_autocast_enabled("cpu") else 1.0)

    assert [choose("bf16", net, 64, CPU, trial).name for trial in (own, fp32_alone, unlike)] == ["bf16", "fp32", "fp32"]


def test_gradients_are_those_of_fp32_but_for_rounding() -> None:
    net = randomize(mlp((40, 64, 64, 12)))
    x = torch.randn(512, 40, generator=torch.Generator().manual_seed(1))
    gradients = []
    for asked in ("fp32", "bf16"):
        products = choose(asked, net, 512, CPU)
        with products.passes():
            y = net(products.narrowed(x)).float()
        parts = torch.autograd.grad(y.square().mean(), list(net.parameters()))
        assert all(part.dtype == torch.float32 for part in parts)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    assert 0 < (gradients[1] - gradients[0]).norm() / gradients[0].norm() < 0.02


def cfg_in(asked: str, *more: str) -> TrainCfg:
    return tiny_cfg("go1-velocity-flat", f"--precision={asked}", *more)


@pytest.mark.parametrize("symmetry", ["none", "samples", "fold"])
def test_the_first_ratios_of_an_update_are_one(symmetry: str) -> None:
    """The policy that acts is the one that the update starts from; in fp32 its means would differ by what bf16 rounds."""
    trainer = make_trainer("teacher", cfg_in("bf16", f"--teacher.ppo.symmetry={symmetry}", "--teacher.initial_std=0.1"))
    randomize(trainer.policy, 3)
    trainer._collect()
    rollout, ppo = trainer._rollout, trainer.ppo
    observation, mean = rollout.observation.flatten(0, 1), rollout.mean.flatten(0, 1)
    with torch.no_grad():
        exact = trainer.policy.actor(observation)
        order = torch.randperm(len(observation), generator=torch.Generator().manual_seed(0))
        log_ratio = trainer.policy.distribution.log_prob(
            ppo.means(ppo.products.narrowed(observation)[order]), rollout.action.flatten(0, 1)[order]
        ) - rollout.log_prob.flatten()[order]  # fmt: skip
    assert (mean - exact).abs().max() > 1e-4, "else the test could not tell them apart"
    assert log_ratio.abs().max() < 0.02
    assert log_ratio.abs().mean() < 1e-4


def test_a_student_s_first_ratios_are_one_but_for_rounding() -> None:
    """It acts in fp32, token by token; its update's pass rounds, which is noise without a sign far below the clip."""
    trainer = make_trainer("student", cfg_in("bf16", "--student.initial_std=0.3"))
    randomize(trainer.policy.actor, 3)
    start = trainer._memory
    trainer._collect()
    rollout, dist = trainer._rollout, trainer.policy.distribution
    with torch.no_grad(), trainer.products.passes():
        mean = trainer.policy.actor(rollout.observation.transpose(0, 1), start, trainer._first.T)[0].float().transpose(0, 1)
        log_ratio = dist.log_prob(mean, rollout.action) - rollout.log_prob
    assert log_ratio.std() < 0.1
    assert log_ratio.mean().abs() < 0.02


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_resumed_equals_uninterrupted_in_bf16(kind: str, tmp_path: Path) -> None:
    whole, again = (make_trainer(kind, cfg_in("bf16")) for _ in range(2))
    expected = [untimed(whole.iterate()) for _ in range(3)]
    metrics = [untimed(again.iterate())]
    run = Run(tmp_path, again.cfg)
    loop.save(again, run)
    run.close()
    resumed = make_trainer(kind, cfg_in("bf16"))
    loop.resume(resumed, load_checkpoint(tmp_path))
    metrics += [untimed(resumed.iterate()) for _ in range(2)]
    assert_identical(metrics, expected, "metrics")
    assert_identical(resumed.state_dict(), whole.state_dict())
    fp32 = make_trainer(kind, cfg_in("fp32"))
    assert untimed(fp32.iterate()) != expected[0]


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_checkpoint_keeps_its_products_and_a_word_changes_them(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 3e-3, 0.5)
    monkeypatch.setattr(precision, "LEAST_WORK", 0)
    trainer = make_trainer(kind, cfg_in("auto"))
    assert trainer.products.name == "bf16"
    state = trainer.state_dict()
    trainer.load_state_dict(state | {"products": "fp32"})
    assert trainer.products.name == "fp32"
    older = {name: value for name, value in state.items() if name != "products"}
    trainer.load_state_dict(older)
    assert trainer.products.name == "fp32", "as trainings were before there was a choice"
    other = make_trainer(kind, cfg_in("fp32"))
    other.load_state_dict(state, ["precision"])
    assert other.products.name == "fp32"


@pytest.mark.parametrize("kind", ["lstm", "tcn", "mlp"])
def test_students_of_all_kinds_learn_in_bf16(kind: str) -> None:
    cfg = tiny_cfg("panda-reach", "--precision=bf16")
    cfg = dataclasses.replace(cfg, student=dataclasses.replace(cfg.student, network=cast(Any, network_cfg(kind))(width=16, layers=1)))
    trainer = make_trainer("student", cfg)
    assert trainer.products.name == "bf16"
    trainer.iterate()
    assert all(parameter.dtype == torch.float32 for parameter in trainer.policy.parameters())
