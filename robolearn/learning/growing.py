"""Files that grow during a training: its metrics as lines of JSON, and TensorBoard's events.

A disk that is full for a while must not stop the training or lose a line: data that cannot be written is kept and written with the next.
Lines and events are always whole, since a failed write is undone. TensorBoard's own writer has a thread that dies at its first failed write
and then blocks every caller, so its records are made here.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue] (made at import)
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue] (made at import)
from tensorboard.summary.writer.record_writer import RecordWriter

from policies.files import WriteError, reason
from robolearn.learning.run_folders import EVENTS


class GrowingFile:
    """A file that is only appended to.

    Attributes:
        path: of the file.
        failure: why not everything is written yet; None if it is.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; create it if it does not exist.

        Raises:
            WriteError: it cannot be opened.
        """
        self.path = path
        self.failure: WriteError | None = None
        self._waiting = b""
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise WriteError(path, reason(error), error.errno) from error

    def add(self, data: bytes) -> None:
        """Append bytes, after those still waiting; `failure` tells whether all are written."""
        self._waiting += data
        number = self._file.fileno()
        size = os.fstat(number).st_size
        rest = memoryview(self._waiting)
        try:
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            os.ftruncate(number, size)
            self.failure = WriteError(self.path, reason(error), error.errno)
            return
        self.failure, self._waiting = None, b""

    def close(self) -> None:
        """Try once more to write waiting bytes, and close; `failure` tells whether all are written."""
        if not self._file.closed:
            self.add(b"")
            self._file.close()


class EventFile(GrowingFile):
    """TensorBoard's events of one process."""

    def __init__(self, folder: Path) -> None:
        """Make a new file in a folder."""
        super().__init__(folder / f"{EVENTS}{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0")
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add a value of each name."""
        now = time.time()
        for name, value in values.items():
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            self._add(Event(wall_time=now, step=step, summary=summary))

    def _add(self, event: Event) -> None:
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        self.add(record.getvalue())
