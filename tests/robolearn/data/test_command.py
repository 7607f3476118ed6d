"""`robolearn data`: what it prints, writes and refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from robolearn.cli import main
from robolearn.data.reader import Dataset
from robolearn.data.store import parquet_files
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data.episodes import COLUMNS, SOURCE, arm, arm_episode, episode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    restricted = dataclasses.replace(SOURCE, kind="mocap", licence="CC-BY-NC-4.0", note="a dance", control_mode="")
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(*(episode(index) for index in range(6)), episode(6, source=restricted, action=False))
    return tmp_path / "d"


def test_info(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", str(path)]) == 0
    told = capsys.readouterr().out
    assert f"{path}: 7 episodes, 56 rows at 50 Hz (1.1 s)" in told
    assert "policy of hopper, position: 6 episodes, 0.9 s, 50% succeeded; Apache-2.0\n" in told
    assert "mocap of hopper: 1 episodes, 0.2 s, 100% succeeded; CC-BY-NC-4.0 (only with --allow-licence); a dance" in told
    assert "known in 80% of the rows" in told
    assert "tasks: task 0; task 1; task 2" in told
    assert main(["data", "info", str(path), "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [source["episodes"] for source in told["sources"]] == [6, 1]
    assert {column["name"]: column["width"] for column in told["columns"]}["observation.state"] == 12


def test_merge_and_split(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "arm", arm(5)[0], 50) as writer:
        writer.add(*(arm_episode(index, 5) for index in range(3)))
    assert main(["data", "merge", str(path), str(tmp_path / "arm"), "--out", str(tmp_path / "both")]) == 0
    assert len(Dataset(tmp_path / "both")) == 10
    assert main(["data", "split", str(tmp_path / "both"), "--out", str(tmp_path / "parts"), "--shares", "a=0.5,b=0.5", "--free"]) == 0
    parts = [Dataset(tmp_path / "parts" / name) for name in "ab"]
    assert sum(len(part) for part in parts) == 9
    assert not any(source.licence == "CC-BY-NC-4.0" for part in parts for source in part.sources)
    assert "9" not in capsys.readouterr().err


def test_repair(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = parquet_files(path / "data")[0]
    file.write_bytes(file.read_bytes()[:-100])
    assert main(["data", "repair", str(path), "--out", str(tmp_path / "new")]) == 0
    told = capsys.readouterr().out
    assert "lost: chunk-000/file-000.parquet: has no end" in told
    assert "7 episodes saved" in told
    file.write_bytes(b"PAR1")
    assert main(["data", "repair", str(path), "--out", str(tmp_path / "none")]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere"], "nowhere is not a dataset: there is no such folder"),
        (["merge", "{d}", "--out", "{d}"], "exists already and is not empty"),
        (["split", "{d}", "--out", "{t}/x", "--shares", "a=0.5,b"], "not 'b'"),
        (["split", "{d}", "--out", "{t}/x", "--shares", "a=0.5"], "add up to 1"),
        (["split", "{d}", "--out", "{t}/x", "--allow-licence", "x"], "is for --free"),
        (["split", "{d}", "--out", "{t}/x", "--robot", "nobody"], "meets all of --robot"),
        (["split", "{d}", "--out", "{t}/x", "--robot", "hopper", "--shares", "a=0.98,b=0.01,c=0.01"], "nothing is left for b, c"),
        (["split", "{d}", "--out", "{t}/x", "--kind", "polcy"], "did you mean 'policy'"),
        (["repair", "{t}", "--out", "{t}/x"], "holds no rows"),
        (["frobnicate"], "invalid choice"),
    ],
)
def test_what_cannot_be_is_one_line(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["data", *(item.format(d=path, t=tmp_path) for item in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_damage_is_told_with_what_to_type(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path / "meta/info.json").write_text('{"codebase_version": "v3.0"', encoding="utf-8")
    assert main(["data", "info", str(path)]) == 2
    assert f"robolearn data repair {path} --out NEW" in capsys.readouterr().err
    (path / "meta/info.json").write_text('{"codebase_version": "v2.1"}', encoding="utf-8")
    assert main(["data", "info", str(path)]) == 2
    assert "convert it with lerobot" in capsys.readouterr().err
