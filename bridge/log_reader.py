"""Read a flight recorder's log back into rows, also one that a killed process left without its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.log_topics import EVENT, STATE, TICK, Topics
from bridge.log_writer import POLICY_ATTACHMENT, LogError
from bridge.newest import oldest_first
from bridge.ticks import HAS_IMU, HAS_READING, Rows, sample_dtype, tick_dtype
from policies.file import PolicyFile, PolicyFileError
from policies.files import reason

LARGEST_RECORD = 256 << 20
ACTION = "/policy/action"
Raw = tuple[str, bytes, int]
"""Topic, message, time of logging [ns]."""


@dataclass(frozen=True, slots=True)
class Log:
    """One run.

    Attributes:
        path: the file.
        policy: the policy that ran, from inside the log.
        metadata: `policy_sha256`, `task`, `robot`, `transport`, and as JSON `limits`, `shadow` and `auto_start`.
        ticks: (T,) rows of `bridge.ticks.tick_dtype`, oldest first.
        samples: (S,) rows of `bridge.ticks.sample_dtype`: all readings, where they were recorded.
        events: transitions, refusals, requests and faults, in order; see `LogWriter.event`.
        complete: whether the log has its end; a killed process leaves none.
        dropped: ticks that were lost because the recorder could not keep up.
    """

    path: Path
    policy: PolicyFile
    metadata: dict[str, str]
    ticks: Rows
    samples: Rows
    events: list[dict[str, Any]]
    complete: bool
    dropped: int


def records(path: Path) -> Iterator[Any]:
    """The MCAP records of a file, up to where a killed process tore it off.

    Raises:
        LogError: no such file, or no MCAP file.
    """
    from mcap.stream_reader import StreamReader

    if not path.is_file():
        raise LogError(f"no log at {path}")
    count = 0
    with path.open("rb") as file:
        try:
            for record in StreamReader(file, validate_crcs=True, record_size_limit=LARGEST_RECORD).records:
                count += 1
                yield record
        except Exception as error:  # decompressors, parsers and short reads have errors of their own; what came before is good
            if count < 2:  # not even a header and something behind it
                raise LogError(f"{path} is no MCAP log: {reason(error) if str(error) else 'it ends too soon'}") from error


def read_log(path: Path) -> Log:
    """Read a log.

    Raises:
        LogError: no such file, not a log of robolearn, or one of a version that wrote other messages.
    """
    from mcap.records import Attachment, Channel, Footer, Message, Metadata

    metadata: dict[str, str] = {}
    policy: PolicyFile | None = None
    channels: dict[int, str] = {}
    messages: list[Raw] = []
    complete = False
    for record in records(path):
        if isinstance(record, Metadata):
            metadata |= record.metadata
        elif isinstance(record, Attachment) and record.name == POLICY_ATTACHMENT:
            try:
                policy = PolicyFile(path, record.data)
            except PolicyFileError as error:
                raise LogError(str(error)) from error
        elif isinstance(record, Channel):
            channels[record.id] = record.topic
        elif isinstance(record, Message) and record.channel_id in channels:
            messages.append((channels[record.channel_id], record.data, record.log_time))
        complete = isinstance(record, Footer)
    if policy is None or "limits" not in metadata:
        raise LogError(f"{path} is an MCAP file, but not one that robolearn deploy has written: it has no policy inside")
    if metadata["policy_sha256"] != policy.sha256:
        raise LogError(f"{path} contradicts itself: the policy inside is not the one that ran ({metadata['policy_sha256'][:12]})")
    try:
        rows = _rows(Topics(policy.spec), messages)
    except Exception as error:  # messages of another layout fail in many ways, each where its decoder notices
        why = f"{type(error).__name__}: {error}"
        raise LogError(f"{path} has messages that this version of robolearn does not read; another one wrote it ({why})") from error
    return Log(path, policy, metadata, *rows, complete, int(metadata.get("dropped", 0)))


def newest_run(folder: Path) -> tuple[Path, list[Path]]:
    """The newest log of a folder in which a policy ran: not a motion, nor a robot that nobody started.

    Args:
        folder: with logs as `*.mcap`; the time in a log's name counts, or else that of its first message.

    Returns:
        The log; the newer ones that were passed over, newest first.

    Raises:
        LogError: no folder, or no such log in it; says what is there.
    """
    if not folder.is_dir():
        raise LogError(f"no folder at {folder}")
    logs = oldest_first(folder.glob("*.mcap"), lambda path: path, _begun)[::-1]
    for index, path in enumerate(logs):
        if _policy_ran(path):
            return path, logs[:index]
    if not logs:
        raise LogError(f"no .mcap file in {folder}")
    raise LogError(
        f"in none of the {len(logs)} logs in {folder} did a policy run: they are of motions, of robots that nobody started, or torn"
    )


def _begun(path: Path) -> float | None:
    """When a log's first message was recorded, in seconds since 1970; None for no log, or an empty one."""
    from mcap.records import Message

    try:
        return next((record.log_time * 1e-9 for record in records(path) if isinstance(record, Message)), None)
    except LogError:
        return None


def _policy_ran(path: Path) -> bool:
    """Whether a log has an action of a policy, without reading it further than to the first."""
    from mcap.records import Channel, Message, Metadata

    action: int | None = None
    try:
        for record in records(path):
            if isinstance(record, Metadata) and record.metadata.get("motion"):
                return False
            if isinstance(record, Channel) and record.topic == ACTION:
                action = record.id
            elif isinstance(record, Message) and record.channel_id == action:
                return True
    except LogError:  # no log at all; the others may be
        return False
    return False


def _rows(topics: Topics, messages: list[Raw]) -> tuple[Rows, Rows, list[dict[str, Any]]]:
    spec = topics.spec
    ticks = np.zeros(sum(topic == TICK for topic, *_ in messages), tick_dtype(spec))
    samples = np.zeros(sum(topic == "/sensors/joint_states" for topic, *_ in messages), sample_dtype(spec))
    events: list[dict[str, Any]] = []
    tick = sample = -1
    epoch_ns = 0
    for topic, data, time_ns in messages:
        if topic == EVENT:
            events.append(json.loads(topics.decode(topic, data).data))
        elif topic.startswith("/sensors/"):
            sample += topic.endswith("joint_states")
            topics.fill(samples[sample], topic, data)
            samples[sample]["received_ns"] = time_ns
            samples[sample]["flags"] |= HAS_READING if topic.endswith("joint_states") else HAS_IMU
        elif topic != STATE:
            tick += topic == TICK
            if tick >= 0:
                topics.fill(ticks[tick], topic, data)
            if topic == TICK:
                epoch_ns = time_ns - int(ticks[tick]["now_ns"])
    samples["received_ns"] -= epoch_ns
    return ticks, samples, events
