"""The number of processor cores that this process may use, which can be fewer than the computer has."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")


def available_cores(quota: Path = CGROUP) -> int:
    """Cores for this process's pools of threads, at least one.

    The cores that the process is bound to (`taskset`, a scheduler), at most the container's quota (`docker run --cpus`), shared
    with the other processes that `torchrun` started on this computer.

    Args:
        quota: the container's `cpu.max`, quota and period in microseconds.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no container, or no quota ("max")
        allowed, period = quota.read_text(encoding="ascii").split()
        cores = min(cores, max(1, round(int(allowed) / int(period))))
    with contextlib.suppress(ValueError):
        cores //= max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return max(1, cores)
