"""Finds the newest run in a folder of runs, by its start time; works without torch, as on a robot."""

from __future__ import annotations

from pathlib import Path

from bridge.logs.newest import oldest_first

EVENTS = "events.out.tfevents."
"""Prefix of TensorBoard's files; their creation time follows, in seconds since 1970."""


def newest_last(folder: Path, name: str) -> list[Path]:
    """The files of that name in the runs of a folder, the newest run last: by folder names, or else by TensorBoard's files."""
    return oldest_first(folder.glob(f"*/{name}"), lambda path: path.parent, lambda path: _begun(path.parent))


def _begun(folder: Path) -> float | None:
    """Start time of a run, in seconds since 1970, from the names of TensorBoard's files; None if there are none."""
    times = [path.name.removeprefix(EVENTS).partition(".")[0] for path in folder.glob(f"{EVENTS}*")]
    return min((float(text) for text in times if text.isdecimal()), default=None)
