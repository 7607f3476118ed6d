"""The datasets of a pretraining: which episodes are of the robot, what of them is known, which are held out, and their statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from envs.robots.robot import Robot
from policies.contract.spec import PolicySpec
from policies.networks.fold import Fold
from robolearn.data import columns
from robolearn.data.columns import DataError
from robolearn.data.licence import check_licences
from robolearn.data.reader import Dataset, EpisodeRow
from robolearn.data.source import Source
from robolearn.pretraining.tokens import ACTION, BODY, CLOCK, COMMAND, MODALITIES, Layout, Rows, Tokens

MOST_ROWS = 200_000
"""Rows of a source, about, that its statistics are computed from."""


@dataclass(kw_only=True)
class Shelf:
    """One dataset's episodes of the robot, as arrays (E,).

    Attributes:
        dataset: where they stand.
        number: of the episode in it.
        start, stop: rows.
        source: index into the statistics.
        acts: whether actions are the policy's.
        clocked: whether the gait's clock is known.
        asked: whether commands are the task's.
        order: which of the dataset's joints the policy's are, (E, J).
        held: whether it is held out.
        draw: what decides that, a number that an episode has in every dataset.
        mapped: columns that were asked for.
    """

    dataset: Dataset
    number: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    source: np.ndarray
    acts: np.ndarray
    clocked: np.ndarray
    asked: np.ndarray
    order: np.ndarray
    held: np.ndarray
    draw: np.ndarray
    mapped: dict[str, tuple[np.ndarray, np.ndarray | None] | None] = field(default_factory=dict)

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray | None] | None:
        """A column (rows, D) and its mark, mapped into memory; None where the dataset has none."""
        if name not in self.mapped:
            features, mark = self.dataset.info.features, columns.mark_of(name)
            found = None
            if name in features:
                values = self.dataset.column(name)
                found = values.reshape(len(values), -1), self.dataset.column(mark) if mark in features else None
            self.mapped[name] = found
        return self.mapped[name]

    def rows(self, held: bool = False) -> int:
        """How many rows, of those that are held out or of the others."""
        chosen = self.held == held
        return int((self.stop - self.start)[chosen].sum())


@dataclass(kw_only=True)
class Statistics:
    """What a source's numbers are normalised by.

    Attributes:
        names: of the sources, `robot/control mode`, and without actions `robot/kind`.
        mean, std: of observations, (S, O).
        action_std: of actions, (S, J).
        rows: of episodes with actions, (S,).
    """

    names: list[str]
    mean: torch.Tensor
    std: torch.Tensor
    action_std: torch.Tensor
    rows: list[int]

    def kept(self, before: Statistics) -> Statistics:
        """Those of `before`, and these for sources that it does not know: a network that goes on sees what it knows as it did."""
        new = [index for index, name in enumerate(self.names) if name not in before.names]
        return Statistics(
            names=[*before.names, *(self.names[index] for index in new)],
            mean=torch.cat([before.mean, self.mean[new]]),
            std=torch.cat([before.std, self.std[new]]),
            action_std=torch.cat([before.action_std, self.action_std[new]]),
            rows=[*before.rows, *(self.rows[index] for index in new)],
        )

    def state(self) -> dict[str, Any]:
        """As it stands in a checkpoint."""
        return dict(vars(self))


@dataclass
class Remarks:
    """What a person should know of the data, each line once."""

    lines: dict[str, int] = field(default_factory=dict)

    def add(self, line: str, episodes: int = 0) -> None:
        """A remark, on so many episodes, or on a source or a layout."""
        self.lines[line] = self.lines.get(line, 0) + episodes

    def text(self) -> list[str]:
        """The lines."""
        return [f"{line} ({count} episodes)" if count else line for line, count in self.lines.items()]


class Sources:
    """All datasets of a pretraining.

    Attributes:
        layout: of tokens.
        shelves: one for each dataset.
        names: of the sources, by index.
        remarks: what is left out, and why.
        described: of each dataset, for a policy file's provenance.
    """

    def __init__(
        self,
        paths: Sequence[str],
        robot: Robot,
        spec: PolicySpec,
        *,
        held_out: float,
        seed: int,
        by: str = "source",
        allow: Sequence[str] = (),
    ) -> None:
        """Open the datasets.

        Raises:
            DataError: one cannot be read, has another rate, holds nothing of the robot, or its licence is not allowed.
        """
        if not paths:
            raise DataError("a pretraining needs data: --data DATASET...; `robolearn collect` makes one")
        self.layout, self.remarks, self.names = Layout(spec), Remarks(), list[str]()
        self._robot, self._spec, self._by = robot, spec, by
        self.shelves = [self._open(Path(path), held_out, seed) for path in paths]
        self._tells = any(columns.SENSED in shelf.dataset.info.features for shelf in self.shelves)
        chosen = np.concatenate([shelf.draw[shelf.held] for shelf in self.shelves])
        for shelf in self.shelves:  # what one dataset holds out, because it has to hold out something, no other may teach
            shelf.held |= np.isin(shelf.draw, chosen)
        self._licences(allow)
        self.described = [self._described(shelf) for shelf in self.shelves]

    def _licences(self, allow: Sequence[str]) -> None:
        used = [(shelf.dataset, int(number)) for shelf in self.shelves for number in shelf.number]
        check_licences(dict.fromkeys(data.sources[data.episodes[number].source] for data, number in used), allow)

    def _open(self, path: Path, share: float, seed: int) -> Shelf:
        dataset = Dataset(path)
        rate = 1.0 / self._spec.control_dt
        if abs(dataset.fps - rate) > 1e-3 * rate:
            raise DataError(f"{path} has {dataset.fps:g} rows a second, the policy acts {rate:g} times; import it again at that rate")
        joints, labels = tuple(self._spec.robot.joint_names), self._spec.command.labels
        lists: dict[str, list] = {name: [] for name in ("number", "start", "stop", "source", "acts", "clocked", "asked", "order")}
        about: dict[int, tuple[bool, bool, list[int]] | None] = {}
        commands: dict[int, bool] = {}
        for row in dataset.episodes:
            if row.source not in about:
                about[row.source] = self._about(dataset.sources[row.source], joints)
            known, layout = about[row.source], dataset.layouts[row.layout]
            width = next((column.width for column in layout.columns if column.name == columns.STATE), 0)
            if known is None or width != 2 * len(joints) + 6:
                source = dataset.sources[row.source]
                self.remarks.add(
                    f"{path.name}: left out, since it is of {source.robot or 'an unknown robot'}, not of {self._robot.name}", 1
                )
                continue
            if row.layout not in commands:
                told = next((column.names for column in layout.columns if column.name == columns.COMMAND), ())
                commands[row.layout] = bool(labels) and tuple(told) == tuple(labels)
                if told and not commands[row.layout]:
                    self.remarks.add(
                        f"{path.name}: commands ({', '.join(told)}) are not the task's ({', '.join(labels)}): taken as missing"
                    )
            acts, clocked, order = known
            values = (row.index, row.start, row.stop, self._number(dataset.sources[row.source]), acts, clocked, commands[row.layout], order)
            for name, value in zip(lists, values, strict=True):
                lists[name].append(value)
        if not lists["number"]:
            raise DataError(f"{path} holds no episode of {self._robot.name}; its robots: {', '.join({s.robot for s in dataset.sources})}")
        arrays: dict[str, Any] = {name: np.array(values) for name, values in lists.items()}
        draw = draws(dataset, [dataset.episodes[number] for number in lists["number"]], seed)
        return Shelf(dataset=dataset, held=held_out(draw, share), draw=draw, **arrays)

    def _number(self, source: Source) -> int:
        """Index of the statistics that an episode is normalised by."""
        own = source.group if source.control_mode else f"{source.robot}/{source.kind}"
        name = own if self._by == "source" else source.robot
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def _about(self, source: Source, joints: tuple[str, ...]) -> tuple[bool, bool, list[int]] | None:
        """Whether a source's actions and clock are the policy's, and where its joints are; None where it is another robot."""
        if source.joint_names and sorted(source.joint_names) != sorted(joints):
            return None
        if not source.joint_names and source.robot != self._robot.name:
            return None
        order = [source.joint_names.index(name) for name in joints] if source.joint_names else list(range(len(joints)))
        mode = self._spec.action.mode
        acts = source.control_mode == mode and bool(mode)
        if source.control_mode and not acts:
            self.remarks.add(f"actions of {source.group} are not {mode}: taken as missing")
        env = _env_of(source)
        if acts and not self._scaled(env):
            acts = False
            self.remarks.add(f"actions of {source.group} are of another env.action.scale than the policy's: taken as missing")
        return acts, acts and self._clocked(source, env), order

    def _scaled(self, env: dict[str, Any]) -> bool:
        """Whether a unit of action asks as much as the policy's does; taken for granted where nothing tells."""
        action = env.get("action")
        if not isinstance(action, dict) or "scale" not in action:
            return True
        scale = self._robot.action_scale if action["scale"] is None else [float(action["scale"])] * self._spec.action_dim
        return np.allclose(scale, self._spec.action.scale, rtol=1e-4)

    def _clocked(self, source: Source, env: dict[str, Any]) -> bool:
        """Whether the gait's clock ran from the episode's first row at the policy's rate."""
        return bool(self._spec.clock_hz) and source.kind == "policy" and env.get("clock_hz") == self._spec.clock_hz

    def _described(self, shelf: Shelf) -> dict[str, object]:
        """A dataset in a policy file's provenance."""
        used = [shelf.dataset.sources[shelf.dataset.episodes[int(number)].source] for number in shelf.number]
        return {
            "path": str(shelf.dataset.path),
            "episodes": len(shelf.number),
            "rows": shelf.rows() + shelf.rows(held=True),
            "held_out": int(shelf.held.sum()),
            "kinds": sorted({source.kind for source in used}),
            "licences": sorted({source.licence for source in used}),
            "attribution": sorted({source.attribution for source in used if source.attribution}),
        }

    def cut(self, index: int, episode: np.ndarray, offset: np.ndarray, steps: int) -> Tokens:
        """Windows of one dataset.

        Args:
            index: of the dataset.
            episode: (B,) index into its shelf.
            offset: row of the first token, counted from the episode's start, (B,).
            steps: T.
        """
        shelf = self.shelves[index]
        start, length = shelf.start[episode][:, None], (shelf.stop - shelf.start)[episode][:, None]
        step = offset[:, None] + np.arange(-1, steps + 1)  # the row before the first token, and the one after the last
        inside = (step >= 0) & (step < length)
        at = start + np.clip(step, 0, length - 1)
        state = self._take(shelf, columns.STATE, at[:, 1:])[0][..., : 2 * shelf.order.shape[1] + 6]
        action, acted = self._take(shelf, columns.ACTION, at)
        acted = acted & inside & shelf.acts[episode][:, None]
        command, asked = self._take(shelf, columns.COMMAND, at[:, 1:])
        state, action = self._in_order(shelf, episode, state, action)
        action = np.where(acted[..., None], action, 0.0).astype(np.float32)
        rows = Rows(state=state, command=command, before=action[:, :-1], step=np.maximum(step[:, 1:], 0))
        body = inside[:, 1:]
        shown, told = self._shown(shelf, episode, at[:, 1:-1], rows, body[:, :-1])
        first = (step[:, 1:] == 0) & shelf.acts[episode][:, None]  # whose action before is zero, and known to be
        known = {
            BODY: body,
            COMMAND: asked & body & shelf.asked[episode][:, None],
            CLOCK: body & shelf.clocked[episode][:, None],
            ACTION: (acted[:, :-1] | first) & body,
        }
        return Tokens(
            observation=torch.from_numpy(self.layout.observe(rows).astype(np.float32, copy=False)),
            known=torch.from_numpy(np.stack([known[name] for name in MODALITIES], axis=-1)),
            action=torch.from_numpy(action[:, 1:-1].copy()),
            acted=torch.from_numpy(acted[:, 1:-1].copy()),
            source=torch.from_numpy(shelf.source[episode].astype(np.int64)),
            shown=shown,
            told=told,
        )

    def _shown(
        self, shelf: Shelf, episode: np.ndarray, at: np.ndarray, rows: Rows, inside: np.ndarray
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Observations (B, T, O) as the policy was shown them and where that is known (B, T); None where no dataset tells it."""
        if not self._tells:
            return None, None
        sensed, told = self._take(shelf, columns.SENSED, at)
        width = rows.state.shape[-1]
        if sensed.shape[-1] < width:  # this dataset does not tell
            sensed = np.zeros((*at.shape, width), np.float32)
        sensed, _ = self._in_order(shelf, episode, sensed[..., :width], rows.before[:, :-1])
        felt = Rows(state=sensed, command=rows.command[:, :-1], before=rows.before[:, :-1], step=rows.step[:, :-1])
        observation = self.layout.observe(felt).astype(np.float32, copy=False)
        return torch.from_numpy(observation), torch.from_numpy(told & inside)

    def _take(self, shelf: Shelf, name: str, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a column, (B, R, D) float32, and where it is known, (B, R)."""
        found = shelf.column(name)
        width = {columns.ACTION: self._spec.action_dim, columns.COMMAND: self._spec.command.dimension}.get(name)
        if found is None:
            return np.zeros((*at.shape, width or 0), np.float32), np.zeros(at.shape, bool)
        column, mark = found
        rows = np.take(column, at, axis=0, mode="clip").astype(np.float32, copy=False)
        if width is not None and rows.shape[-1] < width:  # of a command that is another task's, and counts as missing
            rows = np.concatenate([rows, np.zeros((*at.shape, width - rows.shape[-1]), np.float32)], axis=-1)
        known = np.ones(at.shape, bool) if mark is None else np.take(mark, at, mode="clip")
        return rows[..., :width], known.astype(bool)

    def _in_order(self, shelf: Shelf, episode: np.ndarray, state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """State and action in the policy's joint order."""
        order = shelf.order[episode]
        joints = order.shape[1]
        if np.array_equal(shelf.order, np.broadcast_to(np.arange(joints), shelf.order.shape)):
            return state, action
        both = np.concatenate([order, order + joints, np.broadcast_to(np.arange(2 * joints, 2 * joints + 6), (len(order), 6))], axis=1)
        return np.take_along_axis(state, both[:, None], axis=2), np.take_along_axis(action, order[:, None], axis=2)

    def number_as(self, names: list[str]) -> None:
        """Number the sources as a list of names does, which holds all of them."""
        order = np.array([names.index(name) for name in self.names])
        for shelf in self.shelves:
            shelf.source = order[shelf.source]
        self.names = list(names)

    def statistics(self, fold: Fold | None = None) -> Statistics:
        """Of the episodes that are learned from, as a network sees them; what a source does not know has mean 0 and deviation 1.

        Args:
            fold: that the network stands behind.
        """
        width, joints, count = self._spec.observation_dim, self._spec.action_dim, len(self.names)
        mean, std, action_std, rows = torch.zeros(count, width), torch.ones(count, width), torch.ones(count, joints), [0] * count
        for source in range(count):
            seen, known, action = self._sample(source, fold)
            for entry in range(width):
                values = seen[:, entry][known[:, int(self.layout.modality[entry])]]
                if len(values) > 1:
                    mean[source, entry], std[source, entry] = values.mean(), values.std()
            rows[source] = sum(int((s.stop - s.start)[(s.source == source) & s.acts & ~s.held].sum()) for s in self.shelves)
            if len(action) > 1:
                action_std[source] = action.std(0).clamp(min=1e-3)
        return Statistics(names=self.names, mean=mean, std=std.clamp(min=1e-2), action_std=action_std, rows=rows)

    def _sample(self, source: int, fold: Fold | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Observations (n, O), what is known of them (n, M), and known actions (m, J) of one source, from episodes evenly over all."""
        total = sum(int((s.stop - s.start)[(s.source == source) & ~s.held].sum()) for s in self.shelves)
        every = max(1, total // MOST_ROWS)
        seen, known, action = [], [], []
        for index, shelf in enumerate(self.shelves):
            for episode in np.flatnonzero((shelf.source == source) & ~shelf.held)[::every]:
                length = int(shelf.stop[episode] - shelf.start[episode])
                tokens = self.cut(index, np.array([episode]), np.array([0]), length)
                observation, given = tokens.observation[0, :length], tokens.action[0]
                entries = tokens.known[0, :length][:, self.layout.modality]
                if not (observation[entries].isfinite().all() and given[tokens.acted[0]].isfinite().all()):
                    path, number = shelf.dataset.path, shelf.number[episode]
                    raise DataError(f"{path} has numbers that are not finite in episode {number}; robolearn data check {path}")
                if fold is not None:
                    observation, mirrored = fold(observation)
                    given = fold.unfold(given, mirrored)  # a mirror undoes itself
                seen.append(observation)
                known.append(tokens.known[0, :length])
                action.append(given[tokens.acted[0]])
        if not seen:
            return torch.zeros(0, self._spec.observation_dim), torch.zeros(0, len(MODALITIES), dtype=torch.bool), torch.zeros(0, 1)
        return torch.cat(seen), torch.cat(known), torch.cat(action)


def held_out(draw: np.ndarray, share: float) -> np.ndarray:
    """Which episodes (E,) bool of a dataset are only predicted.

    Of two episodes or more at least one is where `share` is not 0, and never all of them.

    Args:
        draw: see `draws`.
        share: of them.
    """
    if share == 0 or len(draw) < 2:
        return np.zeros(len(draw), bool)
    held = draw < share
    if held.all() or not held.any():
        held = np.zeros(len(draw), bool)
        held[draw.argmin()] = True
    return held


def draws(dataset: Dataset, rows: Sequence[EpisodeRow], seed: int) -> np.ndarray:
    """A number in [0, 1) of each episode (E,), by its length, first, middle and last row: the same in every dataset that it stands in.

    The first row alone is not enough: controllers begin all of their episodes alike.
    """
    state = dataset.column(columns.STATE)
    told = [np.ascontiguousarray(state[[row.start, (row.start + row.stop) // 2, row.stop - 1]]).tobytes() for row in rows]
    return np.array([_draw(content, len(row), seed) for content, row in zip(told, rows, strict=True)])


def _env_of(source: Source) -> dict[str, Any]:
    """The section `env` of the config that made a source; empty where it tells none."""
    try:
        told = yaml.safe_load(source.config) if source.config else None
    except yaml.YAMLError:  # an import may note anything there
        return {}
    env = told.get("env") if isinstance(told, dict) else None
    return env if isinstance(env, dict) else {}


def _draw(content: bytes, length: int, seed: int) -> float:
    """A number in [0, 1) that an episode always has."""
    digest = hashlib.sha256(content + f"{length} {seed}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
