"""The real lerobot opens ours, and ours opens theirs.

lerobot's pins exclude ours, so it lives in an environment of its own: `LEROBOT_PYTHON` names its interpreter. Without it these tests are
skipped. To make one:

    python3.12 -m venv FOLDER && FOLDER/bin/pip install "lerobot[dataset]==0.6.1" && export LEROBOT_PYTHON=FOLDER/bin/python
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robolearn.data.columns import ACTION, DONE, STATE, DataError
from robolearn.data.merge import merge
from robolearn.data.reader import Dataset
from robolearn.data.repair import repair
from robolearn.data.statistics import aggregate
from robolearn.data.store import read_stats
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data import test_video
from tests.robolearn.data.episodes import COLUMNS, arm, arm_episode, episode, rows, same

PYTHON = os.environ.get("LEROBOT_PYTHON", "")
KILLED = os.environ.get("ROBOLEARN_KILLED", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="needs lerobot in an environment of Python 3.12: LEROBOT_PYTHON is not set (see this file)"),
]
TOLERANCE = 1e-6


def lerobot(*arguments: object, code: int = 0) -> str:
    """Run the other side."""
    script = Path(__file__).with_name("lerobot_side.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([PYTHON, str(script), *map(str, arguments)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout


def close(left: object, right: object, unit: np.ndarray) -> bool:
    """Whether two statistics agree to `TOLERANCE` of the column's size: lerobot computes in the column's precision."""
    return bool(np.all(np.abs(np.asarray(left, dtype=np.float64) - np.asarray(right, dtype=np.float64)) <= TOLERANCE * np.maximum(unit, 1)))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ours") / "d"
    with DatasetWriter(path, COLUMNS, 50) as writer:
        writer.add(episode(0, 300), episode(1, 1), episode(2, 120, action=False))
        writer.add(episode(3))
    return path


def their_file(folder: Path, width: int, state: int) -> Path:
    arrays = {f"{i}/{name}": rows(i, 30 + i, size, salt) for i in range(3) for name, size, salt in ((STATE, state, 0), (ACTION, width, 3))}
    np.savez(folder / "episodes.npz", episodes=3, **arrays)
    return folder / "episodes.npz"


def test_lerobot_opens_ours(ours: Path) -> None:
    found, dataset = json.loads(lerobot("open", ours)), Dataset(ours)
    assert (found["episodes"], found["frames"], found["fps"], found["robot_type"]) == (4, dataset.info.total_frames, 50, "hopper")
    for place, name in ((0, "first"), (-1, "last")):
        for column in dataset.info.features:
            assert np.array_equal(np.asarray(found[name][column]), np.asarray(dataset.column(column)[place].tolist())), column
        assert found[name]["task"] == dataset.episodes[place].task
    assert np.array_equal(np.float32(found["windows"]["action"]), dataset.column(ACTION)[:2])


def test_statistics_are_lerobots(ours: Path) -> None:
    found, stats = json.loads(lerobot("open", ours)), read_stats(ours)
    assert set(stats) == set(found["stats_of_lerobot"]) == set(found["stats_of_file"])
    for name, theirs in found["stats_of_lerobot"].items():
        assert set(stats[name]) == set(theirs)
        unit = np.maximum(np.abs(stats[name]["min"]), np.abs(stats[name]["max"]))
        for key, value in theirs.items():
            assert close(stats[name][key], value, unit), (name, key, stats[name][key], value)
            assert np.array_equal(np.asarray(found["stats_of_file"][name][key]), stats[name][key])


def test_a_merge_of_robots_opens_in_lerobot(ours: Path, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "arm", arm(5)[0], 50) as writer:
        writer.add(arm_episode(0, 5))
    merge([ours, tmp_path / "arm"], tmp_path / "both")
    found = json.loads(lerobot("open", tmp_path / "both"))
    assert found["episodes"] == 5
    assert len(found["last"]["observation.state"]) == 16
    assert found["robot_type"] == "mixed"


def test_we_open_lerobots(tmp_path: Path) -> None:
    lerobot("write", tmp_path / "d", their_file(tmp_path, 6, 14))
    dataset = Dataset(tmp_path / "d")
    assert (len(dataset), dataset.fps, dataset.info.robot_type) == (3, 30, "so101")
    assert dataset.sources[0].kind == "import"
    assert dataset.sources[0].licence == "unknown"
    for index in range(3):
        read = dataset.episode(index)
        assert np.array_equal(read.columns[STATE], rows(index, 30 + index, 14, 0))
        assert np.array_equal(read.columns[ACTION], rows(index, 30 + index, 6, 3))
        assert read.columns[DONE].tolist() == [False] * (29 + index) + [True]
        assert read.task == f"task {index}"
    assert next(column for column in dataset.columns if column.name == ACTION).names == tuple(f"m{i}" for i in range(6))


def test_we_go_on_with_lerobots_and_lerobot_with_ours(ours: Path, tmp_path: Path) -> None:
    lerobot("write", tmp_path / "theirs", their_file(tmp_path, 6, 14))
    with DatasetWriter.append(tmp_path / "theirs") as writer:
        writer.add(Dataset(tmp_path / "theirs").episode(1))
    assert json.loads(lerobot("open", tmp_path / "theirs"))["episodes"] == 4
    merge([ours], tmp_path / "ours")
    lerobot("resume", tmp_path / "ours", their_file(tmp_path, 3, 12))
    dataset = Dataset(tmp_path / "ours")
    assert len(dataset) == 7
    assert same(episode(3), dataset.episode(3))  # its source too, although lerobot drops our key from info.json
    assert dataset.sources[dataset.episodes[6].source].note == "written by another program"
    assert np.array_equal(dataset.episode(6).columns[STATE], rows(2, 32, 12, 0))
    assert json.loads(lerobot("open", tmp_path / "ours"))["episodes"] == 7


def test_pictures_go_both_ways(tmp_path: Path) -> None:
    """lerobot's episodes stand in one video one after the other; ours in a file each; a merge of its dataset packs them anew."""
    with DatasetWriter(tmp_path / "ours", test_video.COLUMNS, 50) as writer:
        writer.add(test_video.seen(0), test_video.seen(1, camera_known=False))
        writer.add(test_video.seen(2))
    found, dataset = json.loads(lerobot("open", tmp_path / "ours")), Dataset(tmp_path / "ours")
    for place, name in ((0, "first"), (-1, "last")):
        shown = np.moveaxis(np.asarray(found[name][test_video.FRONT]), 0, -1) * 255
        assert np.abs(shown - dataset.column(test_video.FRONT)[place]).max() <= 1
    file = their_file(tmp_path, 3, 12)
    arrays = dict(np.load(file)) | {f"{i}/{test_video.FRONT}": test_video.pictures(i, 30 + i) for i in range(3)}
    np.savez(file, **arrays)
    lerobot("write", tmp_path / "theirs", file)
    merge([tmp_path / "theirs"], tmp_path / "merged")
    for theirs in (Dataset(tmp_path / "theirs"), Dataset(tmp_path / "merged")):
        for index in range(3):
            expected = test_video.pictures(index, 30 + index)
            assert test_video.close(theirs.episode(index).columns[test_video.FRONT], expected)
            row = theirs.episodes[index]
            assert test_video.close(theirs.column(test_video.FRONT)[row.start : row.stop], expected)
    assert len({row.videos[test_video.FRONT][0] for row in Dataset(tmp_path / "theirs").episodes}) == 1
    own = read_stats(tmp_path / "theirs")[test_video.FRONT]
    frames = [test_video.video_statistics(test_video.pictures(index, 30 + index)) for index in range(3)]
    for key, value in aggregate(frames).items():
        rounding = 5e-4 if key in ("mean", "std") else TOLERANCE  # lerobot sums squares of bytes in single precision
        assert np.abs(value - own[key]).max() < rounding, key
    assert json.loads(lerobot("open", tmp_path / "merged"))["episodes"] == 3


