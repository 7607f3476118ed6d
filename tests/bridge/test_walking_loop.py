"""A loop that walks for long: its memory does not grow, garbage waits for the slack, and a listener that raises ends in damping."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.loop import FAREWELL_TICKS, ControlLoop
from bridge.control.safety import Event, Mode, SafetyLimits
from policies.contract.file import PolicyFile
from tests.bridge_helpers import FakeTransport
from tests.make_policy import go1_spec, make_policy


def drive(loop: ControlLoop, ticks: int) -> None:
    """Tick on, as `run` does."""
    deadline_ns = loop.transport.now_ns()
    for _ in range(ticks):
        deadline_ns += loop.period_ns
        loop.transport.wait_until(deadline_ns)
        loop.tick(deadline_ns)


class ForgetfulTransport(FakeTransport):
    """Keeps nothing, so that what grows is the loop's; tells whether a tick is at work."""

    def __init__(self) -> None:
        super().__init__(go1_spec())
        self.at_work, self.drives = False, False

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        self.at_work = False
        self.on_wait()
        self.now = max(self.now, deadline_ns)
        self.at_work = True

    def write(self, command: JointCommand) -> None:
        self.drives = command.drives

    def report(self, status: Mapping[str, Any]) -> None:
        self.at_work = False  # the last thing that a tick owes anybody


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> PolicyFile:
    return PolicyFile(make_policy(tmp_path_factory.mktemp("policy") / "linear.onnx", golden_steps=4))


@pytest.fixture
def walking(policy: PolicyFile) -> ControlLoop:
    controller = Controller(policy.fork(), SafetyLimits.of(policy.spec))
    controller.arm()
    controller.auto_start()
    loop = ControlLoop(controller, ForgetfulTransport())
    drive(loop, 300)
    assert controller.mode is Mode.POLICY
    return loop


@contextmanager
def no_automatic_gc() -> Iterator[None]:
    """As in `ControlLoop.run`."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_two_thousand_ticks_leave_nothing_behind(walking: ControlLoop) -> None:
    with no_automatic_gc():
        drive(walking, 200)
        before = sys.getallocatedblocks()
        drive(walking, 1000)
        middle = sys.getallocatedblocks()
        drive(walking, 1000)
        after = sys.getallocatedblocks()
    assert abs(middle - before) <= 50  # a twentieth of a block a tick
    assert abs(after - middle) <= 50
    assert walking.controller.mode is Mode.POLICY


def test_memory_is_flat(walking: ControlLoop) -> None:
    tracemalloc.start()
    try:
        with no_automatic_gc():
            drive(walking, 100)
            before = tracemalloc.get_traced_memory()[0]
            drive(walking, 500)
            after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert abs(after - before) <= 8192


def test_no_garbage_is_collected_while_a_tick_is_at_work(walking: ControlLoop) -> None:
    transport = walking.transport
    assert isinstance(transport, ForgetfulTransport)
    seen: list[bool] = []

    def watch(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(transport.at_work)

    collections = 0
    gc.callbacks.append(watch)
    try:
        transport.on_wait = lambda: seen.clear() if walking.timing.ticks == 301 else None  # what `run` does before it begins is no matter
        walking.run(duration_s=20.0)
        collections = len(seen)
    finally:
        gc.callbacks.remove(watch)
    assert collections >= 10
    assert not any(seen)


@pytest.mark.parametrize("event", ["refused", "transition", "exception"])
def test_a_listener_that_raises_ends_in_damping_on_the_wire(walking: ControlLoop, event: str) -> None:
    """A lost terminal, a full disk: printing or writing an event raises."""
    controller, transport = walking.controller, FakeTransport(go1_spec())
    walking.transport = transport
    transport.now = controller._snapshot.now_ns

    def listen(said: Mapping[str, Any]) -> None:
        if said["event"] == event or event == "refused":
            raise OSError(5, "Input/output error")

    controller.on_event = listen
    transport.requests = [Event.STAND if event == "refused" else Event.STOP]
    if event == "exception":
        transport.raises = [RuntimeError("wire")]
    with pytest.raises((OSError, RuntimeError)):  # the failure is told in the end
        walking.run(duration_s=0.5)
    assert len(transport.written) >= 20 + FAREWELL_TICKS  # until it is stopped
    assert not any(command.drives for command in transport.written)
    assert all((command.kd > 0).all() for command in transport.written)
