"""What is written is read, what does not fit is refused by name, and nothing that ends a writer loses more than the open episode."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from policies.files import WriteError
from robolearn.data import store
from robolearn.data.columns import ACTION, DONE, ROOT, STATE, Column, DataError, robot_columns
from robolearn.data.reader import Dataset
from robolearn.data.source import Episode
from robolearn.data.writer import DatasetWriter
from tests.disks import read_only, small_disk
from tests.robolearn.data.episodes import COLUMNS, JOINTS, SOURCE, episode, rows, same

KILLS = int(os.environ.get("ROBOLEARN_KILLS", "6"))
ROOT_FOLDER = Path(__file__).resolve().parents[3]
ENDLESS = """
import sys
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data.episodes import COLUMNS, episode
path = sys.argv[1]
import os
writer = DatasetWriter.append(path) if os.path.exists(path + "/meta/info.json") else DatasetWriter(path, COLUMNS, 50)
index = len(writer)
while True:
    print(index, flush=True)
    count = 1 + index % 3
    writer.add(*(episode(index + i, steps=40) for i in range(count)))
    index += count
"""


def write(path: Path, count: int) -> Path:
    with DatasetWriter(path, COLUMNS, 50) as writer:
        for index in range(count):
            writer.add(episode(index))
    return path


def check(path: Path, least: int, most: int, steps: int | None = None) -> int:
    """What must hold of a dataset at every moment, for our reader and for lerobot's way of reading. Returns the number of episodes."""
    dataset = Dataset(path)
    assert least <= len(dataset) <= most
    for index in range(len(dataset)):
        assert same(episode(index, steps), dataset.episode(index)), index
    if len(dataset):
        as_lerobot_reads(path, dataset)
    return len(dataset)


def as_lerobot_reads(path: Path, dataset: Dataset) -> None:
    """All Parquet files are whole, their rows follow each other, and the table of episodes is positional."""
    total = dataset.info.total_frames
    index = np.concatenate([pq.read_table(file)["index"].to_numpy() for file in store.parquet_files(path / "data")])
    assert np.array_equal(index[:total], np.arange(total))
    table = np.concatenate([pq.read_table(file)["episode_index"].to_numpy() for file in store.parquet_files(path / "meta/episodes")])
    assert np.array_equal(table[: len(dataset)], np.arange(len(dataset)))
    assert len(pq.read_table(path / store.TASKS)) >= dataset.info.total_tasks
    assert store.read_stats(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "d", 7)
    assert check(path, 7, 7) == 7
    dataset = Dataset(path)
    assert dataset.fps == 50
    assert dataset.tasks == ("task 0", "task 1", "task 2")
    assert [row.success for row in dataset.episodes[:3]] == [True, False, None]
    assert dataset.sources == (SOURCE,)
    assert {column.name: column.width for column in dataset.columns} == {column.name: column.width for column in COLUMNS}
    done = dataset.column(DONE)
    assert done.sum() == 7
    assert all(done[row.stop - 1] for row in dataset.episodes)


def test_columns_are_mapped_and_agree_with_the_episodes(tmp_path: Path) -> None:
    dataset = Dataset(write(tmp_path / "d", 9))
    for name in (STATE, ACTION, ROOT):
        column = dataset.column(name)
        assert isinstance(column, np.memmap)
        for row in dataset.episodes:
            assert np.array_equal(column[row.start : row.stop], dataset.episode(row.index).columns[name])


