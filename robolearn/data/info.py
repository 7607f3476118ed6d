"""`meta/info.json`: lerobot's content, and ours under the key `robolearn`.

lerobot ignores keys that it does not know, but drops them when it rewrites the file. So the same table is also in `meta/robolearn.json`,
and is read from there if info.json has lost it.

    "robolearn": {
      "version": 1,
      "layouts": [{"robot": "go1", "columns": [{"name": ..., "names": [...], "dtype": ..., "optional": ..., "shape": null}, ...]}],
      "sources": [{"layout": 0, "kind": "policy", "robot": "go1", "licence": "Apache-2.0", ...}],
      "episodes": {"sources": [[120, 0], [30, 1]], "success": "11?0..."},
      "statistics": [{"robot": "go1", "control_mode": "position", "layout": 0, "columns": {"action": {"mean": [...], ...}}}]
    }

`layouts` are the columns of each robot; in a dataset with several robots, rows of the narrower ones are padded with zeros at the end.
`episodes.sources` is run-length coded: number of episodes, and their source. `episodes.success` has one character per episode: 1, 0 or ?.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.files import reason
from robolearn.data.columns import DONE, DTYPES, VIDEO, Column, DataError, camera, mark_of
from robolearn.data.source import Source
from robolearn.data.statistics import GroupStatistics

VERSION = "v3.0"
INFO = "meta/info.json"
OURS = "meta/robolearn.json"
KEY = "robolearn"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
CHUNK_FILES = 1000
LETTERS: Mapping[bool | None, str] = {True: "1", False: "0", None: "?"}
CAMERAS = (VIDEO, "image")
_FORMAT_FEATURES = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


@dataclass(frozen=True)
class Layout:
    """The columns of one robot."""

    robot: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column | None:
        """The column of that name; None if there is none."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column on disk, including marks and the format's own columns.

    Attributes:
        dtype: a numpy name, `string`, or `video` or `image` for a camera.
        shape: of one row.
        names: names of the entries; None if they have none.
        rest: its other keys in info.json; kept unchanged.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_camera(self) -> bool:
        """Whether its rows are pictures."""
        return self.dtype in CAMERAS

    @property
    def is_video(self) -> bool:
        """Whether its rows are pictures that we read and write: colour videos."""
        abouts = [self.rest.get(part) or {} for part in ("info", "video_info")]
        depth = any(about.get(key) for about in abouts for key in ("is_depth_map", "video.is_depth_map"))
        return self.dtype == VIDEO and len(self.shape) == 3 and self.shape[2] == 3 and not depth


@dataclass(kw_only=True)
class Info:
    """The description of a dataset without its frames.

    Attributes:
        fps: rows per second [Hz].
        features: the columns on disk by name, in order.
        layouts: the columns of each robot.
        sources: the sources, each with the index of its layout.
        episode_sources: index into `sources` for each episode.
        success: whether each episode succeeded.
        statistics: statistics of each robot and control mode.
        robot_type: lerobot's name of the robot; `mixed` if there are several.
        rest: other keys of info.json; kept unchanged.
    """

    fps: int
    features: dict[str, Feature]
    layouts: list[Layout] = field(default_factory=list)
    sources: list[tuple[Source, int]] = field(default_factory=list)
    episode_sources: list[int] = field(default_factory=list)
    success: list[bool | None] = field(default_factory=list)
    statistics: list[GroupStatistics] = field(default_factory=list)
    total_episodes: int = 0
    total_frames: int = 0
    total_tasks: int = 0
    robot_type: str | None = None
    data_path: str = DATA_PATH
    chunks_size: int = CHUNK_FILES
    video_path: str = VIDEO_PATH
    rest: dict[str, Any] = field(default_factory=dict)

    def ours(self) -> dict[str, Any]:
        """The table under our key, as JSON values."""
        runs = [[len(list(run)), source] for source, run in itertools.groupby(self.episode_sources)]
        return {
            "version": 1,
            "layouts": [
                {"robot": layout.robot, "columns": [dataclasses.asdict(column) for column in layout.columns]} for layout in self.layouts
            ],
            "sources": [{"layout": layout, **dataclasses.asdict(source)} for source, layout in self.sources],
            "episodes": {"sources": runs, "success": "".join(LETTERS[item] for item in self.success)},
            "statistics": [group.to_json() for group in self.statistics],
        }

    def to_json(self) -> str:
        """The text of info.json."""
        features = {
            name: {**feature.rest, "dtype": feature.dtype, "shape": list(feature.shape), "names": _names(feature)}
            for name, feature in self.features.items()
        }
        raw = {
            "codebase_version": VERSION,
            "fps": self.fps,
            "features": features,
            "total_episodes": self.total_episodes,
            "total_frames": self.total_frames,
            "total_tasks": self.total_tasks,
            "chunks_size": self.chunks_size,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "data_path": self.data_path,
            "video_path": self.video_path if any(feature.dtype == VIDEO for feature in self.features.values()) else None,
            "robot_type": self.robot_type,
            "splits": {"train": f"0:{self.total_episodes}"},
            **self.rest,
            KEY: self.ours(),
        }
        return json.dumps(raw, indent=1, allow_nan=False)


