"""Reads a flight recorder's log into rows, also one that a killed process left without its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.control.ticks import Rows
from bridge.logs.newest import oldest_first
from bridge.logs.rows import Message as Raw
from bridge.logs.rows import assemble
from bridge.logs.topics import TICK, Topics
from bridge.logs.writer import COUNTS, METADATA, POLICY_ATTACHMENT, LogError
from policies.contract.file import PolicyFile, PolicyFileError
from policies.files import reason

LARGEST_RECORD = 256 << 20
ACTION = "/policy/action"
FOREIGN = {
    b"\x28\xb5\x2f\xfd": "compressed as a whole; run zstd -d on it first",
    b"\x04\x22\x4d\x18": "compressed as a whole; run lz4 -d on it first",
    b"\x1f\x8b": "compressed as a whole; run gunzip on it first",
    b"SQLite": "a bag in SQLite's format, which holds neither thresholds nor policy; take the original log",
    b"#ROSBAG": "a bag of ROS 1, which holds neither thresholds nor policy; take the original log",
}
"""First bytes of files that are not MCAP, and what they are."""


@dataclass(frozen=True, slots=True)
class Log:
    """One run.

    Attributes:
        path: the file.
        policy: the policy that ran, from inside the log.
        metadata: `policy_sha256`, `task`, `robot`, `transport`, and as JSON `limits`, `shadow` and `auto_start`.
        ticks: (T,) rows of `bridge.control.ticks.tick_dtype`, oldest first.
        samples: (S,) rows of `bridge.control.ticks.sample_dtype`: all readings, if they were recorded.
        events: transitions, refusals, requests and faults, in order; see `LogWriter.event`.
        complete: whether the log has its end, which a killed process does not write.
        dropped: number of ticks lost because the recorder could not keep up.
        lacks: topics that another tool has removed although the ticks refer to them; their columns hold NaN.
        notes: what else is missing, as text.
        pictures: (arrival on the loop's clock [ns], message) of each camera's pictures, oldest first, by observation group; see
            `bridge.logs.replay_pictures.LoggedPictures`.
    """

    path: Path
    policy: PolicyFile
    metadata: dict[str, str]
    ticks: Rows
    samples: Rows
    events: list[dict[str, Any]]
    complete: bool
    dropped: int
    lacks: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    pictures: Mapping[str, Sequence[tuple[int, bytes]]] = field(default_factory=dict[str, Sequence[tuple[int, bytes]]])


def records(path: Path) -> Iterator[Any]:
    """The MCAP records of a file, up to where a killed process cut it off.

    Raises:
        LogError: no such file, or not an MCAP file.
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
        except Exception as error:  # decompressors, parsers and short reads raise various errors; earlier records are good
            if count < 2:  # not even a header and one more record
                file.seek(0)
                begin = file.read(8)
                known = next((text for magic, text in FOREIGN.items() if begin.startswith(magic)), None)
                why = f"it is {known}" if known else reason(error) if str(error) else "it ends too soon"
                raise LogError(f"{path} is not an MCAP log: {why}") from error


def read_log(path: Path, policy: PolicyFile | None = None) -> Log:
    """Read a log, also a part of one, or a copy made by another tool.

    Args:
        path: path of the log.
        policy: replaces the policy inside if a tool has removed that; it must be the one that ran.

    Raises:
        LogError: no such file, not a log of robolearn or not of one run, its metadata are missing, or its version wrote other messages.
    """
    from mcap.records import Attachment, Channel, Footer, Message, Metadata

    runs: list[dict[str, str]] = []
    counts: dict[str, str] = {}
    policies: list[bytes] = []
    channels: dict[int, str] = {}
    messages: list[Raw] = []
    complete = False
    for record in records(path):
        if isinstance(record, Metadata) and record.name == METADATA:
            runs += [record.metadata] if record.metadata not in runs else []
        elif isinstance(record, Metadata) and record.name == COUNTS:
            counts = record.metadata
        elif isinstance(record, Attachment) and record.name == POLICY_ATTACHMENT:
            policies += [record.data] if record.data not in policies else []
        elif isinstance(record, Channel):
            channels[record.id] = record.topic
        elif isinstance(record, Message) and record.channel_id in channels:
            messages.append(Raw(channels[record.channel_id], record.data, record.log_time, record.publish_time, record.sequence))
        complete = isinstance(record, Footer)
    if not runs:
        raise LogError(_strange(path, channels.values()))
    if len(runs) > 1:
        raise LogError(f"{path} holds {len(runs)} runs, joined by another tool; give the log of each run separately")
    metadata = runs[0]
    policy = _that_ran(path, metadata["policy_sha256"], policies, policy)
    try:
        rows = assemble(Topics(policy.spec), channels.values(), messages)
    except LogError as error:
        raise LogError(f"{path} cannot be read as one run: {error}") from error
    except Exception as error:  # messages with another layout fail in many ways, depending on the decoder
        why = f"{type(error).__name__}: {error}"
        raise LogError(f"{path} has messages that this version of robolearn cannot read; another version wrote it ({why})") from error
    dropped, written, notes = int(counts.get("dropped", 0)), int(counts.get("ticks", 0)), rows.notes
    last = int(rows.ticks["index"][-1]) if len(rows.ticks) else -1
    if last + 1 < written + dropped:
        notes = (*notes, f"ends at tick {last} of {written + dropped}")
    return Log(path, policy, metadata, rows.ticks, rows.samples, rows.events, complete, dropped, rows.lacks, notes, rows.pictures)


def _strange(path: Path, topics: Iterable[str]) -> str:
    """The message for an MCAP file without its metadata."""
    if any(topic.endswith(TICK) for topic in topics):
        return (
            f"{path} is a copy of a robot's log that lacks its metadata (the thresholds and more): the tool that copied it removed them; "
            f"use the original, or copy with them (mcap filter --include-metadata --include-attachments)"
        )
    return f"{path} is an MCAP file, but not one that robolearn deploy has written: it has no policy inside"


def _that_ran(path: Path, sha256: str, inside: list[bytes], given: PolicyFile | None) -> PolicyFile:
    """The policy file with this hash."""
    for data in inside:
        if hashlib.sha256(data).hexdigest() == sha256:
            try:
                return PolicyFile(path, data)
            except PolicyFileError as error:
                raise LogError(str(error)) from error
    if inside:
        raise LogError(f"{path} is inconsistent: the policy inside is not the one that ran ({sha256[:12]})")
    if given is not None and given.sha256 == sha256:
        return given
    raise LogError(
        f"{path} lacks the policy that ran, which the tool that copied it removed: the file whose sha256 begins with {sha256[:12]}"
        f"{'' if given is None else f', while that of {given.path} begins with {given.sha256[:12]}'}; use the original log, or give that "
        f"file: robolearn replay LOG --policy FILE"
    )


def newest_run(folder: Path) -> tuple[Path, list[Path]]:
    """The newest log of a folder in which a policy ran: not a motion, nor a robot that was never started.

    Args:
        folder: folder with logs as `*.mcap`, ordered by the time in the name, or else that of the first message.

    Returns: The log; the newer ones that were skipped, newest first.

    Raises:
        LogError: no such folder, or no such log in it; says what is there.
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
        f"in none of the {len(logs)} logs in {folder} did a policy run: they are of motions, of robots that were never started, or "
        f"truncated"
    )


def _begun(path: Path) -> float | None:
    """When a log's first message was recorded, in seconds since 1970; None if it is not a log, or empty."""
    from mcap.records import Message

    try:
        return next((record.log_time * 1e-9 for record in records(path) if isinstance(record, Message)), None)
    except LogError:
        return None


def _policy_ran(path: Path) -> bool:
    """Whether a log has an action of a policy, reading only up to the first one."""
    from mcap.records import Channel, Message, Metadata

    action: int | None = None
    try:
        for record in records(path):
            if isinstance(record, Metadata) and record.metadata.get("motion"):
                return False
            if isinstance(record, Channel) and record.topic.endswith(ACTION):
                action = record.id
            elif isinstance(record, Message) and record.channel_id == action:
                return True
    except LogError:  # not a log; the others may be
        return False
    return False
