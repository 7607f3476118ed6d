"""Targets on their way to the motors: delays actions by any time, in whole control steps and a share of one."""

from __future__ import annotations

import math

import torch

from envs.parts import Buffers


class Late:
    """The targets of the last steps of each world.

    With a delay of w + f steps, 0 <= f < 1, motors follow the target of w + 1 steps ago for a share f of a step, then that of w steps ago.
    """

    def __init__(self, most: float, joints: int, buffers: Buffers) -> None:
        """Keep as many targets as a delay of `most` steps needs; none if it is at most one step."""
        self._depth = math.ceil(most - 1e-6)
        self._row = buffers.new("late_targets", (self._depth, joints)) if self._depth > 1 else None

    def controls(self, new: torch.Tensor, before: torch.Tensor, delay: torch.Tensor, switching: int) -> torch.Tensor:
        """The targets that the physics follows in a step, (N, K, J).

        In training the two targets are mixed by their shares of the step, a fractional delay like that of the readings, which takes one
        call of the engine; each call copies all worlds in and out. The precise engines switch between them at the nearest substep.

        Args:
            new, before, delay: see `sent`.
            switching: K, the physics steps per control step, for an engine that switches; 0 for one that gets the mean, K = 1.
        """
        sent, before, share = self.sent(new, before, delay)
        if not switching:
            return torch.lerp(sent, before, share)[:, None]
        late = (torch.arange(switching, device=new.device) + 0.5 < share * switching)[..., None]  # (N, K, 1)
        return torch.where(late, before[:, None], sent[:, None])

    def sent(self, new: torch.Tensor, before: torch.Tensor, delay: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The targets that reach the motors in a step.

        Args:
            new: target of this step [rad], (N, J).
            before: target of the previous step, (N, J).
            delay: delay in steps, (N, 1).

        Returns:
            The target that arrives in this step (N, J), the one followed until then (N, J), and the share of the step until then (N, 1).
        """
        if self._row is None:
            return new, before, delay
        way = torch.cat([new[:, None], self._row], dim=1)  # (N, K + 1, J), newest first
        whole = delay[:, 0].floor().long().clamp(0, self._depth)
        each = torch.arange(len(new), device=new.device)
        sent = way[each, whole], way[each, (whole + 1).clamp(max=self._depth)], delay - whole[:, None]
        self._row.copy_(way[:, :-1])
        return sent

    def begin(self, ids: torch.Tensor, target: torch.Tensor) -> None:
        """Start the worlds `ids` (n,) with a target (n, J), without earlier ones."""
        if self._row is not None:
            self._row[ids] = target[:, None]
