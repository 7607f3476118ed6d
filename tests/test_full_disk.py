"""On a disk that is full, small or read-only everything that writes says so in one line, leaves nothing half written and loses nothing."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.files import WriteError, whole, write_text
from robolearn import cli
from robolearn.errors import UserError
from robolearn.learning import trainer as loop
from robolearn.learning.growing import GrowingFile
from robolearn.learning.run import Run, load_checkpoint
from tests.disks import fill, names, read_only, small_disk
from tests.learning_helpers import TINY, make_trainer, tiny_cfg

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


@pytest.fixture
def full(disk: Path) -> Path:
    fill(disk)
    return disk


def robolearn(*arguments: str, code: int = 2, **options: Any) -> str:
    """Run a command line as a process of its own. Returns the one line that it must be refused with."""
    command = [sys.executable, "-m", "robolearn", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=REPOSITORY, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("robolearn: error: ")
    return line


def test_a_file_appears_whole_or_not_at_all(disk: Path) -> None:
    write_text(disk / "a.txt", "before")
    for big in (True, False):
        with pytest.raises(WriteError if big else KeyError) as caught, whole(disk / "a.txt") as temporary:  # noqa: PT012
            temporary.write_bytes(bytes(2 << 20 if big else 10))
            raise KeyError
        assert not big or str(caught.value) == f"cannot write {disk / 'a.txt'}: No space left on device"
        assert names(disk) == ["a.txt"]
    assert (disk / "a.txt").read_text() == "before"
    with pytest.raises(WriteError, match="No space left"):
        write_text(disk / "new" / "deep" / "b.txt", "x" * (2 << 20))
    with read_only(disk), pytest.raises(WriteError, match="Read-only file system"):
        write_text(disk / "new" / "b.txt", "x")
    assert names(disk) == ["a.txt"]  # nor the folders that were made for it


def test_a_library_that_hides_why_it_failed_is_seen_through(disk: Path) -> None:
    """torch's and OpenCV's errors do not say that a disk is full; who is to blame for another error keeps it."""
    with pytest.raises(WriteError, match="No space left"), whole(disk / "a"):  # noqa: PT012
        fill(disk)
        raise RuntimeError("unexpected pos 704 vs 598") from None
    (disk / "filler").unlink()
    with pytest.raises(RuntimeError, match="another"), whole(disk / "a"):
        raise RuntimeError("another")
    assert names(disk) == []


def test_links_pipes_and_long_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a.txt")
    write_text(tmp_path / "link", "through the link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "through the link"
    write_text(tmp_path / ("n" * 251 + ".txt"), "as long as names may be")
    write_text(Path(os.devnull), "nowhere")
    assert not Path(os.devnull).is_file()  # it is what it was
    with pytest.raises(WriteError, match="Is a directory"):
        write_text(tmp_path / "real", "x")
    write_text(tmp_path / "odd.txt", "a file named \udcff")
    assert (tmp_path / "odd.txt").read_text(encoding="utf-8") == "a file named \\udcff"


def test_a_quota_is_told_like_a_full_disk(tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    line = robolearn("list", "--json", str(tmp_path / "list.json"), preexec_fn=limited)
    assert line == f"robolearn: error: cannot write {tmp_path / 'list.json'}: File too large"
    assert names(tmp_path) == []


def test_a_training_outlives_a_full_disk(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One warning when it fills, checkpoints and metrics as soon as there is room, and not a line lost."""
    trainer = make_trainer("teacher", tiny_cfg("panda-reach", "--checkpoint_every=2", "--teacher.iterations=9"))
    run = Run(disk / "run", trainer.cfg)
    seen: list[int] = []

    def after(metrics: dict[str, float]) -> bool:
        if trainer.iteration == 2:
            seen.append(load_checkpoint(run.folder)["iteration"])
            fill(disk)
        if trainer.iteration == 5:
            seen.append(load_checkpoint(run.folder)["iteration"])
            (disk / "filler").unlink()
        if trainer.iteration == 7:  # not one of its periods
            seen.append(load_checkpoint(run.folder)["iteration"])
        return False

    loop.train(trainer, run, after)
    run.close()
    assert seen == [2, 2, 6]
    assert load_checkpoint(run.folder)["iteration"] == 9
    lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(1, 10))
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert sum("checkpoint" in line for line in warnings) == 1
    assert len(warnings) == 2, warnings
    assert all("No space left on device" in line for line in warnings)
    assert names(disk) == ["run", "run/checkpoint.pt", "run/config.yaml", "run/metrics.jsonl"]
    assert scalars(run.folder, "reward") == list(range(1, 10))


