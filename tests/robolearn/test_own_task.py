"""A task that is not ours: evaluated, gated, played, studied, reported and trained to its own targets, by its own figures alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.tasks.evaluation import Evaluation, Measure, Play
from envs.tasks.registry import TASKS, Task, register_task
from envs.tasks.velocity import velocity_flat
from envs.terms.commands import Command, Worlds
from envs.terms.term import CommandTerm, MetricTerm, RewardTerm
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn import cli
from robolearn.config import schema
from robolearn.errors import UserError
from robolearn.evaluation.evaluate import evaluate, evaluate_file
from robolearn.evaluation.gate import shortcomings
from robolearn.evaluation.study import Study, run_study, table
from robolearn.learning.goal import Goal
from robolearn.learning.run import Run, load_checkpoint
from robolearn.learning.trainer import train
from robolearn.report.demo import learned
from robolearn.report.page import ReportData, write_report
from robolearn.viewer.film import record_policy
from tests import pairs
from tests.learning_helpers import TINY, constant_policy, make_trainer
from tests.results import changed

HEIGHT = 0.278  # m, at which Go1 stands


class Height(Command):
    """How high the base should be."""

    kind: ClassVar[str] = "motion"
    labels: ClassVar[tuple[str, ...]] = ("height",)
    units: ClassVar[str] = "m"

    def __init__(self, env: Worlds, low: float = 0.2, high: float = 0.3, hold_s: tuple[float, float] = (2.0, 4.0)) -> None:
        super().__init__(env, (low,), (high,), hold_s)


def height_error(env: VecEnv) -> torch.Tensor:
    """Of the base [m]."""
    return (env.base.height - env.command[:, 0]).abs()


def level(env: VecEnv) -> torch.Tensor:
    """Whether the trunk is level."""
    return -env.base.gravity_b[:, 2] > 0.9


def crouch(robot: Robot) -> EnvCfg:
    """Crouching: a walker's environment under other commands, with another reward."""
    cfg = velocity_flat(robot)
    return dataclasses.replace(
        cfg,
        command=CommandTerm(Height),
        privileged={name: term for name, term in cfg.privileged.items() if name != "height_scan"},
        rewards={"height": RewardTerm(height_error, weight=-1.0)},
        success=None,
        curriculum={},
        metrics={"height_error": MetricTerm(height_error)},
    )


EVALUATION = Evaluation(
    measures={
        "level": Measure(label="trunk level", kind="share", signal=level),
        "height_error": Measure(label="height error", kind="mean", signal=height_error, unit="m", goal=0.05, limit=0.1, dimension="length"),
        "lowest": Measure(label="height while low", kind="mean", signal=lambda env: env.base.height, unit="m", better="more", tail_s=0.3),
    },
    score="level",
    worlds=3,
    commands=lambda command: [(value,) for value in (command.lower[0], HEIGHT, command.upper[0])],
    curves={"height_error": "height error [m]"},
    play=Play(measured=lambda env: env.base.height[:, None], units=("m",)),
)


@pytest.fixture(autouse=True)
def task() -> Iterator[Task]:
    made = register_task(Task(name="crouch", description="crouch", make=crouch, evaluation=EVALUATION))
    pairs.PAIRS["crouch"] = ("crouch", "go1")
    yield made
    del TASKS._things["crouch"], TASKS._sources["crouch"], pairs.PAIRS["crouch"]


@pytest.fixture
def standing(tmp_path: Path) -> Path:
    """A policy that stands, whatever it is asked."""
    return constant_policy(tmp_path / "stand.onnx", task="crouch")


def tiny(*overrides: str) -> schema.TrainCfg:
    return schema.load("crouch", ["--robot=go1", *TINY, "--env.episode_s=1.0", *overrides])


def test_it_is_evaluated_by_its_own_figures(standing: Path) -> None:
    found = evaluate_file(PolicyFile(standing), seeds=2, seconds=2.0)
    assert list(found.figures) == ["level", "height_error", "lowest"]
    assert found.episodes == 6
    assert found.ground is None
    assert found.score == found.value("level") >= 5 / 6
    stands = found.value("lowest")  # its legs give way a little
    assert 0.2 < stands < HEIGHT
    assert found.value("height_error") == pytest.approx(sum(abs(asked - stands) for asked in (0.2, HEIGHT, 0.3)) / 3, abs=0.01)
    assert (found.figures["lowest"].better, found.figures["height_error"].better) == ("more", "less")
    assert set(found.to_dict()) >= {"level", "height_error", "lowest", "intervals", "figures"}


def test_its_gate_knows_its_limits(standing: Path) -> None:
    found = evaluate_file(PolicyFile(standing), seeds=1, seconds=1.2)
    good = changed(found, level=1.0, height_error=0.09)
    assert shortcomings(good, good) == []
    (told,) = shortcomings(good, changed(good, height_error=0.12))
    assert told == "a height error of 0.12 m on the precise engine, at most 0.1 required"
    (told,) = shortcomings(good, changed(good, level=0.5))
    assert "keeps 0.500 of 1.000" in told
    rows = {row.name: row for row in learned(good, changed(good, height_error=0.2), good)}
    assert rows["teacher's height error"].passed is False
    assert rows["student's height error"].reached == "2.22x"
    assert rows["precise engine's trunk level"].passed is True


