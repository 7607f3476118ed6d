"""Motor temperatures where the wire knows them: in the status, on the diagnostics, in a dry run's lines; nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.joints import FloatArray
from bridge.control.loop import ControlLoop
from bridge.control.timing import Timing
from bridge.operator.attended import Attended
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from tests.bridge_helpers import FakeTransport
from tests.make_policy import make_policy


class Warm(FakeTransport):
    """A wire with thermometers, as `bridge.transports.unitree.transport.UnitreeTransport` is one."""

    def __init__(self, spec: PolicySpec) -> None:
        super().__init__(spec)
        self.temperature: FloatArray | None = None
        self.told: list[Mapping[str, Any]] = []

    def report(self, status: Mapping[str, Any]) -> None:
        self.told.append(status)


@pytest.fixture
def policy(tmp_path: Path) -> PolicyFile:
    return PolicyFile(make_policy(tmp_path / "linear.onnx"))


def looped(policy: PolicyFile, wire: FakeTransport, dry_run: bool = False) -> tuple[ControlLoop, Attended]:
    controller = Controller(policy, shadow=dry_run)
    controller.arm()
    attended = Attended(wire, [], None, dry_run)  # type: ignore[arg-type]
    loop = attended.loop = ControlLoop(controller, attended)
    return loop, attended


def tick(loop: ControlLoop, wire: FakeTransport) -> None:
    deadline = wire.now + loop.period_ns
    loop.transport.wait_until(deadline)
    loop.tick(deadline)


def test_the_status_has_each_joints_temperature_once_it_is_known(policy: PolicyFile) -> None:
    wire = Warm(policy.spec)
    loop, _ = looped(policy, wire)
    tick(loop, wire)
    wire.temperature = np.arange(12.0) + 30.0
    tick(loop, wire)
    assert "temperature_c" not in wire.told[0]
    names = policy.spec.robot.joint_names
    assert wire.told[1]["temperature_c"] == {name: 30.0 + joint for joint, name in enumerate(names)}
    assert {"mode", "problems", "ticks"} <= set(wire.told[1])


def test_a_wire_without_thermometers_tells_none(policy: PolicyFile) -> None:
    told: list[Mapping[str, Any]] = []
    wire = FakeTransport(policy.spec)
    wire.report = told.append  # type: ignore[method-assign]
    loop, _ = looped(policy, wire)
    tick(loop, wire)
    assert "temperature_c" not in told[0]


def test_a_dry_run_names_the_hottest_motor(policy: PolicyFile) -> None:
    wire = Warm(policy.spec)
    loop, attended = looped(policy, wire, dry_run=True)
    lines: list[str] = []
    attended.tell = lines.append
    wire.temperature = np.full(12, 40.0)
    wire.temperature[7] = 63.4
    for _ in range(60):  # it says something once a second
        tick(loop, wire)
    assert lines
    assert all(f"hottest motor {policy.spec.robot.joint_names[7]}, 63 C" in line for line in lines)
    assert not wire.written


def test_diagnostics_show_them_and_warn_of_hot_ones() -> None:
    pytest.importorskip("diagnostic_msgs")
    from diagnostic_msgs.msg import DiagnosticStatus

    from bridge.transports.ros2.diagnostics import HOT_C, LimitCounter, diagnosis

    def shown(**extra: Any) -> dict[str, Any]:
        status = {"mode": "damping", "problems": [], "ticks": 1, "missed": 0, "overruns": 0, "timing": Timing(), **extra}
        said = diagnosis("/policy", "walk", status, lifecycle="active", filters={}, odd=(), clock=None, limits=LimitCounter(("a", "b")))
        return {part.name.partition(": ")[2]: part for part in said.status}

    assert "temperature" not in shown()
    assert "temperature" not in shown(temperature_c={})
    part = shown(temperature_c={"a": 41.0, "b": HOT_C - 1})["temperature"]
    assert (part.level, part.message) == (DiagnosticStatus.OK, "b 79 C")
    assert {pair.key: pair.value for pair in part.values} == {"a": "41.0", "b": "79.0"}
    assert shown(temperature_c={"a": 41.0, "b": HOT_C})["temperature"].level == DiagnosticStatus.WARN
