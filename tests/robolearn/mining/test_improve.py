"""The command from end to end with a tiny student: what it leaves, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policies.contract.file import PolicyFile
from robolearn.cli import main
from robolearn.errors import UserError
from robolearn.learning import finish
from robolearn.learning.interruption import Interrupted
from robolearn.learning.run import Run, load_checkpoint
from robolearn.learning.trainer import save
from robolearn.mining import explore as exploring
from robolearn.mining import teach as teaching
from robolearn.mining.bench import Bench
from robolearn.mining.episodes import Episodes
from robolearn.mining.explore import Judge
from robolearn.mining.rounds import Plan, _settle, improve
from robolearn.mining.subject import find_subject
from robolearn.mining.weigh import at_random
from tests.learning_helpers import assert_identical, make_trainer, tiny_cfg, transformer_file

SMALL = ("--iterations", "2", "--episodes", "20", "--held-out", "20", "--choosing", "24", "--seeds", "1", "--seconds", "2")
PLAN = Plan(rounds=1, iterations=2, episodes=20, held_out=20, choosing=24, nominal_seeds=1, seconds=2.0, limits={"velocity_error_xy": 0.5})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a student that has hardly learned."""
    folder = tmp_path_factory.mktemp("runs") / "tiny-student" / "one"
    trainer = make_trainer("student", tiny_cfg("go1-velocity-rough"))
    trainer.iterate()
    job = Run(folder, trainer.cfg)
    save(trainer, job)
    job.close()
    return folder


def test_rounds_leave_their_files_and_are_not_done_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    subject = find_subject(str(run), [], teach=True)
    plan = Plan(**{**PLAN.__dict__, "control": True})
    improve(subject, plan, tmp_path, told.append)
    for name in ("plan.json", "results.json", "start/expert.json", "mined/round-1/failures.json", "mined/round-1/conditions.json",
                 "mined/round-1/training/checkpoint.pt", "random/round-1/held_out.json", "random/round-1/nominal.json"):  # fmt: skip
        assert (tmp_path / name).is_file(), name
    start, after = (Episodes.load(tmp_path / name / "held_out.json") for name in ("start", "mined/round-1"))
    looked = Episodes.load(tmp_path / "mined/round-1/explored.json")
    chosen = Episodes.load(tmp_path / "mined/round-1/choosing/held_out.json")
    assert len(chosen) == 24
    assert not {tuple(row) for row in chosen.conditions} & {tuple(row) for row in (*start.conditions, *looked.conditions)}, (
        "a round is chosen by episodes that are neither learned from nor reported"
    )
    nominal, other = (Episodes.load(tmp_path / f"start/{name}nominal.json") for name in ("", "choosing/"))
    assert np.array_equal(nominal.conditions, other.conditions)
    assert not np.array_equal(nominal.figures["velocity_error_xy"], other.figures["velocity_error_xy"], equal_nan=True)
    assert np.array_equal(start.conditions, after.conditions), "the test is always the same one"
    assert not {tuple(row) for row in looked.conditions} & {tuple(row) for row in start.conditions}, "and is not what is learned from"
    more = (
        load_checkpoint(tmp_path / "random/round-1/training")["iteration"]
        - load_checkpoint(tmp_path / "mined/round-1/training")["iteration"]
    )
    steps = subject.cfg.student.ppo.rollout_steps * subject.cfg.env.num_worlds
    assert 20 * 100 <= more * steps < 20 * 100 + steps, "the control gets the steps that looking costs"

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("this was done already")

    monkeypatch.setattr(exploring, "_batch", never)
    monkeypatch.setattr(teaching, "StudentTrainer", never)
    again: list[str] = []
    improve(subject, plan, tmp_path, again.append)
    assert again == told
    with pytest.raises(UserError, match="begun with another iterations"):
        improve(subject, Plan(**{**PLAN.__dict__, "iterations": 3}), tmp_path, again.append)


