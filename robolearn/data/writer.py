"""Writes a dataset that survives `kill -9` at any moment: at most the episodes of the current call of `add` are lost."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from policies.files import whole
from robolearn.data.columns import STATE, VIDEO, Column, DataError, check_columns, mark_of
from robolearn.data.info import Info, Layout, features_of, read_info
from robolearn.data.rows import check_joints, stored_rows
from robolearn.data.source import Episode, Source
from robolearn.data.statistics import GroupStatistics, Statistics, aggregate, column_statistics
from robolearn.data.store import (
    CALL_BYTES,
    STAGING,
    Growing,
    Place,
    Store,
    data_path,
    episodes_path,
    next_place,
    parquet_files,
    place_of,
)
from robolearn.data.table import to_table
from robolearn.data.trim import counted_statistics, read_tasks, trim
from robolearn.data.video import decode, encode, video_statistics


@dataclasses.dataclass
class _Ready:
    """A checked episode, ready to write."""

    rows: dict[str, np.ndarray]
    task: str
    source: Source
    layout: int
    success: bool | None
    count: int
    videos: dict[str, np.ndarray | Path]


class DatasetWriter:
    """Writes episodes into a folder, which it locks.

    >>> with DatasetWriter(path, robot_columns(joint_names), fps=50) as writer:
    ...     writer.add(episode)
    """

    def __init__(self, path: str | Path, columns: Sequence[Column] | Sequence[Layout], fps: int) -> None:
        """Begin a new dataset.

        Args:
            path: a folder that does not exist yet, or is empty.
            columns: the robot's columns, see `robot_columns`; or the layouts of several robots.
            fps: rows per second, the control rate [Hz].

        Raises:
            DataError: `path` exists and is not empty, or the rate is not a whole number.
        """
        self.path = Path(path)
        if fps != int(fps) or fps < 1:
            raise DataError(f"a dataset's rate must be a whole number of rows per second (lerobot's rule), not {fps:g}; resample to one")
        if self.path.exists() and (not self.path.is_dir() or any(item.name != STAGING for item in self.path.iterdir())):
            raise DataError(f"{path} exists already and is not empty; name a new folder")
        layouts = _layouts(columns)
        info = Info(fps=int(fps), features=features_of(layouts, int(fps)), layouts=layouts)
        self._take(Store(self.path), info, [], {}, (0, 0), (0, 0))
        self._store.commit(info, None, None)

    @classmethod
    def append(cls, path: str | Path) -> DatasetWriter:
        """Continue an existing dataset; uncounted files of a killed writer are removed first.

        Raises:
            DataError: not a dataset, it has pictures that are not colour videos, or another program is writing it.
        """
        writer = cls.__new__(cls)
        writer.path = Path(path)
        read_info(writer.path)
        store = Store(writer.path)
        try:
            info = read_info(writer.path)
            unread = [name for name, feature in info.features.items() if feature.is_camera and not feature.is_video]
            if unread:
                raise DataError(f"{path} has pictures that are not colour videos ({', '.join(unread)}), which cannot be added to")
            trim(store, info)
            data, episodes = (_after(parquet_files(writer.path / folder), info.chunks_size) for folder in ("data", "meta/episodes"))
            writer._take(store, info, read_tasks(writer.path, info.total_tasks), counted_statistics(writer.path, info), data, episodes)
        except BaseException:
            store.release()
            raise
        return writer

    def _take(self, store: Store, info: Info, tasks: list[str], stats: dict[str, Statistics], data: Place, episodes: Place) -> None:
        self._store, self.info, self._tasks, self._stats = store, info, tasks, stats
        self._data = Growing(data_path(self.path, info.data_path), data, info.chunks_size, grouped=True)
        self._episodes = Growing(episodes_path(self.path), episodes, info.chunks_size, grouped=False)
        self._cameras = [name for name, feature in info.features.items() if feature.is_video]
        self._open = True

    def __len__(self) -> int:
        """Number of written episodes."""
        return self.info.total_episodes

    def add(self, *episodes: Episode) -> None:
        """Write episodes; when this returns they are on disk, and lerobot finds them.

        Adding several at once costs hardly more than adding one.

        Raises:
            DataError: an episode does not fit; names it, the column and what is wrong. Nothing of the call is written.
            WriteError: writing failed; the dataset is unchanged.
        """
        self._add([(episode, None, {}) for episode in episodes])

    def add_as(self, layout: int, episodes: Iterable[Episode], videos: Iterable[Mapping[str, Path]] | None = None) -> None:
        """`add` for datasets in which a robot has several layouts, and for existing video files.

        Args:
            layout: index into the layouts that the writer was made with.
            episodes: the episodes to write.
            videos: for each episode, by camera, a file to copy that holds only its pictures.
        """
        episodes = list(episodes)
        copies = [{} for _ in episodes] if videos is None else videos
        self._add([(episode, layout, copy) for episode, copy in zip(episodes, copies, strict=True)])

    def close(self) -> None:
        """Close. Everything is on disk already; this only unlocks the folder."""
        if self._open:
            self._open = False
            self._store.release()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _add(self, episodes: list[tuple[Episode, int | None, Mapping[str, Path]]]) -> None:
        if not self._open:
            raise DataError(f"the writer of {self.path} is closed; continue with DatasetWriter.append({str(self.path)!r})")
        ready = [self._check(*item, self.info.total_episodes + place) for place, item in enumerate(episodes)]
        start, size = 0, 0
        for end, item in enumerate(ready, 1):
            size += sum(rows.nbytes for rows in item.rows.values())
            if size >= CALL_BYTES or end == len(ready):
                self._write(ready[start:end])
                start, size = end, 0

    def _check(self, episode: Episode, layout: int | None, copies: Mapping[str, Path], index: int) -> _Ready:
        where = f"episode {index}"
        if layout is None:
            layout = self._layout_of(episode, where)
        chosen = self.info.layouts[layout]
        joints = check_joints(episode, chosen, where)
        rows = stored_rows(episode, chosen, self.info.features, where, copies)
        source, count = dataclasses.replace(episode.source, joint_names=joints), len(next(iter(rows.values())))
        videos: dict[str, np.ndarray | Path] = {}
        for name in self._cameras:
            mark = rows.get(mark_of(name), np.ones(count, dtype=bool))
            given = episode.columns.get(name)
            frames = np.zeros((count, *self.info.features[name].shape), dtype=np.uint8) if given is None else np.asarray(given)
            videos[name] = copies[name] if name in copies else np.where(mark[:, None, None, None], frames, np.uint8(0))
        return _Ready(rows, str(episode.task), source, layout, episode.success, count, videos)

    def _layout_of(self, episode: Episode, where: str) -> int:
        robot, layouts = episode.source.robot, self.info.layouts
        if len(layouts) == 1 and not layouts[0].robot:
            return 0
        fitting = [index for index, layout in enumerate(layouts) if layout.robot == robot]
        if not fitting:
            robots = ", ".join(dict.fromkeys(layout.robot for layout in layouts))
            raise DataError(
                f"{where} is of the robot {robot!r}, but the dataset of {robots}; write a separate dataset, then: robolearn data merge"
            )
        if len(fitting) > 1:
            raise DataError(f"{where}: the robot {robot!r} has several layouts here; choose one with add_as")
        return fitting[0]

    def _write(self, ready: list[_Ready]) -> None:
        """Write checked episodes in one go."""
        info, old = self._copy(), self.info
        tasks, stats = list(self._tasks), dict(self._stats)
        data, table = self._data.place_for_more(), self._episodes.place_for_more()
        rows, about = [], []
        videos: list[tuple[Path, Path]] = []
        for item in ready:
            if item.task not in tasks:
                tasks.append(item.task)
            start, index = info.total_frames, info.total_episodes
            frames = np.arange(item.count)
            columns = {
                **item.rows,
                "timestamp": (frames / info.fps).astype(np.float32),
                "frame_index": frames,
                "episode_index": np.full(item.count, index),
                "index": frames + start,
                "task_index": np.full(item.count, tasks.index(item.task)),
            }
            found = {name: column_statistics(columns[name]) for name in columns if info.features[name].dtype != "string"}
            placed = self._stage_videos(item, videos, found)
            for name, part in found.items():
                stats[name] = aggregate([stats[name], part]) if name in stats else part
            rows.append(to_table({name: columns[name] for name in info.features if name in columns}))
            about.append(
                _about(index, item, start, data, table, found, {name: (place, item.count / info.fps) for name, place in placed.items()})
            )
            self._count(info, item)
        info.total_tasks = len(tasks)
        new_tasks = tasks if len(tasks) > len(self._tasks) or not old.total_episodes else None
        self._store.commit(info, new_tasks, stats, (self._data, rows), (self._episodes, about), videos)
        self._data.keep(rows)
        self._episodes.keep(about)
        self.info, self._tasks, self._stats = info, tasks, stats

    def _stage_videos(self, item: _Ready, videos: list[tuple[Path, Path]], found: dict[str, Statistics]) -> dict[str, Place]:
        """Write the videos of an episode to the staging folder, one file per camera.

        Args:
            item: the episode.
            videos: present and final places of the files; is extended.
            found: statistics of the episode; is extended.

        Returns:
            The place of each camera's file.
        """
        info, places = self.info, {}
        for name, given in item.videos.items():
            path = partial(info.video_path.format, video_key=name)
            taken = [place_of(place) for _, place in videos if place.parent.parent.name == name]
            files = sorted((self.path / "videos" / name).glob("*/*.mp4"))
            place = next_place(taken[-1], info.chunks_size) if taken and taken[-1] else _after(files, info.chunks_size)
            stage = self._store.stage / f"{name}-{len(videos)}.mp4"
            if isinstance(given, Path):
                with whole(stage) as temporary:
                    shutil.copyfile(given, temporary)
                frames = np.stack(list(decode(given, 0, item.count)))
            else:
                encode(stage, given, info.fps)
                frames = given
            found[name] = video_statistics(frames)
            videos.append((stage, self.path / path(chunk_index=place[0], file_index=place[1])))
            places[name] = place
        return places

    def _copy(self) -> Info:
        """A copy of the info to change, since a failure must leave the original unchanged."""
        info = self.info
        lists = {name: list(getattr(info, name)) for name in ("layouts", "sources", "episode_sources", "success")}
        return dataclasses.replace(info, **lists, statistics=copy.deepcopy(info.statistics))

    def _count(self, info: Info, item: _Ready) -> None:
        """Add an episode to the info."""
        if not info.layouts[item.layout].robot:
            info.layouts[item.layout] = Layout(item.source.robot, info.layouts[item.layout].columns)
        key = (item.source, item.layout)
        if key not in info.sources:
            info.sources.append(key)
        info.episode_sources.append(info.sources.index(key))
        info.success.append(item.success)
        info.total_episodes += 1
        info.total_frames += item.count
        robots = list(dict.fromkeys(source.robot for source, _ in info.sources))
        info.robot_type = robots[0] if len(robots) == 1 else "mixed"
        _add_statistics(info, item)


def _add_statistics(info: Info, item: _Ready) -> None:
    """Add an episode's known rows to the statistics of its robot and control mode."""
    key = (item.source.robot, item.source.control_mode, item.layout)
    group = next((group for group in info.statistics if (group.robot, group.control_mode, group.layout) == key), None)
    if group is None:
        group = GroupStatistics(*key)
        info.statistics.append(group)
    for column in info.layouts[item.layout].columns:
        if column.dtype in ("bool", "string", VIDEO):
            continue
        rows = item.rows[column.name].reshape(item.count, -1)[:, : column.width]
        mark = item.rows.get(mark_of(column.name))
        group.add(column.name, rows if mark is None else rows[mark])