def scalars(folder: Path, name: str) -> list[int]:
    """The steps of a scalar, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (path,) = folder.glob("events.out.tfevents.*")
    events = EventAccumulator(str(path))
    events.Reload()
    return [event.step for event in events.Scalars(name)]


def test_a_last_checkpoint_that_fails_is_an_error_and_keeps_the_one_before(disk: Path) -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach", "--checkpoint_every=2", "--teacher.iterations=3"))
    run = Run(disk / "run", trainer.cfg)
    with pytest.raises(UserError, match=r"which is not saved: cannot write .*checkpoint\.pt: No space left") as caught:
        loop.train(trainer, run, lambda metrics: trainer.iteration == 2 and bool(fill(disk)) and False)
    assert "the checkpoint there is of iteration 2" in str(caught.value)
    (disk / "filler").unlink()
    run.close()
    assert load_checkpoint(run.folder)["iteration"] == 2
    again = Run(disk / "run", trainer.cfg)
    loop.save(trainer, again)  # a failed write holds no room and no file
    again.close()
    assert load_checkpoint(run.folder)["iteration"] == 3


def test_a_run_that_cannot_be_written_is_refused_and_leaves_nothing(full: Path) -> None:
    tiny = ["train", "panda-reach", *TINY, "--runs", str(full / "runs")]
    assert "cannot write" in robolearn(*tiny)
    assert names(full) == []
    (full / "filler").unlink()
    with read_only(full):
        line = robolearn(*tiny)
    assert "cannot write" in line
    assert "Read-only file system" in line
    assert names(full) == []


def test_lines_that_cannot_be_written_are_kept(disk: Path) -> None:
    file = GrowingFile(disk / "a")
    file.add(b"one\n")
    fill(disk)
    for number in range(3000):
        file.add(b"%d\n" % number)
    assert file.failure is not None
    assert (disk / "a").read_bytes().endswith(b"\n")
    (disk / "filler").unlink()
    file.close()
    assert file.failure is None
    assert (disk / "a").read_bytes() == b"one\n" + b"".join(b"%d\n" % number for number in range(3000))


@pytest.mark.slow
@pytest.mark.parametrize("state", ["full", "read-only"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--json", "{disk}/new/a.json"],
        ["evaluate", "panda-reach", "--seeds", "1", "--seconds", "1.1", "--json", "{disk}/new/a.json"],
        ["evaluate", "go1-velocity", "--suite", "locomotion", "--quick", "--only", "arms", "--out", "{disk}/new"],
        ["play", "panda-reach", "--seconds", "1", "--out", "{disk}/new/a.mp4"],
        ["play", "panda-reach", "--seconds", "1", "--out", "{disk}/new/a.webm"],
        ["play", "panda-reach", "--seconds", "1", "--no-video", "--json", "{disk}/new/a.json"],
        ["export", "{checkpoint}", "--no-gate", "--out", "{disk}/new/p.onnx"],
        ["identify", "--demo", "panda", "--seconds", "4", "--json", "{disk}/new/a.json"],
        ["bench", "policy", "--quick", "--json", "{disk}/new/a.json"],
        ["deploy", "panda-reach", "--transport", "sim", "--duration", "0.1", "--ungated", "--events", "{disk}/new/e.jsonl", "--no-log"],
        ["deploy", "panda-reach", "--transport", "sim", "--duration", "0.1", "--ungated", "--log", "{disk}/new/a.mcap"],
        ["replay", "{log}", "--json", "{disk}/new/a.json"],
        ["replay", "{log}", "--plot", "{disk}/new/a.png"],
        ["replay", "{log}", "--repair", "{disk}/new/a.mcap"],
        ["study", "{study}", "--teacher", "{teacher}", "--quick", "--out", "{disk}/new"],
        ["distill", "{teacher}", "--runs", "{disk}/new"],
        ["demo", "panda-reach", "--runs", "{disk}/new", *TINY],
    ],
    ids=lambda arguments: " ".join(part for part in arguments if "--env" not in part)[:60],
)
def test_what_cannot_be_written_is_one_line(arguments: list[str], state: str, disk: Path, inputs: dict[str, str]) -> None:
    given = [argument.format(disk=disk, **inputs) if "{" in argument else argument for argument in arguments]
    if state == "full":
        fill(disk)
        line = robolearn(*given)
        assert "No space left on device" in line
    else:
        with read_only(disk):
            line = robolearn(*given)
        assert "Read-only file system" in line
    assert str(disk / "new") in line
    assert names(disk) == []


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Checkpoints, a log and a study to work on."""
    folder = tmp_path_factory.mktemp("inputs")
    cfg = tiny_cfg("panda-reach")
    for kind in ("teacher", "student"):
        trainer = make_trainer(kind, cfg)
        run = Run(folder / "panda" / kind, cfg)
        loop.save(trainer, run)
        run.close()
    deploy = ["deploy", "panda-reach", "--transport", "sim", "--duration", "6", "--ungated", "--auto-start", "--command", "0.4", "0", "0.4"]
    assert cli.main([*deploy, "--log", str(folder / "a.mcap")]) == 0
    study = folder / "s.yaml"
    study.write_text(f'question: "which"\ntask: reach\nseeds: [0]\nvariants: {{one: {json.dumps([t[2:] for t in TINY])}}}\n')
    teacher, student = (str(folder / "panda" / kind) for kind in ("teacher", "student"))
    return {"teacher": teacher, "checkpoint": student, "log": str(folder / "a.mcap"), "study": str(study)}


def test_standard_output_on_a_full_disk_is_told(full: Path) -> None:
    with (full / "out").open("w") as output:
        done = subprocess.run([sys.executable, "-m", "robolearn", "list"], stdout=output, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert done.returncode == 2
    assert done.stderr == "robolearn: error: cannot write standard output: No space left on device\n"


def test_a_checkpoint_written_through_a_failure_loads(disk: Path) -> None:
    """torch's own writer would keep the room of a file that it could not write."""
    for _ in range(3):
        with pytest.raises(WriteError), whole(disk / "a.pt") as temporary, temporary.open("wb") as file:
            torch.save({"x": torch.zeros(1 << 20)}, file)
    with whole(disk / "a.pt") as temporary, temporary.open("wb") as file:
        torch.save({"x": torch.zeros(1 << 17)}, file)
    assert torch.load(disk / "a.pt")["x"].shape == (1 << 17,)