def test_the_same_seed_looks_at_the_same_episodes(run: Path) -> None:
    """Whatever the worlds did before: rounds are compared episode by episode."""
    subject = find_subject(str(run), [], teach=True)

    def looked(before: bool) -> Episodes:
        bench = Bench(subject, 2.0, 0.25, Judge.of(subject.cfg.task), 0)
        if before:
            bench.explored(subject.actor, 20, 3, "")
        return bench.held_out(subject.actor, 20, "")

    first, second = looked(False), looked(True)
    assert np.array_equal(first.lasted_s, second.lasted_s)
    assert np.array_equal(first.figures["velocity_error_xy"], second.figures["velocity_error_xy"], equal_nan=True)


def test_a_teaching_that_was_stopped_goes_on_exactly(run: Path, tmp_path: Path) -> None:
    subject = find_subject(str(run), [], teach=True)
    assert subject.state is not None
    space = Bench(subject, 2.0, 0.25, Judge.of(subject.cfg.task), 0).space
    drawn = at_random(space, 1, 40)
    cfg = teaching.config_of_round(subject.cfg, 4, 0.2, 0.25, 5)  # episodes of 1.2 s

    def teach(folder: Path) -> dict[str, Any]:
        return teaching.teach(subject.state or {}, cfg, space, drawn, 0.25, 8, folder)

    whole = teach(tmp_path / "whole")
    stop = finish.train

    def stopping(trainer: Any, job: Run) -> dict[str, float]:
        def interrupt(metrics: dict[str, float]) -> bool:
            if trainer.iteration == 2:
                signal.raise_signal(signal.SIGINT)
            return False

        return stop(trainer, job, on_iteration=interrupt)

    finish.train = stopping
    try:
        with pytest.raises(Interrupted):
            teach(tmp_path / "cut")
    finally:
        finish.train = stop
    assert load_checkpoint(tmp_path / "cut")["iteration"] < 4
    torch.manual_seed(99)
    resumed = teach(tmp_path / "cut")
    for name in ("policy", "optimizer", "env", "observation", "memory", "generator"):
        assert_identical(resumed[name], whole[name], name)
    assert not torch.equal(whole["policy"]["distribution.log_std"], subject.state["policy"]["distribution.log_std"])
    assert [stage["iterations"] for stage in whole["history"]][-1] == subject.state["iteration"]


def test_a_student_held_near_a_pretrained_network_is_held_near_the_same_one(tmp_path: Path) -> None:
    """The network that it started from stands in its checkpoint; the one that a fresh trainer is made with has learned nothing."""
    trainer = make_trainer("student", tiny_cfg("go1-velocity-rough", "--student.imitation.pretrained_weight=0.1"))
    trainer.pretrained = {"iterations": 7}
    trainer.iterate()
    job = Run(tmp_path / "held-student" / "one", trainer.cfg)
    save(trainer, job)
    job.close()
    subject = find_subject(str(job.folder), [], teach=True)
    assert subject.state is not None
    space = Bench(subject, 2.0, 0.25, Judge.of(subject.cfg.task), 0).space
    cfg = teaching.config_of_round(subject.cfg, 1, 0.2, 0.25, 5)
    after = teaching.teach(subject.state, cfg, space, at_random(space, 1, 40), 0.25, 8, tmp_path / "taught")
    assert_identical(after["reference"]["weights"], subject.state["reference"]["weights"], "reference")
    assert after["pretrained"] == {"iterations": 7}


def test_other_settings_do_not_go_on_in_the_same_folder(run: Path, tmp_path: Path) -> None:
    """Their episodes were met in other worlds."""
    _settle(find_subject(str(run), [], teach=True), PLAN, tmp_path)
    _settle(find_subject(str(run), [], teach=True), PLAN, tmp_path)
    with pytest.raises(UserError, match="begun with another settings"):
        _settle(find_subject(str(run), ["--env.randomization.friction.high=3.0"], teach=True), PLAN, tmp_path)


