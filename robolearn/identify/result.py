"""The result of an identification: estimates, their intervals, and how well they explain the recordings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robolearn.identify.parameters import Parameter

PRECISE, WIDEST = 0.05, 0.5  # half an interval relative to the value: above the first it is weakly identifiable, above the second not at
# all
NEGLIGIBLE = 0.02  # half an interval relative to a size that matters: a dry friction of 0.001 +- 0.001 N m is known well enough
UNEXPLAINED = 2.0  # ratio of residual to noise above which the model lacks something


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The estimate of a parameter.

    Attributes:
        parameter: the parameter.
        value: the estimate [the parameter's unit].
        half_width: half of the 95 % interval.
        partner: the parameter that it cannot be distinguished from; empty if none.
        flaw: why the value is wrong however narrow its interval is; empty if there is no such reason.
    """

    parameter: Parameter
    value: float
    half_width: float
    partner: str = ""
    flaw: str = ""

    @property
    def low(self) -> float:
        """Lower end of the interval; zero if the search ended at the bound that means zero."""
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
        """Whether the log determines it: the interval is at most +- 50 % of the value, or of a size that matters, and it has no flaw."""
        return not self.flaw and self.half_width <= WIDEST * max(abs(self.value), self.parameter.reference)

    @property
    def precise(self) -> bool:
        """Whether the interval is at most +- 5 % of the value, or negligible; an estimate that is identifiable but not precise is weakly
        identifiable.
        """
        return not self.flaw and self.half_width <= max(PRECISE * abs(self.value), NEGLIGIBLE * self.parameter.reference)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """How well one measured quantity is explained, in its unit.

    Attributes:
        name: such as `position FR_hip_joint`, with the recording's name before it.
        before, after: root mean square difference with the nominal and with the found values.
        noise: noise of the readings, at least that of good sensors.
    """

    name: str
    before: float
    after: float
    noise: float


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A result.

    Attributes:
        robot: name of the robot.
        estimates: one per parameter.
        channels: one per measured quantity and recording.
        seconds: duration of the compared readings [s].
        iterations: Gauss-Newton steps.
        rate_hz: sensor readings per second of the slowest recording.
        notes: further notes for the user, one sentence each.
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
        """Whether something was identifiable, the model explains the recordings, and no value has a flaw."""
        told = any(estimate.identifiable for estimate in self.estimates) and not any(estimate.flaw for estimate in self.estimates)
        return told and not self.unexplained > UNEXPLAINED

    @property
    def unexplained(self) -> float:
        """Ratio of residual to noise, root mean square over the channels; about 1 if the model explains everything, NaN without
        channels.
        """
        if not self.channels:
            return math.nan
        return math.sqrt(float(np.mean([(channel.after / channel.noise) ** 2 for channel in self.channels])))