def _about(
    index: int, item: _Ready, start: int, data: Place, table: Place, stats: dict[str, Statistics], videos: dict[str, tuple[Place, float]]
) -> pa.Table:
    """The row of an episode in the table of episodes, with file and duration [s] for each camera."""
    integers = {
        "length": item.count,
        "dataset_from_index": start,
        "dataset_to_index": start + item.count,
        "data/chunk_index": data[0],
        "data/file_index": data[1],
        "meta/episodes/chunk_index": table[0],
        "meta/episodes/file_index": table[1],
    }
    columns = {
        "episode_index": pa.array([index], pa.int64()),
        "tasks": pa.array([[item.task]], pa.list_(pa.string())),
        **{name: pa.array([value], pa.int64()) for name, value in integers.items()},
    }
    for name, (place, seconds) in videos.items():
        for part, value in (("chunk", place[0]), ("file", place[1])):
            columns[f"videos/{name}/{part}_index"] = pa.array([value], pa.int64())
        for part, value in (("from", 0.0), ("to", seconds)):
            columns[f"videos/{name}/{part}_timestamp"] = pa.array([value], pa.float64())
    for name, found in stats.items():
        for key, value in found.items():
            kind = pa.int64() if key == "count" else pa.float64()
            for _ in value.shape[1:]:
                kind = pa.list_(kind)
            columns[f"stats/{name}/{key}"] = pa.array([value.tolist()], pa.list_(kind))
    return pa.table(columns)


def _layouts(columns: Sequence[Column] | Sequence[Layout]) -> list[Layout]:
    layouts = [item for item in columns if isinstance(item, Layout)]
    alone = [item for item in columns if isinstance(item, Column)]
    if not layouts:
        layouts = [Layout("", check_columns(alone))]
    if not layouts[0].columns:
        raise DataError(f"a dataset needs columns, {STATE} among them; see robot_columns")
    return layouts


def _after(files: list[Path], chunk_files: int) -> Place:
    """The place after the last one of these files."""
    places = [place for file in files if (place := place_of(file)) is not None]
    return next_place(max(places), chunk_files) if places else (0, 0)