def test_the_command_ends_in_a_report_and_a_policy_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    data = tmp_path / "data"
    arguments = ["improve", str(run), "--rounds", "1", *SMALL, "--out", str(out), "--no-gate", "--dataset", str(data),
                 "--dataset-episodes", "3", "--limit", "velocity_error_xy=0.55"]  # fmt: skip
    code = main(arguments)
    printed = capsys.readouterr().out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "fails in all" in printed
    assert "Groups that a tree finds" in page
    assert "<svg" in page
    best = json.loads((out / "results.json").read_text(encoding="utf-8"))["best_round"]
    assert code == (0 if best else 1)
    assert (out / "policy.onnx").is_file() == bool(best)
    from robolearn.data.reader import Dataset

    assert len(Dataset(data)) == 3
    monkeypatch.setattr("robolearn.mining.dataset.source_commit", lambda: "a later one")
    assert main(arguments) == code, "once more does nothing new"
    assert len(Dataset(data)) == 3


def test_a_round_is_exported_with_all_that_led_to_it(run: Path, tmp_path: Path) -> None:
    from robolearn.mining.exporting import export_round

    subject = find_subject(str(run), [], teach=True)
    improve(subject, PLAN, tmp_path, lambda line: None)
    file = PolicyFile(export_round(subject, PLAN, tmp_path, 1))
    file.verify()
    assert file.provenance["improved"]["round"] == 1
    assert file.provenance["improved"]["plan"]["iterations"] == 2
    assert "robolearn improve" in str(file.provenance["command"])
    assert len(file.provenance["history"]) == 1
    assert find_subject(str(tmp_path / "policy.onnx"), [], teach=False).file is not None


def test_a_policy_file_alone_can_be_looked_at_and_not_taught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = transformer_file(tmp_path / "policy.onnx")
    assert main(["improve", str(path)]) == 2
    assert "policy file alone" in capsys.readouterr().err
    assert main(["improve", str(path), "--rounds", "0", *SMALL, "--out", str(tmp_path / "out")]) == 0
    assert "fails in all" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_file_is_looked_at_and_not_the_checkpoint_beside_it(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run's policy.onnx of an earlier iteration, or of another student, is itself; what would be taught is the checkpoint."""
    folder = tmp_path / "run" / "one"
    shutil.copytree(run, folder)
    assert main(["export", str(folder), "--no-gate"]) == 0
    file = folder / "policy.onnx"
    assert find_subject(str(file), [], teach=False).file is not None
    assert find_subject(str(file), [], teach=True).state is not None
    state = load_checkpoint(folder)
    next(value for name, value in state["policy"].items() if name.startswith("actor.head") and name.endswith("bias")).add_(0.05)
    torch.save(state, folder / "checkpoint.pt")
    subject = find_subject(str(file), [], teach=False)
    assert subject.file is not None
    assert subject.file.path == file
    assert subject.state is None
    capsys.readouterr()
    assert main(["improve", str(file), "--rounds", "1", *SMALL, "--out", str(tmp_path / "out")]) == 2
    assert "does not act as the checkpoint beside it" in capsys.readouterr().err
    assert find_subject(str(folder), [], teach=True).state is not None, "the run itself can be taught"


def test_a_teacher_is_to_be_distilled_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make_trainer("teacher", tiny_cfg("go1-velocity-flat"))
    save(trainer, Run(tmp_path / "t", trainer.cfg))
    assert main(["improve", str(tmp_path / "t")]) == 2
    assert "robolearn distill" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rounds", "-1"], "--rounds must lie between 0"),
        (["--rounds", "0", "--control"], "--control compares"),
        (["--rounds", "0", "--dataset", "x"], "--dataset needs"),
        (["--limit", "velocity_error_xy"], "FIGURE=VALUE"),
        (["--limit", "speed=1"], "measures no 'speed'"),
        (["--ordinary", "1.5"], "--ordinary must lie"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    run: Path, tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["improve", str(run), *arguments, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
