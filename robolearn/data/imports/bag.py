"""Reads ROS 2 bags of any robot, as MCAP or SQLite, complete, truncated or in a folder, without ROS.

Message definitions are taken from the file; SQLite bags of earlier ROS versions lack them and are read with the standard ones.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import TypesysError

from bridge.logs.reader import records
from bridge.logs.writer import LogError
from policies.files import reason
from robolearn.data.imports.address import Address, fields_of, is_quaternion
from robolearn.data.imports.series import FloatArray, RecordingError, Series
from robolearn.errors import suggestion

SUFFIXES = (".mcap", ".db3")
ZSTD = b"\x28\xb5\x2f\xfd"
OFF_RATE = 0.02
"""A clock whose rate differs by more than this share from the recorder's is a simulator's."""


class Raw(NamedTuple):
    """One message; `data` is in its `encoding`."""

    topic: str
    data: bytes
    log_ns: int


@dataclass(slots=True)
class Topic:
    """A topic of a bag.

    Attributes:
        kind: type of its messages, `package/msg/Name`.
        encoding: `cdr` or `json`.
        count: number of messages, if the file states it.
    """

    kind: str
    encoding: str
    definition: str = ""
    count: int = 0


class Bag:
    """A recording.

    Attributes:
        path: the file or folder.
        topics: by name.
        notes: notes for the user.
    """

    def __init__(self, path: Path, clock: str = "auto") -> None:
        """Open; `clock` as in `ImportMap`.

        Raises:
            RecordingError: not a bag.
        """
        self.path, self.clock, self.notes = path, clock, list[str]()
        self._files = bag_files(path)
        self.topics: dict[str, Topic] = {}
        for file in self._files:
            for name, topic in _topics(file):
                known = self.topics.setdefault(name, topic)
                if known is not topic:
                    known.count += topic.count
        if not self.topics:
            raise RecordingError(f"{path} holds no topics")
        self._store: Any = None

    def read(self, wanted: dict[str, str]) -> dict[str, Series]:
        """The series at several `at`, by quantity.

        Raises:
            RecordingError: no such topic or field, or messages that cannot be read.
        """
        addresses = {name: Address(at) for name, at in wanted.items()}
        for name, address in addresses.items():
            if address.topic not in self.topics:
                valid = ", ".join(sorted(self.topics))
                raise RecordingError(
                    f"{name}: {self.path} has no topic {address.topic}{suggestion(address.topic, self.topics)}; it has: {valid}"
                )
        topics = {address.topic for address in addresses.values()}
        collected = {name: _Collector() for name in wanted}
        times = {topic: _Times() for topic in topics}
        for raw in self._messages(topics):
            message = self._decode(raw)
            times[raw.topic].add(message, raw.log_ns)
            for name, address in addresses.items():
                if address.topic == raw.topic:
                    values = address.values(message)
                    collected[name].add(values, address.names(message, len(values)))
        empty = [topic for topic, item in times.items() if not item.log_ns]
        if empty:
            raise RecordingError(f"{self.path}: the topic {empty[0]} has no messages")
        chosen = {topic: self._clock_of(topic, item) for topic, item in times.items()}
        first = min(int(time_ns.min()) for time_ns in chosen.values())  # a float of seconds since 1970 cannot resolve nanoseconds
        return {
            name: collected[name].series(np.asarray((chosen[address.topic] - first) * 1e-9, np.float64))
            for name, address in addresses.items()
        }

    def first(self, topic: str) -> Any:
        """The first message of a topic, or None."""
        return next((self._decode(raw) for raw in self._messages({topic})), None)

    def is_quaternion(self, at: str) -> bool:
        """Whether the field at `at` is a quaternion message, whose numbers are read in the order x, y, z, w."""
        topic, *fields = at.split()
        value = self.first(topic) if topic in self.topics and len(fields) == 1 else None
        for part in fields[0].split(".") if value is not None else []:
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
        return value is not None and is_quaternion(value)

    def contents(self) -> list[str]:
        """The topics with their fields, one line each, for display."""
        lines = []
        for name, topic in sorted(self.topics.items()):
            try:
                message = self.first(name)
                inside = ", ".join(fields_of(message)) if message is not None else "no message"
            except RecordingError as error:
                inside = str(error)
            lines.append(f"{name} ({topic.kind}): {inside or 'no numbers'}")
        return lines

    def _messages(self, topics: set[str]) -> Iterator[Raw]:
        for file in self._files:
            try:
                yield from _raw(file, topics)
            except (LogError, sqlite3.Error) as error:
                raise RecordingError(f"{file} cannot be read: {reason(error)}") from error

    def _decode(self, raw: Raw) -> Any:
        topic = self.topics[raw.topic]
        try:
            if topic.encoding == "json":
                return json.loads(raw.data)
            if raw.data.startswith(ZSTD):
                raise RecordingError(f"the messages of {self.path} are compressed one by one; run: ros2 bag convert, without compression")
            if topic.kind not in self._typestore().fielddefs:
                raise RecordingError(
                    f"{self.path} has no definition of the message type {topic.kind} ({raw.topic}); record it as MCAP, or with ROS"
                    " Iron or later, which write definitions into the bag"
                )
            return self._typestore().deserialize_cdr(raw.data, topic.kind)
        except RecordingError:
            raise
        except Exception as error:  # parsers fail in many ways on unknown messages
            raise RecordingError(f"{self.path}: messages of {raw.topic} ({topic.kind}) cannot be read: {reason(error)}") from error

    def _typestore(self) -> Any:
        """The types of the topics; unreadable ones are left out, and reported when they are requested."""
        if self._store is None:
            from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

            self._store = get_typestore(Stores.EMPTY)
            for topic in self.topics.values():
                if topic.definition and topic.encoding == "cdr":
                    idl = topic.definition.lstrip().startswith(("module", "=" * 80 + "\nIDL"))
                    with contextlib.suppress(TypesysError):  # e.g. the two sides of a service
                        types = get_types_from_idl(topic.definition) if idl else get_types_from_msg(topic.definition, topic.kind)
                        self._store.register({name: fields for name, fields in types.items() if name not in self._store.fielddefs})
            if any(topic.kind not in self._store.fielddefs for topic in self.topics.values()):
                usual = get_typestore(Stores.ROS2_HUMBLE).fielddefs
                self._store.register({name: fields for name, fields in usual.items() if name not in self._store.fielddefs})
        return self._store

    def _clock_of(self, topic: str, times: _Times) -> NDArray[np.int64]:
        """The times of a topic's messages [ns]."""
        received, stamped = np.array(times.log_ns, np.int64), np.array(times.stamp_ns, np.int64)
        stamps = len(stamped) == len(received) and len(stamped) > 1 and bool((stamped > 0).all())
        moving = stamps and stamped.max() > stamped.min()  # not always in order: messages overtake each other
        if self.clock == "stamp":
            if not moving:
                raise RecordingError(f"{self.path}: clock: stamp, but the messages of {topic} have no increasing stamps; use received")
            return stamped
        if self.clock == "received" or not moving or np.ptp(received) == 0:
            return received
        rate = np.ptp(stamped) / np.ptp(received)
        if abs(rate - 1.0) > OFF_RATE:
            self.notes.append(
                f"the stamps of {topic} run at {rate:.2f} times the recording's clock, so the times of recording are used; for a "
                f"simulator's log set clock: stamp"
            )
            return received
        return stamped + int((received - stamped).min())  # the fastest message gives the offset of the clocks


