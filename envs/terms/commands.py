"""Commands of a robot: drawn, held for a while, and drawn again; or held by a user until released. Also has those of our tasks.

Your own command is a class:

    class Heading(Command):
        kind, labels = "motion", ("heading",)

        def __init__(self, env: Worlds, limit: float, hold_s: tuple[float, float] = (4.0, 8.0)) -> None:
            super().__init__(env, lower=(-limit,), upper=(limit,), hold_s=hold_s)

whose parameters besides `env` are set in the config.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch

from envs.seeds import uniform
from envs.terms.conditions import Conditions
from policies.contract.spec import CommandSpec


class Worlds(Protocol):
    """The parts of the environment that a command can use."""

    num_worlds: int
    device: torch.device
    generator: torch.Generator


class Command:
    """Commands of N worlds.

    Attributes:
        kind: its meaning, see `policies.contract.spec.CommandSpec`.
        labels: names of the C entries.
        units: units of the entries.
        mirror: sign of each entry in the left-right mirror, 1 or -1; None if it has no image.
        ages: whether it expires unless an operator refreshes it.
        value: the commands, (N, C); replaced when they change, never overwritten.
        left_s: time until the next draw [s], (N,); infinite while held.
        conditions: commands of worlds in place of drawn ones; None for none.
    """

    kind: ClassVar[str] = "none"
    labels: ClassVar[tuple[str, ...]] = ()
    units: ClassVar[str] = ""
    mirror: ClassVar[tuple[float, ...] | None] = None
    ages: ClassVar[bool] = False

    def __init__(
        self, env: Worlds, lower: Sequence[float] = (), upper: Sequence[float] = (), hold_s: tuple[float, float] = (math.inf, math.inf)
    ) -> None:
        """Commands between `lower` and `upper` (C,), drawn again after a time in the range `hold_s` [s]."""
        if not len(lower) == len(upper) == len(self.labels):
            raise ValueError(f"a command of {len(self.labels)} entries ({', '.join(self.labels)}) needs as many lower and upper bounds")
        self.lower, self.upper, self._hold_s = tuple(lower), tuple(upper), hold_s
        self._generator = env.generator
        self.value = torch.zeros(env.num_worlds, len(self.labels), device=env.device)
        self.left_s = torch.zeros(env.num_worlds, device=env.device)
        self._held = False  # whether any world's command is held
        self.conditions: Conditions | None = None

    def spec(self) -> CommandSpec:
        """Its specification in a policy file."""
        return CommandSpec(kind=self.kind, labels=self.labels, lower=self.lower, upper=self.upper, ages=self.ages)

    def draw(self, n: int) -> torch.Tensor:
        """Draw new commands (n, C); by default uniformly in the range."""
        ranges = zip(self.lower, self.upper, strict=True)
        return torch.stack([uniform(low, high, (n,), self._generator) for low, high in ranges], dim=1)

    def sample(self, ids: torch.Tensor) -> None:
        """Draw new commands for the worlds `ids` (n,), except those whose command is held."""
        if self._held:
            ids = ids[self.left_s[ids].isfinite()]
        if not self.labels or not len(ids):
            return
        drawn = self.draw(len(ids))
        self.value = self.value.clone()
        last = math.isfinite(self._hold_s[1])
        left = uniform(*self._hold_s, (len(ids),), self._generator) if last else torch.full((len(ids),), 1e30, device=drawn.device)
        if self.conditions is not None:
            drawn, left = self.conditions.command(self.labels, ids, drawn, left)
        self.value[ids], self.left_s[ids] = drawn, left

    def advance(self, seconds: float) -> bool:
        """Advance time. Returns whether a command changed."""
        self.left_s -= seconds
        ids = (self.left_s <= 0).nonzero()[:, 0]
        if len(ids):
            self.sample(ids)
        return len(ids) > 0

    def hold(self, values: torch.Tensor, ids: torch.Tensor | None = None) -> None:
        """Hold `values` (n, C) or (C,) in the worlds `ids` (n,), by default all, until `release`."""
        rows = slice(None) if ids is None else ids
        self.value = self.value.clone()
        self.value[rows] = torch.as_tensor(values, dtype=torch.float32, device=self.value.device)
        self.left_s[rows] = math.inf
        self._held = True

    def release(self, ids: torch.Tensor | None = None) -> None:
        """Draw new commands for the worlds `ids` (n,), by default all, and continue to draw on time."""
        ids = torch.arange(len(self.left_s), device=self.left_s.device) if ids is None else ids
        self.left_s[ids] = 0.0
        self.sample(ids)
        self._held = bool(self.left_s.isinf().any())

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that its future depends on, on the CPU."""
        return {"value": self.value.cpu().clone(), "left_s": self.left_s.cpu().clone()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the result of `state`."""
        self.value = state["value"].to(self.value.device).clone()
        self.left_s.copy_(state["left_s"])
        self._held = bool(self.left_s.isinf().any())


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
            vx: range of the forward velocity in the base frame [m/s].
            vy: range of the velocity to the left in the base frame [m/s].
            yaw_rate: range of the rate about the vertical, to the left [rad/s].
            standing: share of commands that are exactly zero.
            moving_above: norm of a command above which it means to move.
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
        """Goals are drawn uniformly from a box and held.

        Args:
            env: the environment.
            x: range of the goal in front of the base [m].
            y: range of the goal to the left of the base [m].
            z: range of the goal above the base [m].
            hold_s: range of the time that a goal is held [s].
        """
        ranges = (x, y, z)
        super().__init__(env, tuple(r[0] for r in ranges), tuple(r[1] for r in ranges), hold_s)
