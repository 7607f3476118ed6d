"""How long a policy file that sees takes for a step with new images, on one core, against the time between two images.

    python -m benchmarks.pixels runs/panda-reach-pixels-student

Images come at 10 Hz in the issue's terms; a step here holds everything: encoders, readouts, core. Wall-clock percentiles feel what else
runs; processor time does not.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from policies.contract.file import PolicyFile
from robolearn.policy_path import find_policy

RATE_HZ = 10.0
STEPS = 1000


def measure(path: str) -> dict[str, float]:
    """Milliseconds of a step: `processor` (mean), `median`, `p99`; and `share`, of the time between two images, by the processor time."""
    file = PolicyFile(find_policy(path))
    golden = file.golden
    images = {name: golden.groups[name] for name in file.images}
    wall = np.zeros(STEPS)
    used = 0.0
    for step in range(-50, STEPS):
        now = {name: shots[step % len(shots)] for name, shots in images.items()}
        begun, before = time.perf_counter(), time.process_time()
        file.act(golden.observation[step % len(golden.observation)], now)
        if step >= 0:
            wall[step] = time.perf_counter() - begun
            used += time.process_time() - before
    ms = 1000.0
    mean = ms * used / STEPS
    return {
        "processor": mean,
        "median": ms * float(np.median(wall)),
        "p99": ms * float(np.percentile(wall, 99)),
        "share": mean * RATE_HZ / ms,
    }


if __name__ == "__main__":
    for name in sys.argv[1:]:
        told = measure(name)
        print(
            f"{name}: {told['processor']:.2f} ms of processor time a step ({100 * told['share']:.1f} % of one core at {RATE_HZ:g} Hz); "
            f"wall clock median {told['median']:.2f} ms, p99 {told['p99']:.2f} ms"
        )
