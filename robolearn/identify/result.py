"""What was found, how surely, and how well it explains the recordings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robolearn.identify.parameters import Parameter

WIDEST = 0.1  # half an interval against the value; beyond it a parameter is not identifiable
UNEXPLAINED = 2.0  # residual against noise; beyond it the model lacks something


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What was found for a parameter.

    Attributes:
        parameter: which.
        value: the estimate [the parameter's unit].
        half_width: half of the 95 % interval.
        partner: the parameter it cannot be told from, if there is one; else empty.
    """

    parameter: Parameter
    value: float
    half_width: float
    partner: str = ""

    @property
    def low(self) -> float:
        return self.value - self.half_width

    @property
    def high(self) -> float:
        return self.value + self.half_width

    @property
    def identifiable(self) -> bool:
        """Whether the interval is narrow enough to be of use: at most +- 10 % of the value, or of a size that matters."""
        return self.half_width <= WIDEST * max(abs(self.value), self.parameter.reference)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """How well one measured quantity is explained; units of the quantity.

    Attributes:
        name: such as `position FR_hip_joint`, with the recording's name before it.
        before, after: root mean square difference with the nominal and with the found values.
        noise: what the readings themselves show.
    """

    name: str
    before: float
    after: float
    noise: float


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A result.

    Attributes:
        robot: name.
        estimates: one a parameter.
        channels: one a measured quantity and recording.
        seconds: duration of what was compared [s].
        iterations: Gauss-Newton steps.
    """

    robot: str
    estimates: tuple[Estimate, ...]
    channels: tuple[Channel, ...]
    seconds: float
    iterations: int

    def of(self, name: str) -> Estimate:
        """The estimate of a parameter by name."""
        return next(estimate for estimate in self.estimates if estimate.parameter.name == name)

    @property
    def unexplained(self) -> float:
        """Residual against noise, root mean square over the channels; about 1 where the model explains everything."""
        return math.sqrt(float(np.mean([(channel.after / channel.noise) ** 2 for channel in self.channels])))
