"""A training with targets goes on until an evaluation says that they are met, or to its cap, and tells what it missed."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from robolearn import cli
from robolearn.config import schema
from robolearn.config.loading import preset_names
from robolearn.config.schema import TeacherUntilCfg
from robolearn.errors import ConfigError, UserError
from robolearn.evaluation.result import EvaluationResult
from robolearn.evaluation.statistics import wilson
from robolearn.learning import goal
from robolearn.learning import trainer as loop
from robolearn.learning.run import Run, load_checkpoint
from tests.learning_helpers import make_trainer, tiny_cfg
from tests.pairs import any_robot
from tests.results import result
from tests.robolearn.test_resume import lines

UNTIL = "--teacher.until={score: 0.9, figures: {velocity_error_xy: 0.2}, at_most: 2.5, every: 0.25, seeds: 1}"


def found(survived: int, episodes: int = 100, error: float = 0.1) -> EvaluationResult:
    survival = (survived / episodes, *wilson(survived, episodes))
    return result(episodes=episodes, survival=survival, velocity_error_xy=(error, error - 0.01, error + 0.01))


def trained(results: list[EvaluationResult], folder: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str, kind: str = "teacher") -> Any:
    """A training whose evaluations give these results, the last one ever after."""
    left = list(results)
    monkeypatch.setattr(goal, "evaluate", lambda *args, **kwargs: left.pop(0) if len(left) > 1 else left[0])
    trainer = make_trainer(kind, tiny_cfg("go1-velocity-flat", *overrides))
    run = Run(folder, trainer.cfg)
    loop.train(trainer, run)
    run.close()
    return trainer


def test_it_goes_on_until_the_targets_are_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, slow, good = found(93), found(100, error=0.195), found(100)
    trainer = trained([few, slow, good], tmp_path, monkeypatch, UNTIL)
    assert trainer.iteration == 4 + 1 + 1  # 4 planned; a quarter of them between two checks
    assert trainer.missed == []
    assert load_checkpoint(tmp_path)["missed"] == []
    checks = [(line["iteration"], line.get("check/score")) for line in lines(tmp_path)]
    assert checks == [(1, None), (2, None), (3, None), (4, 0.93), (5, 1.0), (6, 1.0)]


def test_it_ends_at_the_cap_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = trained([found(93, error=0.25)], tmp_path, monkeypatch, UNTIL)
    assert trainer.iteration == 10
    low, high = wilson(93, 100)
    said = [
        f"survival 93.0 % [{100 * low:.1f}, {100 * high:.1f}], the interval must begin at 90.0 %",
        "planar velocity error 0.250 m/s [0.240, 0.260], the interval must end at 0.200 m/s",
    ]
    assert trainer.missed == said
    assert load_checkpoint(tmp_path)["missed"] == said
    capsys.readouterr()
    assert cli.main(["train", "--resume", str(tmp_path)]) == 1  # it ran, and the answer is no
    assert f"targets missed after 10 iterations: {'; '.join(said)}" in capsys.readouterr().err


def test_who_says_how_many_iterations_gets_that_many() -> None:
    assert schema.load("go1-velocity-flat").teacher.until == TeacherUntilCfg(score=0.95, goals=True)
    assert schema.load("go1-velocity-flat", ["--teacher.iterations=7"]).teacher.until is None
    assert schema.load("go1-velocity-flat", ["--teacher.iterations=7"]).student.until is not None
    both = schema.load("go1-velocity-flat", ["--teacher.iterations=7", "--teacher.until.score=0.5"])
    assert (both.teacher.iterations, both.teacher.until.score) == (7, 0.5)


@pytest.mark.parametrize(
    "change", ["at_most: 0.5", "every: 0", "seeds: 0", "score: x", "score: 1.7", "figures: {distance: far}", "velocity_error_xy: 0.2"]
)
def test_targets_that_cannot_be(change: str) -> None:
    with pytest.raises(ConfigError):
        tiny_cfg("panda-reach", f"--teacher.until={{{change}}}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "--teacher.until.figures={distanse: 0.02}",
            "'distanse', which task reach does not measure; did you mean 'distance'?; valid: near, distance",
        ),
        ("--teacher.until.figures={success: 0.9}", "is the score of task reach: give teacher.until.score"),
        ("--teacher.until={score: 0.999, seeds: 1}", "give teacher.until.seeds="),
    ],
)
def test_figures_that_a_task_does_not_have_and_scores_that_cannot_be_shown(override: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        goal.check_attainable(schema.load("panda-reach", [override]), "teacher")


def test_goals_of_the_task_count_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trained(
        [found(100, error=0.25), found(100)], tmp_path, monkeypatch, UNTIL.replace("figures: {velocity_error_xy: 0.2}", "goals: true")
    )
    assert trainer.iteration == 5  # 0.25 m/s is not good enough for Go1, 0.1 is


def test_what_was_missed_before_is_forgotten_by_a_training_without_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained([found(93)], tmp_path, monkeypatch, UNTIL)
    assert load_checkpoint(tmp_path)["missed"]
    assert cli.main(["train", "--resume", str(tmp_path), "--teacher.iterations=11"]) == 0
    assert load_checkpoint(tmp_path)["missed"] is None


def test_the_checkpoint_is_written_before_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def evaluate(*args: Any, **kwargs: Any) -> EvaluationResult:
        seen.append(load_checkpoint(tmp_path)["iteration"])
        return found(100)

    monkeypatch.setattr(goal, "evaluate", evaluate)
    trainer = make_trainer("teacher", tiny_cfg("go1-velocity-flat", UNTIL, "--checkpoint_every=100"))
    run = Run(tmp_path, trainer.cfg)
    loop.train(trainer, run)
    run.close()
    assert seen == [4]


def test_who_asks_for_an_end_waits_for_no_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goal, "evaluate", lambda *args, **kwargs: pytest.fail("evaluated"))
    trainer = make_trainer("teacher", tiny_cfg("go1-velocity-flat", UNTIL))
    iterate = trainer.iterate

    def asked() -> dict[str, float]:
        if trainer.iteration == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return iterate()

    trainer.iterate = asked
    run = Run(tmp_path, trainer.cfg)
    with pytest.raises(loop.Interrupted):
        loop.train(trainer, run)
    run.close()
    assert load_checkpoint(tmp_path)["iteration"] == 4


def test_a_student_is_measured_against_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until = "--student.until={score_ratio: 0.9, ratios: {velocity_error_xy: 1.3}, at_most: 2, every: 0.25, seeds: 1}"
    # the student's own evaluation comes first, then its teacher's, then the student's alone
    trainer = trained(
        [found(100, error=0.14), found(100, error=0.11), found(100, error=0.13)], tmp_path, monkeypatch, until, kind="student"
    )
    assert trainer.iteration == 5  # 0.14 + 0.01 is more than 1.3 x 0.11, 0.13 + 0.01 is not
    assert trainer.missed == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_checks_are_real_and_leave_the_training_as_it_is(kind: str, tmp_path: Path) -> None:
    """With targets that are met at once, and checked on the real grid, a training is to the last bit what it is without any."""
    until = "{score: 0.0, at_most: 3, seeds: 1}" if kind == "teacher" else "{score_ratio: 0.0, at_most: 3, seeds: 1}"
    states = []
    for name, overrides in (("with", [f"--{kind}.until={until}"]), ("without", [])):
        trainer = make_trainer(kind, tiny_cfg("panda-reach", *overrides))
        run = Run(tmp_path / name, trainer.cfg)
        loop.train(trainer, run)
        run.close()
        assert trainer.iteration == 4
        states.append(trainer.policy.state_dict())
    assert "check/score" in lines(tmp_path / "with")[-1]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key])


@pytest.mark.parametrize("preset", [name for name in preset_names() if name != "go1-velocity-flat-sb3"])
def test_every_preset_says_what_it_promises(preset: str) -> None:
    cfg = schema.load(preset, any_robot(preset))
    assert cfg.teacher.until is not None
    assert cfg.student.until is not None