class _Times:
    """When the messages of a topic were received, and their stamps [ns]."""

    def __init__(self) -> None:
        self.log_ns: list[int] = []
        self.stamp_ns: list[int] = []

    def add(self, message: Any, log_ns: int) -> None:
        self.log_ns.append(log_ns)
        header = message.get("header") if isinstance(message, dict) else getattr(message, "header", None)
        stamp = header.get("stamp") if isinstance(header, dict) else getattr(header, "stamp", None)
        if isinstance(stamp, dict):
            self.stamp_ns.append(int(stamp.get("sec", 0)) * 1_000_000_000 + int(stamp.get("nanosec", stamp.get("nsec", 0))))
        elif stamp is not None:
            self.stamp_ns.append(int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec))


class _Collector:
    """Rows of one field; entries that a message does not contain are NaN in its row."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []
        self.named: list[tuple[str, ...]] = []

    def add(self, values: list[float], names: tuple[str, ...]) -> None:
        self.rows.append(values)
        self.named.append(names)

    def series(self, time_s: FloatArray) -> Series:
        kinds = dict.fromkeys(self.named)
        names = tuple(dict.fromkeys(name for kind in kinds for name in kind))
        if names:
            at = {name: i for i, name in enumerate(names)}
            where = {kind: [at[name] for name in kind] for kind in kinds}
            values = np.full((len(self.rows), len(names)), np.nan)
            for row, (given, kind) in enumerate(zip(self.rows, self.named, strict=True)):
                values[row, where[kind]] = given[: len(kind)]
        else:
            width = max(map(len, self.rows), default=0)
            values = np.full((len(self.rows), width), np.nan)
            for row, given in enumerate(self.rows):
                values[row, : len(given)] = given
        return Series(time_s, values, names).sorted()


def bag_files(path: Path) -> list[Path]:
    """The files of a bag, in order.

    Raises:
        RecordingError: there is none.
    """
    if path.is_dir():
        files = sorted((item for item in path.iterdir() if item.suffix in SUFFIXES), key=_number)
        packed = [item.name for item in path.iterdir() if item.suffix == ".zstd"]
        if packed and not files:
            raise RecordingError(f"the files of {path} are compressed as a whole ({packed[0]}); run zstd -d on them first")
        if not files:
            raise RecordingError(f"{path} holds no .mcap and no .db3 file: it is not a ROS 2 bag")
        return files
    if not path.is_file():
        raise RecordingError(f"there is no bag at {path}")
    return [path]


def _number(path: Path) -> tuple[int, str]:
    """Sort key: the number at the end of `bag_10.db3`."""
    digits = path.stem.rpartition("_")[2]
    return (int(digits) if digits.isdigit() else 0, path.name)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"SQLite"


def _topics(path: Path) -> Iterator[tuple[str, Topic]]:
    if _is_sqlite(path):
        yield from _sqlite_topics(path)
        return
    from mcap.records import Channel, Message, Schema

    schemas: dict[int, Any] = {}
    found: dict[int, tuple[str, Topic]] = {}
    try:
        for record in records(path):
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel) and record.id not in found:
                schema = schemas.get(record.schema_id)
                text = schema.data.decode("utf-8", "replace") if schema is not None else ""
                found[record.id] = record.topic, Topic(_kind(schema.name if schema else ""), record.message_encoding, text)
            elif isinstance(record, Message) and record.channel_id in found:
                found[record.channel_id][1].count += 1
    except LogError as error:
        raise RecordingError(str(error)) from error
    yield from found.values()


def _kind(name: str) -> str:
    """A type's name in full: `std_msgs/String` is std_msgs/msg/String."""
    return name.replace("/", "/msg/") if name.count("/") == 1 else name