def test_the_decoded_columns_follow_the_files(tmp_path: Path) -> None:
    path = write(tmp_path / "d", 2)
    before = len(Dataset(path).column(STATE))
    with DatasetWriter.append(path) as writer:
        writer.add(episode(2))
    after = Dataset(path).column(STATE)
    assert len(after) == before + len(episode(2))
    assert np.array_equal(after[before:], episode(2).columns[STATE])
    assert len(list((path / ".cache/robolearn").iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    with small_disk(tmp_path / "disk", "2m") as disk:
        path = write(disk / "d", 2)
        with read_only(disk):
            assert len(Dataset(path).column(STATE)) == 11
            assert np.array_equal(Dataset(path).column(STATE)[:5], episode(0).columns[STATE])
        assert not (path / ".cache").exists()
    assert list((tmp_path / "home").rglob("*.npy"))


def test_what_is_missing_is_zeros_and_marked(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(episode(0, action=False), episode(1))
    dataset = Dataset(tmp_path / "d")
    valid, action = dataset.column(f"{ACTION}.is_valid"), dataset.column(ACTION)
    first = dataset.episodes[0]
    assert not valid[: first.stop].any()
    assert not action[: first.stop].any()
    assert valid[first.stop :].all()
    assert ACTION not in dataset.episode(0).columns
    assert not dataset.column("observation.contact.is_valid").any()


def test_a_column_may_be_known_in_part(tmp_path: Path) -> None:
    mark = np.array([True, False, True, True, False])
    action = rows(0, 5, 3, 3)
    action[~mark] = np.nan  # what is not known may be anything
    given = episode(0, 5)
    given = dataclasses.replace(given, columns={**given.columns, ACTION: action, f"{ACTION}.is_valid": mark})
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(given)
    read = Dataset(tmp_path / "d").episode(0)
    assert np.array_equal(read.columns[f"{ACTION}.is_valid"], mark)
    assert np.array_equal(read.columns[ACTION][mark], action[mark])
    assert not read.columns[ACTION][~mark].any()


def changed(**columns: np.ndarray | None) -> dict[str, np.ndarray]:
    raw = {**episode(0, 5).columns, **{name.replace("_", ".", 1): value for name, value in columns.items()}}
    return {name: value for name, value in raw.items() if value is not None}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (changed(observation_state=None), "episode 1 lacks the column observation.state"),
        (changed(observation_state=rows(0, 5, 11, 0)), r"rows of shape \(11,\), but must have \(12,\) \(hip.position"),
        (changed(observation_state=np.full((5, 12), np.nan)), "observation.state is not finite in row 0 of 5.*end the episode"),
        (changed(action=np.full((5, 3), np.nan)), "action is not finite in row 0 of 5.*action.is_valid"),
        (changed(action=rows(0, 4, 3, 0)), "columns of different length: action 4"),
        (changed(actoin=rows(0, 5, 3, 0)), "no column 'actoin' in this dataset; did you mean 'action'"),
        (changed(next_done=rows(0, 5, 1, 0)), "next.done has dtype float32, but must have bool"),
        (changed(action_is_valid=None) | {"action.is_valid": np.ones(5)}, "action.is_valid must be bool"),
        ({}, "episode 1 has no rows"),
    ],
)
def test_an_episode_that_does_not_fit_is_refused_and_nothing_written(tmp_path: Path, columns: dict, message: str) -> None:
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        with pytest.raises(DataError, match=message):
            writer.add(episode(0), dataclasses.replace(episode(0), columns=columns))
        assert len(writer) == 0
        writer.add(episode(0))
    check(tmp_path / "d", 1, 1)


def test_an_integer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    columns = robot_columns(JOINTS, extra=[Column(name="count", names=("count",), dtype="int8")])
    given = {STATE: rows(0, 3, 12, 0)}
    with DatasetWriter(tmp_path / "d", columns, 50) as writer:
        writer.add(Episode(columns=given | {"count": np.array([-128, 0, 127])}, task="t", source=SOURCE))
        with pytest.raises(DataError, match="count goes from -128 to 128, which int8 does not hold"):
            writer.add(Episode(columns=given | {"count": np.array([-128, 0, 128])}, task="t", source=SOURCE))
    assert Dataset(tmp_path / "d").episode(0).columns["count"].tolist() == [-128, 0, 127]


def test_another_robot_or_joint_order_is_refused(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(episode(0))
        with pytest.raises(DataError, match="of the robot 'other', but the dataset of hopper"):
            writer.add(episode(1, source=dataclasses.replace(SOURCE, robot="other")))
        with pytest.raises(DataError, match="number 0 is 'calf' there and 'hip' here"):
            writer.add(episode(1, source=dataclasses.replace(SOURCE, joint_names=SOURCE.joint_names[::-1])))


def test_a_writer_begins_only_where_nothing_is(tmp_path: Path) -> None:
    path = write(tmp_path / "d", 1)
    with pytest.raises(DataError, match="not empty"):
        DatasetWriter(path, COLUMNS, 50)
    with pytest.raises(DataError, match="whole number"):
        DatasetWriter(tmp_path / "e", COLUMNS, 29.97)  # type: ignore[arg-type]
    with DatasetWriter.append(path), pytest.raises(DataError, match="being written by another"):
        DatasetWriter.append(path)


def test_a_writer_begins_where_another_was_killed_at_once(tmp_path: Path) -> None:
    (tmp_path / "d" / ".writing").mkdir(parents=True)
    (tmp_path / "d" / ".writing" / "info.json").write_text("{")
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(episode(0))
    assert same(episode(0), Dataset(tmp_path / "d").episode(0))


def test_columns_must_make_sense() -> None:
    with pytest.raises(DataError, match="'timestamp'"):
        Column(name="timestamp", names=("t",))
    with pytest.raises(DataError, match="each once"):
        robot_columns(("hip", "hip"))
    with pytest.raises(DataError, match="lerobot takes every column with 'image'"):
        robot_columns(("hip",), extra=[Column(name="image_brightness", names=("x",))])
    with pytest.raises(DataError, match="columns with the same name: action"):
        robot_columns(("hip",), extra=[Column(name="action", names=("x",))])


class Killed(BaseException):
    """Stands for `kill -9`: nothing of the writer runs any more."""


def test_a_kill_at_any_rename_loses_the_open_episode_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of a commit in turn; also with a file that begins anew, and what a writer does that goes on."""
    move = store.move
    for grows in (4 << 20, 1):
        monkeypatch.setattr(store, "GROWING_BYTES", grows)
        for step in range(7):  # six files, and one time through
            path = tmp_path / f"{grows}-{step}"
            write(path, 2)  # the next brings a task of its own, so that every file changes
            left = [step]

            def counted(stage: Path, place: Path, left: list[int] = left) -> None:
                if not left[0]:
                    raise Killed
                left[0] -= 1
                move(stage, place)

            writer = DatasetWriter.append(path)
            monkeypatch.setattr(store, "move", counted)
            try:
                writer.add(episode(2), episode(3))
                killed = False
            except Killed:
                killed = True
            monkeypatch.setattr(store, "move", move)
            os.close(writer._store._lock)  # what the system does for a process that is gone
            assert killed == (step < 6)
            check(path, 2 if killed else 4, 2 if killed else 4)
            with DatasetWriter.append(path) as after:
                after.add(*(episode(index) for index in range(len(after), 6)))
            check(path, 6, 6)
            assert int(store.read_stats(path)["index"]["count"][0]) == Dataset(path).info.total_frames
            assert not (path / store.STAGING).exists()


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    """`ROBOLEARN_KILLS=200` for the whole number; each kill is followed by a look with our reader, and every dataset is killed three times.

    `ROBOLEARN_KILLED=FOLDER` keeps every dataset as it was left, for lerobot to open.
    """
    generator = np.random.default_rng(int(os.environ.get("ROBOLEARN_KILL_SEED", "0")))
    kept = os.environ.get("ROBOLEARN_KILLED")
    done = 0
    for kill in range(KILLS):
        path = tmp_path / f"killed-{kill // 3}"
        process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, cwd=ROOT_FOLDER)
        assert process.stdout is not None
        assert int(process.stdout.readline()) == (done if kill % 3 else 0)
        begun = int(process.stdout.readline())  # the episodes before this number are on the disk
        time.sleep(float(generator.uniform(0, 0.4)))
        os.kill(process.pid, signal.SIGKILL)
        begun = max([begun, *(int(line) for line in process.stdout.read().split())])
        process.wait()
        process.stdout.close()
        done = check(path, begun, begun + 1 + begun % 3, steps=40)
        if kept:
            shutil.copytree(path, Path(kept, f"{kill:03d}"))


def add_endlessly(writer: DatasetWriter) -> None:
    for index in range(1000):
        writer.add(episode(index, 200))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        writer = DatasetWriter(disk / "d", COLUMNS, 50)
        with pytest.raises(WriteError, match=r"cannot write .*No space left"):
            add_endlessly(writer)
        written = len(writer)
        writer.close()
        assert 1 <= written == check(disk / "d", written, written, 200)
