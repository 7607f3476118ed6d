"""Writes files for every package: whole or not at all, with a one-line error that names the file and the reason.

A disk can be full, read-only or over a quota, and a process can be killed at any moment. So data is written to a temporary file in the same
folder, flushed to disk, and only then renamed; the old file stays until a whole one replaces it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

PROBE_BYTES = 1 << 16


class WriteError(OSError):
    """A file or a folder cannot be written; the message is one line with its path and the reason."""

    def __init__(self, path: Path, why: str, number: int | None = None) -> None:
        super().__init__(f"cannot write {path}: {why}")
        self.errno, self.why = number, why


def reason(error: BaseException) -> str:
    """An error's text in one line that is never empty; for an error of the operating system only its reason, without the path."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif isinstance(error, KeyError):  # its text is only the key
        text = f"{text} is missing"
    return " ".join(text.split()) or type(error).__name__


@contextlib.contextmanager
def whole(path: str | Path) -> Generator[Path]:
    """A temporary path to write to; it is renamed to `path` if the body succeeds.

    Missing folders are created. If the body fails, the temporary file and these folders are removed, and `path` is unchanged. A link is
    followed; a pipe or a device is written to directly.

    Yields:
        A path with the same ending, in the same folder.

    Raises:
        WriteError: it cannot be written, also if a library hides a full disk behind its own error.
    """
    path = Path(path)
    made: list[Path] = []
    place = temporary = path
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        if path.exists() and not path.is_file():  # a pipe, a terminal, /dev/null: cannot be replaced by renaming
            yield path
            return
        place = Path(os.path.realpath(path))
        made = _folder_of(place, path)
        # a long name must not become too long
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
    """Write a text file as UTF-8, whole or not at all; parts of odd file names that UTF-8 cannot encode are written as `\\udc..`.

    Raises:
        WriteError: it cannot be written.
    """
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(*paths: str | Path | None) -> None:
    """Check before long work whether its results can be written; `-`, None and empty names mean no file. Nothing is left behind.

    Raises:
        WriteError: a file cannot be written.
    """
    for path in paths:
        if path and str(path) != "-":
            with contextlib.suppress(_NothingYetError), whole(path) as temporary:
                if temporary != Path(path):  # devices and pipes are only tried when writing
                    check_room(temporary)
                    raise _NothingYetError


class _NothingYetError(BaseException):
    """Aborts a file that was only a trial."""


def make_folder(path: Path) -> list[Path]:
    """Create a folder and its parents. Returns those that were missing, the innermost first.

    Raises:
        WriteError: it cannot be created; new folders are removed again.
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
        why = f"{above} is not a folder" if above.exists() and not above.is_dir() else reason(error)
        raise WriteError(path, why, error.errno) from error
    return missing


def _folder_of(place: Path, path: Path) -> list[Path]:
    """`make_folder` for the file at `place`; an error names `path`, as the user gave it."""
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
    """Wait until a file is on disk: some file systems only then report that there was no room."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_room(path: Path) -> None:
    """Check whether more could be written to a file, for a library that does not report failures. The file is not changed.

    Raises:
        OSError: the error of the operating system.
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
    """The error of `check_room`; None if there is room, so that something else failed."""
    try:
        check_room(path)
    except OSError as error:
        return error
    return None
