"""Cuts a recording into windows that are simulated separately.

    |--- window 0 ---|--- window 1 ---|- skipped: a gap in the commands -|--- window 2 ---|

Each has its own start state, which is measured with noise and estimated along with the parameters. One long simulation would diverge from
the log because of model errors; a window leaves no time for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.identify.recording import FloatArray, Recording, RecordingError

LONGEST_GAP_S = 0.1  # between commands: after that the robot damps its joints without a command


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The starts of the windows and the readings to compare.

    Attributes:
        start_s: time of each window's first state [s], (W,).
        first: index of the reading at that time, (W,).
        duration_s: length of every window [s].
        window: window of each compared reading, (M,), ascending; its first reading is the one at its start.
        sample: index of each compared reading, (M,).
        skipped: number of windows left out, since the robot was not driven or commands had gaps.
    """

    start_s: FloatArray
    first: np.ndarray
    duration_s: float
    window: np.ndarray
    sample: np.ndarray
    skipped: int


def cut(recording: Recording, duration_s: float) -> Windows:
    """Cut into windows of `duration_s` [s]; each reading is compared at most once.

    Raises:
        RecordingError: no window is usable.
    """
    time, half = recording.time_s, smoothing_half(recording)
    begin = max(time[min(half, len(time) - 1)], recording.command_time_s[0])
    starts: list[int] = []
    window: list[np.ndarray] = []
    sample: list[np.ndarray] = []
    skipped = 0
    first = int(np.searchsorted(time, begin))
    while first < len(time) and time[first] + duration_s <= time[-1] + 1e-9:
        start = time[first]
        inside = np.arange(first, int(np.searchsorted(time, start + duration_s - 1e-9)))
        if _driven(recording, start - 0.06, start + duration_s):
            window.append(np.full(len(inside), len(starts)))
            sample.append(inside)
            starts.append(first)
        else:
            skipped += 1
        first = int(inside[-1]) + 1
    if not starts:
        raise RecordingError(
            f"{recording.source}: no usable window of {duration_s:g} s in {time[-1] - time[0]:.2f} s of readings"
            f" ({skipped} were not driven or had gaps in the commands): record a longer run without gaps in the commands"
        )
    index = np.array(starts)
    return Windows(
        start_s=time[index],
        first=index,
        duration_s=duration_s,
        window=np.concatenate(window),
        sample=np.concatenate(sample),
        skipped=skipped,
    )


def _driven(recording: Recording, start: float, end: float) -> bool:
    """Whether every command that is active between two times drives the joints, and none is held for too long."""
    stamps = recording.command_time_s
    rows = slice(max(0, int(np.searchsorted(stamps, start, side="right")) - 1), int(np.searchsorted(stamps, end, side="right")))
    held = np.diff(np.append(stamps[rows], end))
    return bool((recording.kp[rows] > 0).any(axis=1).all() and (held <= LONGEST_GAP_S).all())


def smoothing_half(recording: Recording) -> int:
    """Number of readings on each side of a start over which its state is smoothed: 10 ms, short enough that motion is a parabola."""
    return int(0.010 / recording.period_s)


def start_states(recording: Recording, windows: Windows) -> tuple[FloatArray, FloatArray]:
    """Joint positions and velocities (W, J) at the starts, by least squares over the readings around them."""
    half = smoothing_half(recording)
    positions, velocities = [], []
    for first in windows.first:
        rows = slice(max(0, first - half), first + half + 1)
        t = recording.time_s[rows] - recording.time_s[first]
        if half < 2:
            positions.append(recording.position[first])
            velocities.append(recording.velocity[first])
            continue
        positions.append(np.linalg.lstsq(np.stack([t**0, t, t**2], 1), recording.position[rows], rcond=None)[0][0])
        velocities.append(np.linalg.lstsq(np.stack([t**0, t], 1), recording.velocity[rows], rcond=None)[0][0])
    return np.stack(positions), np.stack(velocities)
