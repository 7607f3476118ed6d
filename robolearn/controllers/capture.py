"""Where a walker must step: the capture point of the linear inverted pendulum.

While the centre of mass c keeps its height, the point of pressure p pushes it away, c'' = w^2 (c - p) with w^2 = g / height. The unstable
part of its motion is the capture point x = c + c' / w,

    x(t) = p + (x(0) - p) e^(w t)

so a walk continues if each step puts the next foot at the right offset from x (Pratt et al. 2006; Englsberger et al. 2015; the foothold
from the capture point at the end of a step, and its offsets, are from Khadiv et al. 2020, equations 5 to 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A steady walk, in the frame of the heading.

    Attributes:
        step_s: time of a step [s].
        rate: w of the pendulum [1/s].
        stride: how far each step moves on [m], (2,).
        width: distance between the feet, sideways [m].
    """

    step_s: float
    rate: float
    stride: np.ndarray
    width: float

    @property
    def growth(self) -> float:
        """Factor by which the capture point moves away during a step."""
        return float(np.exp(self.rate * self.step_s))

    def offset(self, left: bool) -> np.ndarray:
        """The capture point relative to the stance foot at the beginning of a step, on the left or the right foot [m], (2,)."""
        inward = -self.width if left else self.width
        return self.stride / (self.growth - 1.0) + np.array([0.0, inward / (self.growth + 1.0)])


def runs_to(capture: np.ndarray, pressure: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """The capture point after a time in which the point of pressure stays [m], (2,)."""
    return pressure + (capture - pressure) * np.exp(rate * seconds)
