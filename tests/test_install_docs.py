"""docs/install.md, "What goes wrong": each message of ours stands there as the program prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECTION = " ".join(
    (ROOT / "docs" / "install.md").read_text(encoding="utf-8").partition("## What goes wrong")[2].partition("\n## ")[0].split()
)
MESSAGES = (
    ("robolearn needs Python 3.11 or newer; give one with make PYTHON=...", "Makefile"),
    ("Rendering without a screen needs EGL, which this computer lacks.", "Makefile"),
    ("apt-get install libegl1 libopengl0 libgl1-mesa-dri", "Makefile"),
    ("cannot draw without a screen, OpenGL does not start", "robolearn/viewer/render.py"),
    ("--no-video", "robolearn/viewer/render.py"),
    ("which is not installed; run: ", "robolearn/errors.py"),
    ("the log needs", "bridge/deploy.py"),
    ("the screen needs rich; run: ", "bridge/deploy.py"),
    ("the installed rclpy is not for Python", "bridge/deploy.py"),
    ("is another ROS 2 sourced in this terminal?", "bridge/deploy.py"),
    ("the environment's ROS_DOMAIN_ID must be a number from 0 to 232", "bridge/options.py"),
    (
        "normal scheduling: ticks may come late on a busy computer; no permission for better (ulimit -r, or CAP_SYS_NICE)",
        "bridge/control/priority.py",
    ),
    ("no permission for real-time scheduling", "bridge/control/priority.py"),
    ("memory not locked: ", "bridge/control/priority.py"),
    ("--gamepad: cannot open ", "bridge/deploy.py"),
    ("usermod -aG input USER", "bridge/deploy.py"),
    ("--dashboard needs a terminal", "bridge/deploy.py"),
    ("stand and start cannot be requested", "bridge/options.py"),
    ("no network interface ", "bridge/transports/unitree/dds.py"),
)


@pytest.mark.parametrize(("message", "source"), MESSAGES, ids=[message[:40] for message, _ in MESSAGES])
def test_a_message_stands_in_the_docs_as_it_is_printed(message: str, source: str) -> None:
    assert message in SECTION
    assert message in (ROOT / source).read_text(encoding="utf-8")


def test_the_priority_in_the_docs_is_the_one_that_is_asked_for() -> None:
    from bridge.control.priority import FIFO_PRIORITY, NICENESS

    assert set(re.findall(r"(?:SCHED_FIFO |rtprio[ =]|RTPRIO=)(\d+)", SECTION)) == {str(FIFO_PRIORITY)}
    assert f"niceness {NICENESS}; " in SECTION


def test_colcons_line_has_every_package_of_the_robots_side() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=!~]", line)[0] for line in project["dependencies"]}
    lines = re.findall(r"`pip install ([A-Za-z ]+)`", (ROOT / "docs" / "install.md").read_text(encoding="utf-8"))
    assert [set(line.split()) for line in lines if "numpy" in line] == [needed, needed]
    extras = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "install.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert extras == set(project["optional-dependencies"])
