"""Threads by phase: torch's OpenMP pool spins after its work, which must not happen beside the simulation's threads."""

from __future__ import annotations

import os

import torch


class Threads:
    """One torch thread while physics runs, all cores while learning.

    Args:
        count: torch threads in updates; 0 means all cores.
    """

    def __init__(self, count: int = 0) -> None:
        self._count = count or os.cpu_count() or 1

    def simulating(self) -> None:
        """Before rollouts."""
        torch.set_num_threads(1)

    def learning(self) -> None:
        """Before updates."""
        torch.set_num_threads(self._count)
