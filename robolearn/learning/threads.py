"""torch's use of the CPU: threads by phase, and the mode of fp32 matrix products."""

from __future__ import annotations

import functools

import torch

from envs.engines.cores import available_cores

ACCURATE = 1e-5
"""Relative error that counts as fp32; rounding to bf16 gives about 3e-3."""


class Threads:
    """One torch thread during physics, all cores during learning.

    torch's OpenMP pool spins after its work, which would slow the simulation's threads.

    Args:
        count: torch threads in updates; 0 means all cores that this process may use.
    """

    def __init__(self, count: int = 0) -> None:
        self._count = count or available_cores()
        choose_matmul_precision()

    def simulating(self) -> None:
        """Call before rollouts."""
        torch.set_num_threads(1)

    def learning(self) -> None:
        """Call before updates."""
        torch.set_num_threads(self._count)


@functools.cache
def choose_matmul_precision() -> str:
    """Set torch's fp32 matrix products to `medium` if that is still fp32 in practice, otherwise to `highest`. Returns the choice.

    On CPUs with AVX-512 `medium` goes through oneDNN, up to twice as fast and as accurate; on CPUs with AMX it rounds to bf16, and on
    older ones it changes nothing. This is tested with actual products, once per process. CUDA keeps full fp32, since the same setting would
    round there.
    """
    if torch.cuda.is_available() or torch.get_float32_matmul_precision() != "highest":
        return torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    if matmul_error() > ACCURATE:
        torch.set_float32_matmul_precision("highest")
    return torch.get_float32_matmul_precision()


def matmul_error() -> float:
    """Relative error of torch's matrix products in the current mode."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    return float((a @ b - exact).norm() / exact.norm())
