"""Distributes a run's events: to the terminal or the screen, a file of JSON lines, the flight recorder, and the wire's status.

Everything for the operator goes through here, so that all outputs show the same: transitions, refusals, what is waited for (`waiting`), and
everything else in a line (`notice`).

A paused terminal and a hanging disk block whoever writes to them, which must never be the control loop; so a separate thread prints and
writes. Nothing is overwritten: an earlier file with the same name is renamed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import queue
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from bridge.control.priority import lower_priority
from policies.files import WriteError, check_writable, make_folder, reason

if TYPE_CHECKING:
    from bridge.logs.writer import LogWriter

RECENT = 8
PATIENCE_S = 2.0  # for a terminal or a disk that blocks


class EventsError(ValueError):
    """The file for events cannot be written."""


class Events:
    """Takes each event of a controller.

    Attributes:
        recorder: gets every event except the timing; None for none.
        screen: list for lines on the operator's screen; None to print them.
        kept: new path of an earlier file; None if there was none.
        failure: why the file is incomplete; None if it is complete.
        recent: the newest lines, for the status on the wire.
        clock: stamps notices [ns]; the loop's own.
        begin_ns: zero of the printed times, None before the loop begins; the files have the loop's own times.
    """

    def __init__(self, path: Path | None) -> None:
        """Open `path`, None for none; what `kept` says of an earlier file.

        Raises:
            EventsError: it cannot be written.
        """
        self.recorder: LogWriter | None = None
        self.screen: list[str] | None = None
        self.kept: Path | None = None
        self.failure: Exception | None = None
        self.begin_ns: int | None = None
        self.recent: deque[str] = deque(maxlen=RECENT)
        self.clock: Callable[[], int] = time.monotonic_ns
        self._file: IO[str] | None = None
        if path is not None:
            try:
                check_writable(path)
                make_folder(path.parent)
                self.kept = _move_aside(path)
                self._file = path.open("a", encoding="utf-8", buffering=1)
            except WriteError as error:
                raise EventsError(f"--events: {error}") from error
            except OSError as error:
                raise EventsError(f"--events: cannot write {path}: {reason(error)}") from error
        self._queue: queue.SimpleQueue[tuple[str | None, Mapping[str, Any] | None] | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; `t_ns` is the loop's steady clock. Never blocks."""
        said = _line(event, self.begin_ns)
        if said is not None:
            self.recent.append(said)
        if said is not None and self.screen is not None:
            self.screen.append(said)
            said = None
        self._queue.put((said, event))
        if self.recorder is not None and event["event"] != "timing":
            self.recorder.event(event)

    def tell(self, text: str, about: str = "wire") -> None:
        """Send a line to all outputs; `about` is its subject in a word. Never blocks."""
        self({"event": "notice", "t_ns": self.clock(), "about": about, "text": text})

    def say(self, line: str) -> None:
        """Print a line, or show it on the screen: for what only matters to the person at the terminal. Never blocks."""
        if self.screen is not None:
            self.screen.append(line)
        else:
            self._queue.put((line, None))

    def hurry(self) -> None:
        """Run before ordinary work from now on, if the caller does, since the control loop waits for the thread with the Python lock."""
        lower_priority(self._thread.native_id)

    def flush(self) -> None:
        """Wait until everything so far is printed, so that others may print; gives up on a terminal that blocks."""
        done = threading.Event()
        self._queue.put(done)
        done.wait(PATIENCE_S)

    def close(self) -> None:
        """Print and write what is left, and close the file; gives up on a terminal that blocks."""
        self._queue.put(None)
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            said, event = item
            if event is not None:
                self._write(event)
            if said is not None:
                with contextlib.suppress(OSError, ValueError):  # a terminal or a pipe that is gone has no reader
                    print(said, flush=True)
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self.failure = self.failure or error

    def _write(self, event: Mapping[str, Any]) -> None:
        if self._file is None or self.failure is not None:
            return
        try:
            self._file.write(json.dumps(plain(event), allow_nan=False) + "\n")
        except Exception as error:  # any error: the file ends here, the run continues, and the end reports it
            self.failure = error
            self.tell(f"warning: the file of events ends here: {error}", "events")


def plain(value: Any) -> Any:
    """A value for JSON, which has no infinity and no NaN: an infinite time-out and a missing number are `null`."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in cast("list[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _move_aside(path: Path) -> Path | None:
    """Rename a file that is not empty to the first free name of `x-1.jsonl`, `x-2.jsonl`, ...; leave devices, pipes and links alone."""
    if not path.exists() or not stat.S_ISREG(path.lstat().st_mode) or not path.stat().st_size:
        return None
    kept = next(free for number in itertools.count(1) if not (free := path.with_stem(f"{path.stem}-{number}")).exists())
    return path.rename(kept)


def _line(event: Mapping[str, Any], begin_ns: int | None) -> str | None:
    when = f"{0.0 if begin_ns is None else max(0, event['t_ns'] - begin_ns) * 1e-9:.3f} s"
    if event["event"] == "transition":
        return f"{when}  {event['from']} -> {event['to']}: {event['cause']}"
    if event["event"] == "refused":
        return f"{when}  {event['request']} refused: {event['cause']}"
    if event["event"] == "remark":
        return f"{when}  {event['text']}"
    if event["event"] == "waiting":
        return f"{when}  waits to {event['request']}: {event['cause']}"
    if event["event"] == "notice":
        return str(event["text"])
    return None
