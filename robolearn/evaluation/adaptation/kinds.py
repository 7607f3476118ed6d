"""The kinds of change: what becomes of a robot in the middle of an episode, which no single observation tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from envs.robots.robot import Robot
from envs.tasks.scaling import Dimension, factor
from envs.terms.changes import Change, Changing
from envs.terms.term import EventTerm

NEVER_S = 1e6
"""Between two changes by themselves: these are made to happen."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A change.

    Attributes:
        title: for people.
        quantity: of the table of randomization.
        low, high: what it becomes, for a robot of Go1's size (G1's, on two legs).
        some: how many of its entries change; 0 for all.
        entries: which of them may; all where None.
        flips: whether half of the values have the other sign.
        dimension: by which the bounds grow with the robot; None for those that do not.
    """

    title: str
    quantity: Changing
    low: float
    high: float
    some: int = 0
    entries: tuple[int, ...] | None = None
    flips: bool = False
    dimension: Dimension | None = None

    def term(self, robot: Robot) -> EventTerm:
        """The entry of the table that lets it happen, when it is told to."""
        low, high = self.bounds(robot)
        return EventTerm(
            Change,
            when="interval",
            interval_s=(NEVER_S, NEVER_S),
            quantity=self.quantity,
            low=low,
            high=high,
            some=self.some,
            flips=self.flips,
        )

    def bounds(self, robot: Robot) -> tuple[float, float]:
        """Least and most, for a robot's size."""
        by = 1.0 if self.dimension is None else factor(robot, self.dimension)
        return self.low * by, self.high * by

    def draw(self, worlds: int, width: int, robot: Robot, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Which entries change in which world (N, k) bool, and to what (N, k): the same for whoever walks there.

        Every entry has its turn as often as any other, whatever the worlds' other properties go round with.
        """
        rng = np.random.default_rng(seed)
        allowed = np.arange(width) if self.entries is None else np.array(self.entries)
        changed = np.zeros((worlds, width), bool)
        for _ in range(self.some or len(allowed)):
            turn = rng.permutation(np.arange(worlds) % len(allowed))
            for world in range(worlds):
                at = turn[world]
                while changed[world, allowed[at % len(allowed)]]:
                    at += 1
                changed[world, allowed[at % len(allowed)]] = True
        value = rng.uniform(*self.bounds(robot), (worlds, width)).astype(np.float32)
        if self.flips:
            value *= rng.choice([-1.0, 1.0], (worlds, width)).astype(np.float32)
        return torch.from_numpy(changed), torch.from_numpy(value)


KINDS = {
    "weak_motor": Kind(title="one motor gives 20 to 40 % of its torque", quantity="motor_strength", low=0.2, high=0.4, some=1),
    "stiff_joint": Kind(title="one joint is damped 30 to 60 times as much", quantity="joint_damping", low=30.0, high=60.0, some=1),
    "load": Kind(title="4 to 6 kg more on the base", quantity="payload", low=4.0, high=6.0, dimension="mass"),
    "slippery": Kind(title="a quarter of the friction", quantity="friction", low=0.2, high=0.3),
    "encoder": Kind(title="encoders of two joints off by 0.12 to 0.2 rad", quantity="joint_offset", low=0.12, high=0.2, some=2, flips=True),
    "late": Kind(title="actions 50 to 60 ms late", quantity="action_delay_s", low=0.05, high=0.06),
    "slope": Kind(
        title="a slope of 8 to 10 degrees that the IMU does not tell", quantity="gravity", low=1.4, high=1.75, some=1, entries=(0, 1),
        flips=True,
    ),
}  # fmt: skip
"""By name."""