def _sqlite_topics(path: Path) -> Iterator[tuple[str, Topic]]:
    with _Opened(path) as database:
        try:
            definitions = dict(database.execute("SELECT topic_type, encoded_message_definition FROM message_definitions"))
        except sqlite3.Error:  # as in bags before Iron
            definitions = {}
        try:
            counts = dict(database.execute("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id"))
            rows = list(database.execute("SELECT id, name, type, serialization_format FROM topics"))
        except sqlite3.Error as error:
            raise RecordingError(f"{path} is an SQLite file, but not a ROS 2 bag: {reason(error)}") from error
    for number, name, kind, encoding in rows:
        yield name, Topic(_kind(kind), encoding, definitions.get(kind, ""), counts.get(number, 0))


def _raw(path: Path, topics: set[str]) -> Iterator[Raw]:
    if _is_sqlite(path):
        with _Opened(path) as database:
            numbers = {number: name for number, name in database.execute("SELECT id, name FROM topics") if name in topics}
            marks = ",".join("?" * len(numbers))
            query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) ORDER BY timestamp, id"
            for number, log_ns, data in database.execute(query, tuple(numbers)):
                yield Raw(numbers[number], data, log_ns)
        return
    from mcap.records import Channel, Message

    channels: dict[int, str] = {}
    for record in records(path):
        if isinstance(record, Channel) and record.topic in topics:
            channels[record.id] = record.topic
        elif isinstance(record, Message) and record.channel_id in channels:
            yield Raw(channels[record.channel_id], record.data, record.log_time)


class _Opened:
    """A database opened for reading only, and closed afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        # without a journal nothing is being written, so SQLite need not create its own files there
        how = "mode=ro" if Path(f"{self._path}-wal").exists() else "mode=ro&immutable=1"
        self._database = sqlite3.connect(f"{self._path.resolve().as_uri()}?{how}", uri=True)
        return self._database

    def __exit__(self, *_: object) -> None:
        self._database.close()


def by_kind(topics: dict[str, Topic], kinds: Iterable[str]) -> list[str]:
    """Topics of these types, those with most messages first."""
    wanted = set(kinds)
    return sorted((name for name, topic in topics.items() if topic.kind in wanted), key=lambda name: (-topics[name].count, name))
