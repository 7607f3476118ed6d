"""Windows of steps for training: drawn from memory-mapped columns, shuffled over all files, and resumed bit for bit.

    windows = Windows([Dataset(path)], steps=16, batch_size=256, seed=0)
    for batch in windows:          # never ends
        ...
        state = windows.state()    # for a checkpoint; another Windows continues with .restore(state)

Every window of every episode comes once per epoch, in an order that only depends on seed and epoch; nothing is buffered, so a state is
three numbers. An episode shorter than a window gives one window, padded with zeros at the end. Columns of several robots are as wide as the
widest; `Batch.group` selects the statistics that normalise a window.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from robolearn.data.columns import ACTION, STATE, VIDEO, DataError, mark_of
from robolearn.data.licence import check_licences
from robolearn.data.reader import Dataset
from robolearn.data.statistics import GroupStatistics


@dataclass(frozen=True)
class WindowsState:
    """The position of a training in its windows.

    Attributes:
        seed: of the order.
        epoch: completed passes over all windows.
        batch: completed batches of this epoch.
        fingerprint: hash of the datasets and of how windows are cut.
    """

    seed: int
    epoch: int
    batch: int
    fingerprint: str


@dataclass(kw_only=True)
class Batch:
    """B windows of L steps.

    Attributes:
        columns: each column (B, L, D), a camera (B, L, H, W, 3); zeros in unknown steps.
        valid: for each column (B, L) bool, whether the step is inside the episode and the column is known there.
        inside: (B, L) bool, whether the step is inside the episode.
        group: (B,) index into `Windows.groups`.
        dataset: (B,) index of the dataset.
        start: (B,) row of the first step in `Dataset.column`.
    """

    columns: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    inside: np.ndarray
    group: np.ndarray
    dataset: np.ndarray
    start: np.ndarray


@dataclass
class _Episodes:
    """All chosen episodes as arrays (E,): dataset, first row, end, group, and the number of windows before each."""

    dataset: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    stop: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)


class Windows:
    """An endless sequence of batches.

    Attributes:
        groups: robots and control modes, each with the statistics of its known rows over all datasets.
        batches_per_epoch: whole batches; the remainder of an epoch is skipped.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        *,
        steps: int,
        batch_size: int,
        columns: Sequence[str] = (STATE, ACTION),
        seed: int = 0,
        stride: int = 1,
        allow: Sequence[str] = (),
        episodes: Sequence[Sequence[int]] | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        """Map the columns and count the windows.

        Args:
            datasets: one or several, with the same rate.
            steps: length L of a window.
            batch_size: B.
            columns: columns of the batches.
            seed: seed of the order.
            stride: steps between the starts of neighbouring windows.
            allow: licences that are explicitly allowed, see `robolearn.data.licence`.
            episodes: episode numbers of each dataset; None for all.
            shard: rank and number of processes that share the batches.

        Raises:
            DataError: a licence, a column or an episode that no dataset has, different rates, or fewer windows than a batch.
        """
        if min(steps, batch_size, stride) < 1:
            raise DataError(
                f"windows need at least one step, one window per batch and a stride of one, not {steps}, {batch_size} and {stride}"
            )
        rates = {dataset.fps for dataset in datasets}
        if len(rates) != 1:
            raise DataError(f"windows need datasets with the same rate, not {', '.join(map(str, sorted(rates))) or 'none'} Hz")
        self._datasets, self.steps, self.batch_size, self.names, self.shard = list(datasets), steps, batch_size, tuple(columns), shard
        self.groups: list[GroupStatistics] = []
        chosen = [list(range(len(dataset))) for dataset in datasets] if episodes is None else [list(part) for part in episodes]
        for dataset, part in zip(datasets, chosen, strict=True):
            if beyond := [index for index in part if not 0 <= index < len(dataset)]:
                raise DataError(f"{dataset.path} has no episode {beyond[0]}; it has {len(dataset)}, counted from 0")
        check_licences(
            dict.fromkeys(d.sources[d.episodes[i].source] for d, part in zip(datasets, chosen, strict=True) for i in part), allow
        )
        self._list(chosen)
        length = self._stop - self._start
        counts = np.where(length >= steps, (length - steps) // stride + 1, 1)
        self._stride = stride
        self._ends = np.cumsum(counts)
        self.total = int(self._ends[-1]) if len(counts) else 0
        self.batches_per_epoch = self.total // (batch_size * shard[1])
        if not self.batches_per_epoch:
            raise DataError(
                f"{self.total} windows of {steps} steps are fewer than a batch of {batch_size * shard[1]}; choose a smaller batch"
            )
        self._map()
        self._fingerprint = self._print(seed)
        self.seed, self.epoch, self.batch = seed, 0, 0
        self._order: tuple[int, np.ndarray] | None = None

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.next()

    def next(self) -> Batch:
        """The next batch."""
        if self.batch == self.batches_per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0
        if self._order is None or self._order[0] != self.epoch:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.total)
            self._order = self.epoch, order
        rank, processes = self.shard
        first = (self.batch * processes + rank) * self.batch_size
        batch = self._cut(self._order[1][first : first + self.batch_size])
        self.batch += 1
        return batch

    def state(self) -> WindowsState:
        """The present position, after which the next batch follows."""
        return WindowsState(self.seed, self.epoch, self.batch, self._fingerprint)

    def restore(self, state: WindowsState) -> None:
        """Continue from the position of another.

        Raises:
            DataError: that one had other datasets, or cut them differently.
        """
        if state.fingerprint != self._fingerprint:
            raise DataError(
                "these are not the datasets and windows that the training was saved with, so it cannot be resumed bit for bit; start a "
                "new one"
            )
        self.seed, self.epoch, self.batch = state.seed, state.epoch, state.batch

    def normalizer(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of a column in each group, (G, D) each; 0 and 1 if nothing is known or nothing varies."""
        width = self._widths[name]
        mean, std = np.zeros((len(self.groups), width), np.float32), np.ones((len(self.groups), width), np.float32)
        for index, group in enumerate(self.groups):
            moments = group.columns.get(name)
            if moments is not None:
                mean[index, : len(moments.mean)] = moments.mean
                std[index, : len(moments.std)] = np.where(moments.std > 1e-6, moments.std, 1.0)
        return mean, std

    def _list(self, chosen: list[list[int]]) -> None:
        """List the episodes and find their groups; the same robot, control mode and columns in two datasets are one group."""
        found = _Episodes()
        keys: list[tuple] = []
        for number, (dataset, part) in enumerate(zip(self._datasets, chosen, strict=True)):
            known = {(group.robot, group.control_mode, group.layout): group for group in _whole(dataset)}
            here: dict[tuple, int] = {}
            for index in part:
                row = dataset.episodes[index]
                source = dataset.sources[row.source]
                own = (source.robot, source.control_mode, row.layout)
                if own not in here:
                    key = (source.robot, source.control_mode, dataset.layouts[row.layout].columns)
                    if key not in keys:
                        keys.append(key)
                        self.groups.append(GroupStatistics(source.robot, source.control_mode, len(keys) - 1))
                    here[own] = keys.index(key)
                    self._add_statistics(self.groups[here[own]], known.get(own) or _counted(dataset, own))
                found.dataset.append(number)
                found.start.append(row.start)
                found.stop.append(row.stop)
                found.group.append(here[own])
        self._dataset, self._start, self._stop, self._group = (
            np.array(values, dtype=np.int64) for values in (found.dataset, found.start, found.stop, found.group)
        )

    @staticmethod
    def _add_statistics(group: GroupStatistics, more: GroupStatistics) -> None:
        for name, moments in more.columns.items():
            group.columns[name] = group.columns[name].with_more(moments) if name in group.columns else moments

    def _map(self) -> None:
        """Map every column and mark from every dataset that has it."""
        self._columns: list[dict[str, np.ndarray]] = []
        for dataset in self._datasets:
            names = [name for name in self.names if name in dataset.info.features]
            marks = [mark_of(name) for name in names if mark_of(name) in dataset.info.features]
            dataset.load([*names, *marks])
            self._columns.append({name: dataset.column(name) for name in [*names, *marks]})
        self._widths: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for name in self.names:
            found = [columns[name] for columns in self._columns if name in columns]
            if not found:
                self._datasets[0].column(name)  # its error lists the columns
            self._widths[name] = max(int(np.prod(column.shape[1:])) for column in found)
            self._shapes[name] = found[0].shape[1:] if found[0].ndim > 2 else (self._widths[name],)

    def _print(self, seed: int) -> str:
        text = repr((seed, self.steps, self.batch_size, self._stride, self.names, self.shard[1]))
        arrays = (self._dataset, self._start, self._stop, self._group)
        return hashlib.sha256(text.encode() + b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]

    def _cut(self, windows: np.ndarray) -> Batch:
        """The windows with these numbers."""
        episode = np.searchsorted(self._ends, windows, side="right")
        before = np.where(episode > 0, self._ends[episode - 1], 0)
        start = self._start[episode] + (windows - before) * self._stride
        steps = start[:, None] + np.arange(self.steps)
        inside = steps < self._stop[episode][:, None]
        whole = bool(inside.all())
        if not whole:
            steps = np.minimum(steps, self._stop[episode][:, None] - 1)
        dataset = self._dataset[episode]
        columns: dict[str, np.ndarray] = {}
        valid: dict[str, np.ndarray] = {}
        for name in self.names:
            flat, valid[name] = self._gather(name, dataset, steps)
            columns[name] = flat.reshape(*steps.shape, *self._shapes[name])
            if not whole:
                columns[name][~inside] = 0
                valid[name] &= inside
        return Batch(columns=columns, valid=valid, inside=inside, group=self._group[episode], dataset=dataset, start=start)

    def _gather(self, name: str, dataset: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows `steps` (B, L) of a column and of its mark."""
        if len(self._columns) == 1:
            return self._take(0, name, steps)
        kind = next(columns[name].dtype for columns in self._columns if name in columns)
        rows = np.zeros((*steps.shape, self._widths[name]), dtype=kind)
        known = np.zeros(steps.shape, dtype=bool)
        for number in np.unique(dataset):
            here = dataset == number
            if name in self._columns[number]:
                part, known[here] = self._take(int(number), name, steps[here])
                rows[here, :, : part.shape[2]] = part
        return rows, known

    def _take(self, number: int, name: str, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        column, mark = self._columns[number][name], self._columns[number].get(mark_of(name))
        flat = column.reshape(len(column), -1)
        rows = np.take(flat, steps, axis=0, mode="clip")  # the rows are inside; mode "clip" avoids a check of each
        return rows, np.ones(steps.shape, dtype=bool) if mark is None else np.take(mark, steps, mode="clip")


def _whole(dataset: Dataset) -> list[GroupStatistics]:
    """The dataset's own statistics of a group if they cover all its rows; another program may have written some of them."""
    rows: Counter[tuple[str, str, int]] = Counter()
    for row in dataset.episodes:
        source = dataset.sources[row.source]
        rows[source.robot, source.control_mode, row.layout] += len(row)
    return [
        group
        for group in dataset.statistics
        if STATE in group.columns and group.columns[STATE].count == rows[group.robot, group.control_mode, group.layout]
    ]


def _counted(dataset: Dataset, key: tuple[str, str, int]) -> GroupStatistics:
    """Statistics of a group for which the dataset has none, or not over all rows, because another program wrote some."""
    group = GroupStatistics(*key)
    for row in dataset.episodes:
        source = dataset.sources[row.source]
        if (source.robot, source.control_mode, row.layout) != key:
            continue
        for column in dataset.layouts[row.layout].columns:
            if column.dtype not in ("bool", "string", VIDEO) and column.name in dataset.info.features:
                rows = dataset.column(column.name)[row.start : row.stop].reshape(len(row), -1)[:, : column.width]
                mark = column.mark and dataset.info.features.get(column.mark)
                group.add(column.name, rows[dataset.column(str(column.mark))[row.start : row.stop]] if mark else rows)
    return group
