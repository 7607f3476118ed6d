"""Studies of pretraining: what they train, beside whom they judge, and that nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from robolearn import cli
from robolearn.data.columns import ACTION
from robolearn.errors import UserError
from robolearn.evaluation.paired import difference, pooled
from robolearn.evaluation.statistics import r_interval
from robolearn.evaluation.study import iterations_to, load_study, speed
from robolearn.learning.run import Run, load_checkpoint
from robolearn.learning.trainer import save
from robolearn.pretraining.compared import Compared
from robolearn.pretraining.trainer import PretrainTrainer
from tests.learning_helpers import constant_policy, tiny_cfg
from tests.robolearn.pretraining.trajectories import episode, write

TINY = """
question: Does it run?
stage: pretrain
task: velocity-flat
preset: go1-velocity-flat
compared_on: mine
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
    runs = json.loads((tmp_path / "out" / "tiny-quick" / "results.json").read_text(encoding="utf-8"))["runs"]
    assert all(run["held_out"]["compared"] > 0 for run in runs)
    assert cli.main(arguments) == 2
    assert "give --data DIR and --policy FILE" in capsys.readouterr().err


def test_errors_that_are_compared_are_of_the_same_episodes_in_the_same_units(tmp_path: Path) -> None:
    """A network of a handful of still episodes: its own figure is in its own small deviations, the other is the big dataset's."""
    big = write(tmp_path / "big", *(episode(index) for index in range(12)))
    quiet = [episode(100 + index) for index in range(4)]
    for one in quiet:
        one.columns[ACTION][:] *= 0.1
    small = write(tmp_path / "small", *quiet)
    cfgs = [tiny_cfg("go1-velocity-flat", f"--pretrain.data=[{path}]", "--pretrain.steps=8", "--pretrain.batch=8") for path in (big, small)]
    compared, found, own = Compared(Path(big), cfgs[0]), [], []
    for name, cfg in zip(("a", "b"), cfgs, strict=True):
        trainer = PretrainTrainer(cfg)
        with torch.no_grad():
            for parameter in trainer.policy.actor.parameters():
                parameter.zero_()  # both say 0
        run = Run(tmp_path / name, cfg)
        save(trainer, run)
        run.close()
        found.append(compared.action_error(load_checkpoint(tmp_path / name), cfg))
        own.append(trainer.check()["held_out/action_error"])
    assert found[0] is not None
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] == pytest.approx(own[0], rel=1e-5)
    assert found[1] != pytest.approx(own[1], rel=1e-2)


def test_an_interval_of_r_holds_it_and_narrows() -> None:
    low, high = r_interval(0.8, 20)
    assert (round(low, 2), round(high, 2)) == (0.55, 0.92)  # Fisher's, by any table
    assert r_interval(0.8, 200)[0] > low
    assert r_interval(0.8, 3) == (-1.0, 1.0)


def test_how_fast_is_told_at_a_quarter_a_half_and_the_end() -> None:
    first, fast = [float(i) for i in range(40)], [2.0 * i for i in range(40)]
    runs = [{"variant": name, "seed": 0, "reward": curve} for name, curve in (("scratch", first), ("pretrained", fast))]
    told = speed({"runs": runs})
    assert "has after 10 / 20 / 40" in told
    assert "scratch: 10 / 20 / 40" in told
    assert "pretrained: 7 / 12 / 22" in told


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
