"""The operator's screen: state, guards, rates, tracking and temperatures in a terminal, drawn by a separate process.

    ... | python -m bridge.operator.dashboard        reads one JSON object per line

Drawing takes milliseconds of Python, which the control loop does not have; so the loop writes a line into a pipe five times per second and
drops it if the pipe is full.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bridge.control.command import LIMIT_NAMES
from bridge.control.consistency import up_b
from bridge.control.joints import FloatArray
from bridge.control.loop import ControlLoop
from bridge.control.priority import normal_priority
from bridge.operator.controls import KEY_HELP

PERIOD_NS = 200_000_000
EVENTS_SHOWN, MOST_PROBLEMS = 5, 3
COLORS = {"zero_torque": "dim", "damping": "yellow", "stand": "cyan", "policy": "green", "fault": "bold white on red"}


def snapshot(loop: ControlLoop, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the screen for a loop; plain JSON values.

    Args:
        loop: the running loop.
        extra: `name` of the policy, `dry_run`, `log`, and, if known, `temperature` (J,) [deg C] and `rivals`.
    """
    controller, timing = loop.controller, loop.timing.summary()
    inputs = controller.inputs
    reading = inputs.reading
    shown: dict[str, Any] = {
        "mode": str(controller.mode),
        "cause": controller.cause,
        "waits": controller.waiting,
        "problems": [f"{problem.guard.name}: {problem.text}" for problem in controller.problems],
        "remarks": controller.remarks,
        "rate_hz": 1e9 / loop.period_ns,
        "timing": timing,
        "command": None if inputs.command is None else inputs.command.tolist(),
        "labels": list(controller.spec.command.labels),
        "joints": list(controller.spec.robot.joint_names),
        "acted": {str(joint): int(bits) for joint, bits in enumerate(controller.limiter.acted) if bits},
        **extra,
    }
    if reading is not None:
        error = np.abs(controller.asked.position - reading.position) if controller.asked.drives else np.zeros_like(reading.position)
        effort = np.abs(reading.effort) / controller.joints.effort
        shown |= {
            "age_ms": (controller.now_ns - reading.received_ns) * 1e-6,
            "error": error.tolist(),
            "effort": np.nan_to_num(effort).tolist(),
            "attitude": None if reading.imu_quat_wxyz is None else lean(reading.imu_quat_wxyz),
            "yaw_rate": None if reading.imu_angular_velocity_b is None else float(reading.imu_angular_velocity_b[2]),
        }
    return shown


def lean(quat_wxyz: FloatArray) -> tuple[float, float]:
    """How far a base's nose and left side are up, in degrees, for an attitude (4,), for checking by tilting the robot by hand."""
    up = up_b(quat_wxyz)
    return tuple(float(np.degrees(np.arcsin(np.clip(value, -1.0, 1.0)))) for value in up[:2])  # pyright: ignore[reportReturnType]


