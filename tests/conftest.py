"""What every test needs: ROS 2 kept on this computer, rendering without a screen, one thread a library."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from bridge.isolation import LOOPBACK_CYCLONE  # needs the standard library alone

# Before anything imports rclpy, mujoco or torch: they read these once. Forced, not defaulted: a test must never reach a real robot.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(0, 101))
os.environ["CYCLONEDDS_URI"] = LOOPBACK_CYCLONE
os.environ.pop("ROS_STATIC_PEERS", None)
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("MUJOCO_GL", "egl")
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# who starts the tests under nohup means them, not the programs that they start and end
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # or in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


ALONE = (
    "bridge",
    "test_bench.py",
    "test_example.py",
    "test_full_disk.py",
    "test_install_names.py",
    "test_launch.py",
    "test_lower_bounds.py",
    "test_quiet.py",
    "test_tutorial.py",
    "robolearn/test_cli.py",
    "robolearn/test_distributed.py",
    "robolearn/test_ending.py",
    "robolearn/test_identify_deploy.py",
    "robolearn/test_live.py",
    "robolearn/test_live_browser.py",
    "robolearn/test_other_model.py",
    "robolearn/test_plugins.py",
    "robolearn/test_precision.py",
    "robolearn/test_threads.py",
)
"""Tests that run one after the other, folders and files: control loops in real time, what is measured, who fills disks or installs."""

BESIDE = tuple(
    f"bridge/test_{name}.py"
    for name in (
        "advice", "clock_steps", "clocks", "consistency", "faults", "gantry", "guards", "heat", "joints", "limiter", "log_commands",
        "log_parts", "motion", "mounting", "newest", "phase_lock", "plausibility", "properties", "safety", "temperature",
    )
)  # fmt: skip
"""Tests of the bridge that have a clock of their own, so that others may run beside them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what must not run beside other tests, see `ALONE`."""
    here = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(here).as_posix()
        if place not in BESIDE and (place in ALONE or place.split("/")[0] in ALONE):
            item.add_marker(pytest.mark.alone)


def pytest_runtest_teardown() -> None:
    """A control loop that a test ran in this process made it real-time: what comes after it, and what that starts, must not be."""
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """A pool that spins beside simulation threads makes two cores crawl."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _cyclone_as_it_was() -> Iterator[None]:
    """A Unitree transport chooses the interface for its process; the next module's tests are another process's."""
    before = os.environ["CYCLONEDDS_URI"]
    yield
    os.environ["CYCLONEDDS_URI"] = before
