"""Merge, split, licences and statistics: robots stay apart, and nothing is used that may not be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from robolearn.data.columns import ACTION, COMMAND, ROOT, STATE, Column, DataError
from robolearn.data.info import Layout, features_of
from robolearn.data.licence import FREE, check_licences, refused, verdict
from robolearn.data.merge import merge
from robolearn.data.reader import Dataset
from robolearn.data.split import assign, select, split
from robolearn.data.statistics import Moments, aggregate, column_statistics
from robolearn.data.store import parquet_files
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data.episodes import COLUMNS, SOURCE, arm, arm_episode, episode, same


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """A hopper of three joints, and an arm of five without feet and commands."""
    with DatasetWriter(tmp_path / "hopper", COLUMNS, 50) as writer:
        writer.add(*(episode(index, action=index != 2) for index in range(6)))
    with DatasetWriter(tmp_path / "arm", arm(5)[0], 50) as writer:
        writer.add(*(arm_episode(index, 5) for index in range(4)))
    return [tmp_path / "hopper", tmp_path / "arm"]


def test_a_merge_gives_back_every_episode_at_its_own_width(paths: list[Path], tmp_path: Path) -> None:
    dataset = Dataset(merge(paths, tmp_path / "both"))
    assert len(dataset) == 10
    for index in range(6):
        assert same(episode(index, action=index != 2), dataset.episode(index))
    for index in range(4):
        read = dataset.episode(6 + index)
        assert same(arm_episode(index, 5), read)
        assert read.columns[STATE].shape[1] == 16
        assert COMMAND not in read.columns
    assert dataset.column(STATE).shape[1] == 16
    first = dataset.episodes[0]
    assert not dataset.column(STATE)[: first.stop, 12:].any()
    assert [layout.robot for layout in dataset.layouts] == ["hopper", "arm5"]
    assert dataset.info.robot_type == "mixed"


def test_a_merge_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen episodes are written when the file of the next cannot be read; a part would be taken for the whole."""
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(*(episode(index) for index in range(16)))
    with DatasetWriter.append(tmp_path / "d") as writer:
        writer.add(episode(16))
    parquet_files(tmp_path / "d" / "data")[1].write_bytes(b"PAR1")
    with pytest.raises(DataError, match="data repair"):
        merge([tmp_path / "d"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_merge_of_a_merge_is_a_merge_of_all(paths: list[Path], tmp_path: Path) -> None:
    merge(paths, tmp_path / "both")
    with DatasetWriter(tmp_path / "third", arm(4)[0], 50) as writer:
        writer.add(arm_episode(0, 4))
    dataset = Dataset(merge([tmp_path / "third", tmp_path / "both"], tmp_path / "all"))
    assert len(dataset) == 11
    assert same(arm_episode(0, 4), dataset.episode(0))
    assert same(episode(0), dataset.episode(1))
    assert same(arm_episode(3, 5), dataset.episode(10))


def test_a_dataset_without_episodes_adds_nothing(paths: list[Path], tmp_path: Path) -> None:
    DatasetWriter(tmp_path / "empty", arm(7)[0], 50).close()
    assert len(Dataset(tmp_path / "empty")) == 0
    merged = Dataset(merge([tmp_path / "empty", paths[0]], tmp_path / "both"))
    assert len(merged) == 6
    assert [layout.robot for layout in merged.layouts] == ["hopper"]


def test_a_merged_dataset_takes_more_of_each_robot(paths: list[Path], tmp_path: Path) -> None:
    merge(paths, tmp_path / "both")
    with DatasetWriter.append(tmp_path / "both") as writer:
        writer.add(arm_episode(4, 5), episode(6))
    dataset = Dataset(tmp_path / "both")
    assert same(arm_episode(4, 5), dataset.episode(10))
    assert same(episode(6), dataset.episode(11))


def test_two_tables_of_columns_of_one_robot_are_kept_apart(paths: list[Path], tmp_path: Path) -> None:
    columns = tuple(dataclasses.replace(c, names=("sideways", "turn")) if c.name == COMMAND else c for c in COLUMNS)
    with DatasetWriter(tmp_path / "sideways", columns, 50) as writer:
        writer.add(episode(0))
    dataset = Dataset(merge([paths[0], tmp_path / "sideways"], tmp_path / "both"))
    assert len(dataset.layouts) == len(dataset.statistics) == 2
    assert next(column for column in dataset.columns if column.name == COMMAND).names == ("command_0", "command_1")
    with DatasetWriter.append(tmp_path / "both") as writer, pytest.raises(DataError, match="several layouts"):
        writer.add(episode(1))


def test_statistics_are_of_one_robot_and_of_known_rows(paths: list[Path], tmp_path: Path) -> None:
    dataset = Dataset(merge(paths, tmp_path / "both"))
    assert [(group.robot, group.control_mode) for group in dataset.statistics] == [("hopper", "position"), ("arm5", "position")]
    for group, make, count in zip(dataset.statistics, (episode, lambda i: arm_episode(i, 5)), (6, 4), strict=True):
        for name in (STATE, ROOT, ACTION):
            known = [i for i in range(count) if not (make is episode and name == ACTION and i == 2)]
            rows = np.concatenate([make(i).columns[name] for i in known]).astype(np.float64)
            moments = group.columns[name]
            assert moments.count == len(rows)
            np.testing.assert_allclose(moments.mean, rows.mean(axis=0), atol=1e-12)
            np.testing.assert_allclose(moments.std, rows.std(axis=0), atol=1e-12)
            assert np.array_equal(moments.min, rows.min(axis=0))
            assert np.array_equal(moments.max, rows.max(axis=0))
    assert COMMAND not in dataset.statistics[1].columns


def test_other_rates_and_other_kinds_of_columns_are_refused(paths: list[Path], tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "slow", COLUMNS, 30) as writer:
        writer.add(episode(0))
    with pytest.raises(DataError, match="different rates"):
        merge([paths[0], tmp_path / "slow"], tmp_path / "both")
    assert not (tmp_path / "both").exists()
    layouts = [Layout(robot, (Column(name="x", names=("a",), dtype=dtype),)) for robot, dtype in (("a", "float32"), ("b", "int64"))]
    with pytest.raises(DataError, match=r"a: float32 .*b: int64"):
        features_of(layouts, 50)


def test_a_split_divides_without_loss(paths: list[Path], tmp_path: Path) -> None:
    dataset = Dataset(merge(paths, tmp_path / "both"))
    parts = assign(dataset, {"train": 0.75, "test": 0.25}, seed=1)
    assert sorted(parts["train"] + parts["test"]) == list(range(10))
    assert parts == assign(dataset, {"train": 0.75, "test": 0.25}, seed=1)
    assert len({tuple(assign(dataset, {"train": 0.75, "test": 0.25}, seed=seed)["test"]) for seed in range(8)}) > 1
    for robot in ("hopper", "arm5"):  # both are on both sides
        for part in parts.values():
            assert any(dataset.sources[dataset.episodes[index].source].robot == robot for index in part)
    for name, path in split(dataset, parts, tmp_path / "parts").items():
        written = Dataset(path)
        assert [written.episode(place).columns[STATE].tobytes() for place in range(len(written))] == [
            dataset.episode(index).columns[STATE].tobytes() for index in parts[name]
        ]


@pytest.mark.parametrize("by", ["source", "task"])
def test_a_split_keeps_together_what_belongs_together(tmp_path: Path, by: str) -> None:
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(*(episode(index, source=dataclasses.replace(SOURCE, note=f"clip {index // 3}")) for index in range(12)))
    dataset = Dataset(tmp_path / "d")
    parts = assign(dataset, {"train": 0.5, "test": 0.5}, by=by)  # type: ignore[arg-type]
    sides = {part: {getattr(dataset.episodes[index], by) for index in indices} for part, indices in parts.items()}
    assert not sides["train"] & sides["test"]


def test_a_split_that_cannot_be_is_refused(paths: list[Path]) -> None:
    dataset = Dataset(paths[1])
    with pytest.raises(DataError, match="add up to 1"):
        assign(dataset, {"train": 0.9})
    with pytest.raises(DataError, match="nothing is left for test"):
        assign(dataset, {"train": 0.5, "test": 0.5}, by="source")


def test_episodes_are_chosen(paths: list[Path], tmp_path: Path) -> None:
    dataset = Dataset(merge(paths, tmp_path / "both"))
    assert select(dataset, robot="arm5") == [6, 7, 8, 9]
    assert select(dataset, task="task 1") == [1, 4, 7]
    assert select(dataset, robot="hopper", successful=True) == [0, 3]
    assert select(dataset, kind="mocap") == []


def test_licences() -> None:
    assert all(verdict(name) == verdict(name.lower()) == "free" for name in FREE)
    assert {verdict(name) for name in ("CC-BY-NC-4.0", "CC-BY-NC-ND-4.0", "CC-BY-ND-4.0", "noncommercial research use")} == {"restricted"}
    assert {verdict(name) for name in ("", "unknown", "ask Bob", "GPL-99")} == {"unknown"}
    sources = [dataclasses.replace(SOURCE, licence=licence) for licence in ("MIT", "CC-BY-NC-4.0", "unknown", "")]
    assert refused(sources) == sources[1:]
    assert refused(sources, ["cc-by-nc-4.0"]) == sources[2:]
    assert refused(sources, ["unknown"]) == [sources[1]]
    check_licences(sources, ["unknown", "CC-BY-NC-4.0"])
    with pytest.raises(DataError, match=r"--allow-licence CC-BY-NC-4.0 --allow-licence unknown"):
        check_licences(sources)


@pytest.mark.parametrize(
    "rows", [np.zeros((1, 3)), np.full((50, 2), 3.5, np.float32), np.array([[True], [False], [True]]), np.arange(11)[:, None]]
)
def test_statistics_of_odd_columns_are_finite(rows: np.ndarray) -> None:
    found = column_statistics(rows)
    assert all(np.isfinite(value).all() for value in found.values())
    assert np.all(found["min"] - 1e-6 <= found["q01"])
    assert np.all(found["q99"] <= found["max"] + 1e-6)


def test_quantiles_are_those_of_the_values_to_a_bin() -> None:
    rows = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    found = column_statistics(rows)
    for name, share in (("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)):
        exact = np.quantile(rows, share, axis=0, method="inverted_cdf")
        assert np.all(np.abs(found[name] - exact) <= (found["max"] - found["min"]) / 5000 * 1.01)


def test_quantiles_are_read_off_a_histogram() -> None:
    """Against numpy's histogram, cumulated and interpolated, which is what lerobot keeps."""
    rows = np.random.default_rng(2).normal(size=(700, 4)).astype(np.float32)
    rows[:, 1] = np.round(rows[:, 1])  # many values on few bins
    rows[:, 2] = 0.25
    found = column_statistics(rows)
    for column in range(4):
        values = rows[:, column]
        edges = np.linspace(values.min() - np.float32(1e-10), values.max() + np.float32(1e-10), 5001)
        counts = np.cumsum(np.histogram(values, bins=edges)[0])
        for name, share in (("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)):
            place = int(np.searchsorted(counts, share * len(values)))
            before = counts[place - 1] if place else 0
            inside = (share * len(values) - before) / max(counts[place] - before, 1)
            expected = edges[place] + inside * (edges[place + 1] - edges[place]) if place else edges[0]
            assert abs(found[name][column] - expected) < 1e-6, (name, column)


def test_parts_give_the_whole() -> None:
    rows = np.random.default_rng(1).normal(3, 2, size=(100, 4))
    parts = [rows[:7], rows[7:8], rows[8:60], rows[60:]]
    whole = aggregate([column_statistics(part) for part in parts])
    np.testing.assert_allclose(whole["mean"], rows.mean(axis=0))
    np.testing.assert_allclose(whole["std"], rows.std(axis=0))
    moments = Moments.of(parts[0])
    for part in parts[1:]:
        moments = moments.with_more(Moments.of(part))
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0))
    np.testing.assert_allclose(moments.std, rows.std(axis=0))
