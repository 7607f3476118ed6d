"""Who is asked to end is no failure: each program of the bridge ends with code 0 on each signal, early and late, once and twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge import ending
from tests.bridge_helpers import HAS_ROS, REPOSITORY, Process, processes, ros_environment, wait_for
from tests.make_policy import make_policy

MJCF = REPOSITORY / "envs" / "robots" / "go1" / "go1.xml"
BEGUN = {"deploy": "zero_torque -> damping", "simulated_robot": "simulated go1", "operator": ""}


def arguments(program: str, folder: Path) -> list[str]:
    policy = make_policy(folder / "stand.onnx", kind="stand")
    if program == "deploy":
        return ["bridge.deploy", str(policy), "--transport", "sim", "--mjcf", str(MJCF), "--realtime", "--auto-start"]
    if program == "operator":
        return ["bridge.operator.scheduled", "--schedule", "0", "0", "0", "60", "--out", str(folder / "out.json")]
    return ["bridge.simulated.robot", "--policy", str(policy), "--mjcf", str(MJCF)]


@pytest.mark.slow
@pytest.mark.parametrize("number", ending.SIGNALS)
@pytest.mark.parametrize("program", BEGUN)
def test_it_ends_with_code_0_when_asked(program: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if program != "deploy" and not HAS_ROS:
        pytest.skip("rclpy is not installed")
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    child = Process(arguments(program, tmp_path), tmp_path / "out.log")
    with processes(child):
        assert wait_for(lambda: BEGUN[program] in child.text(), 40), child.text()
        time.sleep(0.0 if BEGUN[program] else 3.0)
        for _ in range(3):  # who is impatient asks again while it cleans up
            if child.alive:
                child.send(number)
                time.sleep(0.02)
        assert child.wait(20) == 0, child.text()


@pytest.mark.parametrize("when", ["while it loads", "while it cleans up"])
def test_the_ends_of_a_program_are_covered_too(when: str, tmp_path: Path) -> None:
    """Where no handler of the program's own is in place."""
    work = "time.sleep(30)" if when == "while it loads" else ""
    path = tmp_path / "program.py"
    path.write_text(
        "import atexit, sys, time\nfrom bridge import ending\nending.quietly()\nprint('here', flush=True)\n"
        f"{work}\natexit.register(lambda: (print('late', flush=True), time.sleep(1)))\nsys.exit(ending.run('program', lambda: 3))\n"
    )
    word = "here" if when == "while it loads" else "late"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    child = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=env)
    assert child.stdout is not None
    while child.stdout.readline().strip() != word:
        pass
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == (0 if when == "while it loads" else 3)  # the program's own answer stands


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under nohup a program goes on."""
    before: Callable[..., object] | int | None = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(ending, "SIGNALS", (signal.SIGHUP,))
        ending.quietly()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)  # type: ignore[arg-type]
