"""Windows: each comes once an epoch with the rows of its episode, and a training that was interrupted goes on as if it had not been."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from robolearn.data.columns import ACTION, COMMAND, STATE, DataError
from robolearn.data.merge import merge
from robolearn.data.reader import Dataset
from robolearn.data.statistics import Moments
from robolearn.data.windows import Batch, Windows
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data.episodes import COLUMNS, SOURCE, arm, arm_episode, episode

STEPS = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Episodes of 5 to 11 steps in several files, one without actions."""
    path = tmp_path_factory.mktemp("windows") / "d"
    with DatasetWriter(path, COLUMNS, 50) as writer:
        writer.add(*(episode(index, action=index != 3) for index in range(8)))
    with DatasetWriter.append(path) as writer:
        writer.add(*(episode(index) for index in range(8, 14)))
    return Dataset(path)


def equal(left: Batch, right: Batch) -> bool:
    pairs = [(left.columns[name], right.columns[name]) for name in left.columns] + [(left.start, right.start), (left.group, right.group)]
    return all(np.array_equal(a, b) for a, b in pairs)


def test_each_window_comes_once_an_epoch_and_holds_its_rows(dataset: Dataset) -> None:
    windows = Windows([dataset], steps=STEPS, batch_size=3, columns=(STATE, ACTION))
    expected = [row.start + offset for row in dataset.episodes for offset in range(max(len(row) - STEPS + 1, 1))]
    assert windows.total == len(expected)
    of_row = {index: row for row in dataset.episodes for index in range(row.start, row.stop)}
    came = []
    for batch in itertools.islice(windows, windows.batches_per_epoch):
        for place, start in enumerate(batch.start):
            row = of_row[start]
            read = dataset.episode(row.index)
            inside = min(row.stop - start, STEPS)
            assert batch.inside[place].tolist() == [True] * inside + [False] * (STEPS - inside)
            offset = start - row.start
            assert np.array_equal(batch.columns[STATE][place, :inside], read.columns[STATE][offset : offset + inside])
            assert not batch.columns[STATE][place, inside:].any()
            known = ACTION in read.columns
            assert batch.valid[ACTION][place].tolist() == [known] * inside + [False] * (STEPS - inside)
            if known:
                assert np.array_equal(batch.columns[ACTION][place, :inside], read.columns[ACTION][offset : offset + inside])
            came.append(int(start))
    assert len(came) == len(set(came)) == windows.total // 3 * 3
    assert set(came) <= set(expected)
    assert came != sorted(came)
    files = [of_row[start].file for start in came[:12]]
    assert len(set(files)) == 2  # files are mixed


def test_another_epoch_and_another_seed_give_another_order(dataset: Dataset) -> None:
    windows = Windows([dataset], steps=STEPS, batch_size=4)
    first = [batch.start.tolist() for batch in itertools.islice(windows, windows.batches_per_epoch)]
    second = [batch.start.tolist() for batch in itertools.islice(windows, windows.batches_per_epoch)]
    other = Windows([dataset], steps=STEPS, batch_size=4, seed=1)
    assert first != second
    assert first != [batch.start.tolist() for batch in itertools.islice(other, windows.batches_per_epoch)]
    again = Windows([dataset], steps=STEPS, batch_size=4)
    assert first == [batch.start.tolist() for batch in itertools.islice(again, windows.batches_per_epoch)]


@pytest.mark.parametrize("done", [0, 1, 5, 17, 40])
def test_resume_is_exact(dataset: Dataset, done: int) -> None:
    through = Windows([dataset], steps=STEPS, batch_size=4)
    for _ in range(done):
        through.next()
    state = through.state()
    resumed = Windows([Dataset(dataset.path)], steps=STEPS, batch_size=4)
    resumed.restore(state)
    for _ in range(30):
        assert equal(through.next(), resumed.next())


def test_resume_with_other_windows_is_refused(dataset: Dataset) -> None:
    state = Windows([dataset], steps=STEPS, batch_size=4).state()
    for other in (Windows([dataset], steps=STEPS + 1, batch_size=4), Windows([dataset], steps=STEPS, batch_size=4, episodes=[range(5)])):
        with pytest.raises(DataError, match="cannot be resumed bit for bit"):
            other.restore(state)


def test_processes_share_the_batches_of_an_epoch(dataset: Dataset) -> None:
    alone = Windows([dataset], steps=STEPS, batch_size=2)
    shards = [Windows([dataset], steps=STEPS, batch_size=2, shard=(rank, 2)) for rank in range(2)]
    both = [shard.next().start.tolist() for _ in range(shards[0].batches_per_epoch) for shard in shards]
    assert both == [alone.next().start.tolist() for _ in range(len(both))]


