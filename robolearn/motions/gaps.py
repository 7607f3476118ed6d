"""Handles gaps in a person's motion: short ones are bridged; a clip is cut at long gaps of needed landmarks, and at leaps."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from robolearn.motions.feet import stances
from robolearn.motions.person import LANDMARKS, NEEDED, Person

BRIDGED_S = 0.4  # longest gap of a needed landmark
SHORTEST_S = 0.5  # shortest piece
UNSURE = 0.15  # confidence below which a landmark counts as missing
BREAKING = 4.0  # m/s of the hips, and also three times their usual speed, beyond which a clip is cut
LEAPING = 12.0  # m/s of a needed landmark, beyond which a frame is a jump of the recording


def pieces(person: Person) -> list[Person]:
    """The stretches in which a person can be followed, without gaps; none if no stretch is as long as `SHORTEST_S`."""
    known = person.confidence > UNSURE
    needed = [LANDMARKS.index(name) for name in NEEDED]
    usable: np.ndarray = np.logical_and.reduce(known[:, needed], axis=1)
    lost = np.logical_not(usable)
    usable = usable.copy()
    for start, end in stances(lost):
        if end - start <= BRIDGED_S * person.fps and start and end < len(lost):
            usable[start:end] = True
    breaks = _breaks(person)
    spans = [
        span for start, end in stances(usable) for span in itertools.pairwise([start, *(at for at in breaks if start < at < end), end])
    ]
    found = [(start, end) for start, end in spans if end - start >= SHORTEST_S * person.fps]
    whole = len(found) == 1 and found[0] == (0, len(lost))
    bridged = int((lost & usable).sum())
    remarks = (f"{bridged} frames of a gap were bridged",) if bridged else ()
    reasons = [f"the rest lacks {', '.join(_lacking(known, needed))}"] if not usable.all() else []
    reasons += [f"the recording leaps at frame {', '.join(map(str, breaks))}"] if breaks else []
    cut = [] if whole else [f"cut to frames {start} to {end} of {len(lost)}: {'; '.join(reasons)}" for start, end in found]
    return [
        _filled(person, known, start, end, f"{person.name}{'' if len(found) == 1 else f'_{place}'}", (*remarks, *cut[place : place + 1]))
        for place, (start, end) in enumerate(found)
    ]


def leaps(person: Person) -> int:
    """Frames to which a needed landmark leaps."""
    needed = [LANDMARKS.index(name) for name in NEEDED]
    speed = np.linalg.norm(np.diff(person.position[:, needed], axis=0), axis=-1) * person.fps
    return int((speed > LEAPING).any(1).sum())


def _breaks(person: Person) -> list[int]:
    """Frames to which the hips leap: a cut in the recording, or another person."""
    hips = (person["left_hip"] + person["right_hip"]) / 2
    speed = np.nan_to_num(np.linalg.norm(np.diff(hips, axis=0), axis=-1)) * person.fps
    usual = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(speed, 3, mode="reflect" if len(speed) > 3 else "edge"), 7), axis=-1)
    return (np.flatnonzero(speed > np.maximum(BREAKING, 3 * usual)) + 1).tolist()


def _lacking(known: np.ndarray, needed: list[int]) -> list[str]:
    return [LANDMARKS[index] for index in needed if not known[:, index].all()]


def _filled(person: Person, known: np.ndarray, start: int, end: int, name: str, remarks: tuple[str, ...]) -> Person:
    """A stretch with its gaps interpolated linearly; a landmark that is never known in it stays unknown."""
    position, frames = person.position[start:end].copy(), np.arange(end - start)
    for k in range(len(LANDMARKS)):
        at = np.flatnonzero(known[start:end, k])
        if 0 < len(at) < len(frames):
            position[:, k] = np.stack([np.interp(frames, at, position[at, k, axis]) for axis in range(3)], 1)
        elif not len(at):
            position[:, k] = np.nan
    sure = np.where(known[start:end], person.confidence[start:end], 0.0)
    return replace(person, name=name, position=position, confidence=sure, remarks=(*person.remarks, *remarks))
