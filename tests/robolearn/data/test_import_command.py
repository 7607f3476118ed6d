"""`robolearn data import`: from a recording to a dataset without faults, by hand-written map or by a guess, and what is said on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robolearn.cli import main
from robolearn.data.columns import ACTION, COMMAND, STATE
from robolearn.data.reader import Dataset
from tests.robolearn.data import motions
from tests.robolearn.data.motions import write_bag


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("bags") / "walk", motions.walk(3.0))


def test_a_bag_becomes_a_dataset_by_a_guess(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    line = ["data", "import", str(bag), "--robot", "go1", "--out", str(out), "--licence", "LicenseRef-own", "--task", "sway"]
    assert main(line) == 0
    assert "next: robolearn data check" in capsys.readouterr().out
    assert main(line) == 2
    assert "--append" in capsys.readouterr().err
    assert main([*line, "--append"]) == 0
    data = Dataset(out)
    assert len(data) == 2
    source = data.sources[0]
    assert (source.kind, source.robot, source.licence, data.episodes[0].task) == ("import", "go1", "LicenseRef-own", "sway")
    assert len(source.file_hash) == 64
    assert source.fps == pytest.approx(200, rel=0.01)
    assert ACTION in data.episode(0).columns
    assert main(["data", "check", str(out)]) == 0


def test_the_map_is_written_edited_and_used(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.yaml"
    assert main(["data", "import", str(bag), "--robot", "go1", "--map-out", str(path)]) == 0
    text = path.read_text()
    assert "joint_position:" in text
    assert "/joint_states position" in text
    path.write_text(text.replace('at: "/joint_states position"', 'at: "/joint_states position"\n  unit: deg'))
    out = tmp_path / "data"
    assert main(["data", "import", str(bag), "--map", str(path), "--out", str(out), "--fps", "25"]) == 0
    data = Dataset(out)
    assert data.fps == 25
    assert np.abs(data.episode(0).columns[STATE][:, :12]).max() < 0.1
    path.write_text(text + "joint_positions: {at: x}\n")
    capsys.readouterr()
    assert main(["data", "import", str(bag), "--map", str(path), "--out", str(tmp_path / "no")]) == 2
    said = capsys.readouterr().err
    assert "map.yaml:" in said
    assert "did you mean 'joint_position'" in said


def test_show_says_what_is_there(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "import", str(bag), "--show"]) == 0
    said = capsys.readouterr().out
    assert "/joint_states (sensor_msgs/msg/JointState): " in said
    assert "position (12)" in said
    assert "orientation.x" in said
    assert main(["data", "import", str(bag), "--show", "--robot", "go1"]) == 0
    assert "joint_position:" in capsys.readouterr().out


def test_wrong_units_are_found_by_the_check(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mistake that people make: velocities in degrees."""
    path = tmp_path / "map.yaml"
    main(["data", "import", str(bag), "--robot", "go1", "--map-out", str(path)])
    path.write_text(path.read_text().replace('at: "/joint_states velocity"', 'at: "/joint_states velocity"\n  unit: deg/s'))
    assert main(["data", "import", str(bag), "--map", str(path), "--out", str(tmp_path / "data")]) == 0
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "data")]) == 2
    assert "fault units" in capsys.readouterr().out


def test_what_was_imported_before_a_broken_recording_is_told(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torn = tmp_path / "torn.csv"
    torn.write_text("a\n1\n")
    assert main(["data", "import", str(bag), str(torn), "--robot", "go1", "--out", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err
    assert f"the 1 before {torn} are in {tmp_path / 'data'}" in said
    assert "--append" in said
    assert len(Dataset(tmp_path / "data")) == 1


def test_what_does_not_fit_one_dataset_is_joined_by_a_merge(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first recording has no commands, the second has."""
    silent = write_bag(tmp_path / "silent", [message for message in motions.walk(3.0) if message.topic != "/cmd_vel"])
    line = ["data", "import", "--robot", "go1", "--out"]
    assert main([*line, str(tmp_path / "a"), str(silent)]) == 0
    assert main([*line, str(tmp_path / "a"), "--append", str(bag)]) == 2
    said = capsys.readouterr().err
    assert "observation.command" in said
    assert "robolearn data merge" in said
    assert main([*line, str(tmp_path / "b"), str(bag)]) == 0
    assert main(["data", "merge", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "both")]) == 0
    assert [COMMAND in Dataset(tmp_path / "both").episode(index).columns for index in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--show", "--map-out", "x.yaml"], "--robot NAME"),
        ([], "give --out"),
        (["--out", "data"], "the robot of the recording"),
        (["--out", "data", "--robot", "go2"], "go2"),
        (["--out", "data", "--robot", "go1", "--fps", "0"], "at least 1"),
        (["--out", "data", "--robot", "go1", "--kind", "polcy"], "did you mean 'policy'"),
        (["--out", "data", "--map", "no.yaml"], "no.yaml"),
    ],
)
def test_what_cannot_be_is_said(
    bag: Path, tmp_path: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "import", str(bag), *options]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
