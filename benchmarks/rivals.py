"""Other projects that benchmarks compare with, in a folder of their own: neither the environment nor the repository is touched.

    python -m benchmarks.rivals

Nothing that they need and that is here already (torch, numpy) is installed twice, so both sides of a comparison run the same torch.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.common import say

FOLDER = Path(__file__).resolve().parent.parent / "runs" / "bench" / "rivals"
RSL_RL = ("rsl-rl-lib==5.5.1", "tensordict==0.15.3", "pyvers==0.2.3")
"""rsl_rl and what it needs beside torch, numpy and cloudpickle."""
MISSING = "rsl_rl is not installed: python -m benchmarks.rivals"


def install() -> int:
    """Put them into `FOLDER`. Returns pip's exit code."""
    say(f"installing {', '.join(RSL_RL)} into {FOLDER}")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"]
    return subprocess.run([*pip, "--target", str(FOLDER), *RSL_RL], check=False).returncode


def find() -> None:
    """Let what was installed be imported, after everything else."""
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))


if __name__ == "__main__":
    sys.exit(install())