def test_a_recording_of_lerobots_that_was_killed_is_repaired(tmp_path: Path) -> None:
    """lerobot keeps one file open and no file without its end can be opened, so that it has lost every episode itself."""
    lerobot("killed", tmp_path / "d", their_file(tmp_path, 6, 14), code=-signal.SIGKILL)
    with pytest.raises(DataError):
        Dataset(tmp_path / "d").episode(0)
    found = repair(tmp_path / "d", tmp_path / "new")
    dataset = Dataset(tmp_path / "new")
    assert found.saved == len(dataset) == 3
    for index in range(3):
        assert np.array_equal(dataset.episode(index).columns[STATE], rows(index, 30 + index, 14, 0))
        assert np.array_equal(dataset.episode(index).columns[ACTION], rows(index, 30 + index, 6, 3))
        assert dataset.episodes[index].task == f"task {index}"


@pytest.mark.skipif(not KILLED, reason="ROBOLEARN_KILLED names no folder of killed datasets (see test_writer.py)")
def test_lerobot_opens_what_was_killed() -> None:
    paths = [path for path in sorted(Path(KILLED).iterdir()) if len(Dataset(path))]
    found = json.loads(lerobot("count", *paths))
    assert len(paths) > 0
    for path, counted in zip(paths, found, strict=True):
        dataset = Dataset(path)
        assert counted == [len(dataset), dataset.info.total_frames, True], path