def test_robots_of_several_datasets_keep_their_statistics(dataset: Dataset, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "arm", arm(5)[0], 50) as writer:
        writer.add(*(arm_episode(index, 5) for index in range(4)))
    merged = Dataset(merge([dataset.path, tmp_path / "arm"], tmp_path / "both"))
    two = Windows([dataset, Dataset(tmp_path / "arm")], steps=STEPS, batch_size=5, columns=(STATE, ACTION, COMMAND))
    one = Windows([merged], steps=STEPS, batch_size=5, columns=(STATE, ACTION, COMMAND))
    assert [group.robot for group in one.groups] == [group.robot for group in two.groups] == ["hopper", "arm5"]
    for left, right in zip(itertools.islice(one, one.batches_per_epoch), two, strict=False):
        for name in one.names:
            assert np.array_equal(left.columns[name], right.columns[name])
            assert np.array_equal(left.valid[name], right.valid[name])
        assert np.array_equal(left.group, right.group)
        assert not left.columns[STATE][left.group == 0][:, :, 12:].any()
    mean, std = one.normalizer(ACTION)
    rows = np.concatenate([arm_episode(index, 5).columns[ACTION] for index in range(4)])
    np.testing.assert_allclose(mean[1], rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(std[1], rows.std(axis=0), atol=1e-6)
    assert mean[0, 3:].tolist() == [0, 0]
    assert std[0, 3:].tolist() == [1, 1]


def test_statistics_of_another_programs_dataset_are_counted(dataset: Dataset, tmp_path: Path) -> None:
    merge([dataset.path], tmp_path / "d")
    path = tmp_path / "d"
    (path / "meta/robolearn.json").unlink()
    text = (path / "meta/info.json").read_text()
    (path / "meta/info.json").write_text(text.replace('"robolearn"', '"something"'))
    bare = Dataset(path)
    assert bare.sources[0].licence == "unknown"
    windows = Windows([bare], steps=STEPS, batch_size=4, allow=["unknown"])
    for name in (STATE, ACTION):
        np.testing.assert_allclose(windows.groups[0].columns[name].mean, dataset.statistics[0].columns[name].mean, atol=1e-9)


def test_statistics_of_which_another_program_wrote_a_part(tmp_path: Path) -> None:
    """Episodes of another program, and then ours of the same robot and control mode."""
    plain = dataclasses.replace(SOURCE, control_mode="", kind="import", licence="MIT")
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(*(episode(index, source=plain) for index in range(6)))
    whole = Dataset(tmp_path / "d").statistics[0].columns[STATE]
    text = json.loads((tmp_path / "d/meta/info.json").read_text())
    text["robolearn"]["statistics"] = []
    (tmp_path / "d/meta/info.json").write_text(json.dumps(text))
    with DatasetWriter.append(tmp_path / "d") as writer:
        writer.add(episode(6, source=plain))
    got = Windows([Dataset(tmp_path / "d")], steps=STEPS, batch_size=2).groups[0].columns[STATE]
    expected = whole.with_more(Moments.of(episode(6).columns[STATE]))
    assert got.count == expected.count
    np.testing.assert_allclose(got.mean, expected.mean, atol=1e-9)


def test_a_licence_that_is_not_free_needs_its_name(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(episode(0), episode(1, source=dataclasses.replace(SOURCE, licence="CC-BY-NC-4.0", note="a dance")))
    dataset = Dataset(tmp_path / "d")
    with pytest.raises(DataError, match=r"CC-BY-NC-4.0 \(not for every use; a dance\).*--allow-licence CC-BY-NC-4.0"):
        Windows([dataset], steps=2, batch_size=1)
    Windows([dataset], steps=2, batch_size=1, allow=["CC-BY-NC-4.0"])
    Windows([dataset], steps=2, batch_size=1, episodes=[[0]])  # only what is used counts


def test_what_cannot_be_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="did you mean 'action'"):
        Windows([dataset], steps=2, batch_size=1, columns=(STATE, "acton"))
    with pytest.raises(DataError, match="fewer than a batch of 10000"):
        Windows([dataset], steps=2, batch_size=10000)
    with pytest.raises(DataError, match="has no episode 99"):
        Windows([dataset], steps=2, batch_size=1, episodes=[[0, 99]])
    with pytest.raises(DataError, match="at least one step"):
        Windows([dataset], steps=0, batch_size=1)
