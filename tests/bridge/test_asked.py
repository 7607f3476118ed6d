"""What an operator asks, by the policy's kind of command: what is none is told, and what is one reaches the policy as training knew it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.control import asked
from bridge.control.controller import Controller
from bridge.control.joints import JointError
from bridge.control.safety import Event, Mode, SafetyLimits
from bridge.transports.unitree.transport import UnitreeTransport
from policies.contract.file import PolicyFile
from policies.contract.spec import CommandSpec
from tests.bridge_helpers import FakeTransport
from tests.make_policy import POSE, asking, go1_spec, make_policy

POSITIONS = st.lists(st.floats(-3, 3), min_size=3, max_size=3)
QUATERNIONS = st.lists(st.floats(-3, 3), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 1e-3)


def pose(lower: float = -1.0) -> CommandSpec:
    """Of positions within a meter, and attitudes whose w is at least `lower`."""
    return CommandSpec(kind="goal_pose", labels=POSE, lower=(-1.0,) * 3 + (lower,) + (-1.0,) * 3, upper=(1.0,) * 7, ages=False)


def rotation(quat_wxyz: np.ndarray) -> np.ndarray:
    """The matrix of a quaternion of any length, by its definition: v -> q v q*."""
    w, v = quat_wxyz[0], quat_wxyz[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return ((w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross) / (w * w + v @ v)


@given(POSITIONS, QUATERNIONS, st.sampled_from([-1.0, 0.0]))
def test_the_policy_is_told_the_same_attitude_at_unit_length(position: list[float], quat: list[float], lower: float) -> None:
    """Training that knew w >= 0 alone covers every attitude too: of q and -q one has it."""
    spec = pose(lower)
    told = asked.inside(np.array([*position, *quat]), spec)
    np.testing.assert_allclose(rotation(told[3:]), rotation(np.array(quat)), atol=1e-6)
    assert np.linalg.norm(told[3:]) == pytest.approx(1.0)
    assert told[3] >= lower
    np.testing.assert_allclose(told[:3], np.clip(position, -1, 1))
    np.testing.assert_allclose(asked.inside(told, spec), told, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "labels", "command", "said"),
    [
        ("goal_pose", POSE, [0, 0, 0, 0, 0, 0, 0], r"quaternion \[0.0, 0.0, 0.0, 0.0\] .* not an attitude; the identity is \[1, 0, 0, 0\]"),
        ("goal_pose", POSE, [0, 0, 0, 1, 0, 0], r"has 6 numbers; the policy takes 7 \(x, y, z, qw, qx, qy, qz\)"),
        ("motion", ("phase", "height"), [1], r"has 1 numbers; the policy takes 2 \(phase, height\)"),
        ("motion", ("phase",), [np.nan], r"is not finite: \[nan\]"),
        ("goal_pose", POSE, [0, np.inf, 0, 1, 0, 0, 0], "is not finite"),
    ],
)
def test_what_is_no_command_ends_the_policy(kind: str, labels: tuple[str, ...], command: list[float], said: str, tmp_path: Path) -> None:
    """From whatever transport it comes, those of others included."""
    controller, wire = running(tmp_path, kind, labels, ages=False)
    good = np.array([0.1] * len(labels))
    tick(controller, wire, good)
    assert controller.mode is Mode.POLICY
    tick(controller, wire, np.array(command, float))
    assert controller.mode is Mode.DAMPING
    assert controller.cause.startswith("finite_command: operator command ")
    assert asked.fault(np.array(command, float), controller.spec.command) in controller.cause
    assert re.search(said, controller.cause)


def running(tmp_path: Path, kind: str, labels: tuple[str, ...], ages: bool) -> tuple[Controller, FakeTransport]:
    """A policy that runs."""
    spec = asking(kind, labels, ages)
    policy = PolicyFile(make_policy(tmp_path / "arm.onnx", spec, kind="stand"))
    controller = Controller(policy, SafetyLimits.of(spec, {"stand_s": 0.1, "gain_ramp_s": 0.05}))
    controller.arm()
    controller.auto_start()
    wire = FakeTransport(spec)
    for _ in range(100):
        tick(controller, wire, np.array([0.1] * len(labels)))
        if controller.mode is Mode.POLICY:
            return controller, wire
    raise AssertionError(controller.problems)


def tick(controller: Controller, wire: FakeTransport, command: np.ndarray | None, given_ns: int | None = None) -> None:
    """One step; the command was given now, or at another time."""
    deadline = wire.now_ns() + round(controller.spec.control_dt * 1e9)
    wire.wait_until(deadline)
    inputs = wire.read()
    inputs.command, inputs.command_ns = command, wire.now_ns() if given_ns is None else given_ns
    controller.tick(wire.now_ns(), inputs)


@pytest.mark.parametrize(("kind", "labels"), [("goal_pose", POSE), ("motion", ("phase", "height"))])
@pytest.mark.parametrize("ages", [False, True])
def test_a_command_ages_as_the_file_says(kind: str, labels: tuple[str, ...], ages: bool, tmp_path: Path) -> None:
    """One that ages ends the policy after 2 s and is what it was until then: zero is a halt for a velocity alone."""
    controller, wire = running(tmp_path, kind, labels, ages)
    command = asked.inside(np.array([0.5] * len(labels)), controller.spec.command)
    given = wire.now_ns()
    for _ in range(98):
        tick(controller, wire, command, given)
        assert controller.mode is Mode.POLICY
    np.testing.assert_allclose(controller.observation[-len(labels) :], command, atol=1e-6)
    for _ in range(10):
        tick(controller, wire, command, given)
    assert controller.mode is (Mode.DAMPING if ages else Mode.POLICY)
    if ages:
        assert "operator_heartbeat: no operator command for 2.0 s" in controller.cause


@pytest.mark.parametrize(("kind", "labels"), [("goal_pose", POSE), ("motion", ("phase", "height"))])
def test_nobody_starts_without_a_command(kind: str, labels: tuple[str, ...], tmp_path: Path) -> None:
    spec = asking(kind, labels)
    controller = Controller(PolicyFile(make_policy(tmp_path / "arm.onnx", spec, kind="stand")), SafetyLimits.of(spec, {"stand_s": 0.1}))
    controller.arm()
    controller.auto_start()
    wire = FakeTransport(spec)
    for _ in range(60):
        tick(controller, wire, None)
    assert controller.mode is Mode.STAND
    assert "no operator command yet" in str(controller.refusal(Event.START))


@pytest.mark.parametrize(("kind", "labels"), [("goal_pose", POSE), ("motion", ("phase", "height"))])
def test_a_unitree_remote_gives_neither_and_says_so(kind: str, labels: tuple[str, ...]) -> None:
    """Its sticks are velocities; a command that stays is taken as it is."""
    pytest.importorskip("cyclonedds")
    spec = asking(kind, labels, spec=go1_spec())
    with pytest.raises(JointError, match=f"sticks give velocities, this policy takes '{kind}': give it one"):
        UnitreeTransport(spec)
    fixed = [0.5] * len(labels)
    wire = UnitreeTransport(spec, fixed_command=fixed)
    wire._receive = lambda: None  # type: ignore[method-assign]
    assert wire.read().command.tolist() == fixed  # type: ignore[union-attr]
