"""Where a run's events go: the terminal or the screen, a file of JSON lines, and the flight recorder.

A terminal that somebody has paused and a disk that hangs block who writes to them, and the control loop must never be that; so a thread
of its own prints and writes.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.log_writer import LogWriter

PATIENCE_S = 2.0  # at the end, for a terminal or a disk that blocks


class EventsError(ValueError):
    """A file for the events that cannot be written."""


class Events:
    """Takes each event of a controller.

    Attributes:
        recorder: gets every event but the timing; None for none.
        screen: lines for the operator's screen go here; None to print them.
        failure: what a print or a write raised first; the others go on.
        begin_ns: what the printed times count from; the files have the loop's own.
    """

    def __init__(self, path: Path | None) -> None:
        """Open `path`, None for none.

        Raises:
            EventsError: it cannot be written.
        """
        self.recorder: LogWriter | None = None
        self.screen: list[str] | None = None
        self.failure: Exception | None = None
        self.begin_ns = 0
        try:
            self._file: IO[str] | None = None if path is None else path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise EventsError(f"--events: cannot write {path}: {error.strerror}") from error
        self._queue: queue.SimpleQueue[tuple[str | None, Mapping[str, Any] | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; `t_ns` is the loop's steady clock. Never blocks."""
        said = _line(event, self.begin_ns)
        if said is not None and self.screen is not None:
            self.screen.append(said)
            said = None
        self._queue.put((said, event))
        if self.recorder is not None and event["event"] != "timing":
            self.recorder.event(event)

    def say(self, line: str) -> None:
        """Print a line, or show it on the screen. Never blocks."""
        if self.screen is not None:
            self.screen.append(line)
        else:
            self._queue.put((line, None))

    def close(self) -> None:
        """Print and write what is left, and close the file; gives up on a terminal that blocks."""
        self._queue.put(None)
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            said, event = item
            try:
                if self._file is not None and event is not None:
                    self._file.write(json.dumps(event) + "\n")
                if said is not None:
                    print(said, flush=True)
            except Exception as error:
                self.failure = self.failure or error
        if self._file is not None:
            self._file.close()


def _line(event: Mapping[str, Any], begin_ns: int) -> str | None:
    when = f"{max(0, event['t_ns'] - begin_ns) * 1e-9:.3f} s"
    if event["event"] == "transition":
        return f"{when}  {event['from']} -> {event['to']}: {event['cause']}"
    if event["event"] == "refused":
        return f"{when}  {event['request']} refused: {event['cause']}"
    return None
