"""Builds episodes of the robot from a recording and its map."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from envs.robots.robot import Robot
from policies.contract.observation import projected_gravity
from robolearn.data.columns import ACTION, COMMAND, CONTACT, DONE, IS_VALID, REWARD, ROOT, STATE
from robolearn.data.imports.joints import arranged, scaled
from robolearn.data.imports.mapping import Field, ImportMap
from robolearn.data.imports.series import (
    BoolArray,
    FloatArray,
    RecordingError,
    Series,
    answered,
    grid,
    held,
    interpolated,
    spans,
    turned,
)
from robolearn.data.imports.turning import angular_velocity_b, rotate, rotate_inverse
from robolearn.data.source import Episode, Source

FASTEST_HZ = 60.0
USUAL_HZ = 50
VELOCITY_LABELS = ("vx", "vy", "yaw_rate")


class Recording(Protocol):
    """The recording to import: a bag, a table, or arrays."""

    @property
    def notes(self) -> list[str]:
        """Notes for the user."""
        ...

    def read(self, wanted: dict[str, str]) -> dict[str, Series]:
        """The series at several `at`, by quantity."""
        ...


@dataclass(slots=True)
class Imported:
    """Episodes of one recording.

    Attributes:
        episodes: in the order of time.
        fps: their frames per second.
        command_labels: names of the command's entries; empty without a command.
        notes: notes for the user.
    """

    episodes: list[Episode]
    fps: int
    command_labels: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def rate_of(series: Series) -> int:
    """Default frames per second of the episodes: the recording's own, or 50 if it has more than 60."""
    steps = np.diff(series.time_s)
    own = 1.0 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else float(USUAL_HZ)
    return USUAL_HZ if own > FASTEST_HZ else max(1, round(own))


def build(recording: Recording, mapping: ImportMap, robot: Robot, source: Source, fps: int | None = None) -> Imported:
    """Make episodes.

    Args:
        recording: the recording to import.
        mapping: where it has each quantity.
        robot: the robot that moves.
        source: the episodes' source; rate, joints and control mode are filled in.
        fps: frames per second of the episodes; None for the map's or the recording's own.

    Raises:
        RecordingError: something that an episode needs is missing.
    """
    given = mapping.given()
    if "joint_position" not in given:
        raise RecordingError("the map does not say where the joint positions are: joint_position: {at: ...}")
    series = recording.read({name: item.at for name, item in given.items() if name != "time"})
    notes: list[str] = []
    builder = _Builder(mapping, robot, series, notes)
    rate = fps or round(mapping.fps or rate_of(series["joint_position"]))
    episodes = []
    for begin, end in builder.spans():
        at_s = grid(begin, end, rate)
        if len(at_s) >= max(2, mapping.least_s * rate):
            episodes.append(builder.columns(at_s, rate))
        elif end - begin > 0:
            notes.append(f"{end - begin:.2f} s from {begin - builder.begin_s:.2f} s on were left out: shorter than least_s")
    if not episodes:
        raise RecordingError(f"no piece of {mapping.least_s:g} s in which {', '.join(builder.needed)} are there: {builder.why()}")
    notes = [*recording.notes, *dict.fromkeys(notes)]
    mode = "position_offset" if "action" in given else ""
    own_rate = 1.0 / float(np.median(np.diff(series["joint_position"].time_s)))

    source = dataclasses.replace(
        source,
        joint_names=robot.joint_names,
        fps=round(own_rate, 3),
        control_mode=mode,
        note="; ".join(filter(None, [source.note, *notes])),
    )
    task = mapping.task or ("move as commanded" if "command" in given else "move")
    made = [Episode(columns=columns, task=task, source=source) for columns in episodes]
    return Imported(made, rate, builder.labels if "command" in given else (), notes)