def _video_info(shape: tuple[int, ...], fps: int) -> dict[str, Any]:
    """The entry of a camera in info.json, besides its shape."""
    return {
        "video.height": shape[0],
        "video.width": shape[1],
        "video.codec": "av1",
        "video.pix_fmt": "yuv420p",
        "video.fps": fps,
        "video.channels": shape[2],
        "is_depth_map": False,
        "has_audio": False,
    }


def features_of(layouts: Sequence[Layout], fps: int) -> dict[str, Feature]:
    """The columns on disk that hold the rows of all robots: each as wide as the widest.

    Raises:
        DataError: two robots have a column with the same name but different dtypes, or different shapes other than vectors.
    """
    features: dict[str, Feature] = {}
    for name in dict.fromkeys(column.name for layout in layouts for column in layout.columns):
        found = [column for layout in layouts if (column := layout.column(name)) is not None]
        first = found[0]
        shapes = {column.row_shape for column in found}
        if len({column.dtype for column in found}) > 1 or (len(shapes) > 1 and any(len(shape) != 1 for shape in shapes)):
            told = "; ".join(f"{layout.robot}: {c.dtype} {c.row_shape}" for layout in layouts if (c := layout.column(name)) is not None)
            raise DataError(f"the robots' columns {name} cannot be in one dataset ({told})")
        shape = max(shapes)
        same = len({column.names for column in found}) == 1
        names = first.names if same else tuple(f"{name.rpartition('.')[2]}_{index}" for index in range(shape[0]))
        if first.dtype == VIDEO:
            features[name] = Feature(dtype=VIDEO, shape=shape, names=first.names, rest={"info": _video_info(shape, fps)})
        else:
            features[name] = Feature(dtype=first.dtype, shape=shape, names=names if len(shape) == 1 else None)
        if name != DONE and (len(found) < len(layouts) or any(column.optional for column in found)):
            features[mark_of(name)] = Feature(dtype="bool", shape=(1,), names=("is_valid",))
    for name, dtype in _FORMAT_FEATURES.items():
        features[name] = Feature(dtype=dtype, shape=(1,))
    return features


def layout_of(features: Mapping[str, Feature], robot: str) -> Layout:
    """The columns of a dataset that is not ours, from its features; pictures other than colour videos are left out."""
    columns = []
    marks = {mark_of(name) for name in features}
    for name, feature in features.items():
        is_mark = name in marks
        if feature.is_video:
            columns.append(camera(name, *feature.shape[:2], optional=mark_of(name) in features))
        if name in _FORMAT_FEATURES or feature.dtype not in DTYPES or is_mark:
            continue
        flat = len(feature.shape) == 1
        names = feature.names if flat and feature.names and len(feature.names) == feature.shape[0] else None
        columns.append(
            Column(
                name=name,
                names=names or tuple(f"{name.rpartition('.')[2]}_{index}" for index in range(feature.shape[0] if feature.shape else 1)),
                dtype=feature.dtype,
                optional=mark_of(name) in features,
                shape=None if flat or not feature.shape else feature.shape,
            )
        )
    return Layout(robot, tuple(columns))


def _names(feature: Feature) -> Any:
    if "names" in feature.rest:  # in other formats, which we do not write
        return feature.rest["names"]
    return None if feature.names is None else list(feature.names)


