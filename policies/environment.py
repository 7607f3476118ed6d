"""What the libraries that robolearn loads are told through the environment, before any of them is loaded.

A value that the user has set always wins. A library that was imported before robolearn has read its variables already.
"""

from __future__ import annotations

import os
import sys
import warnings

_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def prepare() -> None:
    """Set what is not set yet.

    ONNX Runtime, which `policies` alone imports, starts telemetry from version 1.29 on as soon as it is imported (threads, name look-ups,
    connections, a device's identity in the home folder), unless it is forbidden. A robot's computer has no use for that.

    The threads of OpenMP (torch) and OpenBLAS (numpy) wait asleep instead of spinning: beside another program a pool that spins slows both
    down by up to ten times, and alone it gains 5 to 10 % (`python -m benchmarks.beside`).
    """
    if "onnxruntime" in sys.modules and _TELEMETRY not in os.environ:
        warnings.warn(
            f"onnxruntime was imported before policies, so its telemetry may run: import policies first, or set {_TELEMETRY}=1",
            stacklevel=3,
        )
    os.environ.setdefault(_TELEMETRY, "1")
    if not any(name in os.environ for name in _OPENMP):
        os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # 2^4 cycles
