"""What other tools do to a recording, done with MCAP's own reader and writer: cut, filter, sort, join, rename, re-compress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType, Writer


class Piece(NamedTuple):
    """A message with its channel; times in [ns]."""

    topic: str
    schema: str
    definition: bytes
    data: bytes
    log_ns: int
    publish_ns: int
    sequence: int


@dataclass
class Recording:
    """A file's content in memory."""

    pieces: list[Piece]
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    attachments: list[Any] = field(default_factory=list)

    def keep(self, wanted: Callable[[Piece], bool]) -> Recording:
        return Recording([piece for piece in self.pieces if wanted(piece)], self.metadata, self.attachments)

    def change(self, new: Callable[[Piece], Piece]) -> Recording:
        return Recording([new(piece) for piece in self.pieces], self.metadata, self.attachments)

    def cut(self, begin_s: float = 0.0, end_s: float = 1e9) -> Recording:
        """What lies between two times since the first message."""
        first = min(piece.log_ns for piece in self.pieces)
        return self.keep(lambda piece: begin_s * 1e9 <= piece.log_ns - first < end_s * 1e9)

    def without(self, *topics: str) -> Recording:
        return self.keep(lambda piece: not piece.topic.startswith(topics))

    def joined(self, other: Recording) -> Recording:
        return Recording(self.pieces + other.pieces, self.metadata + other.metadata, self.attachments + other.attachments)


def load(path: Path) -> Recording:
    with path.open("rb") as file:
        reader = make_reader(file)
        found = Recording([])
        for schema, channel, message in reader.iter_messages(log_time_order=False):
            assert schema is not None
            found.pieces.append(
                Piece(channel.topic, schema.name, schema.data, message.data, message.log_time, message.publish_time, message.sequence)
            )
        found.metadata = [(record.name, dict(record.metadata)) for record in reader.iter_metadata()]
        found.attachments = list(reader.iter_attachments())
    return found


def save(recording: Recording, path: Path, *, index: bool = True, renumber: int = 0, **options: Any) -> Path:
    """Write a recording; `options` are those of MCAP's writer."""
    if not index:
        options |= {"index_types": IndexType.NONE, "use_statistics": False, "use_summary_offsets": False, "repeat_channels": False}
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start()
        channels: dict[str, int] = {}
        for _ in range(renumber):
            writer.register_channel("/nothing", "cdr", writer.register_schema("nothing", "ros2msg", b""))
        for item in recording.attachments:
            writer.add_attachment(item.create_time, item.log_time, item.name, item.media_type, item.data)
        for name, values in recording.metadata:
            writer.add_metadata(name, values)
        for piece in recording.pieces:
            if piece.topic not in channels:
                schema = writer.register_schema(piece.schema, "ros2msg", piece.definition)
                channels[piece.topic] = writer.register_channel(piece.topic, "cdr", schema)
            writer.add_message(channels[piece.topic], piece.log_ns, piece.data, piece.publish_ns, piece.sequence)
        writer.finish()
    return path


def by_topic(pieces: Iterable[Piece]) -> list[Piece]:
    return sorted(pieces, key=lambda piece: piece.topic, reverse=True)


UNCHUNKED: dict[str, Any] = {"use_chunking": False}
COMPRESSIONS = {"none": CompressionType.NONE, "lz4": CompressionType.LZ4, "zstd": CompressionType.ZSTD}
