"""Cameras: pictures come back as they were, as far as packing lets them, at the row where they were."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robolearn.data import store
from robolearn.data.columns import ACTION, STATE, DataError, camera, robot_columns
from robolearn.data.merge import merge
from robolearn.data.reader import Dataset
from robolearn.data.repair import repair
from robolearn.data.source import Episode
from robolearn.data.store import read_stats
from robolearn.data.video import encode, video_statistics
from robolearn.data.windows import Windows
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data.episodes import JOINTS, SOURCE, episode

FRONT = "observation.images.front"
MARK = "observation.cameras.front.is_valid"
COLUMNS = robot_columns(JOINTS, command_names=("forward", "turn"), extra=[camera(FRONT, 64, 96)])
LEVEL = 6
"""By how much a colour may change by packing, of 255."""


def pictures(index: int, steps: int) -> np.ndarray:
    """A square that wanders over a slope of grey, (T, 64, 96, 3): where it stands and how bright it is tells episode and row."""
    frames = np.repeat(np.linspace(40, 90, 96, dtype=np.uint8)[None, None, :, None], steps, axis=0).repeat(64, axis=1).repeat(3, axis=3)
    for row in range(steps):
        left = 8 * ((row + 3 * index) % 10)
        frames[row, 16:48, left : left + 16] = 120 + 12 * (index % 10)
    return frames


def seen(index: int, camera_known: bool = True) -> Episode:
    whole = episode(index)
    return dataclasses.replace(whole, columns={**whole.columns, **({FRONT: pictures(index, len(whole))} if camera_known else {})})


def close(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether pictures are the same but for packing: on the average, and nearly everywhere."""
    difference = np.abs(left.astype(int) - right.astype(int))
    return left.shape == right.shape and difference.mean() < LEVEL / 2 and np.percentile(difference, 95) < 2 * LEVEL


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "d"
    with DatasetWriter(path, COLUMNS, 50) as writer:
        writer.add(seen(0), seen(1))
        writer.add(seen(2, camera_known=False))
    with DatasetWriter.append(path) as writer:
        writer.add(seen(3))
    return path


def test_pictures_come_back_where_they_were(path: Path) -> None:
    dataset = Dataset(path)
    assert dataset.cameras == (FRONT,)
    column = dataset.column(FRONT)
    assert column.shape == (dataset.info.total_frames, 64, 96, 3)
    for row in dataset.episodes:
        read = dataset.episode(row.index)
        if row.index == 2:
            assert FRONT not in read.columns
            assert column[row.start : row.stop].max() < LEVEL
            continue
        assert close(read.columns[FRONT], pictures(row.index, len(row)))
        assert np.array_equal(read.columns[FRONT], column[row.start : row.stop])
        assert not close(read.columns[FRONT][:-1], pictures(row.index, len(row))[1:]), "a picture of the next row would be seen"
    assert FRONT not in dataset.episode(0, pictures=False).columns
    assert [dataset.column(MARK)[row.start] for row in dataset.episodes] == [True, True, False, True]


@pytest.mark.parametrize("drift", [0.0, 0.03])
def test_episodes_of_one_video_are_found_by_counting(path: Path, tmp_path: Path, drift: float) -> None:
    """As lerobot writes it: one file for all; its time stamps may be off by more than a picture."""
    merge([path], tmp_path / "d")
    dataset = Dataset(tmp_path / "d")
    frames = np.concatenate([pictures(row.index, len(row)) for row in dataset.episodes])
    file = store.parquet_files(tmp_path / "d/meta/episodes")[0]
    table = pq.read_table(file)
    starts = [row.start / 50 + drift * (row.index > 0) for row in dataset.episodes]
    for part, values in (("file_index", [0] * len(dataset)), ("from_timestamp", starts)):
        name = f"videos/{FRONT}/{part}"
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    pq.write_table(table, file)
    encode(dataset.episodes[0].videos[FRONT][0], frames, 50)
    joined = Dataset(tmp_path / "d")
    column = joined.column(FRONT)
    for row in joined.episodes:
        expected = pictures(row.index, len(row))
        assert close(column[row.start : row.stop], expected)
        assert row.index == 2 or close(joined.episode(row.index).columns[FRONT], expected)


def test_windows_hold_pictures(path: Path) -> None:
    dataset = Dataset(path)
    windows = Windows([dataset], steps=3, batch_size=2, columns=(STATE, FRONT))
    for batch in itertools.islice(windows, windows.batches_per_epoch):
        assert batch.columns[FRONT].shape == (2, 3, 64, 96, 3)
        for place, start in enumerate(batch.start):
            assert np.array_equal(batch.columns[FRONT][place], dataset.column(FRONT)[start : start + 3])


def test_a_merge_copies_videos_bit_by_bit(path: Path, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "blind", robot_columns(JOINTS, command_names=("forward", "turn")), 50) as writer:
        writer.add(episode(5))
    dataset, merged = Dataset(path), Dataset(merge([tmp_path / "blind", path], tmp_path / "both"))
    assert not merged.column(MARK)[: merged.episodes[0].stop].any()
    for row in dataset.episodes:
        copy = merged.episodes[row.index + 1]
        assert copy.videos[FRONT][0].read_bytes() == row.videos[FRONT][0].read_bytes()
    assert np.array_equal(merged.episode(4).columns[FRONT], dataset.episode(3).columns[FRONT])


def test_a_video_that_nobody_counts_goes_when_the_next_writer_begins(path: Path, tmp_path: Path) -> None:
    merge([path], tmp_path / "d")
    left = tmp_path / "d/videos" / FRONT / "chunk-000/file-004.mp4"
    left.write_bytes(b"half a video")
    DatasetWriter.append(tmp_path / "d").close()
    assert not left.exists()
    assert len(list(left.parent.iterdir())) == 4


def test_statistics_of_colours(path: Path) -> None:
    frames = pictures(0, 5)
    found = video_statistics(frames)
    scaled = frames.reshape(-1, 3) / 255.0
    np.testing.assert_allclose(found["mean"].reshape(3), scaled.mean(axis=0))
    np.testing.assert_allclose(found["std"].reshape(3), scaled.std(axis=0))
    assert found["min"].shape == (3, 1, 1)
    assert found["count"].tolist() == [5]
    assert read_stats(path)[FRONT]["mean"].shape == (3, 1, 1)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (pictures(0, 5).astype(np.float32), "of uint8, is float32"),
        (pictures(0, 5)[:, 0, :, 0], r"of uint8, is uint8 of shape"),
        (pictures(0, 5)[:, :32], r"32 x 96; the encoder takes even sizes from 64 on"),
        (pictures(0, 5)[:, :, :80], r"of shape \(64, 80, 3\), but must have \(64, 96, 3\)"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path: Path, frames: np.ndarray, message: str) -> None:
    given = episode(0)
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer, pytest.raises(DataError, match=message):
        writer.add(dataclasses.replace(given, columns={**given.columns, FRONT: frames}))


def test_repair_saves_the_rows_and_says_that_pictures_are_lost(path: Path, tmp_path: Path) -> None:
    found = repair(path, tmp_path / "new")
    assert found.saved == 4
    assert found.lost == [f"camera {FRONT}: pictures are not copied"]
    assert np.array_equal(Dataset(tmp_path / "new").episode(3).columns[ACTION], episode(3).columns[ACTION])
    assert Dataset(tmp_path / "new").sources == (SOURCE,)
