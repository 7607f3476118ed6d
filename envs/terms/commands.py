"""The commands of our tasks."""

from __future__ import annotations

from typing import ClassVar

import torch

from envs.seeds import uniform
from envs.terms.command import Command, Worlds


class VelocityCommand(Command):
    """A planar velocity [m/s] and a yaw rate [rad/s] in the base frame, or to stand still."""

    kind: ClassVar[str] = "velocity"
    labels: ClassVar[tuple[str, ...]] = ("vx", "vy", "yaw_rate")
    units: ClassVar[str] = "m/s, m/s, rad/s"
    mirror: ClassVar[tuple[float, ...] | None] = (1.0, -1.0, -1.0)
    ages: ClassVar[bool] = True

    def __init__(
        self,
        env: Worlds,
        vx: tuple[float, float] = (-1.0, 1.0),
        vy: tuple[float, float] = (-0.6, 0.6),
        yaw_rate: tuple[float, float] = (-1.0, 1.0),
        standing: float = 0.1,
        moving_above: float = 0.1,
        hold_s: tuple[float, float] = (4.0, 10.0),
    ) -> None:
        """Commands are drawn uniformly and held.

        Args:
            env: the environment.
            vx, vy: ranges of the planar velocity in the base frame [m/s].
            yaw_rate: range [rad/s].
            standing: share of commands that are exactly zero.
            moving_above: norm of a command above which it is to move.
            hold_s: range of the time that a command is held [s].
        """
        ranges = (vx, vy, yaw_rate)
        super().__init__(env, tuple(r[0] for r in ranges), tuple(r[1] for r in ranges), hold_s)
        self.standing, self.moving_above = standing, moving_above

    def draw(self, n: int) -> torch.Tensor:
        drawn = super().draw(n)
        return drawn * (uniform(0.0, 1.0, (n, 1), self._generator) >= self.standing)


class GoalPosition(Command):
    """A position for the tool [m] in the base frame."""

    kind: ClassVar[str] = "goal_position"
    labels: ClassVar[tuple[str, ...]] = ("x", "y", "z")
    units: ClassVar[str] = "m"

    def __init__(
        self,
        env: Worlds,
        x: tuple[float, float] = (0.3, 0.65),
        y: tuple[float, float] = (-0.4, 0.4),
        z: tuple[float, float] = (0.15, 0.7),
        hold_s: tuple[float, float] = (2.0, 3.0),
    ) -> None:
        """Goals are drawn uniformly from a box [m] and held for a time between the ends of `hold_s` [s]."""
        ranges = (x, y, z)
        super().__init__(env, tuple(r[0] for r in ranges), tuple(r[1] for r in ranges), hold_s)
