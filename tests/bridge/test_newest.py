"""The newest run or log is the one that was begun last, whatever copying has done to the file system's times."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from bridge.logs.newest import oldest_first, time_in_name
from bridge.logs.reader import newest_run
from robolearn import cli
from robolearn.learning.run import find_checkpoint
from robolearn.policy_path import find_policy

RUNS = ["2026-02-28_23-59-59", "2026-03-01_12-00-00", "2026-03-01_12-00-00_2", "2026-03-01_12-00-00_9", "2026-03-01_12-00-00_10"]
"""In the order in which they were begun."""


def touch(path: Path, age_s: float) -> Path:
    """A file that the file system thinks that old, and its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.read_bytes() if path.exists() else b"")
    for written in (path, path.parent):
        os.utime(written, (1e9 - age_s, 1e9 - age_s))
    return path


@pytest.mark.parametrize("find", [find_checkpoint, find_policy])
def test_a_copied_older_run_is_not_the_newest(find: object, tmp_path: Path) -> None:
    name = "checkpoint.pt" if find is find_checkpoint else "policy.onnx"
    for index, run in enumerate(RUNS):
        touch(tmp_path / run / name, age_s=index)  # the older the run, the newer its file
    assert callable(find)
    assert find(tmp_path) == tmp_path / RUNS[-1] / name
    touch(tmp_path / "a copy of 2027-01-01_00-00-00" / name, age_s=100)
    assert find(tmp_path).parent.name.startswith("a copy")
    (tmp_path / "latest").symlink_to(RUNS[0])
    assert find(tmp_path).parent.name.startswith("a copy")


def test_a_renamed_run_is_as_old_as_tensorboard_says(tmp_path: Path) -> None:
    """Demos name their parts `teacher` and `student`, and people rename what was good."""
    begun = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))
    for index, (run, start) in enumerate((("good", begun - 10), ("2026-03-01_12-00-00", None), ("better", begun + 10))):
        touch(tmp_path / run / "checkpoint.pt", age_s=index)
        if start is not None:
            (tmp_path / run / f"events.out.tfevents.{int(start)}.host.1.0").touch()
            (tmp_path / run / f"events.out.tfevents.{int(start + 1000)}.host.1.0").touch()  # gone on with later
    assert find_checkpoint(tmp_path).parent.name == "better"
    (tmp_path / "better" / "checkpoint.pt").unlink()
    assert find_checkpoint(tmp_path).parent.name == "2026-03-01_12-00-00"


def test_the_file_systems_time_counts_last(tmp_path: Path) -> None:
    for index, run in enumerate(("b", "a")):
        touch(tmp_path / run / "checkpoint.pt", age_s=index)
    assert find_checkpoint(tmp_path).parent.name == "b"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A log in which a policy ran."""
    path = tmp_path_factory.mktemp("log") / "a.mcap"
    sim = ["--transport", "sim", "--duration", "4", "--ungated", "--auto-start", "--command", "0.4", "0", "0.4"]
    assert cli.main(["deploy", "panda-reach", *sim, "--log", str(path)]) == 0
    return path.read_bytes()


def test_a_copied_older_log_is_not_the_newest(log: bytes, tmp_path: Path) -> None:
    stamps = ["2026-03-01_12-00-00_go1", "2026-03-01_12-00-00_go1-1", "2026-03-01_12-00-00_go1-10", "2026-03-02_00-00-00_a"]
    for index, name in enumerate(stamps):
        path = tmp_path / f"{name}.mcap"
        path.write_bytes(log)
        touch(path, age_s=index)
    path.with_name(".2027-01-01_00-00-00.1.tmp.mcap").write_bytes(log)  # being written
    assert newest_run(tmp_path) == (path, [])
    path.unlink()
    assert newest_run(tmp_path)[0].stem == "2026-03-01_12-00-00_go1-10"


def test_a_renamed_log_is_as_old_as_its_first_message(log: bytes, tmp_path: Path) -> None:
    for name in ("2001-01-01_00-00-00_a", "renamed"):
        (tmp_path / f"{name}.mcap").write_bytes(log)
        touch(tmp_path / f"{name}.mcap", age_s=10 * (name == "renamed"))
    assert newest_run(tmp_path)[0].stem == "renamed"
    (tmp_path / "2200-01-01_00-00-00_a.mcap").write_bytes(log)
    touch(tmp_path / "2200-01-01_00-00-00_a.mcap", age_s=100)
    assert newest_run(tmp_path)[0].stem == "2200-01-01_00-00-00_a"
    assert newest_run(tmp_path)[1] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2026-03-01_12-00-00", 1),
        ("2026-03-01_12-00-00_10", 10),
        ("2026-03-01_12-00-00_go1-velocity-3.mcap", 3),
        ("20260301T120000", 1),
        ("old 2026-03-01 12:00:00", 1),
        ("2026-13-01_12-00-00", None),
        ("best", None),
        ("12345678901234567890", None),
        ("2026-03-01", None),
    ],
)
def test_times_in_names(name: str, expected: int | None) -> None:
    begun = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))
    assert time_in_name(name) == (None if expected is None else (begun, expected))


def test_nothing_is_sorted_by_the_file_systems_time_elsewhere() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    folders = ("robolearn", "bridge", "envs", "policies", "benchmarks", "launch")
    sources = [
        path for folder in folders for path in (root / folder).rglob("*.py") if path.name not in ("newest.py", "cache.py")
    ]  # a cache sorts nothing
    assert sources
    assert [path.name for path in sources if re.search("st_mtime|getmtime|st_ctime", path.read_text(encoding="utf-8"))] == []
    assert oldest_first([], lambda path: path, lambda path: None) == []
