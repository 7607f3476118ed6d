"""Merges datasets into one, with robots and control modes kept apart."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from robolearn.data.columns import DataError
from robolearn.data.info import Layout
from robolearn.data.reader import Dataset
from robolearn.data.writer import DatasetWriter

Progress = Callable[[int], None]
"""Called with the number of episodes written since the last call."""
BATCH = 16
"""Episodes that are written at once."""


def merge(paths: Sequence[str | Path], out: str | Path, progress: Progress | None = None) -> Path:
    """Write all episodes of several datasets into a new one, in order.

    Columns of one name are as wide as the widest robot's; rows of the others are padded with zeros at the end, and each episode is read
    back at its robot's own width. A column that a robot lacks is marked as missing. Statistics are kept per robot and control mode. A video
    that holds one episode is copied; one that holds several, as lerobot writes them, is encoded again.

    Args:
        paths: datasets with the same rate.
        out: a folder that does not exist yet.
        progress: called after every batch.

    Raises:
        DataError: rates differ, columns do not fit together, a dataset has pictures that are not videos, or `out` exists.
    """
    datasets = [Dataset(path) for path in paths]
    if not datasets:
        raise DataError("a merge needs at least one dataset")
    rates = {dataset.fps for dataset in datasets}
    if len(rates) > 1:
        told = ", ".join(f"{dataset.path}: {dataset.fps}" for dataset in datasets)
        raise DataError(f"datasets with different rates cannot be merged ({told} Hz); collect or import them at one rate first")
    return write_episodes(((dataset, range(len(dataset))) for dataset in datasets), datasets, out, progress)


def write_episodes(
    chosen: Iterable[tuple[Dataset, Iterable[int]]], datasets: Sequence[Dataset], out: str | Path, progress: Progress | None = None
) -> Path:
    """Write chosen episodes of datasets into a new one.

    Args:
        chosen: datasets and the numbers of their episodes.
        datasets: all datasets in `chosen`.
        out: a folder that does not exist yet; it is removed if not everything could be written.
        progress: called after every batch.

    Raises:
        DataError: as `merge`.
    """
    for dataset in datasets:
        if dataset.unread:
            names = ", ".join(dataset.unread)
            raise DataError(
                f"{dataset.path} has pictures that are not colour videos ({names}), which cannot be copied; use lerobot-edit-dataset"
            )
    full = [dataset for dataset in datasets if len(dataset)] or datasets
    layouts = list(dict.fromkeys(_named(layout) for dataset in full for layout in dataset.layouts))
    with DatasetWriter(out, layouts, datasets[0].fps) as writer:
        try:
            for dataset, indices in chosen:
                _copy(writer, layouts, dataset, indices, progress)
        except BaseException:  # a partial dataset would be taken for the whole
            writer.close()
            shutil.rmtree(out, ignore_errors=True)
            raise
    return Path(out)


def _copy(writer: DatasetWriter, layouts: list[Layout], dataset: Dataset, indices: Iterable[int], progress: Progress | None) -> None:
    """Write chosen episodes of one dataset."""
    readable = [name for name in dataset.cameras if name not in dataset.unread]
    alone = Counter(file for row in dataset.episodes for file, _ in row.videos.values()) if readable else Counter()
    for layout, batch in _batches(dataset, indices):
        videos = [{name: file for name, (file, _) in dataset.episodes[index].videos.items() if alone[file] == 1} for index in batch]
        episodes = [dataset.episode(index, pictures=len(have) < len(readable)) for index, have in zip(batch, videos, strict=True)]
        writer.add_as(layouts.index(_named(dataset.layouts[layout])), episodes, videos)
        if progress is not None:
            progress(len(batch))


def _named(layout: Layout) -> Layout:
    """A layout with a robot; a dataset without episodes has a layout without one."""
    return layout if layout.robot else Layout("unknown", layout.columns)


def _batches(dataset: Dataset, indices: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """Batches of consecutive episodes with the same layout."""
    batch: list[int] = []
    layout = -1
    for index in indices:
        if batch and (dataset.episodes[index].layout != layout or len(batch) == BATCH):
            yield layout, batch
            batch = []
        layout = dataset.episodes[index].layout
        batch.append(index)
    if batch:
        yield layout, batch
