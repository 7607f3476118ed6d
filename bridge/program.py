"""The frame of every program: signals that ask it to end, text that any terminal accepts, and exit codes.

Exit codes of a crash and of an answer must differ, so that scripts can distinguish them; so a crash is `DEFECT`, with its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, TextIO

DEFECT = 70  # EX_SOFTWARE of sysexits.h
BROKEN_PIPE = 128 + signal.SIGPIPE
INTERRUPTED = 128 + signal.SIGINT

ENDING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGXCPU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGPWR,
)
"""Signals that ask a program to end: Ctrl-C, a service manager or `docker stop`, a closed terminal, Ctrl-\\, a limit of processor time, the
warnings of batch schedulers, `timeout -s`, and a power failure."""


class AskedToEnd(KeyboardInterrupt):
    """A signal other than Ctrl-C asked the program to end.

    Attributes:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def heeded() -> list[signal.Signals]:
    """The signals of `ENDING` that are free: not ignored (`nohup`), and without another handler."""
    ours = (signal.SIG_DFL, signal.default_int_handler, _raise)
    return [number for number in ENDING if signal.getsignal(number) in ours]


@contextlib.contextmanager
def unbroken() -> Generator[None]:
    """Delay signals that ask for an end while the body runs, if it would be left half done; they are delivered at its end.

    Only for short moments. Outside the main thread no signal can interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    previous = {number: signal.getsignal(number) for number in heeded()}
    for number in previous:
        signal.signal(number, lambda given, frame: came.append(given))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def run_program(name: str, main: Callable[[], int]) -> int:
    """Run a program's main function. Returns the exit code.

    Its own code; 0 if a signal asked it to end, and 130 for Ctrl-C, unless it handles these itself; 141 if the reader of its output closed
    it; 2 if standard output could not be written; `DEFECT` for an uncaught error in any thread.

    Args:
        name: of the program, for messages.
        main: returns the exit code, or raises SystemExit.
    """
    _prepare_streams()
    crashes: list[BaseException] = []
    threading.excepthook = lambda given: crashes.append(_tell_crash(name, given.exc_value)) if given.exc_value else None
    for number in heeded():
        signal.signal(number, _raise)
    try:
        code = main()
    except KeyboardInterrupt as error:
        code = _interrupted(name, error)
    except Exception as error:
        if (signalled := interruption(error)) is not None:
            code = _interrupted(name, signalled)
        elif isinstance(error, BrokenPipeError) and reader_gone(error):
            code = BROKEN_PIPE
        else:
            _tell_crash(name, error)
            code = DEFECT
    finally:
        for number in heeded():  # what comes now, comes to a program that ends already
            signal.signal(number, signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN)
    return _finish(name, DEFECT if crashes and code == 0 else code)


def _interrupted(name: str, error: KeyboardInterrupt) -> int:
    asked = isinstance(error, AskedToEnd)
    print(f"{name}: " + (f"asked to end by {error}" if asked else "interrupted"), file=sys.stderr)
    return 0 if asked else INTERRUPTED


def reader_gone(error: BrokenPipeError) -> bool:
    """Whether a broken pipe is standard output's, and not one to another process."""
    return not isinstance(sys.stdout, _Output) or (sys.stdout.failure is not None and sys.stdout.failure is error.__cause__)


_raised: list[KeyboardInterrupt] = []


def interruption(error: Exception) -> KeyboardInterrupt | None:
    """The signal that an import in C++, into which it broke, turned into an error of its own; None for every other error."""
    return _raised[0] if _raised and isinstance(error, ImportError) else None


def _raise(number: int, frame: FrameType | None) -> None:
    error = KeyboardInterrupt() if number == signal.SIGINT else AskedToEnd(number)
    _raised.append(error)
    raise error


def _tell_crash(name: str, error: BaseException) -> BaseException:
    traceback.print_exception(error)
    said = " ".join(str(error).split())
    print(f"{name}: this is a bug in robolearn; please report it with the lines above ({type(error).__name__}: {said})", file=sys.stderr)
    return error


class _Output(io.TextIOWrapper):
    """Standard output or error that never fails: text that cannot be written (a terminal that is gone, a full disk) is dropped.

    The program is informed once if the reader of standard output closes it.

    Attributes:
        failure: the first error; None if everything was written.
    """

    failure: OSError | None = None
    tells_broken_pipe = False

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        first, self.failure = self.failure is None, self.failure or error
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)
        if first and self.tells_broken_pipe and error.errno == errno.EPIPE:
            raise BrokenPipeError(error.errno, error.strerror) from error


def _prepare_streams() -> None:
    """Characters that a terminal cannot show are written as `\\xe4`; see `_Output`."""
    for name in ("stdin", "stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:  # closed by who started us; the file gets its number
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 (for the whole run)
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper) and not isinstance(stream, _Output):
            encoding, lines, through = stream.encoding, stream.line_buffering, stream.write_through
            with contextlib.suppress(OSError):
                stream.flush()
            output = _Output(stream.detach(), encoding, "backslashreplace", line_buffering=lines, write_through=through)
            output.tells_broken_pipe = name == "stdout"
            setattr(sys, name, output)
            setattr(sys, f"__{name}__", output)


def _finish(name: str, code: int) -> int:
    """Flush the output; its failure determines the exit code if nothing else did."""
    output: TextIO | _Output = sys.stdout
    try:
        output.flush()
    except BrokenPipeError:
        return code or BROKEN_PIPE
    failure = output.failure if isinstance(output, _Output) else None
    if failure is None or failure.errno in (errno.EPIPE, errno.EIO):  # a terminal that is gone needs no word
        return code
    print(f"{name}: error: cannot write standard output: {failure.strerror}", file=sys.stderr)
    return code or 2
