"""Which run of a folder of runs is meant: the newest, by when it was begun. Found without torch, as on a robot."""

from __future__ import annotations

from pathlib import Path

from bridge.logs.newest import oldest_first

EVENTS = "events.out.tfevents."
"""How TensorBoard's files begin; the time of their making follows, in seconds since 1970."""


def newest_last(folder: Path, name: str) -> list[Path]:
    """The files of that name in the runs of a folder, the run begun last at the end: by their names, or else by TensorBoard's files."""
    return oldest_first(folder.glob(f"*/{name}"), lambda path: path.parent, lambda path: _begun(path.parent))


def _begun(folder: Path) -> float | None:
    """When a run was begun, in seconds since 1970, by the names of TensorBoard's files; None without any."""
    times = [path.name.removeprefix(EVENTS).partition(".")[0] for path in folder.glob(f"{EVENTS}*")]
    return min((float(text) for text in times if text.isdecimal()), default=None)
