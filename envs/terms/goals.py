"""Goals for an object, in place of one for the tool."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from envs.seeds import uniform
from envs.terms.commands import GoalPosition, Worlds
from envs.terms.face import Env
from envs.terms.objects import object_position

WHOLE_EPISODE = (1e6, 1e6)
"""A goal that outlasts every episode [s]."""


class PlaceGoal(GoalPosition):
    """A position for the object [m] in the base frame, held for the whole episode."""

    def __init__(self, env: Worlds, x: tuple[float, float] = (0.38, 0.52), y: tuple[float, float] = (-0.15, 0.15),
                 z: tuple[float, float] = (0.05, 0.3)) -> None:  # fmt: skip
        """Goals are drawn uniformly from a box.

        Args:
            env: the environment.
            x: range of the goal in front of the base [m].
            y: range of the goal to the left of the base [m].
            z: range of the goal above the base [m].
        """
        super().__init__(env, x, y, z, WHOLE_EPISODE)


class FloorGoal(GoalPosition):
    """A position on the floor for the object, at some distance from where it lies, held for the whole episode."""

    kind: ClassVar[str] = "goal_position"

    def __init__(self, env: Env, x: tuple[float, float] = (0.33, 0.57), y: tuple[float, float] = (-0.2, 0.2),
                 away: tuple[float, float] = (0.1, 0.2), height: float = 0.02) -> None:  # fmt: skip
        """Goals are drawn around the object, and kept within a box.

        Args:
            env: the environment.
            x: range of the goal in front of the base [m].
            y: range of the goal to the left of the base [m].
            away: bounds of the distance from the object [m]; the box may leave less.
            height: of the goal above the base, for display [m].
        """
        super().__init__(env, x, y, (height, height), WHOLE_EPISODE)
        self._env, self._away = env, away

    def sample(self, ids: torch.Tensor) -> None:
        free = ids[self.left_s[ids].isfinite()]
        super().sample(ids)
        if not len(free):
            return
        n, device = len(free), self.value.device
        start = object_position(self._env)[free, :2]
        angle, distance = uniform(-math.pi, math.pi, (n,), self._generator), uniform(*self._away, (n,), self._generator)
        step = distance[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        low, high = (torch.tensor(bound[:2], device=device) for bound in (self.lower, self.upper))
        there, opposite = ((start + sign * step).clamp(low, high) for sign in (1, -1))
        further = (there - start).norm(dim=1) >= (opposite - start).norm(dim=1)
        self.value[free, :2] = torch.where(further[:, None], there, opposite)
