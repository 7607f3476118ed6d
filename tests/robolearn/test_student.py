"""The student: what it sees, what its two losses touch, and that its parallel pass is its rollout."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.networks.fold import Folded
from policies.networks.protocol import clone
from robolearn.config.schema import ImitationCfg
from robolearn.errors import UserError
from robolearn.learning.export import export
from robolearn.learning.ppo import gaussian_kl
from robolearn.learning.student import StudentTrainer, imitation_weight, load_student
from tests.learning_helpers import assert_identical, make_trainer, randomize, tiny_cfg, tiny_teacher
from tests.pairs import TASKS

EACH = pytest.mark.parametrize("task", TASKS)


def make(task: str, *overrides: str, teacher_seed: int = 0) -> StudentTrainer:
    cfg = tiny_cfg(task, *overrides)
    return StudentTrainer(cfg, tiny_teacher(cfg, teacher_seed))


def weights(trainer: StudentTrainer, part: str) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.policy.state_dict().items() if name.startswith(part)}


@EACH
def test_same_seed_same_training(task: str) -> None:
    first, second, other = (make(task, f"--seed={seed}") for seed in (5, 5, 6))
    runs = []
    for trainer in (first, second, other):
        torch.rand(3)
        runs.append([trainer.iterate() for _ in range(3)])
    assert_identical(runs[0], runs[1], "metrics")
    assert_identical(first.state_dict(), second.state_dict())
    assert runs[0] != runs[2]


@EACH
def test_acting_never_sees_privileged_state(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the simulator would tell is replaced by garbage: the student's actions are the same to the last bit."""
    honest, deceived = make(task), make(task)
    for trainer in (honest, deceived):
        randomize(trainer.policy.actor, 2)
        trainer.policy.actor.normalizer.copy_head(trainer.policy.critic_normalizer)
    size = deceived.env.privileged_extras().shape
    monkeypatch.setattr(deceived.env, "privileged_extras", lambda: torch.full(size, 1e3) * torch.rand(size))
    deceived._privileged = torch.full_like(deceived._privileged, -50.0)
    for trainer in (honest, deceived):
        for _ in range(3):  # three chunks, with resets in them
            trainer._collect()
    a, b = honest._rollout, deceived._rollout
    assert (a.terminated | a.truncated).any()
    for name in ("observation", "mean", "action", "log_prob", "reward", "terminated", "truncated"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert_identical(honest._memory, deceived._memory)
    assert not torch.isclose(a.value, b.value).all()  # critic and teacher do see it
    assert not torch.isclose(honest._teacher_mean, deceived._teacher_mean).all()


@EACH
def test_parallel_pass_over_a_chunk_gives_the_actions_that_were_taken(task: str) -> None:
    """So that the first update of a rollout has all ratios at 1, also after resets and across chunks."""
    trainer = make(task)
    randomize(trainer.policy.actor, 2)
    ended = 0
    for _ in range(3):
        start = clone(trainer._memory)
        trainer._collect()
        rollout = trainer._rollout
        with torch.no_grad():
            mean, after = trainer.policy.actor(rollout.observation.transpose(0, 1), start, trainer._first.T)
        assert mean.std() > 0.1
        torch.testing.assert_close(mean.transpose(0, 1), rollout.mean, rtol=0, atol=2e-5)
        torch.testing.assert_close(after, trainer._memory, rtol=0, atol=2e-5)
        ended += int((rollout.terminated | rollout.truncated)[:-1].sum())
    assert ended > 0


def test_updates_see_what_the_rollout_saw() -> None:
    """The divergence of the first gradient step, rebuilt from the means that were acted on, in a chunk that has a past and resets."""
    trainer = make("go1-velocity-flat", "--student.ppo.epochs=1", "--student.ppo.minibatches=1")
    randomize(trainer.policy.actor, 2)
    trainer._collect()
    start = clone(trainer._memory)
    trainer._collect()
    rollout, std = trainer._rollout, trainer.policy.distribution.log_std.detach().clone()
    assert trainer._first[1:].any()
    expected = gaussian_kl(rollout.mean, std, trainer._teacher_mean, trainer.teacher.distribution.log_std).mean()
    assert trainer._update(start)["imitation_kl"] == pytest.approx(float(expected), rel=1e-5)


def test_memory_starts_anew_with_each_episode() -> None:
    trainer = make("go1-velocity-flat")
    for _ in range(2):
        trainer._collect()
        ages = trainer._memory["age"]
        last = trainer.env.episode_steps
        # a token is seen before its step: after the step, the counter is one ahead, and zero where the episode has just ended
        running = last > 0
        assert running.any()
        assert (ages[running] <= last[running] - 1).all()


def test_annealing_by_hand() -> None:
    cfg = ImitationCfg(weight=2.0, annealed_at=0.5, final_weight=0.2)
    assert [imitation_weight(cfg, p) for p in (0.0, 0.25, 0.5, 0.99)] == pytest.approx([2.0, 1.1, 0.2, 0.2])
    assert imitation_weight(ImitationCfg(weight=3.0, annealed_at=0.0), 0.9) == 3.0


@given(st.floats(0, 5), st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1))
def test_annealing_falls_to_zero_and_stays(weight: float, annealed_at: float, one: float, other: float) -> None:
    cfg = ImitationCfg(weight=weight, annealed_at=annealed_at)
    early, late = sorted((one, other))
    assert 0 <= imitation_weight(cfg, late) <= imitation_weight(cfg, early) <= weight
    if late >= annealed_at:
        assert imitation_weight(cfg, late) == pytest.approx(0, abs=1e-12)


