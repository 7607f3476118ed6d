"""Stopping and going on gives the training that was never stopped, to the last bit; what can't go on says so in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from envs.robots.registry import get_robot
from robolearn import cli
from robolearn.errors import UserError
from robolearn.learning import trainer as loop
from robolearn.learning.run import Run, find_checkpoint, load_checkpoint
from tests.learning_helpers import TINY, assert_identical, make_trainer, tiny_cfg, untimed
from tests.pairs import TASKS

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_resumed_equals_uninterrupted(kind: str, task: str, tmp_path: Path) -> None:
    cfg = tiny_cfg(task, "--env.episode_s=0.6")  # of the worlds at the checkpoint, some are reset until the end and some are not
    whole = make_trainer(kind, cfg)
    expected = [untimed(whole.iterate()) for _ in range(4)]

    first = make_trainer(kind, cfg)
    metrics = [untimed(first.iterate()) for _ in range(2)]
    run = Run(tmp_path, cfg)
    loop.save(first, run)
    run.close()
    del first
    torch.manual_seed(999)  # nothing may hang on torch's own generator
    second = make_trainer(kind, cfg)
    second.iterate()  # nor on what the fresh trainer was before
    loop.resume(second, load_checkpoint(tmp_path))
    assert second.iteration == 2
    metrics += [untimed(second.iterate()) for _ in range(2)]
    assert_identical(metrics, expected, "metrics")
    assert_identical(second.state_dict(), whole.state_dict())


def test_a_checkpoint_is_not_changed_by_going_on() -> None:
    """What `state_dict` gives is a copy of the environment, or a later step would change what was saved."""
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    trainer.iterate()
    state = trainer.state_dict()["env"]
    kept = ("worlds", "buffers", "command", "drawn")
    frozen = {part: {name: value.clone() for name, value in state[part].items()} for part in kept}
    engine = {name: value.clone() for name, value in state["engine"]["state"].items()}
    trainer.iterate()
    assert_identical({part: state[part] for part in kept}, frozen)
    assert_identical(state["engine"]["state"], engine)


def test_the_loop_saves_logs_and_stops_where_it_is_told(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    run = Run(tmp_path, trainer.cfg)
    last = loop.train(trainer, run, on_iteration=lambda metrics: trainer.iteration == 3)
    run.close()
    assert trainer.iteration == 3
    assert [line["iteration"] for line in lines(tmp_path)] == [1, 2, 3]
    assert last["steps"] == 3 * 64
    assert lines(tmp_path)[-1].items() >= untimed(last).items()
    assert load_checkpoint(tmp_path)["iteration"] == 3
    assert sorted(path.name for path in tmp_path.iterdir() if "events" not in path.name) == [
        "checkpoint.pt",
        "config.yaml",
        "metrics.jsonl",
    ]
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupted_in_the_middle_of_an_iteration(tmp_path: Path) -> None:
    """The iteration is finished, saved, and told."""
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    iterate = trainer.iterate

    def interrupted() -> dict[str, float]:
        if trainer.iteration == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return iterate()

    trainer.iterate = interrupted
    run = Run(tmp_path, trainer.cfg)
    with pytest.raises(loop.Interrupted, match=str(tmp_path)):
        loop.train(trainer, run)
    run.close()
    assert [line["iteration"] for line in lines(tmp_path)] == [1, 2]
    assert load_checkpoint(tmp_path)["iteration"] == 2


def test_a_training_that_diverges_stops_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach", "--checkpoint_every=1"))
    iterate = trainer.iterate
    trainer.iterate = lambda: iterate() | ({"value_loss": float("inf")} if trainer.iteration == 3 else {})
    run = Run(tmp_path, trainer.cfg)
    with pytest.raises(UserError, match="diverged in iteration 3: value_loss not finite"):
        loop.train(trainer, run)
    run.close()
    assert [line["iteration"] for line in lines(tmp_path)] == [1, 2]
    assert load_checkpoint(tmp_path)["iteration"] == 2


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "robolearn", *arguments]


@pytest.mark.slow
def test_ctrl_c_on_the_command_line_and_resume(tmp_path: Path) -> None:
    """Exit code 130, a checkpoint, and after --resume every iteration once, equal to a run that nobody stopped."""
    tiny = [setting for setting in TINY if "iterations" not in setting]
    process = subprocess.Popen(
        command("train", "panda-reach", "--runs", str(tmp_path), *tiny, "--teacher.iterations=100000", "--checkpoint_every=100000"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not any(path.stat().st_size for path in tmp_path.glob("panda-reach/*/metrics.jsonl")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (folder,) = (tmp_path / "panda-reach").iterdir()
    done = load_checkpoint(folder)["iteration"]
    assert f"saved at iteration {done}; continue with: robolearn train --resume {folder}" in out
    assert [line["iteration"] for line in lines(folder)] == list(range(1, done + 1))

    # as a kill during a later iteration would have left it: a line too many and half a line
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"iteration": done + 1, "reward": 0.0}) + '\n{"iteration": ')
    total = done + 3
    resumed = subprocess.run(
        command("train", "--resume", str(folder), f"--teacher.iterations={total}"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert [line["iteration"] for line in lines(folder)] == list(range(1, total + 1))
    assert load_checkpoint(folder)["iteration"] == total

    whole = make_trainer("teacher", tiny_cfg("panda-reach"))
    for line in lines(folder):
        assert untimed(line).items() >= untimed(whole.iterate()).items()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command line is refused with."""
    assert cli.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("robolearn: error: ")
    assert err.count("\n") == 1, err
    return err


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of each kind."""
    folders = {}
    for kind in ("teacher", "student"):
        trainer = make_trainer(kind, tiny_cfg("panda-reach"))
        folders[kind] = tmp_path_factory.mktemp("runs") / "panda-reach" / kind
        run = Run(folders[kind], trainer.cfg)
        loop.save(trainer, run)
        run.close()
    return folders


@pytest.mark.parametrize(
    ("kind", "verb"), [("teacher", "train --resume"), ("teacher", "distill"), ("student", "distill --resume"), ("student", "export")]
)
def test_a_model_that_has_changed_since(
    kind: str, verb: str, checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(checkpoints[kind] / "checkpoint.pt", weights_only=True)
    assert state["model_sha256"] == get_robot("panda").fingerprint
    torch.save(state | {"model_sha256": "0" * 64}, tmp_path / "checkpoint.pt")
    where = f"{tmp_path} --student.iterations=1 --runs {tmp_path / 'runs'}" if verb == "distill" else str(tmp_path)
    code = cli.main([*verb.split(), *where.split()])
    assert "is not the one that the checkpoint was trained with" in capsys.readouterr().err
    assert code == (0 if verb == "distill" else 2)  # a teacher may be distilled on a robot that has grown
    assert not (tmp_path / "policy.onnx").exists()


@pytest.mark.parametrize("verb", [["train", "--resume"], ["distill", "--resume"], ["distill"], ["export"]])
def test_paths_without_a_checkpoint(verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"no checkpoint at {tmp_path / 'none'}" in refused(capsys, *verb, str(tmp_path / "none"))
    assert f"no checkpoint at {tmp_path}" in refused(capsys, *verb, str(tmp_path))


@pytest.mark.parametrize("verb", [["train", "--resume"], ["distill", "--resume"], ["distill"], ["export"]])
@pytest.mark.parametrize("content", ["text", "truncated", "empty", "list", "dict"])
def test_broken_checkpoints(
    verb: list[str], content: str, checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "checkpoint.pt"
    data = (checkpoints["teacher"] / "checkpoint.pt").read_bytes()
    path.write_bytes({"text": b"hello\nworld\n", "truncated": data[: len(data) // 2]}.get(content, b""))
    if content in ("list", "dict"):
        torch.save([1] if content == "list" else {"weights": torch.zeros(2)}, path)
    message = refused(capsys, *verb, str(path))
    assert f"{path} is not a {'' if content in ('list', 'dict') else 'readable '}checkpoint" in message


def test_the_wrong_kind(checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    teacher, student = (str(checkpoints[kind]) for kind in ("teacher", "student"))
    assert "is a checkpoint of a student, not of a teacher" in refused(capsys, "train", "--resume", student)
    assert "is a checkpoint of a teacher, not of a student" in refused(capsys, "distill", "--resume", teacher)
    assert "is a checkpoint of a student, not of a teacher" in refused(capsys, "distill", student)
    assert "is a checkpoint of a teacher; distill it first: robolearn distill" in refused(capsys, "export", teacher)


def test_contradictory_command_lines(checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    teacher, student = (str(checkpoints[kind]) for kind in ("teacher", "student"))
    assert "leave out the preset" in refused(capsys, "train", "panda-reach", "--resume", teacher)
    assert "leave out the teacher and --init" in refused(capsys, "distill", teacher, "--resume", student)
    assert "give a preset or --resume PATH; presets: g1-velocity-flat" in refused(capsys, "train")
    assert "give the teacher's run folder, or --resume PATH" in refused(capsys, "distill")
    assert "unknown key 'teacher.iteration'" in refused(capsys, "train", "--resume", teacher, "--teacher.iteration=3")


@pytest.mark.parametrize(
    ("verb", "kind", "change"),
    [
        ("train", "teacher", "--env.num_worlds=4"),
        ("train", "teacher", "--teacher.hidden=[8]"),
        ("distill", "student", "--student.network.width=32"),
        ("distill", "student", "--env.num_worlds=4"),
    ],
)
def test_other_sizes_cannot_go_on(
    verb: str, kind: str, change: str, checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in checkpoints[kind].iterdir()}
    assert "the checkpoint does not fit the config" in refused(capsys, verb, "--resume", str(checkpoints[kind]), change)
    assert {path: path.read_bytes() for path in checkpoints[kind].iterdir()} == before


@pytest.mark.parametrize("kind", ["teacher", "student"])
@pytest.mark.parametrize(("before", "after"), [("fold", "none"), ("none", "fold")])
def test_a_network_goes_on_on_its_side_of_the_fold(kind: str, before: str, after: str, tmp_path: Path) -> None:
    trainers = {
        symmetry: make_trainer(kind, tiny_cfg("g1-velocity-flat", f"--{kind}.ppo.symmetry={symmetry}")) for symmetry in (before, after)
    }
    run = Run(tmp_path, trainers[before].cfg)
    loop.save(trainers[before], run)
    run.close()
    with pytest.raises(UserError, match=f"{kind}.ppo.symmetry={before} and cannot continue with {after}; leave it out"):
        loop.resume(trainers[after], load_checkpoint(tmp_path))


def test_which_checkpoint_a_path_means(tmp_path: Path) -> None:
    older, newer = (tmp_path / name / "checkpoint.pt" for name in ("2001", "2000"))
    for age, path in enumerate((newer, older)):
        path.parent.mkdir()
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    assert find_checkpoint(tmp_path) == newer
    assert find_checkpoint(older.parent) == older
    assert find_checkpoint(older) == older


def test_new_folders_are_not_yet_taken(tmp_path: Path) -> None:
    first = Run.new_folder("name", tmp_path)
    first.mkdir(parents=True)
    second = Run.new_folder("name", tmp_path)
    assert not second.exists()
    assert second.parent == first.parent == tmp_path / "name"


def test_a_run_of_stable_baselines3_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"")
    with pytest.raises(UserError, match="is a run of Stable-Baselines3, which cannot be resumed"):
        find_checkpoint(tmp_path)
