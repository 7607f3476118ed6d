"""Scales a task's numbers with the robot, so that one set of numbers serves small and large robots.

Two robots of the same build, one l times as long and m times as heavy as the other, move alike under the same gravity if lengths scale with
l, times with sqrt(l), speeds with sqrt(l), rates with 1 / sqrt(l), forces with m and torques with m l (Froude's rule; Alexander and Jayes
1983). A task's numbers are those of a reference robot that it was tested on, and are scaled to others: from Go1 for robots with three feet
or more, from G1 for two, from the Panda for arms. For those three the factors are exactly 1.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, TypeVar

from envs.robots.robot import Robot
from envs.terms.randomization import Range

Dimension = Literal["1", "length", "time", "speed", "rate", "mass", "force", "torque"]
T = TypeVar("T", float, tuple[float, float], Range)

ALIKE = 1e-6  # relative difference below which a robot counts as the reference
DIGITS = 4  # digits of scaled numbers


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Size of a robot relative to its reference.

    Attributes:
        length: ratio of lengths.
        mass: ratio of masses.
    """

    length: float = 1.0
    mass: float = 1.0

    def factor(self, dimension: Dimension) -> float:
        """Factor of a quantity with a given dimension."""
        root = math.sqrt(self.length)
        factors = {"1": 1.0, "length": self.length, "time": root, "speed": root, "rate": 1.0 / root}
        return (factors | {"mass": self.mass, "force": self.mass, "torque": self.mass * self.length})[dimension]

    def __call__(self, value: T, dimension: Dimension, power: int = 1) -> T:
        """A number, two bounds or a range, scaled.

        Args:
            value: value for the reference robot.
            dimension: its dimension; weights of squared quantities have `power` -2.
            power: power of the dimension.
        """
        factor = self.factor(dimension) ** power
        if isinstance(value, Range):
            return dataclasses.replace(value, low=_rounded(value.low, factor), high=_rounded(value.high, factor))
        if isinstance(value, tuple):
            return (_rounded(value[0], factor), _rounded(value[1], factor))
        return _rounded(value, factor)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference robot.

    Attributes:
        name: of the robot.
        length: height of the base in the default pose, or reach of the tool's workspace [m].
        mass: [kg].
    """

    name: str
    length: float
    mass: float

    def scale(self, length: float, mass: float) -> Scale:
        """Relative size of a robot with this length [m] and mass [kg]."""
        return Scale(length=_ratio(length, self.length), mass=_ratio(mass, self.mass))


QUADRUPED = Reference(name="go1", length=0.278, mass=12.743448)
BIPED = Reference(name="g1", length=0.782, mass=33.341142)
ARM = Reference(name="panda", length=math.hypot(0.65, 0.4, 0.7), mass=18.5)


def scale_of(robot: Robot) -> Scale:
    """Size of a robot relative to the reference of its kind."""
    if robot.floating_base:
        return (QUADRUPED if len(robot.feet) > 2 else BIPED).scale(robot.leg_length, robot.mass)
    box = robot.workspace
    return Scale() if box is None else ARM.scale(math.hypot(*(max(abs(low), abs(high)) for low, high in box)), robot.mass)


def factor(robot: Robot, dimension: Dimension) -> float:
    """Factor of a quantity for a robot relative to the reference of its kind."""
    return scale_of(robot).factor(dimension)


def _ratio(value: float, reference: float) -> float:
    ratio = value / reference
    return 1.0 if abs(ratio - 1.0) < ALIKE else ratio


def _rounded(value: float, factor: float) -> float:
    """The product, rounded to a few digits if it differs from the value."""
    if factor == 1.0 or value == 0.0:
        return value
    scaled = value * factor
    return round(scaled, DIGITS - 1 - math.floor(math.log10(abs(scaled))))
