"""The limits that every command passes last of all, each by itself: whatever is asked for, what is sent stays inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.control.command import JointCommand, Limiter
from bridge.control.joints import FloatArray
from bridge.control.reading import Reading
from bridge.control.safety import JointVectors, SafetyLimits
from tests.make_policy import go1_spec

SPEC = go1_spec()
JOINTS, LIMITS = JointVectors.of(SPEC), SafetyLimits.of(SPEC)
COUNT = len(JOINTS.names)
ANY = st.floats(-1e3, 1e3, allow_nan=False)


def reading(position: FloatArray, velocity: FloatArray) -> Reading:
    return Reading(position, velocity, np.zeros(COUNT), np.array([1.0, 0, 0, 0]), np.zeros(3), (1,), 1)


def command(position: FloatArray, kp: float = 1.0, kd: float = 1.0) -> JointCommand:
    zero = np.zeros(COUNT)
    return JointCommand(position, zero, zero, kp * JOINTS.kp, kd * JOINTS.kd)


def torque(sent: JointCommand, at: Reading) -> FloatArray:
    return sent.kp * (sent.position - at.position) + sent.kd * (sent.velocity - at.velocity) + sent.effort


@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=8), st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_targets_torques_and_gains_stay_inside(steps: list[tuple[float, float, float]], kp: float, kd: float) -> None:
    limiter = Limiter(JOINTS, LIMITS, SPEC.control_dt)
    before = None
    for target, position, velocity in steps:
        at = reading(JOINTS.default_pose + 0.01 * position, np.full(COUNT, velocity))
        sent = limiter(command(np.full(COUNT, target), kp, kd), at)
        assert (np.abs(torque(sent, at)) <= JOINTS.effort * (1 + 1e-9)).all()
        assert ((sent.kp >= 0) & (sent.kp <= JOINTS.kp)).all()
        assert ((sent.kd >= 0) & (sent.kd <= JOINTS.kd)).all()
        if sent.drives:
            assert ((sent.position >= limiter.lower) & (sent.position <= limiter.upper)).all()
            kept = limiter.newest_target
            assert kept is not None
            assert ((kept >= limiter.lower) & (kept <= limiter.upper)).all()
            assert before is None or (np.abs(kept - before) <= limiter.step + 1e-12).all()
        before = limiter.newest_target


def test_a_target_beyond_the_range_is_clipped_to_its_margin() -> None:
    limiter = Limiter(JOINTS, LIMITS, SPEC.control_dt)
    for _ in range(200):
        at = reading(limiter.upper.copy(), np.zeros(COUNT))
        sent = limiter(command(JOINTS.upper + 1.0), at)
    np.testing.assert_array_equal(sent.position, limiter.upper)
    assert (limiter.upper < JOINTS.upper).all()


def test_a_joint_outside_its_range_is_not_driven_further_out() -> None:
    """The torque limit asks for a target near the measured position; the range has the last word."""
    limiter = Limiter(JOINTS, LIMITS, SPEC.control_dt)
    at = reading(JOINTS.upper + 2.0, np.zeros(COUNT))
    sent = limiter(command(JOINTS.upper.copy()), at)
    assert (sent.position <= limiter.upper).all()
    assert (torque(sent, at) <= 0).all()
    assert (np.abs(torque(sent, at)) <= JOINTS.effort * (1 + 1e-9)).all()


@pytest.mark.parametrize("speed", [1.0, 30.0, 1e3])
def test_gains_give_way_where_no_target_keeps_the_torque(speed: float) -> None:
    limiter = Limiter(JOINTS, LIMITS, SPEC.control_dt)
    at = reading(limiter.upper.copy(), np.full(COUNT, -speed))  # the damper alone pulls outward
    sent = limiter(command(limiter.upper.copy()), at)
    assert (np.abs(torque(sent, at)) <= JOINTS.effort * (1 + 1e-9)).all()
    if speed > 100:
        assert (sent.kd < 0.5 * JOINTS.kd).all()


@pytest.mark.parametrize("field", ["position", "velocity", "effort", "kp", "kd"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_becomes_damping(field: str, value: float) -> None:
    limiter = Limiter(JOINTS, LIMITS, SPEC.control_dt)
    asked = command(JOINTS.default_pose.copy())
    getattr(asked, field)[3] = value
    sent = limiter(asked, reading(JOINTS.default_pose, np.zeros(COUNT)))
    assert not sent.drives
    np.testing.assert_array_equal(sent.kd, JOINTS.kd)


def test_without_a_measurement_nothing_is_driven() -> None:
    limiter = Limiter(JOINTS, LIMITS, SPEC.control_dt)
    asked = command(JOINTS.default_pose.copy())
    assert not limiter(asked, None).drives
    assert not limiter(asked, reading(np.full(COUNT, np.nan), np.zeros(COUNT))).drives
