"""What was found, how surely, and how well it explains the recordings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robolearn.identify.parameters import Parameter

PRECISE, WIDEST = 0.05, 0.5  # half an interval against the value: above the first it is weakly identifiable, above the second not at all
NEGLIGIBLE = 0.02  # half an interval against a size that matters: a dry friction of 0.001 +- 0.001 N m is known well enough
UNEXPLAINED = 2.0  # residual against noise; beyond it the model lacks something


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What was found for a parameter.

    Attributes:
        parameter: which.
        value: the estimate [the parameter's unit].
        half_width: half of the 95 % interval.
        partner: the parameter it cannot be told from, if there is one; else empty.
        flaw: why the value is not to be believed however narrow its interval is; empty if nothing speaks against it.
    """

    parameter: Parameter
    value: float
    half_width: float
    partner: str = ""
    flaw: str = ""

    @property
    def low(self) -> float:
        """Lower end of the interval; zero where the search ended at the bound that stands for it."""
        if self.parameter.vanishes and self.value <= 2 * self.parameter.low:
            return 0.0
        return self.value - self.half_width

    @property
    def high(self) -> float:
        return self.value + self.half_width

    @property
    def share(self) -> float:
        """Half of the interval as a share of the value; infinite for a value of zero."""
        return self.half_width / abs(self.value) if self.value else math.inf

    @property
    def identifiable(self) -> bool:
        """Whether the log tells anything: the interval is at most +- 50 % of the value, or of a size that matters, and nothing is wrong."""
        return not self.flaw and self.half_width <= WIDEST * max(abs(self.value), self.parameter.reference)

    @property
    def precise(self) -> bool:
        """Whether the interval is at most +- 5 % of the value, or negligible; what is identifiable but not precise is weakly so."""
        return not self.flaw and self.half_width <= max(PRECISE * abs(self.value), NEGLIGIBLE * self.parameter.reference)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """How well one measured quantity is explained; units of the quantity.

    Attributes:
        name: such as `position FR_hip_joint`, with the recording's name before it.
        before, after: root mean square difference with the nominal and with the found values.
        noise: what the readings themselves show, at least that of good sensors.
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
        rate_hz: sensor readings a second, of the slowest recording.
        notes: what else a person should know, a sentence each.
    """

    robot: str
    estimates: tuple[Estimate, ...]
    channels: tuple[Channel, ...]
    seconds: float
    iterations: int
    rate_hz: float = 500.0
    notes: tuple[str, ...] = ()

    def of(self, name: str) -> Estimate:
        """The estimate of a parameter by name."""
        return next(estimate for estimate in self.estimates if estimate.parameter.name == name)

    @property
    def believable(self) -> bool:
        """Whether something was identifiable, the model explains the recordings, and nothing speaks against a value."""
        told = any(estimate.identifiable for estimate in self.estimates) and not any(estimate.flaw for estimate in self.estimates)
        return told and not self.unexplained > UNEXPLAINED

    @property
    def unexplained(self) -> float:
        """Residual against noise, root mean square over the channels; about 1 where the model explains everything, NaN without channels."""
        if not self.channels:
            return math.nan
        return math.sqrt(float(np.mean([(channel.after / channel.noise) ** 2 for channel in self.channels])))