def test_commands_and_signals_that_do_not_fit_are_told(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluated(**changes: Any) -> None:
        wrong = dataclasses.replace(task, evaluation=dataclasses.replace(EVALUATION, **changes))
        monkeypatch.setitem(TASKS._things, "crouch", wrong)
        evaluate(lambda worlds: Still(), "crouch", "go1", seeds=1, seconds=1.2)

    class Still:
        def reset(self, ids: torch.Tensor) -> None: ...

        def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(policy), 12)

    with pytest.raises(UserError, match=r"must give 4 commands of 1 numbers \(height\), not 3"):
        evaluated(worlds=4)
    with pytest.raises(UserError, match=r"measure 'level' of task crouch: .*gives \(3, 3\), not one value per world, \(3,\)"):
        evaluated(
            measures=dict(EVALUATION.measures) | {"level": Measure(label="l", kind="share", signal=lambda env: env.base.gravity_b > 0)}
        )
    with pytest.raises(ValueError, match="score names the measure 'standing'"):
        evaluated(score="standing")
    with pytest.raises(ValueError, match="no measure may be called episodes"):
        evaluated(measures=dict(EVALUATION.measures) | {"episodes": EVALUATION.measures["level"]})


def test_it_is_played_and_reported(standing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["play", str(standing), "--seconds", "1.2", "--size", "160x96", "--out", str(tmp_path / "v.mp4")]
    assert cli.main([*arguments, "--json", str(tmp_path / "play.json")]) == 0
    assert "height error: 0.0" in capsys.readouterr().out
    recorded = json.loads((tmp_path / "play.json").read_text(encoding="utf-8"))
    assert recorded["units"] == ["m"]
    assert recorded["command"][0] == [0.25]  # nobody named commands: the middle of the range first
    assert recorded["measured"][-1][0] == pytest.approx(HEIGHT, abs=0.06)
    assert cli.main(["evaluate", str(standing), "--seeds", "1", "--seconds", "1.2", "--json", str(tmp_path / "e.json")]) == 0
    assert "height_error m" in capsys.readouterr().out
    evaluation = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    page = write_report(tmp_path, ReportData(title="crouch", tracking=recorded, evaluations={"file": evaluation})).read_text(
        encoding="utf-8"
    )
    for text in ("height error [m]", "trunk level [%]", "height while low"):
        assert text in page


def test_a_task_without_anything_measured_can_be_played(standing: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Evaluation(measures={"level": EVALUATION.measures["level"]}, score="level", worlds=3)
    monkeypatch.setitem(TASKS._things, "crouch", dataclasses.replace(task, evaluation=bare))
    result = record_policy(PolicyFile(standing), standing.parent / "v.mp4", seconds=0.5, width=160, height=96)
    assert result["measured"][0] == [None]
    json.dumps(result, allow_nan=False)


def test_it_is_trained_to_its_own_targets_and_studied(tmp_path: Path) -> None:
    until = "--teacher.until={score: 0, figures: {height_error: 0.00001}, at_most: 1.5, seeds: 4}"
    trainer = make_trainer("teacher", tiny("--teacher.iterations=2", until))
    run = Run(tmp_path / "teacher", trainer.cfg)
    train(trainer, run)
    run.close()
    assert trainer.iteration == 3  # the cap
    (told,) = load_checkpoint(tmp_path / "teacher")["missed"]
    assert told.startswith("height error 0.")
    assert told.endswith("the interval must end at 0.0000 m")
    study = Study(question="?", task="crouch", seeds=(0,), variants={"one": ()}, common=("threads=1",))
    results = run_study(study, tmp_path / "teacher" / "checkpoint.pt", tmp_path / "out", quick=True)
    (row,) = results["rows"]
    assert row["episodes"] == 3
    assert len(row["height_error_seeds"]) == 1
    assert table(results).splitlines()[0] == "| variant | condition | trunk level, % | height error, m | height while low, m | seeds |"


def test_its_student_is_measured_against_its_teacher() -> None:
    trainer = make_trainer("student", tiny("--student.until={score_ratio: 0, ratios: {lowest: 0.5}, seeds: 4}"))

    goal = Goal.of(trainer)
    assert goal is not None
    metrics = goal.check()
    assert set(metrics) <= {"check/score", "check/height_error", "check/lowest"}
    assert goal.missed == []  # it is at least half as high as its teacher


def test_a_task_that_asks_nothing_and_says_nothing_of_its_evaluation(task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def make(robot: Robot) -> EnvCfg:
        cfg = crouch(robot)
        seen = {name: term for name, term in cfg.observations.items() if name != "command"}
        alive = RewardTerm(level, weight=1.0)
        return dataclasses.replace(cfg, command=None, observations=seen, rewards={"alive": alive}, metrics={})

    monkeypatch.setitem(TASKS._things, "crouch", Task(name="crouch", description="stand", make=make))
    file = PolicyFile(constant_policy(tmp_path / "stand.onnx", task="crouch"))
    found = evaluate_file(file, seeds=1, seconds=1.2)
    assert list(found.figures) == ["lasted"]
    assert found.score >= 0.9
    result = record_policy(file, tmp_path / "v.mp4", seconds=0.5, width=160, height=96)
    assert result["command"][0] == result["measured"][0] == []
    (told,) = shortcomings(changed(found, lasted=0.2), changed(found, lasted=0.2))
    assert told == "only 20.0 % lasted to the end on the training engine, at least 90 % required"