def read_info(path: Path) -> Info:
    """Read `meta/info.json` of the dataset at `path`.

    Raises:
        DataError: no such file, or not version 3; says what to type.
    """
    raw = _json(path, INFO)
    if raw is None:
        what = "there is no such folder" if not path.exists() else f"there is no {INFO} in it"
        raise DataError(f"{path} is not a dataset: {what}")
    version = raw.get("codebase_version")
    if not str(version).startswith("v3."):
        raise DataError(
            f"{path} has version {version!r}, and only v3.0 is read; convert it with lerobot: "
            "python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=NAME --root=FOLDER"
        )
    known = {
        "codebase_version",
        "fps",
        "features",
        "total_episodes",
        "total_frames",
        "total_tasks",
        "chunks_size",
        "data_path",
        "video_path",
        "robot_type",
    }
    try:
        info = Info(
            fps=int(raw["fps"]),
            features={name: _feature(feature) for name, feature in raw["features"].items()},
            total_episodes=int(raw.get("total_episodes", 0)),
            total_frames=int(raw.get("total_frames", 0)),
            total_tasks=int(raw.get("total_tasks", 0)),
            robot_type=raw.get("robot_type"),
            data_path=raw.get("data_path", DATA_PATH),
            chunks_size=int(raw.get("chunks_size", CHUNK_FILES)),
            video_path=raw.get("video_path") or VIDEO_PATH,
            rest={name: value for name, value in raw.items() if name not in known | {KEY, "splits"}},
        )
        _take_ours(info, raw.get(KEY) or _json(path, OURS))
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{path / INFO} is damaged ({reason(error)}); try: robolearn data repair {path} --out NEW") from error
    return info


def _json(path: Path, name: str) -> dict[str, Any] | None:
    try:
        raw = json.loads((path / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise DataError(f"{path / name} is not JSON ({reason(error)}); try: robolearn data repair {path} --out NEW") from error
    return raw if isinstance(raw, dict) else None


def _feature(raw: Mapping[str, Any]) -> Feature:
    names = raw.get("names")
    rest = {name: value for name, value in raw.items() if name not in ("dtype", "shape", "names")}
    if isinstance(names, dict):
        rest["names"] = names
        lists = [value for value in names.values() if isinstance(value, list)]
        names = lists[0] if len(lists) == 1 else None
    flat = None if names is None else tuple(str(name) for name in names)
    return Feature(dtype=str(raw["dtype"]), shape=tuple(int(size) for size in raw["shape"]), names=flat, rest=rest)


def take_table(path: Path, info: Info) -> bool:
    """Fill in the content of `meta/robolearn.json`, for a dataset whose info.json is lost; returns whether the file exists and is whole."""
    try:
        raw = _json(path, OURS)
        if raw is None:
            return False
        told = dataclasses.replace(info, layouts=[], total_episodes=sum(count for count, _ in raw["episodes"]["sources"]))
        _take_ours(told, raw)
    except (DataError, KeyError, TypeError, ValueError, AttributeError, IndexError):
        return False
    info.layouts, info.sources, info.episode_sources, info.success = told.layouts, told.sources, told.episode_sources, told.success
    return True


def _take_ours(info: Info, raw: Mapping[str, Any] | None) -> None:
    """Fill in the content under our key; episodes that other programs have written have an unknown source."""
    if raw is not None:
        info.layouts = [Layout(item["robot"], tuple(Column.from_json(column) for column in item["columns"])) for item in raw["layouts"]]
        for item in raw["sources"]:
            source = Source.from_json({name: value for name, value in item.items() if name != "layout"})
            info.sources.append((source, int(item["layout"])))
        info.episode_sources = [int(source) for count, source in raw["episodes"]["sources"] for _ in range(count)][: info.total_episodes]
        letters = {letter: value for value, letter in LETTERS.items()}
        info.success = [letters[letter] for letter in raw["episodes"]["success"]][: info.total_episodes]
        info.statistics = [GroupStatistics.from_json(item) for item in raw["statistics"]]
    missing = info.total_episodes - len(info.episode_sources)
    if missing > 0 or not info.layouts:
        robot = info.robot_type or "unknown"
        layout = next((index for index, item in enumerate(info.layouts) if item.robot == robot), None)
        if layout is None:
            info.layouts.append(layout_of(info.features, robot))
            layout = len(info.layouts) - 1
        if missing > 0:
            info.sources.append((Source(kind="import", robot=robot, note="written by another program"), layout))
            info.episode_sources += [len(info.sources) - 1] * missing
            info.success += [None] * (info.total_episodes - len(info.success))
