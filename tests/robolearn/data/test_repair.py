"""What is left of a broken dataset is saved, whatever is broken, and the broken one is not touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robolearn.data import store
from robolearn.data.columns import DataError
from robolearn.data.info import read_info
from robolearn.data.reader import Dataset
from robolearn.data.repair import repair
from robolearn.data.salvage import salvage
from robolearn.data.store import parquet_files
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data.episodes import COLUMNS, SOURCE, episode, same


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight episodes in two files."""
    with DatasetWriter(tmp_path / "d", COLUMNS, 50) as writer:
        writer.add(*(episode(index) for index in range(5)))
    with DatasetWriter.append(tmp_path / "d") as writer:
        writer.add(*(episode(index) for index in range(5, 8)))
    return tmp_path / "d"


def saved(path: Path, numbers: list[int]) -> None:
    dataset = Dataset(path.with_name("new"))
    assert len(dataset) == len(numbers)
    for place, number in enumerate(numbers):
        assert same(episode(number), dataset.episode(place))


def cut(file: Path, share: float | int) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share) if isinstance(share, float) else share])


def test_a_whole_dataset_is_copied(path: Path) -> None:
    found = repair(path, path.with_name("new"))
    assert (found.saved, found.lost) == (8, [])
    saved(path, list(range(8)))


def test_a_file_without_an_end_loses_only_what_is_not_there(path: Path) -> None:
    first = parquet_files(path / "data")[0]
    whole = pq.ParquetFile(first).metadata
    middle = whole.row_group(2).column(0)
    cut(first, middle.dictionary_page_offset or middle.data_page_offset)
    before = first.read_bytes()
    with pytest.raises(DataError, match="data repair"):
        Dataset(path).episode(0)
    found = repair(path, path.with_name("new"))
    assert found.saved == 5
    assert "has no end; 11 rows of 2 complete row groups were read" in found.lost[0]
    assert found.lost[1:] == [f"episode {i}: none of its {len(episode(i))} rows are there" for i in (2, 3, 4)]
    saved(path, [0, 1, 5, 6, 7])
    assert first.read_bytes() == before


def test_every_cut_gives_whole_episodes_or_none(path: Path) -> None:
    """The rows of a file that ends anywhere are those of its first episodes, bit by bit."""
    file, features = parquet_files(path / "data")[0], read_info(path).features
    whole, data = pq.read_table(file), file.read_bytes()
    sizes = [pq.ParquetFile(file).metadata.row_group(group).num_rows for group in range(5)]
    seen = set()
    for end in range(4, len(data), 293):
        file.write_bytes(data[:end])
        table, _ = salvage(file, features)
        if len(table):
            assert len(table) in [sum(sizes[:count]) for count in range(1, 6)]
            assert table.equals(whole.slice(0, len(table)).cast(table.schema))
        seen.add(len(table))
    assert len(seen) == 6


@pytest.mark.parametrize("options", [{"use_dictionary": True}, {"use_dictionary": False}, {"data_page_size": 64}, {"version": "1.0"}])
def test_files_of_other_writers_are_saved(path: Path, options: dict) -> None:
    file, features = parquet_files(path / "data")[0], read_info(path).features
    table = pq.read_table(file)
    with pq.ParquetWriter(file, table.schema, compression="snappy", **options) as writer:
        writer.write_table(table.slice(0, 5))
        writer.write_table(table.slice(5, 6))
    cut(file, 0.999)
    got, _ = salvage(file, features)
    assert got.equals(table.slice(0, 11).cast(got.schema))


def test_a_file_that_is_no_parquet_is_told(path: Path) -> None:
    parquet_files(path / "data")[1].write_bytes(b"")
    found = repair(path, path.with_name("new"))
    assert found.saved == 5
    assert "not a Parquet file" in found.lost[0]


def test_tables_that_were_never_written_are_made_anew(path: Path) -> None:
    shutil.rmtree(path / "meta" / "episodes")
    (path / store.TASKS).unlink()
    (path / store.STATS).unlink()
    found = repair(path, path.with_name("new"))
    assert found.saved == 8
    new = Dataset(path.with_name("new"))
    assert [row.task for row in new.episodes][:3] == ["task 0", "task 1", "task 2"]
    assert new.sources == (SOURCE,)
    assert store.read_stats(new.path)


def test_a_lost_info_is_read_off_the_rows(path: Path) -> None:
    (path / "meta" / "info.json").write_text("{", encoding="utf-8")
    (path / "meta" / "robolearn.json").unlink()
    found = repair(path, path.with_name("new"), robot="hopper")
    new = Dataset(path.with_name("new"))
    assert (found.saved, len(new), new.fps) == (8, 8, 50)
    assert new.sources[0].robot == "hopper"
    assert new.sources[0].licence == "unknown"


def test_without_info_sources_come_from_our_own_table(path: Path) -> None:
    (path / "meta" / "info.json").unlink()
    found = repair(path, path.with_name("new"))
    assert found.saved == 8
    saved(path, list(range(8)))


def test_counts_of_rows_that_are_not_there(path: Path) -> None:
    info = json.loads((path / "meta/info.json").read_text())
    info["total_episodes"], info["total_frames"] = 12, 999
    (path / "meta/info.json").write_text(json.dumps(info))
    assert repair(path, path.with_name("new")).saved == 8


def test_an_episode_with_rows_missing_is_left_out(path: Path) -> None:
    file = parquet_files(path / "data")[0]
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table.slice(0, 7), table.slice(8)]), file)  # a row of episode 1
    found = repair(path, path.with_name("new"))
    saved(path, [0, 2, 3, 4, 5, 6, 7])
    assert any("episode 1: 2 rows of 6" in line for line in found.lost)


def test_nothing_to_save(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    with pytest.raises(DataError, match="holds no rows"):
        repair(tmp_path, tmp_path / "new")
