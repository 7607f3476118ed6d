"""What the policy node says on `/diagnostics`: state and problems, timing, sensors, the limits that acted, temperatures where known."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from numpy.typing import NDArray

from bridge.control.command import LIMIT_NAMES
from bridge.control.safety import Mode
from bridge.operator.notices import HOT_C
from bridge.transports.ros2.newest import NewestFilter


class LimitCounter:
    """How often each of the limiter's limits has acted, and on which joints in the newest tick.

    Attributes:
        ticks: by limit, the ticks in which it acted on any joint.
    """

    def __init__(self, joint_names: Sequence[str]) -> None:
        """Count for a robot with these joints."""
        self._names = tuple(joint_names)
        self._acted: NDArray[np.uint8] | None = None
        self.ticks = dict.fromkeys(LIMIT_NAMES.values(), 0)

    def add(self, acted: NDArray[np.uint8]) -> None:
        """Take the limiter's bits of one tick, (J,)."""
        self._acted = acted
        if acted.any():
            for bit, name in LIMIT_NAMES.items():
                self.ticks[name] += bool((acted & bit).any())

    def pairs(self) -> dict[str, str]:
        """For diagnostics."""
        now = [] if self._acted is None else [self._names[i] for i in np.flatnonzero(self._acted)]
        return {f"{name} ticks": str(count) for name, count in self.ticks.items()} | {"now on": ", ".join(now) or "no joint"}


def _status(name: str, level: Any, message: str, values: Mapping[str, str]) -> Any:
    return DiagnosticStatus(level=level, name=name, message=message, values=[KeyValue(key=k, value=v) for k, v in values.items()])


def _state(name: str, status: Mapping[str, Any], lifecycle: str) -> Any:
    mode, problems = str(status["mode"]), status["problems"]
    level = DiagnosticStatus.ERROR if mode == Mode.FAULT else DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
    values = {"lifecycle": lifecycle, **{key: str(status[key]) for key in ("ticks", "missed", "overruns")}}
    values |= {"why": why(status)} | ({"dry run": "nothing is sent to the robot"} if status.get("dry_run") else {})
    remarks = status.get("remarks", ())
    said = [line for line in status.get("recent", ()) if not any(remark in line for remark in remarks)]  # which lasts, and is there anyway
    for key, texts in (("problem", problems), ("remark", remarks), ("said", said)):
        values |= {f"{key} {index}": text for index, text in enumerate(texts)}
    return _status(name, level, mode, values)


def why(status: Mapping[str, Any]) -> str:
    """What the robot waits for, or else what brought it into its state; empty if neither is known."""
    waits = status.get("waits")
    return f"waits to {waits}" if waits else str(status.get("cause", ""))


def _timing(name: str, status: Mapping[str, Any]) -> Any:
    summary = status["timing"].summary()
    late = summary.get("late_p99_ms")
    said = "no tick yet" if late is None else f"late {summary['late_p50_ms']:.2f} ms at the median, {late:.2f} ms at the 99th percentile"
    level = DiagnosticStatus.WARN if summary["overruns"] else DiagnosticStatus.OK
    return _status(name, level, said, {key: f"{value:.4g}" for key, value in summary.items()})


def _sensors(name: str, filters: Mapping[str, NewestFilter], odd: Sequence[str], clock: str | None) -> Any:
    values: dict[str, str] = {}
    for topic, counts in filters.items():
        for key in ("received", "reordered", "repeated", "backward"):
            values[f"{topic} {key}"] = str(getattr(counts, key))
    said = [*([] if clock is None else [clock]), *odd]
    values |= {f"wire {index}": line for index, line in enumerate(odd)}
    return _status(name, DiagnosticStatus.WARN if said else DiagnosticStatus.OK, "; ".join(said) or "as expected", values)


def _temperatures(name: str, celsius: Mapping[str, float]) -> Any:
    hottest = max(celsius, key=lambda part: celsius[part] if celsius[part] == celsius[part] else -1.0)  # a NaN hides no other
    level = DiagnosticStatus.WARN if celsius[hottest] >= HOT_C else DiagnosticStatus.OK
    return _status(name, level, f"{hottest} {celsius[hottest]:.0f} C", {part: f"{value:.1f}" for part, value in celsius.items()})


def diagnosis(
    node: str,
    task: str,
    status: Mapping[str, Any],
    *,
    lifecycle: str,
    filters: Mapping[str, NewestFilter],
    odd: Sequence[str],
    clock: str | None,
    limits: LimitCounter,
) -> Any:
    """A DiagnosticArray without stamp.

    Args:
        node: full name of the node.
        task: the policy's task.
        status: `ControlLoop.status()`; `temperature_c`, a mapping from part to [C], is shown where it is there.
        lifecycle: label of the lifecycle state.
        filters: by topic, what was received and dropped.
        odd: what does not fit on the topics now.
        clock: what is wrong with `/clock`; None for nothing.
        limits: what the limiter did.
    """
    said = [
        _state(f"{node}: {task}", status, lifecycle),
        _timing(f"{node}: timing", status),
        _sensors(f"{node}: sensors", filters, odd, clock),
        _status(f"{node}: limits", DiagnosticStatus.OK, f"{sum(limits.ticks.values())} limited ticks", limits.pairs()),
    ]
    celsius = status.get("temperature_c")
    return DiagnosticArray(status=[*said, *([_temperatures(f"{node}: temperature", celsius)] if celsius else [])])
