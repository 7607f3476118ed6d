"""The overlay of a picture: command and measurement as numbers and bars, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from policies.contract.spec import CommandSpec
from robolearn.viewer.moment import Moment

FONT = cv2.FONT_HERSHEY_SIMPLEX
TEXT, MUTED, GREEN, BLUE, RED = (245, 245, 245), (175, 180, 186), (80, 210, 130), (90, 160, 255), (240, 90, 80)


def draw_overlay(picture: np.ndarray, moment: Moment, command: CommandSpec, title: str, units: Sequence[str] = ()) -> np.ndarray:
    """The picture (H, W, 3), RGB, with a panel: title, time, and one row per command entry with command (green) and measurement (blue).

    Args:
        picture: the picture to draw on.
        moment: the moment to show.
        command: the kind of command.
        title: title of the panel.
        units: units of the command's entries; empty for none.
    """
    picture = np.ascontiguousarray(picture)
    scale = picture.shape[0] / 540
    rows = len(command.labels)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * scale), round(y * scale)

    def say(text: str, x: float, y: float, color: tuple[int, int, int], size: float = 0.5) -> None:
        cv2.putText(picture, text, at(x, y), FONT, size * scale, color, max(1, round(scale)), cv2.LINE_AA)

    left, top = at(14, 14)
    right, bottom = at(424, 104 + 26 * rows)
    panel = picture[top:bottom, left:right]
    panel[:] = (panel * 0.28 + np.array([18, 22, 28]) * 0.72).astype(np.uint8)
    say(title, 28, 40, TEXT, 0.55)
    say(f"{moment.time_s:6.2f} s", 340, 40, MUTED)
    say("command", 110, 66, GREEN, 0.45)
    say("measured", 186, 66, BLUE, 0.45)
    for row, label in enumerate(command.labels):
        y = 90 + 26 * row
        asked, measured = moment.command[row], moment.measured[row]
        low, high = min(command.lower[row], 0.0), max(command.upper[row], 0.0)
        say(label.replace("_", " "), 28, y, TEXT)
        say(f"{asked:+.2f}", 118, y, GREEN)
        say(f"{measured:+.2f}" if np.isfinite(measured) else "-", 194, y, BLUE)
        say(units[row] if units else "", 250, y, MUTED, 0.42)

        def along(value: float, low: float = low, high: float = high) -> float:
            return 300 + 110 * float(np.clip((value - low) / max(high - low, 1e-9), 0.0, 1.0))

        cv2.rectangle(picture, at(300, y - 8), at(410, y - 2), (92, 100, 110), -1)
        if np.isfinite(measured):
            zero, now = sorted((along(0.0), along(measured)))
            cv2.rectangle(picture, at(zero, y - 8), at(now, y - 2), BLUE, -1)
        cv2.rectangle(picture, at(along(asked) - 1.5, y - 12), at(along(asked) + 1.5, y + 2), GREEN, -1)
    say(moment.note, 28, 92 + 26 * rows, MUTED)
    if moment.fell:
        say("FELL", 340, 92 + 26 * rows, RED, 0.6)
    return picture
