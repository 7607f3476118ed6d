"""The loop holds absolute deadlines, counts what it misses, and damps on any exception until it is stopped."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from bridge.control.controller import Controller
from bridge.control.loop import FAREWELL_TICKS, ControlLoop
from bridge.control.safety import Event, Mode
from policies.contract.file import PolicyFile
from tests.bridge_helpers import MS, FakeTransport
from tests.make_policy import make_policy


@pytest.fixture
def loop(tmp_path: Path) -> ControlLoop:
    controller = Controller(PolicyFile(make_policy(tmp_path / "stand.onnx", kind="stand")))
    controller.arm()
    return ControlLoop(controller, FakeTransport(controller.spec))


def wire(loop: ControlLoop) -> FakeTransport:
    assert isinstance(loop.transport, FakeTransport)
    return loop.transport


def test_jitter_and_work_do_not_add_up_to_drift(loop: ControlLoop) -> None:
    transport = wire(loop)
    transport.wakes_late_ns = [(7 * tick % 5) * MS for tick in range(500)]
    transport.work_ns = [(3 * tick % 12) * MS for tick in range(500)]
    begin = transport.now
    loop.run(duration_s=10.0)
    assert loop.timing.ticks == 500
    assert loop.timing.missed == 0
    due = [begin + (tick + 1) * 20 * MS for tick in range(500)]
    assert all(0 <= woken - deadline <= 4 * MS for woken, deadline in zip(transport.woken, due, strict=False))
    assert loop.timing.summary()["late_max_ms"] == pytest.approx(4.0)


def test_a_stall_is_one_late_tick_and_missed_deadlines(loop: ControlLoop) -> None:
    transport = wire(loop)
    transport.wakes_late_ns = [0, 0, 95 * MS]
    begin = transport.now
    loop.run(duration_s=0.4)
    assert loop.timing.missed == 4
    assert loop.timing.ticks == 20 - 4
    assert [(woken - begin) // MS for woken in transport.woken[:5]] == [20, 40, 155, 160, 180]


@pytest.mark.parametrize("stall", ["sleep", "work"])
def test_a_stall_damps(loop: ControlLoop, stall: str) -> None:
    loop.controller.auto_start()
    loop.run(duration_s=2.5)
    transport = wire(loop)
    transport.requests = [Event.STAND]
    deadline = loop.tick(transport.now)
    assert loop.controller.mode is Mode.STAND
    if stall == "sleep":
        transport.now = deadline + 45 * MS
        loop.tick(deadline)
    else:
        transport.work_ns = [70 * MS]
        transport.wait_until(deadline)
        deadline = loop.tick(deadline)
        loop.tick(deadline)
    assert loop.controller.mode is Mode.DAMPING
    assert not transport.written[-1].drives


def test_slow_ticks_in_a_row_damp(loop: ControlLoop) -> None:
    transport = wire(loop)
    loop.controller.auto_start()
    deadline = transport.now
    for _ in range(5):
        transport.wait_until(deadline)
        deadline = loop.tick(deadline)
    assert loop.controller.mode is Mode.STAND
    transport.work_ns = [25 * MS] * 20
    for _ in range(10):
        transport.wait_until(deadline)
        deadline = loop.tick(deadline)
    assert loop.controller.mode is Mode.DAMPING
    assert loop.timing.overruns >= 4


@pytest.mark.parametrize("where", ["read", "observe", "write", "wait"])
def test_an_exception_damps_until_stopped(loop: ControlLoop, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    transport = wire(loop)
    loop.controller.auto_start()

    def fail(*arguments: object) -> None:
        raise RuntimeError("injected")

    def after(ticks: int) -> None:
        if loop.timing.ticks == ticks:
            if where == "observe":
                monkeypatch.setattr(loop.controller.policy, "observe", fail)
            elif where == "read":
                transport.raises = [RuntimeError("injected")]
            elif where == "write":
                transport.work_ns = []
                broken = iter([True])
                write = transport.write
                monkeypatch.setattr(transport, "write", lambda command: fail() if next(broken, False) else write(command))
            else:
                raise RuntimeError("injected")

    transport.on_wait = lambda: after(150)
    with pytest.raises(RuntimeError, match="injected"):
        loop.run(duration_s=4.0)
    assert loop.controller.mode is Mode.FAULT
    assert any(command.drives for command in transport.written[:149])
    assert len(transport.written) > 190
    assert not any(command.drives for command in transport.written[151:])
    assert all((command.kd > 0).all() for command in transport.written[151:])


def test_the_way_out_is_damping_and_gc_is_back(loop: ControlLoop) -> None:
    transport = wire(loop)
    loop.controller.auto_start()
    transport.on_wait = lambda: loop.stop() if loop.timing.ticks == 130 else None
    loop.run()
    assert loop.controller.mode is Mode.DAMPING
    assert transport.written[129].drives
    assert len(transport.written) == 130 + FAREWELL_TICKS
    assert not any(command.drives for command in transport.written[130:])
    assert gc.isenabled()