def test_schedules_over_a_training() -> None:
    trainer = make(
        "panda-reach", "--student.imitation.annealed_at=0.5", "--student.imitation.rl_weight=1.0", "--student.imitation.rl_from=0.5"
    )
    metrics = [trainer.iterate() for _ in range(4)]
    assert [m["imitation_weight"] for m in metrics] == [1.0, 0.5, 0.0, 0.0]
    assert [m["policy_loss"] != 0 for m in metrics] == [False, False, True, True]
    rates = [m["learning_rate"] for m in metrics]
    assert rates[0] == pytest.approx(trainer.cfg.student.ppo.learning_rate)
    assert all(a > b for a, b in itertools.pairwise(rates))


PURE_IMITATION = ("--student.imitation.rl_weight=0", "--student.imitation.weight=1", "--student.imitation.annealed_at=0")
PURE_REINFORCEMENT = ("--student.imitation.rl_weight=1", "--student.imitation.rl_from=0", "--student.imitation.weight=0")
UNCLIPPED = "--student.ppo.max_grad_norm=1e9"  # the norm is over actor and critic together


def test_pure_imitation_learns_nothing_from_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, bribed = (make("go1-velocity-flat", *PURE_IMITATION, UNCLIPPED) for _ in range(2))
    reward = bribed.env._reward
    monkeypatch.setattr(bribed.env, "_reward", lambda failed: reward(failed) * -3 + 7)
    start = weights(plain, "actor")
    metrics = [trainer.iterate() for trainer in (plain, bribed)]
    assert_identical(weights(plain, "actor"), weights(bribed, "actor"))
    assert torch.equal(plain.policy.distribution.log_std, bribed.policy.distribution.log_std)
    assert [m["policy_loss"] for m in metrics] == [0.0, 0.0]
    assert metrics[0]["imitation_weight"] == 1.0
    moved = weights(plain, "actor")
    assert all(
        not torch.equal(moved[name], start[name]) for name in start if name.startswith(("actor.embed", "actor.head", "actor.blocks"))
    )
    critics = weights(plain, "critic."), weights(bribed, "critic.")
    assert any(not torch.equal(critics[0][name], critics[1][name]) for name in critics[0])


def test_pure_reinforcement_learns_nothing_from_the_teachers_actions() -> None:
    plain = make("go1-velocity-flat", *PURE_REINFORCEMENT, UNCLIPPED)
    misled = make("go1-velocity-flat", *PURE_REINFORCEMENT, UNCLIPPED)
    randomize(misled.teacher.actor, 9)
    start = weights(plain, "actor")
    metrics = [trainer.iterate() for trainer in (plain, misled)]
    assert_identical(plain.policy.state_dict(), misled.policy.state_dict())
    assert [m["imitation_weight"] for m in metrics] == [0.0, 0.0]
    assert metrics[0]["policy_loss"] != 0.0
    assert metrics[0]["teacher_distance"] != metrics[1]["teacher_distance"]
    moved = weights(plain, "actor")
    assert any(not torch.equal(moved[name], start[name]) for name in start)


