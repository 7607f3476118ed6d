"""Converts a log's messages to rows, even if another tool changed their order, names, number or completeness.

The messages of a tick have the same log time to the nanosecond, which no other tick has: this, not their order in the file, defines what
belongs together. So a sorted, merged, re-compressed or renumbered copy gives the same rows, a filtered-out reading is noticed, and two runs
in one file are distinguished. Missing values are never read as zeros.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bridge.control.ticks import HAS_IMU, HAS_READING, SENT, Rows, sample_dtype, tick_dtype
from bridge.logs.pictures import picture_topic
from bridge.logs.topics import BATTERY, EVENT, HEAT, LIMITS, PICTURE_FACTS, PICTURES, STATE, TICK, Topics
from bridge.logs.writer import LogError

SAMPLES, SAMPLES_IMU = "/sensors/joint_states", "/sensors/imu"
ABSENT = -1  # of whole numbers, which have no NaN
CLOCKS_APART_NS = 2_000_000  # difference of log and loop time: none within one run, but a tool may have rounded times to milliseconds


class Message(NamedTuple):
    """One message of a log; times in [ns], `sequence` counts the messages in the order of writing."""

    topic: str
    data: bytes
    log_ns: int
    publish_ns: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Assembled:
    """The rows, and what is missing.

    Attributes:
        ticks, samples, events: as in `bridge.logs.reader.Log`; ticks with a missing message are left out.
        lacks: topics that are missing although the ticks refer to them; their columns hold NaN.
        notes: what else is missing, as text.
        pictures: (arrival on the loop's clock [ns], message) of each camera's pictures, oldest first, by observation group.
    """

    ticks: Rows
    samples: Rows
    events: list[dict[str, Any]]
    lacks: frozenset[str]
    notes: tuple[str, ...]
    pictures: dict[str, list[tuple[int, bytes]]]


def assemble(topics: Topics, channels: Iterable[str], messages: list[Message]) -> Assembled:
    """Assemble rows from messages.

    Args:
        topics: topics of the policy that ran.
        channels: all topics in the file, including those without a message.
        messages: the messages, in any order.

    Raises:
        LogError: there are no ticks, or more than one run.
    """
    own = _own_names(topics, channels, messages)
    groups = _by_time(own)
    found = sorted((time, group) for time, group in groups.items() if TICK in group)
    if own and not found and any(message.topic != EVENT for message in own):
        raise LogError(f"it lacks the topic {TICK}, which links the messages of a tick; copy the log with all its topics")
    rows, times, missing = _ticks(topics, found)
    _one_run(rows, times)
    lacks = frozenset(topic for topic, count in Counter(t for m in missing for t in m).items() if count == _told(topics, rows, topic))
    torn = np.array([bool(lack - lacks) for lack in missing], bool)
    notes: tuple[str, ...] = ()
    if torn.any():
        first = int(np.flatnonzero(torn)[0])
        what = ", ".join(sorted(missing[first] - lacks))
        notes = (f"{int(torn.sum())} ticks have a missing message, first tick {int(rows['index'][first])} that of {what}",)
    epoch_ns = (times[0] - int(rows["now_ns"][0])) if times else 0
    samples = _samples(topics, own, epoch_ns)
    if len(samples) and (rows["flags"] & HAS_IMU).any() and not (samples["flags"] & HAS_IMU).any():
        lacks |= {SAMPLES_IMU}
    pictures = {name: _pictures(own, picture_topic(name), epoch_ns) for name in topics.cameras}
    return Assembled(rows[~torn], samples, _events(topics, own), lacks, notes, pictures)


def _own_names(topics: Topics, channels: Iterable[str], messages: list[Message]) -> list[Message]:
    """The messages of the log's own topics, each once, under their own names, without an added namespace."""
    prefixes = {name.removesuffix(TICK) for name in channels if name.endswith(TICK)}
    if len(prefixes) > 1:
        raise _two_runs(f"its ticks have the names {', '.join(sorted(prefix + TICK for prefix in prefixes))}")
    prefix = next(iter(prefixes), "")
    known = {prefix + name: name for name in topics.types}
    return list(dict.fromkeys(m._replace(topic=known[m.topic]) for m in messages if m.topic in known))


def _by_time(own: list[Message]) -> dict[int, dict[str, list[bytes]]]:
    """Time -> topic -> messages, for the ticks' topics; by publish time if the log time was changed."""
    of_ticks = [m for m in own if m.topic not in (EVENT, STATE) and not m.topic.startswith("/sensors/")]
    wholly = [m for m in of_ticks if m.topic.startswith("/policy/")]  # other recordings that were merged in do not have these

    by_log = {m.log_ns for m in wholly} == {m.log_ns for m in wholly if m.topic == TICK}
    by_publish = {m.publish_ns for m in wholly} == {m.publish_ns for m in wholly if m.topic == TICK}
    groups: dict[int, dict[str, list[bytes]]] = {}
    for message in of_ticks:
        time_ns = message.publish_ns if by_publish and not by_log else message.log_ns
        groups.setdefault(time_ns, {}).setdefault(message.topic, []).append(message.data)
    return groups


def _told(topics: Topics, rows: Rows, topic: str) -> int:
    """Number of ticks that refer to a topic."""
    return sum(topic in topics.of_tick(int(flags)) for flags in rows["flags"])


def _ticks(topics: Topics, groups: list[tuple[int, dict[str, list[bytes]]]]) -> tuple[Rows, list[int], list[set[str]]]:
    """The rows, and for each its time and the topics whose message is missing."""
    count = sum(len(group[TICK]) for _, group in groups)
    rows, times, missing = np.zeros(count, tick_dtype(topics.spec)), [], []
    for time_ns, group in groups:
        together = rows[len(times) : len(times) + len(group[TICK])]  # more than one only if a simulated clock stood still
        for row, data in zip(together, group[TICK], strict=True):
            topics.fill(row, TICK, data)
        together.sort(order="index")
        for nth, row in enumerate(together):
            expected = topics.of_tick(int(row["flags"]))
            for topic in (expected | {LIMITS}) & group.keys():
                topics.fill(row, topic, group[topic][min(nth, len(group[topic]) - 1)])
            lack = expected - group.keys()
            for column in (column for topic in lack for column in _columns(topic, topics)):
                row[column] = np.nan if row[column].dtype.kind == "f" else ABSENT
            times.append(time_ns)
            missing.append(lack)
    return rows, times, missing


def _columns(topic: str, topics: Topics) -> tuple[str, ...]:
    if topic.startswith("/policy/observation/"):
        return ("observation",)
    columns = {
        "/joint_states": ("measured_position", "measured_velocity", "measured_effort"),
        "/imu": ("imu_quat_wxyz", "imu_angular_velocity_b"),
        topics.command_topic: ("command",),
        "/policy/action": ("action",),
        "/policy/asked": ("asked",),
        "/impedance_command": tuple(f"sent_{name}" for name in SENT),
        HEAT: ("temperature",),
        BATTERY: ("battery",),
        PICTURES: ("sight_times",),
        PICTURE_FACTS: ("sight_facts",),
    }
    return columns[topic]


def _one_run(rows: Rows, times: list[int]) -> None:
    back = np.flatnonzero((np.diff(rows["index"]) <= 0) | (np.diff(rows["now_ns"]) < 0))
    if len(back):
        raise _two_runs(f"after tick {int(rows['index'][back[0]])} comes tick {int(rows['index'][back[0] + 1])}")
    apart = np.array(times, np.int64) - rows["now_ns"]
    if len(apart) and int(np.ptp(apart)) > CLOCKS_APART_NS:
        at = int(np.argmax(np.abs(np.diff(apart))))
        raise _two_runs(f"after tick {int(rows['index'][at])} its clock jumps")


def _two_runs(why: str) -> LogError:
    return LogError(f"it holds more than one run, or parts with shifted times ({why}); give the log of each run separately")


def _samples(topics: Topics, own: list[Message], epoch_ns: int) -> Rows:
    """Readings between the ticks; joints and IMU of one reading have the same time."""
    joints: dict[int, list[bytes]] = {}
    imus: dict[int, list[bytes]] = {}
    for message in own:
        if message.topic in (SAMPLES, SAMPLES_IMU):
            (joints if message.topic == SAMPLES else imus).setdefault(message.log_ns, []).append(message.data)
    rows = np.zeros(sum(map(len, joints.values())), sample_dtype(topics.spec))
    at = 0
    for time_ns in sorted(joints):
        attitudes = imus.get(time_ns, [])
        for index, data in enumerate(joints[time_ns]):
            row = rows[at]
            topics.fill(row, SAMPLES, data)
            row["received_ns"], row["flags"] = time_ns - epoch_ns, HAS_READING
            if index < len(attitudes):
                topics.fill(row, SAMPLES_IMU, attitudes[index])
                row["flags"] |= HAS_IMU
            at += 1
    return rows


def _pictures(own: list[Message], topic: str, epoch_ns: int) -> list[tuple[int, bytes]]:
    return sorted((message.log_ns - epoch_ns, message.data) for message in own if message.topic == topic)


def _events(topics: Topics, own: list[Message]) -> list[dict[str, Any]]:
    in_order = sorted(own, key=lambda m: (m.log_ns, m.sequence))
    found = [json.loads(topics.decode(EVENT, m.data).data) for m in in_order if m.topic == EVENT]
    return sorted(found, key=lambda event: int(event["tick"]))
