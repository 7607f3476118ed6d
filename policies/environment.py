"""What the libraries that this package loads are told through the environment, before any of them is loaded.

A value that the user has set always wins. A library that was imported before robolearn has read its variables already.
"""

from __future__ import annotations

import os

_OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def prepare() -> None:
    """Set what is not set yet.

    The threads of OpenMP (torch) and OpenBLAS (numpy) wait asleep instead of spinning: beside another program a pool that spins slows both
    down by up to ten times, and alone it gains nothing.
    """
    if not any(name in os.environ for name in _OPENMP):
        os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # 2^4 cycles
