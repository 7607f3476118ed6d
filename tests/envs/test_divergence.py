"""A number that is not finite fails its world and nothing else; a training that learns nothing ends, says why, and spoils no checkpoint."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.screening import Step
from envs.tasks import registry
from robolearn import cli
from robolearn.errors import UserError
from robolearn.evaluation.actors import StudentActor, TeacherActor
from robolearn.evaluation.evaluate import evaluate
from robolearn.learning import trainer as loop
from robolearn.learning.finite import not_finite
from robolearn.learning.ppo import DivergedError, gae
from robolearn.learning.run import Run, load_checkpoint
from tests.learning_helpers import make_trainer, tiny_cfg
from tests.pairs import make_env

NAN, INF = float("nan"), float("inf")
KINDS = pytest.mark.parametrize("kind", ["teacher", "student"])


def poisoned(trainer: Any, change: Any, at: tuple[int, ...]) -> list[Step]:
    """Apply `change` to the steps of these numbers. Returns the steps as they were given."""
    given: list[Step] = []
    env_step = trainer.env.step

    def step(action: torch.Tensor) -> Step:
        found = env_step(action)
        if len(given) in at:
            change(found)
        given.append(found)
        return found

    trainer.env.step = step
    return given


def in_privileged(step: Step) -> None:
    step.privileged[3, 7] = NAN


def beyond_anything(step: Step) -> None:
    step.privileged[3, 7] = 1e10


def in_policy(step: Step) -> None:
    step.policy[3, 2] = INF


def in_reward(step: Step) -> None:
    step.reward[3] = -INF


def in_final(step: Step) -> None:
    step.final_privileged[3, 0] = NAN


@KINDS
@pytest.mark.parametrize("change", [in_privileged, beyond_anything, in_policy, in_reward, in_final])
@pytest.mark.parametrize("task", ["go1-velocity-flat", "panda-reach"])
def test_one_number_of_one_world_costs_one_step_of_that_world(kind: str, change: Any, task: str) -> None:
    trainer = make_trainer(kind, tiny_cfg(task, "--env.episode_s=100"))
    poisoned(trainer, change, (4,))
    metrics = trainer.iterate()
    rollout = trainer._rollout
    assert rollout.failed.nonzero().tolist() == [[4, 3]]
    assert metrics["failed_worlds"] == 1
    assert metrics["skipped_updates"] == 0
    assert trainer.env.failure_count == 1
    assert trainer.env.episode_steps[3] < 8  # it began anew after step 4
    assert rollout.reward[4, 3] == 0.0
    assert rollout.advantage[:, :].isfinite().all()
    assert not not_finite(trainer.policy.state_dict())
    metrics = trainer.iterate()
    assert metrics["failed_worlds"] == 0
    assert trainer.env.failure_count == 1
    assert np.isfinite(list(metrics.values())).all()


def test_a_failed_step_is_in_no_batch_and_no_statistics() -> None:
    """Whatever the numbers of the failed step are, what is learned is the same."""

    def learned(garbage: float) -> dict[str, torch.Tensor]:
        trainer = make_trainer("teacher", tiny_cfg("panda-reach", "--env.episode_s=100"))
        poisoned(trainer, in_privileged, (4,))
        collect = trainer._collect

        def collected() -> dict[str, float]:
            metrics = collect()
            rollout = trainer._rollout
            for buffer in (rollout.observation, rollout.action, rollout.mean, trainer._raw):
                buffer[4, 3] = garbage
            for buffer in (rollout.log_prob, rollout.target, rollout.advantage):
                buffer[4, 3] = garbage
            return metrics

        trainer._collect = collected
        assert trainer.iterate()["skipped_updates"] == 0
        return trainer.policy.state_dict()

    first, second = learned(0.5), learned(NAN)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert float(first["normalizer.count"]) == 8 * 8 - 1


def test_a_failed_step_says_nothing_about_the_steps_before_it() -> None:
    """Its advantage is zero, so the step before bootstraps from the value of the state in which it began."""
    column = lambda *values: torch.tensor(values)[:, None]  # noqa: E731
    data = {"reward": column(1.0, 0.0), "value": column(10.0, 20.0), "last_value": torch.tensor([0.0])}
    ends = {"terminated": column(False, True), "truncated": column(False, False), "final_value": column(0.0, 0.0)}
    got = gae(**data, **ends, discount=0.5, gae_lambda=0.9, failed=column(False, True))
    assert got[:, 0].tolist() == [1 + 0.5 * 20 - 10, 0]
    fallen = gae(**data, **ends, discount=0.5, gae_lambda=0.9)
    assert fallen[:, 0].tolist() == [1 + 0.5 * 20 - 10 + 0.5 * 0.9 * -20, -20]


def test_a_tasks_own_number_is_found_named_and_reset(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env("go1-velocity-flat", num_worlds=4, num_threads=1)
    env.reset()
    extras, calls = env.privileged_extras, []

    def bad_extras() -> torch.Tensor:
        calls.append(1)
        value = extras()
        if len(calls) == 1:
            value[2, 5] = NAN
        return value

    monkeypatch.setattr(env, "privileged_extras", bad_extras)
    with caplog.at_level(logging.WARNING):
        step = env.step(torch.zeros_like(env.action))
    assert step.failed.tolist() == step.terminated.tolist() == [False, False, True, False]
    assert not step.truncated[2]
    assert "1 of 4 worlds have a number that is not finite, or beyond 1e+06 (the first: world 2, privileged 'foot_contact')" in caplog.text
    assert env.episode_steps.tolist() == [1, 1, 0, 1]

    def bad_reward() -> torch.Tensor:
        return torch.tensor([INF, 0.0, 0.0, 0.0])

    rewards = [dataclasses.replace(term, compute=bad_reward) if term.name == "tilt" else term for term in env._tables.rewards]
    monkeypatch.setattr(env._tables, "rewards", rewards)
    step = env.step(torch.zeros_like(env.action))
    assert step.failed.tolist() == [True, False, False, False]
    assert step.reward[0] == 0
    assert np.isfinite(list(env.reward_means().values())).all()
    assert env.failure_count == 2
    assert env.failure_counts.tolist() == [1, 0, 1, 0]


def test_a_world_that_never_gives_numbers_is_left_out_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    extras = trainer.env.privileged_extras

    def bad() -> torch.Tensor:
        value = extras()
        value[5] = NAN
        return value

    monkeypatch.setattr(trainer.env, "privileged_extras", bad)
    for _ in range(2):
        metrics = trainer.iterate()
        assert metrics["skipped_updates"] == 0
    assert metrics["failed_worlds"] == 8
    assert trainer._rollout.failed.nonzero()[:, 1].unique().tolist() == [5]
    assert not not_finite(trainer.policy.state_dict())


@KINDS
@pytest.mark.parametrize("bad", [slice(None), slice(0, 5)])
def test_worlds_that_mostly_fail_end_the_training(kind: str, bad: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(kind, tiny_cfg("panda-reach"))
    extras = trainer.env.privileged_extras().clone()
    extras[bad] = NAN
    monkeypatch.setattr(trainer.env, "privileged_extras", lambda: extras)
    with pytest.raises(DivergedError, match=r"the world failed in (100|62) % of all steps"):
        trainer.iterate()


@KINDS
def test_an_iteration_without_an_update_ends_the_training_and_keeps_the_checkpoint(kind: str, tmp_path: Path) -> None:
    trainer = make_trainer(kind, tiny_cfg("panda-reach", "--checkpoint_every=1"))
    run = Run(tmp_path, trainer.cfg)
    finish = trainer._rollout.finish

    def spoiled(*args: Any) -> None:
        finish(*args)
        if trainer.iteration == 2:
            trainer._rollout.target[:] = NAN

    trainer._rollout.finish = spoiled
    with pytest.raises(
        UserError, match=f"the {kind}'s training diverged in iteration 3: none of the 4 updates had a finite gradient"
    ) as told:
        loop.train(trainer, run)
    run.close()
    assert str(run.checkpoint) in str(told.value)
    assert load_checkpoint(tmp_path)["iteration"] == 2


@pytest.mark.parametrize("name", ["actor.0.weight", "normalizer.mean", "normalizer.count", "distribution.log_std"])
def test_weights_or_statistics_that_are_not_finite_end_the_training_before_they_are_saved(name: str, tmp_path: Path) -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach", "--checkpoint_every=1"))
    run = Run(tmp_path, trainer.cfg)
    iterate = trainer.iterate

    def spoiled() -> dict[str, float]:
        metrics = iterate()
        if trainer.iteration == 2:
            with torch.no_grad():
                trainer.policy.state_dict()[name].view(-1)[0] = INF
        return metrics

    trainer.iterate = spoiled
    with pytest.raises(UserError, match=f"diverged in iteration 2: policy.{name} not finite"):
        loop.train(trainer, run)
    with pytest.raises(UserError, match="not finite"):
        loop.save(trainer, run)
    run.close()
    assert load_checkpoint(tmp_path)["iteration"] == 1


def test_without_a_checkpoint_it_says_that_there_is_none(tmp_path: Path) -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    trainer.iterate = lambda: {"value_loss": NAN}
    run = Run(tmp_path, trainer.cfg)
    with pytest.raises(UserError, match="no checkpoint was written before it"):
        loop.train(trainer, run)
    run.close()


@pytest.mark.parametrize("verb", [["train", "--resume"], ["train", "panda-reach", "--init"], ["distill"]])
def test_a_checkpoint_that_is_not_finite_is_refused(verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    run = Run(tmp_path, trainer.cfg)
    loop.save(trainer, run)
    run.close()
    state = torch.load(run.checkpoint, weights_only=True)
    state["policy"]["normalizer.var"][1] = NAN
    torch.save(state, run.checkpoint)
    assert cli.main([*verb, str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "is of a training that diverged: policy.normalizer.var not finite" in err
    assert err.count("\n") == 1


def test_updates_that_were_skipped_do_not_make_losses_small() -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach", "--teacher.ppo.epochs=1"))
    trainer._collect()
    trainer._rollout.target[:] = 1000.0
    trainer._rollout.target[0, 0] = NAN
    metrics = trainer.ppo.update(trainer._rollout)
    assert metrics["skipped_updates"] == 1
    assert metrics["value_loss"] == pytest.approx(1e6, rel=0.1)  # of the one update that was done


def test_judging_counts_worlds_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    import robolearn.evaluation.evaluate as evaluation

    def make(*args: Any, **kwargs: Any) -> Any:
        env = registry.make_env(*args, **kwargs)
        extras = env.privileged_extras

        def bad() -> torch.Tensor:
            value = extras()
            value[7] = NAN
            return value

        env.privileged_extras = bad
        return env

    monkeypatch.setattr(evaluation, "make_env", make)
    cfg = tiny_cfg("go1-velocity-flat")
    trainer = make_trainer("teacher", cfg)
    found = evaluate(lambda worlds: TeacherActor(trainer.policy), cfg.task, cfg.robot, seeds=1, seconds=1.2, env=cfg.env)
    assert found.physics_failures > 0
    assert found.figures["survival"].value <= 44 / 45
    student = make_trainer("student", cfg)
    found = evaluate(lambda worlds: StudentActor(student.policy.actor, worlds), cfg.task, cfg.robot, seeds=1, seconds=1.2, env=cfg.env)
    assert found.figures["survival"].value <= 44 / 45