def test_teacher_and_statistics_stand_still() -> None:
    trainer = make("panda-reach")
    teacher = copy.deepcopy(trainer.teacher.state_dict())
    statistics = weights(trainer, "actor.normalizer") | weights(trainer, "critic_normalizer")
    trainer.iterate()
    assert_identical(teacher, trainer.teacher.state_dict())
    assert_identical(statistics, weights(trainer, "actor.normalizer") | weights(trainer, "critic_normalizer"))


def test_critic_starts_as_the_teachers_and_normaliser_as_its_head() -> None:
    cfg = tiny_cfg("panda-reach")
    teacher = tiny_teacher(cfg)
    teacher.normalizer.update(torch.randn(100, len(teacher.normalizer.mean)) * 2 + 1)
    trainer = StudentTrainer(cfg, teacher)
    x = torch.randn(6, len(teacher.normalizer.mean))
    assert torch.equal(trainer.policy.value(x), teacher.value(x))
    size = trainer.env.spec.observation_dim
    torch.testing.assert_close(trainer.policy.actor.normalizer(x[:, :size]), teacher.normalizer(x)[:, :size], rtol=0, atol=0)


@pytest.mark.slow
def test_imitation_comes_nearer_to_the_teacher() -> None:
    sizes = ("--student.iterations=14", "--student.ppo.rollout_steps=16", "--student.ppo.learning_rate=5e-3", "--student.ppo.epochs=4")
    trainer = make("panda-reach", *PURE_IMITATION, *sizes, "--env.episode_s=10")
    distances = [trainer.iterate()["teacher_distance"] for _ in range(14)]
    # while the worlds are as they began; later they drift to where the student leads them, which a tiny one knows less of
    assert sum(distances[4:8]) / 4 < 0.6 * distances[0], distances


def test_fewer_worlds_than_minibatches() -> None:
    metrics = make("panda-reach", "--env.num_worlds=1", "--student.ppo.minibatches=4").iterate()
    assert metrics["imitation_kl"] > 0


@pytest.mark.parametrize(("task", "symmetry"), [("panda-reach", "none"), ("g1-velocity-flat", "fold")])
def test_a_student_survives_its_checkpoint(task: str, symmetry: str) -> None:
    trainer = make(task, f"--student.ppo.symmetry={symmetry}")
    trainer.iterate()
    assert isinstance(trainer.policy.actor, Folded) == (symmetry == "fold")
    loaded = load_student(trainer.state_dict(), trainer.cfg)
    x = torch.randn(3, 5, trainer.env.spec.observation_dim)
    with torch.no_grad():
        assert torch.equal(loaded(x, loaded.start(3))[0], trainer.policy.actor(x, trainer.policy.actor.start(3))[0])


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_student_is_not_folded_where_there_is_no_symmetry(kind: str) -> None:
    """Said before the teacher is trained, not when it is distilled."""
    with pytest.raises(UserError, match="no left-right symmetry: panda has a fixed base; so student"):
        make_trainer(kind, tiny_cfg("panda-reach", "--student.ppo.symmetry=fold"))


def test_a_student_behind_a_fold_takes_the_actions_of_its_pass_and_becomes_a_file(tmp_path: Path) -> None:
    trainer = make("g1-velocity-flat", "--student.ppo.symmetry=fold")
    randomize(trainer.policy.actor, 2)
    for _ in range(2):
        start = clone(trainer._memory)
        trainer._collect()
        rollout = trainer._rollout
        mean, _ = trainer.policy.actor(rollout.observation.transpose(0, 1), start, trainer._first.T)
        torch.testing.assert_close(mean.transpose(0, 1), rollout.mean, rtol=1e-4, atol=1e-5)
    file = export(trainer.policy.actor, trainer.cfg, tmp_path / "folded.onnx", 0, "none")
    assert len(file.golden.action) > 1  # which the file was checked against
