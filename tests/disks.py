"""Disks that are full, small or read-only: small file systems in memory, since root may write wherever permissions forbid it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.files import reason


def mount(*arguments: str) -> None:
    """Run mount; skips the test where that is not allowed."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"mounting a small disk is not possible here: {reason(error)}")
    if done.returncode:
        pytest.skip(f"mounting a small disk is not possible here: {done.stderr.strip()}")


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A file system of that size at a folder, which is made."""
    folder.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """The disk cannot be written to meanwhile."""
    mount("-o", "remount,ro", str(disk))
    try:
        yield
    finally:
        mount("-o", "remount,rw", str(disk))


def fill(disk: Path) -> Path:
    """Take all the room that is left. Returns the file that holds it."""
    path = disk / "filler"
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return path


def names(folder: Path) -> list[str]:
    """Everything in a folder, sorted, but for TensorBoard's files and the filler."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if "tfevents" not in path.name and path.name != "filler"
    )
