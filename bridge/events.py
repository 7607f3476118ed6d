"""Where a run's events go: the terminal or the screen, a file of JSON lines, and the flight recorder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.log_writer import LogWriter


class EventsError(ValueError):
    """A file for the events that cannot be written."""


class Events:
    """Takes each event of a controller.

    Attributes:
        recorder: gets every event but the timing; None for none.
        screen: lines for the operator's screen go here; None to print them.
    """

    def __init__(self, path: Path | None) -> None:
        """Open `path`, None for none.

        Raises:
            EventsError: it cannot be written.
        """
        self.recorder: LogWriter | None = None
        self.screen: list[str] | None = None
        try:
            self._file: IO[str] | None = None if path is None else path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise EventsError(f"--events: cannot write {path}: {error.strerror}") from error

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; `t_ns` is the loop's steady clock."""
        said = _line(event)
        if said is not None and self.screen is None:
            print(said, flush=True)
        elif said is not None and self.screen is not None:
            self.screen.append(said)
        if self._file is not None:
            self._file.write(json.dumps(event) + "\n")
        if self.recorder is not None and event["event"] != "timing":
            self.recorder.event(event)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _line(event: Mapping[str, Any]) -> str | None:
    when = f"{event['t_ns'] * 1e-9:.3f} s"
    if event["event"] == "transition":
        return f"{when}  {event['from']} -> {event['to']}: {event['cause']}"
    if event["event"] == "refused":
        return f"{when}  {event['request']} refused: {event['cause']}"
    return None
