"""How torch uses the CPU: threads by phase, and the mode of fp32 matrix products."""

from __future__ import annotations

import functools

import torch

from envs.engines.cores import available_cores

ACCURATE = 1e-5
"""Relative error that counts as fp32; rounding to bf16 gives about 3e-3."""


class Threads:
    """One torch thread while physics runs, all cores while learning.

    torch's OpenMP pool spins after its work, which must not happen beside the simulation's threads.

    Args:
        count: torch threads in updates; 0 means all cores that this process may use.
    """

    def __init__(self, count: int = 0) -> None:
        self._count = count or available_cores()
        choose_matmul_precision()

    def simulating(self) -> None:
        """Before rollouts."""
        torch.set_num_threads(1)

    def learning(self) -> None:
        """Before updates."""
        torch.set_num_threads(self._count)


@functools.cache
def choose_matmul_precision() -> str:
    """Set torch's fp32 matrix products to `medium` where that is still fp32 in fact, and to `highest` otherwise. Returns the choice.

    On CPUs with AVX-512 `medium` goes through oneDNN, up to twice as fast and as accurate; on CPUs with AMX it rounds to bf16, and on
    older ones it changes nothing. The products themselves tell, so they are asked once a process. CUDA keeps full fp32: the same
    setting would round there.
    """
    if torch.cuda.is_available() or torch.get_float32_matmul_precision() != "highest":
        return torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    if matmul_error() > ACCURATE:
        torch.set_float32_matmul_precision("highest")
    return torch.get_float32_matmul_precision()


def matmul_error() -> float:
    """Relative error of a matrix product as torch computes it now."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    return float((a @ b - exact).norm() / exact.norm())
