"""How every package writes a file: whole or not at all, with an error that names it and says why in one line.

A disk can be full, read-only or over a quota, and a process can be ended at any moment. What is written goes to a temporary name beside its
place, is handed to the disk, and takes its name only then; so what stood there before stays until something whole takes its place.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

PROBE_BYTES = 1 << 16


class WriteError(OSError):
    """A file or a folder that cannot be written; the message is one line with its path and the reason."""

    def __init__(self, path: Path, why: str, number: int | None = None) -> None:
        super().__init__(f"cannot write {path}: {why}")
        self.errno, self.why = number, why


def reason(error: BaseException) -> str:
    """What an error says, in one line that is never empty; of an error of the operating system its reason alone, without the path."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif isinstance(error, KeyError):  # whose text is the key alone
        text = f"{text} is missing"
    return " ".join(text.split()) or type(error).__name__


@contextlib.contextmanager
def whole(path: str | Path) -> Generator[Path]:
    """Where to write what is to become the file `path`; it gets that name when the body ends well.

    Folders that are missing are made. If the body fails, the temporary file and these folders go, and `path` is as it was. A link is
    followed; a pipe or a device is written to directly.

    Yields:
        A path with the same ending, in the same folder.

    Raises:
        WriteError: it cannot be written; also where a library hides that the disk is full behind an error of its own.
    """
    path = Path(path)
    made: list[Path] = []
    place = temporary = path
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        if path.exists() and not path.is_file():  # a pipe, a terminal, /dev/null: nothing there can be renamed over
            yield path
            return
        place = Path(os.path.realpath(path))
        made = _folder_of(place, path)
        # a name that is long already must not become too long
        temporary = place.with_name(f".{place.stem[:40]}.{os.getpid()}.tmp{place.suffix[:40]}")
        temporary.open("wb").close()
        yield temporary
        _to_disk(temporary)
        temporary.replace(place)
    except BaseException as error:
        failure = error if isinstance(error, OSError) else _full(temporary) if isinstance(error, Exception) else None
        if temporary != path:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        remove_empty(made)
        if failure is None or isinstance(error, WriteError):
            raise
        raise WriteError(path, reason(failure), failure.errno) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as UTF-8, whole or not at all; what UTF-8 has no character for (parts of odd file names) is written as `\\udc..`.

    Raises:
        WriteError: it cannot be written.
    """
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(*paths: str | Path | None) -> None:
    """Find out before long work whether its results can be written; `-`, None and empty names stand for no file. Nothing is left behind.

    Raises:
        WriteError: a file cannot be.
    """
    for path in paths:
        if path and str(path) != "-":
            with contextlib.suppress(_NothingYetError), whole(path) as temporary:
                if temporary != Path(path):  # a device or a pipe is asked when there is something to say
                    check_room(temporary)
                    raise _NothingYetError


class _NothingYetError(BaseException):
    """Takes a file back that was only tried."""


def make_folder(path: Path) -> list[Path]:
    """Make a folder and those above it. Returns those that were missing, the innermost first.

    Raises:
        WriteError: it cannot be made; those that were made go again.
    """
    missing: list[Path] = []
    above = path
    while not above.exists() and above != above.parent:
        missing.append(above)
        above = above.parent
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_empty(missing)
        why = f"{above} is no folder" if above.exists() and not above.is_dir() else reason(error)
        raise WriteError(path, why, error.errno) from error
    return missing


def _folder_of(place: Path, path: Path) -> list[Path]:
    """`make_folder` for the file at `place`; an error names `path`, what the user gave."""
    try:
        return make_folder(place.parent)
    except WriteError as error:
        raise WriteError(path, error.why, error.errno) from error


def remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _to_disk(path: Path) -> None:
    """Wait until a file is on its disk: some file systems say only then that there was no room."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_room(path: Path) -> None:
    """Find out whether more could be written to a file, for a library that does not tell when it could not. The file stays as it is.

    Raises:
        OSError: what the operating system says against it.
    """
    with path.open("ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(bytes(PROBE_BYTES))
            while len(rest):
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        finally:
            os.ftruncate(file.fileno(), size)


def _full(path: Path) -> OSError | None:
    """What `check_room` raises; None where there is room, so that something else failed."""
    try:
        check_room(path)
    except OSError as error:
        return error
    return None
