"""The simulated robots on a wire keep a real one's order of things: what is published has happened, what is commanded comes after."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from bridge.simulated import robot as simulated_robot
from bridge.simulated.robot import pace


class Counted:
    """Counts commands instead of obeying them; both the robot and its face."""

    simulated_time = False
    watchdog_trips = clock_ns = 0

    def __init__(self) -> None:
        self.robot = self
        self.commanded = self.acted = self.steps = 0
        self.published: list[tuple[int, int, int]] = []

    def spin_until(self, deadline_ns: int) -> None:
        self.commanded += 1

    def step(self) -> None:
        self.acted, self.steps = self.commanded, self.steps + 1

    def publish(self) -> None:
        self.published.append((self.commanded, self.acted, self.steps))


def test_no_state_holds_a_command_of_its_own_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """It did, by up to a step: a robot that answers before it is told was identified as one without delay and with less inertia."""
    now = [0]
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(simulated_robot.time, "monotonic_ns", lambda: now[0])
    node: Any = Counted()
    taken = node.spin_until

    def spin_until(deadline_ns: int) -> None:
        now[0] = deadline_ns + (3_000_000 if len(node.published) == 5 else 0)  # once it comes a step and a half late
        taken(deadline_ns)

    node.spin_until = spin_until
    pace(node, 2_000_000, 0.05)
    assert len(node.published) == 24
    assert all(acted < commanded or index == 5 for index, (commanded, acted, _) in enumerate(node.published))
    assert node.steps == 25  # as many as time has passed, less what a stall is made up for at once
