"""Restores a log's end and index, which some players need: the log of a killed process is copied, record by record."""

from __future__ import annotations

from pathlib import Path

from bridge.logs.reader import records
from bridge.logs.writer import LogError
from policies.files import reason, whole


def repair(path: Path, target: Path) -> int:
    """Write a complete copy of a log.

    Args:
        path: the log.
        target: the copy; it must not exist.

    Returns: The number of saved messages.

    Raises:
        LogError: `path` is not an MCAP file, or `target` exists or cannot be written.
    """
    from mcap.records import Attachment, Channel, Message, Metadata, Schema
    from mcap.writer import CompressionType, Writer

    if target.exists():
        raise LogError(f"{target} exists already")
    schemas: dict[int, int] = {0: 0}
    channels: dict[int, int] = {}
    count = 0
    try:
        with whole(target) as temporary, temporary.open("wb") as output:
            writer = Writer(output, compression=CompressionType.ZSTD)
            writer.start(profile="ros2", library="robolearn")
            for record in records(path):
                if isinstance(record, Schema) and record.id not in schemas:
                    schemas[record.id] = writer.register_schema(record.name, record.encoding, record.data)
                elif isinstance(record, Channel) and record.id not in channels:
                    channels[record.id] = writer.register_channel(record.topic, record.message_encoding, schemas.get(record.schema_id, 0))
                elif isinstance(record, Message) and record.channel_id in channels:
                    writer.add_message(channels[record.channel_id], record.log_time, record.data, record.publish_time, record.sequence)
                    count += 1
                elif isinstance(record, Attachment):
                    writer.add_attachment(record.create_time, record.log_time, record.name, record.media_type, record.data)
                elif isinstance(record, Metadata):
                    writer.add_metadata(record.name, record.metadata)
            writer.finish()
    except OSError as error:
        raise LogError(f"cannot repair {path}: {reason(error)}") from error
    return count
