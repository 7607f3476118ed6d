"""Configures the libraries that robolearn loads through environment variables, before they are loaded.

Values set by the user take precedence. A library that was imported before robolearn has already read its variables.
"""

from __future__ import annotations

import os
import sys
import warnings

_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def prepare() -> None:
    """Set the variables that are not set yet.

    From version 1.29, ONNX Runtime, which only `policies` imports, starts telemetry when it is imported (threads, name look-ups,
    connections, a device id in the home folder) unless it is disabled. A robot's computer has no use for that.

    Threads of OpenMP (torch) and OpenBLAS (numpy) sleep while waiting instead of spinning: beside another program, a spinning pool slows
    both down by up to ten times, and alone it only gains 5 to 10 % (`python -m benchmarks.beside`).
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