class _Builder:
    """The series of one recording in the robot's order, resampled to frames."""

    def __init__(self, mapping: ImportMap, robot: Robot, series: dict[str, Series], notes: list[str]) -> None:
        self._map, self._robot, self._notes = mapping, robot, notes
        fields = mapping.given()
        fixed = dict(mapping.fixed_joints)
        unknown = sorted({*fixed, *mapping.joint_names} - {*robot.joint_names, *robot.feet})
        if unknown:
            raise RecordingError(f"joint_names or fixed_joints name {', '.join(unknown)}, which {robot.name} does not have")
        self._of: dict[str, tuple[Series, list[int]]] = {}
        for name in ("joint_position", "joint_velocity", "action"):
            if name in series:
                self._of[name] = arranged(name, series[name], fields[name], robot.joint_names, mapping.joint_names, fixed, notes)
        if "contact" in series:
            self._of["contact"] = arranged(
                "contact", series["contact"], fields["contact"], tuple(robot.feet), mapping.joint_names, {}, notes
            )
        widths = {"orientation": 4, "angular_velocity": 3, "root_position": 3, "linear_velocity": 3, "reward": 1, "episode": 1}
        for name, width in widths.items():
            if name in series:
                if series[name].width != width:
                    raise RecordingError(f"{name}: `{fields[name].at}` has {series[name].width} entries, not {width}")
                self._of[name] = scaled(name, series[name], fields[name]), []
        if "orientation" in series:
            self._of["orientation"] = _wxyz(self._of["orientation"][0], fields["orientation"]), []
        self.labels = ()
        if "command" in series:
            self._of["command"] = scaled("command", series["command"], fields["command"]), []
            self.labels = self._command_labels(series["command"].width)
        self.needed = ["joint_position", *(["orientation"] if robot.floating_base else [])]
        if robot.floating_base and "orientation" not in self._of:
            raise RecordingError(
                f"{robot.name} moves freely, so its episodes need its attitude: orientation: {{at: ...}} (an IMU, an odometry)"
            )
        self.begin_s = float(series["joint_position"].time_s[0]) if len(series["joint_position"].time_s) else 0.0

    def _command_labels(self, width: int) -> tuple[str, ...]:
        labels = self._map.command_labels or (VELOCITY_LABELS if width == 3 else tuple(f"command_{i}" for i in range(width)))
        if len(labels) != width:
            raise RecordingError(f"command_labels has {len(labels)} names, the command {width} entries")
        return labels

    def spans(self) -> list[tuple[float, float]]:
        """Begin and end of each episode [s]."""
        found = spans([self._of[name][0] for name in self.needed], self._map.gap_s)
        if "episode" not in self._of:
            return found
        marks = self._of["episode"][0]
        cuts = np.flatnonzero(np.diff(marks.values[:, 0]) != 0) + 1
        ends = [float(marks.time_s[cut]) for cut in cuts]
        own = list(zip([-np.inf, *ends], [*(float(marks.time_s[cut - 1]) for cut in cuts), np.inf], strict=True))
        both = ((max(a, c), min(b, d)) for a, b in found for c, d in own)
        return sorted((begin, end) for begin, end in both if end > begin)

    def why(self) -> str:
        """The lengths of the series, for a message."""
        parts = (f"{name} {s.time_s[-1] - s.time_s[0]:.1f} s" for name, (s, _) in self._of.items() if name in self.needed and len(s.time_s))
        return ", ".join(parts) + f", holes longer than gap_s ({self._map.gap_s:g} s) end an episode"

    def columns(self, at_s: FloatArray, fps: int) -> dict[str, np.ndarray]:
        """The columns of one episode at its frame times (T,)."""
        robot, gap = self._robot, self._map.gap_s
        joints = np.zeros((len(at_s), robot.num_joints))
        velocity = np.zeros_like(joints)
        for name, angle in self._map.fixed_joints.items():
            joints[:, robot.joint_names.index(name)] = angle
        series, here = self._of["joint_position"]
        joints[:, here] = interpolated(series, at_s, gap)[0]
        velocity[:] = np.gradient(joints, axis=0) * fps
        if "joint_velocity" in self._of:
            series, here = self._of["joint_velocity"]
            values, known = interpolated(series, at_s, gap)
            velocity[:, here] = np.where(known[:, None], values, velocity[:, here])
        else:
            self._notes.append("joint velocities were computed from the positions")
        quat, turn = self._attitude(at_s, fps)
        gravity = projected_gravity(quat) if robot.floating_base else np.tile([0.0, 0.0, -1.0], (len(at_s), 1))
        columns: dict[str, np.ndarray] = {STATE: np.concatenate([joints, velocity, gravity, turn], axis=1).astype(np.float32)}
        if "root_position" in self._of and robot.floating_base:
            _put(columns, ROOT, *self._root(at_s, fps, quat, turn))
        self._rest(columns, at_s, fps)
        columns[DONE] = np.arange(len(at_s)) == len(at_s) - 1
        return columns

    def _rest(self, columns: dict[str, np.ndarray], at_s: FloatArray, fps: int) -> None:
        """Contact, command, action and reward, as far as they are known."""
        if "contact" in self._of and self._robot.feet:
            values, known = held(self._of["contact"][0], at_s, self._hold("contact"))
            _put(columns, CONTACT, values > self._map.contact_above, known)
        if "command" in self._of:
            _put(columns, COMMAND, *held(self._of["command"][0], at_s, self._hold("command")))
        if "action" in self._of:
            series, here = self._of["action"]
            values, known = answered(series, at_s, 1.0 / fps, self._hold("action"))
            action = np.zeros((len(at_s), self._robot.num_joints))
            action[:, here] = self._raw_action(values, here)
            _put(columns, ACTION, action, known)
        if "reward" in self._of:
            values, known = held(self._of["reward"][0], at_s, self._hold("reward"))
            _put(columns, REWARD, values, known)

    def _raw_action(self, values: FloatArray, here: list[int]) -> FloatArray:
        """Actions before their scale, of the joints `here`."""
        if self._map.action_is == "raw":
            return values
        rest = np.array(self._robot.default_pose)[here] if self._map.action_is == "target" else 0.0
        return (values - rest) / np.array(self._robot.action_scale)[here]

    def _hold(self, name: str) -> float:
        given: Field | None = getattr(self._map, name)
        return given.hold_s if given is not None and given.hold_s else self._map.gap_s

    def _attitude(self, at_s: FloatArray, fps: int) -> tuple[FloatArray, FloatArray]:
        """Of the base, (T, 4) wxyz, and its angular velocity in its own frame (T, 3)."""
        if not self._robot.floating_base:
            return np.tile([1.0, 0.0, 0.0, 0.0], (len(at_s), 1)), np.zeros((len(at_s), 3))
        quat = turned(self._of["orientation"][0], at_s, self._map.gap_s)[0]
        turn = angular_velocity_b(quat, fps)
        if "angular_velocity" not in self._of:
            self._notes.append("angular velocities were computed from the attitude")
            return quat, turn
        values, known = interpolated(self._of["angular_velocity"][0], at_s, self._map.gap_s)
        if self._map.angular_velocity is not None and self._map.angular_velocity.frame == "world":
            values = rotate_inverse(quat, values)
        turn[known] = values[known]
        return quat, turn

    def _root(self, at_s: FloatArray, fps: int, quat: FloatArray, turn: FloatArray) -> tuple[FloatArray, BoolArray]:
        """`observation.root`, and where it is known."""
        position, known = interpolated(self._of["root_position"][0], at_s, self._map.gap_s)
        velocity = np.gradient(position, axis=0) * fps
        if "linear_velocity" in self._of:
            values, said = interpolated(self._of["linear_velocity"][0], at_s, self._map.gap_s)
            field_ = self._map.linear_velocity
            values = values if field_ is not None and field_.frame == "world" else rotate(quat, values)
            velocity[said] = values[said]
        return np.concatenate([position, quat, velocity, turn], axis=1), known


def _put(columns: dict[str, np.ndarray], name: str, values: np.ndarray, known: BoolArray) -> None:
    """A column and its mark; nothing if it is never known."""
    if known.any():
        columns[name] = np.where(known[:, None], values, 0.0).astype(np.float32)
        columns[name + IS_VALID] = known


def _wxyz(series: Series, given: Field) -> Series:
    order = given.order if isinstance(given.order, str) else "".join(given.order)
    if order not in ("wxyz", "xyzw"):
        raise RecordingError(f"orientation: state the order of the quaternion in `{given.at}` with order: wxyz or order: xyzw")
    return Series(series.time_s, series.values[:, [3, 0, 1, 2]] if order == "xyzw" else series.values)
