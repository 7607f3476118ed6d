"""The other process: started with the user's interpreter, spoken to over a socket, and never left behind.

It ends when its trainer ends: the connection breaks, which a thread of it watches. Shared memory has no name and goes with the last of
both. If it ends first, whoever waits for it gets one line with how it ended and the last that it printed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from envs.engines import worker
from envs.engines.face import EngineError
from envs.engines.worker import wire

START = Path(worker.__file__).parent / "start.py"
PATIENCE_S = 5.0
"""For a worker to end by itself."""
LINES = 30
"""The last lines that it printed, kept for messages."""
OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")
"""Variables of our own interpreter that the other one does not get."""


class Worker:
    """A worker process.

    Attributes:
        name: the engine's, for messages.
        version: of the engine there.
        python: version of the interpreter there.
        fields: fields that may differ between worlds; None for all.
        pid: its number.
    """

    def __init__(self, name: str, kind: str, interpreter: str) -> None:
        """Start it.

        Args:
            name: see the class.
            kind: one of `envs.engines.worker.serve.ENGINES`, or with a solver as in `newton:steel`.
            interpreter: path of its Python.

        Raises:
            EngineError: it does not start, or lacks something.
        """
        if os.sep in interpreter:
            interpreter = str(Path(interpreter).expanduser().absolute())  # not resolved: a virtual environment's is a link
        self.name, self._interpreter = name, interpreter
        self._link, theirs = socket.socketpair()
        environment = {key: value for key, value in os.environ.items() if key not in OURS}
        command = [interpreter, str(START), str(theirs.fileno()), kind]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(theirs.fileno(),),
                env=environment | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
        except OSError as error:
            self._link.close()
            raise EngineError(f"engine {name!r} cannot start {interpreter}: {error.strerror}; give the path of a Python") from error
        finally:
            theirs.close()
        self.pid = self._process.pid
        self._printed: deque[str] = deque(maxlen=LINES)
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=_collect, args=(self._process.stderr, self._printed), daemon=True)
        self._reader.start()
        self.close = weakref.finalize(self, _end, self._link, self._process)
        ready, _ = self._heard()
        if ready["protocol"] != wire.VERSION:
            self.close()
            raise EngineError(f"engine {name!r}: its side speaks version {ready['protocol']} of the protocol, ours {wire.VERSION}")
        self.version, self.python = str(ready["version"]), str(ready["python"])
        self.fields: tuple[str, ...] | None = None if ready["fields"] is None else tuple(ready["fields"])

    def share(self, shapes: wire.Shapes) -> dict[str, np.ndarray]:
        """Arrays that both sides have."""
        descriptor, arrays = wire.make_block(shapes)
        try:
            self._send({"do": "block", "shapes": shapes}, descriptor=descriptor)
        finally:
            os.close(descriptor)
        return arrays

    def tell(self, what: str, message: dict[str, Any] | None = None, **arrays: np.ndarray) -> None:
        """Ask for something without waiting; if it fails, the next answer raises."""
        self._send({"do": what, **(message or {})}, arrays)

    def ask(self, what: str, message: dict[str, Any] | None = None, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        """Ask for something and wait for it.

        Raises:
            EngineError: it refuses, it failed, or it is gone.
        """
        self._send({"do": what, "wait": 1, **(message or {})}, arrays)
        return self._heard()[1]

    def _send(self, message: dict[str, Any], arrays: dict[str, np.ndarray] | None = None, descriptor: int | None = None) -> None:
        try:
            wire.send(self._link, message, arrays, descriptor)
        except wire.Gone:
            raise self._death() from None

    def _heard(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        try:
            message, arrays, _ = wire.receive(self._link)
        except wire.Gone:
            raise self._death() from None
        if message["answer"] == "refused":
            raise EngineError(f"engine {self.name!r}: {message['error']}")
        if message["answer"] == "failed":
            where = f"engine {self.name!r} failed in its own process ({self._interpreter})"
            raise EngineError(f"{where}: {message['error']}\n{message['traceback'].rstrip()}")
        return message, arrays

    def _death(self) -> EngineError:
        """What to say about a process that has ended."""
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return EngineError(f"engine {self.name!r}: the connection to its process {self.pid} broke")
        finally:
            self.close()
        self._reader.join(1.0)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = f"; it last said: {self._printed[-1]}" if self._printed else ""
        return EngineError(f"engine {self.name!r}: its process {self.pid} ({self._interpreter}) {how}{said}")


def _collect(stream: Any, lines: deque[str]) -> None:
    with stream:
        for line in stream:
            text = line.decode(errors="replace").strip()
            if text:
                lines.append(text)


def _end(link: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """End a worker: it goes when the connection does; whatever it is doing, it is killed after a while."""
    link.close()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
