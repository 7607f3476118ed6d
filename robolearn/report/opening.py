"""The opening of a report: the verdict in one sentence, three numbers, and a picture of the robot in mid-stride as the video's poster."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robolearn.evaluation.figures import written

if TYPE_CHECKING:
    from robolearn.report.page import Target

POSTER_AT = 0.3
"""Share of the video at which its poster is taken, when the robot is walking."""


def verdict(deployable: bool | None, targets: Sequence[Target]) -> str:
    """The verdict in one sentence; empty if nothing was evaluated."""
    missed = [line for line in targets if line.passed is False]
    wishes = f"{len(missed)} of the {len(targets)} targets {'was' if len(missed) == 1 else 'were'} missed"
    if deployable is None:
        return "" if not targets else f"{wishes[0].upper()}{wishes[1:]}." if missed else "All targets were met."
    if not deployable:
        return "Not deployable: the policy file did not pass the gate."
    if not missed:
        return "Deployable: the policy file passed the gate, and all targets were met."
    return f"Deployable: the policy file passed the gate. {wishes[0].upper()}{wishes[1:]}: targets ask for more than the gate does."


def three_numbers(evaluations: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The policy's share of successful episodes on the training engine and on the last one, and its first error, each with a label."""
    results = list(evaluations.items())[-2:]
    found: list[tuple[str, str]] = []
    for label, result in results:
        told = result["figures"].get(result["score"])
        if told is not None and told["value"] is not None:
            found.append((f"{written(told['value'], '%')} %", f"{told['label']}, {label}"))
    for label, result in results[:1]:
        errors = [figure for figure in result["figures"].values() if figure["kind"] == "mean" and figure["value"] is not None]
        found += [
            (f"{written(figure['value'], figure['unit'])} {figure['unit']}".strip(), f"{figure['label']}, {label}") for figure in errors[:1]
        ]
    return found


def poster(video: Path | None) -> str:
    """Data URL of a frame of a video; empty if none can be read."""
    if video is None or not video.is_file():
        return ""
    try:
        import cv2
    except ImportError:
        return ""
    capture: Any = cv2.VideoCapture(str(video))
    capture.set(cv2.CAP_PROP_POS_FRAMES, int(POSTER_AT * capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    read, frame = capture.read()
    capture.release()
    if not read:
        return ""
    encoded, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}" if encoded else ""