class Screen:
    """The drawing process, and the pipe to it."""

    def __init__(self) -> None:
        """Start it; it draws on this process's standard output."""
        command = [sys.executable, "-m", "bridge.operator.dashboard"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, preexec_fn=normal_priority)
        assert self._child.stdin is not None
        self._pipe = self._child.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._shown_ns = 0

    def due(self, now_ns: int) -> bool:
        """Whether it is time to show something."""
        return now_ns - self._shown_ns >= PERIOD_NS

    def show(self, now_ns: int, status: Mapping[str, Any]) -> None:
        """Pass the content; without effect if the process is gone or busy."""
        self._shown_ns = now_ns
        line = json.dumps(status, default=float).encode() + b"\n"
        with contextlib.suppress(OSError):
            os.write(self._pipe, line)  # a line longer than PIPE_BUF may be torn; the reader skips it

    def close(self) -> None:
        """End the process and restore the terminal."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        try:
            self._child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def render(status: Mapping[str, Any], events: Iterable[str]) -> Any:
    """The screen of a status, for `rich`."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    mode = str(status["mode"])
    title = Text.assemble((f" {mode.upper()} ", COLORS.get(mode, "bold")), "  ", str(status.get("name", "")))
    if "time_s" in status:
        title.append(f"   t = {status['time_s']:.1f} s", "dim")
    if status.get("dry_run"):
        title.append("  DRY RUN: nothing is sent", "bold magenta")
    cause = f"since: {status['cause']}" if status.get("cause") else ""
    why = Text(cause, "red" if mode == "fault" else "dim", overflow="ellipsis", no_wrap=True)
    if mode == "fault":
        why.append("   r resets", "bold")
    if status.get("waits"):
        why.append(f"   waits to {status['waits']}", "yellow")
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(status):
        facts.add_row(Text(name, "dim"), value)
    problems = list(status["problems"]) or ["no guard has tripped"]
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"and {len(problems) - MOST_PROBLEMS} more"]
    guards = Text("\n".join(problems), "red" if status["problems"] else "green")
    guards.no_wrap, guards.overflow = True, "ellipsis"
    told = Text("\n".join(events) or "nothing yet", no_wrap=True, overflow="ellipsis")
    body = [
        title,
        Text(str(status.get("keys", KEY_HELP)), "bold"),
        why,
        facts,
        Panel(guards, title="guards", title_align="left"),
        Panel(told, title="events", title_align="left"),
    ]
    if any(status.get("error") or []):
        body.insert(-1, _joints(status))
    return Group(*body)


def _facts(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    timing = status["timing"]
    late = f"late p50 {timing.get('late_p50_ms', 0):.2f}, p99 {timing.get('late_p99_ms', 0):.2f} ms"
    measured = f"{late}, inference {timing.get('inference_p50_ms', 0):.2f} ms, missed {timing['missed']:.0f}"
    rows = [("loop", f"{status['rate_hz']:.0f} Hz, " + ("in simulated time" if status.get("simulated") else measured))]
    if "age_ms" in status:
        rows.append(("sensors", f"{status['age_ms']:.1f} ms old"))
    command = status["command"]
    said = "none" if command is None else ", ".join(f"{label} {value:+.2f}" for label, value in zip(status["labels"], command, strict=True))
    if command is not None and status.get("yaw_rate") is not None:
        said += f"   (turning at {status['yaw_rate']:+.2f} rad/s)"
    rows.append(("command", said))
    if status.get("attitude") is not None:
        rows.append(("attitude", "nose {:+.0f}, left side {:+.0f} degrees, up".format(*status["attitude"])))
    if status.get("operator"):
        rows.append(("operator", str(status["operator"])))
    rows += [("remark", text) for text in status.get("remarks", ())]
    if status.get("log"):
        rows.append(("log", str(status["log"])))
    return rows


def _joints(status: Mapping[str, Any]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="joints: the three furthest from their targets", title_justify="left", title_style="dim", box=None)
    warm = ("temperature",) if status.get("temperature") is not None else ()
    for column in ("joint", "error [rad]", "torque", *warm, "limits that acted"):
        table.add_column(Text(column))
    errors = status.get("error") or []
    temperature = status.get("temperature")
    for joint in sorted(range(len(errors)), key=lambda joint: -errors[joint])[:3]:
        bits = int(status["acted"].get(str(joint), 0))
        degrees = () if temperature is None else (f"{temperature[joint]:.0f} C",)
        acted = ", ".join(name for bit, name in LIMIT_NAMES.items() if bits & bit)
        table.add_row(status["joints"][joint], f"{errors[joint]:.3f}", f"{100 * status['effort'][joint]:.0f} %", *degrees, acted)
    return table


def main() -> int:
    """Draw the content from standard input until it ends."""
    from rich.live import Live

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that the terminal lacks must not end the screen
    events: deque[str] = deque(maxlen=EVENTS_SHOWN)
    with Live(auto_refresh=False, screen=True) as live:
        for line in sys.stdin:
            try:
                status = json.loads(line)
            except ValueError:
                continue  # torn by a full pipe
            events.extend(status.get("events", ()))
            live.update(render(status, events), refresh=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
