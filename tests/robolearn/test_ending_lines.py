"""What commands say at their end: aligned, nothing rounded to zero, and commands to type next that robolearn takes."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robolearn.commands.ending import after_evaluation, after_export, metrics_lines, number, of_training
from robolearn.config import schema
from robolearn.config.schema import StudentUntilCfg
from robolearn.evaluation.table import text
from tests.command_lines import parsed
from tests.results import result


def trainer(kind: str = "teacher", missed: list[str] | None = None, **changes: Any) -> Any:
    cfg = schema.load("go1-velocity-flat", changes.pop("overrides", []))
    env = SimpleNamespace(robot=SimpleNamespace(feet={"left": 1}))
    return SimpleNamespace(kind=kind, cfg=cfg, env=env, iteration=110, iterations=110, minutes=2.25, missed=missed, **changes)


METRICS = {"learning_rate": 2.4e-7, "reward": -0.0123456, "steps": 2703360.0, "minutes": 2.25, "loss/value": 3.0, "check/score": 0.9512}


def test_no_number_is_rounded_to_zero_and_whole_ones_are_whole() -> None:
    assert [number(value) for value in (2.4e-7, -0.0123456, 2703360.0, 0.0, 12345.6)] == ["2.4e-07", "-0.01235", "2 703 360", "0", "12 346"]


def test_metrics_stand_in_columns() -> None:
    lines = metrics_lines(METRICS)
    ends = {match.end() for line in lines if (match := re.match(r"  (at the check: )?\w+ +\S+( \d{3})*(?= |$)", line))}
    assert len(lines) == 5  # what has a section of its own is for TensorBoard
    assert len(ends) == 1, lines
    assert any(line.endswith("2.25 min") for line in lines)


def test_a_training_says_what_comes_next() -> None:
    lines = of_training(trainer(), Path("runs/go1/now"), METRICS, before=0)
    assert lines[0] == "done: teacher, 110 iterations, 2.2 min"
    assert lines[lines.index("next:") + 1].endswith("robolearn distill runs/go1/now")
    assert any(line.endswith("tensorboard --logdir runs") for line in lines)


def test_one_that_missed_its_targets_is_not_told_to_go_on_first() -> None:
    lines = of_training(trainer(missed=["survival"]), Path("runs/go1/now"), METRICS, before=0)
    assert lines[1] == "targets: survival"
    first = lines[lines.index("next:") + 1]
    assert first.split(": ")[1].strip() == "robolearn train --resume runs/go1/now --teacher.until.at_most=3.8"


def test_one_that_met_its_targets_says_so() -> None:
    assert of_training(trainer(missed=[]), Path("runs/go1/now"), METRICS, before=0)[1] == "targets: met"


def test_one_that_was_done_already_says_so() -> None:
    lines = of_training(trainer(), Path("runs/go1/now"), {}, before=110)
    assert lines[0] == "nothing left to do: all 110 iterations of this teacher are done"
    assert lines[1] == "next:"


def test_a_longer_training_without_targets_is_more_iterations() -> None:
    lines = of_training(trainer(overrides=["--teacher.iterations=110"]), Path("runs/go1/now"), METRICS, before=0)
    assert any(line.endswith("--teacher.iterations=165") for line in lines)


@pytest.mark.parametrize(
    "lines",
    [
        of_training(trainer(), Path("runs/go1/now"), METRICS, before=0),
        of_training(trainer("student", ["survival"]), Path("runs/a b/now"), METRICS, before=0),
        after_export(Path("p.onnx"), True, (), Path("runs/x/y")),
        after_export(Path("p.onnx"), None, (), Path("runs/x/y")),
        after_export(Path("p.onnx"), False, ("only 3 % on the training engine", "0.4 on the precise engine"), Path("runs/x/y")),
        after_evaluation("p.onnx", True, "mujoco"),
    ],
)
def test_every_command_that_is_offered_is_one(lines: list[str]) -> None:
    offered = [
        line[line.index("robolearn ") :].partition("  (")[0].partition("; ")[0] for line in lines if ": " in line and "robolearn " in line
    ]
    assert offered
    for line in offered:
        _, _, overrides = parsed(line)
        for override in overrides:
            key = override.partition("=")[0].removeprefix("--").split(".")
            assert key[0] in ("teacher", "student")
            assert key[-1] in ("iterations", *StudentUntilCfg.__dataclass_fields__)


def test_tables_are_aligned() -> None:
    error, none = (0.15, 0.14, 12.5), 0.2
    lines = text([result(survival=(0.9, 0.8, 0.95), velocity_error_xy=error), result(survival=(1.0, 0.9, 1.0), velocity_error_xy=none)])
    lines = lines.splitlines()
    survival, error_row = lines[1], lines[2]
    assert [m.start() for m in re.finditer(r"\.\d{3}(?= |$)", survival)] == [m.start() for m in re.finditer(r"\.\d{3}(?= |$)", error_row)]
    assert survival.index("[") == error_row.index("[")
    assert lines[0].split() == ["mujoco", "mujoco", "goal"]
    assert lines[0].index("goal") == survival.index("at least 0.950")
