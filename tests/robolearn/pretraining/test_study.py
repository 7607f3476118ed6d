"""Studies of pretraining: what they train, beside whom they judge, and that nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robolearn import cli
from robolearn.errors import UserError
from robolearn.evaluation.paired import difference, pooled
from robolearn.evaluation.study import iterations_to, load_study
from robolearn.learning.run import load_checkpoint
from tests.learning_helpers import constant_policy
from tests.robolearn.pretraining.trajectories import episode, write

TINY = """
question: Does it run?
stage: pretrain
task: velocity-flat
preset: go1-velocity-flat
seeds: [3]
common: [threads=1, env.num_threads=1, pretrain.updates=2, pretrain.batch=4, pretrain.steps=8, student.network.width=16]
variants:
  masked: ["pretrain.data=[mine]", pretrain.objective=masked]
  next: ["pretrain.data=[mine]", init=masked]
"""


def test_a_study_of_pretraining_trains_judges_and_does_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "data" / "mine", *(episode(index) for index in range(4)))
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    policy = constant_policy(tmp_path / "stand.onnx")
    arguments = ["study", str(tmp_path / "tiny.yaml"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--quick"]
    assert cli.main([*arguments, "--policy", str(policy)]) == 0
    out = capsys.readouterr().out
    assert out.count("| as trained |") == 2
    assert "the policy itself: survival" in out
    trainings = sorted((tmp_path / "out" / "trainings").iterdir())
    assert len(trainings) == 2
    times = [(run / "checkpoint.pt").stat().st_mtime_ns for run in trainings]
    assert cli.main([*arguments, "--policy", str(policy)]) == 0
    assert [(run / "checkpoint.pt").stat().st_mtime_ns for run in trainings] == times
    objectives = {load_checkpoint(run)["config"].partition("objective: ")[2].split()[0] for run in trainings}
    assert objectives == {"masked", "next"}
    assert cli.main(arguments) == 2
    assert "give --data DIR and --policy FILE" in capsys.readouterr().err


def test_a_stage_needs_what_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY.replace("preset: go1-velocity-flat\n", ""), encoding="utf-8")
    with pytest.raises(UserError, match="stage pretrain needs a preset"):
        load_study(tmp_path / "s.yaml")
    (tmp_path / "s.yaml").write_text(f"{TINY}starts: {{other: next}}\n", encoding="utf-8")
    with pytest.raises(UserError, match="starts names 'other', which is not a variant"):
        load_study(tmp_path / "s.yaml")


def test_a_paired_difference_is_over_episodes_that_both_have() -> None:
    ours = {"e": np.array([1.0, 2.0, np.nan, 5.0])}
    theirs = {"e": np.array([0.5, 2.5, 1.0, np.nan])}
    assert difference(ours, theirs, "e").value == 0.0
    both = pooled([ours, theirs])
    assert both["e"].shape == (8,)
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 10, 200)  # episodes differ much more than policies do
    found = difference({"e": hard + 0.1 + 0.01 * rng.standard_normal(200)}, {"e": hard}, "e")
    assert found.low is not None
    assert found.low > 0.09


def test_iterations_to_a_return() -> None:
    assert iterations_to([0, 0, 0, 1, 1, 1, 1, 1, 1], 1.0) == 8
    assert iterations_to([0.0] * 9, 1.0) == float("inf")
