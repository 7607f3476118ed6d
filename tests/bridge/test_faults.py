"""A walking and a standing Go1 under random faults: those above a threshold damp within 100 ms, those below change nothing."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("mujoco")

from benchmarks.fault_cases import Case
from benchmarks.faults import LIMIT_MS, Outcome, Stage, campaign
from bridge.control.guards import ACTION_GUARDS, EXCEPTION, INPUT_GUARDS
from bridge.control.reading import Inputs
from bridge.control.safety import Event, Mode
from bridge.faults.injection import FaultyTransport, InjectedError
from bridge.faults.kinds import Fault, FaultError, FaultKind
from tests.bridge_helpers import MS, FakeTransport
from tests.make_policy import go1_spec

K = FaultKind


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(moments=20)


def told(outcomes: list[Outcome]) -> str:
    return "\n".join(f"{outcome.case} -> {outcome.guard or 'nothing'} after {outcome.time_ms:.0f} ms" for outcome in outcomes)


def test_one_fault_of_each_kind(stage: Stage) -> None:
    outcomes = campaign(stage, 22, seed=3)
    assert all(outcome.good for outcome in outcomes), told([outcome for outcome in outcomes if not outcome.good])


@pytest.mark.slow  # `robolearn bench faults` runs a thousand
def test_a_campaign_of_faults(stage: Stage) -> None:
    outcomes = campaign(stage, 150, seed=1)
    bad = [outcome for outcome in outcomes if not outcome.good]
    assert not bad, told(bad)
    tripped = Counter(outcome.guard for outcome in outcomes if outcome.case.trips)
    guards = {guard.name for guard in (*INPUT_GUARDS, *ACTION_GUARDS, EXCEPTION)} | {"motor_limit"}
    assert guards - {"sensor_jump"} <= set(tripped) <= guards  # a jump is one of a hundred: a contradiction mostly speaks first
    assert max(outcome.time_ms for outcome in outcomes if outcome.case.trips) <= LIMIT_MS


@pytest.mark.parametrize("joint", [1, 2])  # thigh and calf
@pytest.mark.parametrize("size", [-100.0, 100.0])
def test_a_jumping_action_trips_whatever_the_joint(stage: Stage, joint: int, size: float) -> None:
    fault = Fault(kind=K.ACTION_JUMP, size=size, index=joint)
    outcome = stage.run(Case(fault=fault, mode=Mode.POLICY, trips=True, threshold_s=0.0, moment=3), seed=0)
    assert outcome.guard == "jumping_action"


@pytest.mark.parametrize("mode", [Mode.STAND, Mode.POLICY])
def test_a_growing_delay_trips_before_the_data_are_old(stage: Stage, mode: Mode) -> None:
    fault = Fault(kind=K.LAG, size=0.2, duration_s=1.0)  # after 1 s, the robot is driven on what it was 200 ms ago
    outcome = stage.run(Case(fault=fault, mode=mode, trips=True, threshold_s=0.6, moment=3), seed=0)
    assert outcome.guard


def test_a_snapshot_brings_the_same_walk_back(stage: Stage) -> None:
    fault = Fault(kind=K.LOSS, size=1.0, duration_s=0.2)
    case = Case(fault=fault, mode=Mode.POLICY, trips=True, threshold_s=0.06, moment=7)

    def pose() -> list[float]:
        stage.run(case, seed=5)
        return [*stage._robot.sample().position, *stage._robot.truth()[0]]

    first = pose()
    stage.run(dataclasses.replace(case, fault=Fault(kind=K.TILT, size=2.0)), seed=6)
    assert pose() == first


def transport(*faults: Fault, seed: int = 0) -> tuple[FaultyTransport, FakeTransport]:
    wire = FakeTransport(go1_spec())
    return FaultyTransport(wire, wire.spec, faults, seed=seed), wire


def ticks(faulty: FaultyTransport, count: int) -> list[Inputs]:
    inputs = []
    for _ in range(count):
        faulty.wait_until(faulty.now_ns() + 20 * MS)
        inputs.append(faulty.read())
    return inputs


def test_without_a_fault_nothing_changes() -> None:
    faulty, wire = transport()
    for _ in range(10):
        (inputs,) = ticks(faulty, 1)
        expected = wire.read()
        assert inputs.reading is not None
        assert expected.reading is not None
        assert inputs.reading.received_ns == expected.reading.received_ns == wire.now
        assert inputs.reading.stamps_ns == expected.reading.stamps_ns
        np.testing.assert_array_equal(inputs.reading.position, expected.reading.position)
        assert (inputs.command_ns, inputs.requests, inputs.wire_fault, inputs.rivals) == (wire.now, (), None, 0)


def test_messages_are_lost_at_the_asked_rate_and_the_same_with_the_same_seed() -> None:
    def ages(seed: int) -> list[int]:
        faulty, _ = transport(Fault(kind=K.LOSS, size=0.3, duration_s=60.0), seed=seed)
        now_ns, found = faulty.now_ns(), []
        for inputs in ticks(faulty, 500):
            now_ns += 20 * MS
            assert inputs.reading is not None
            found.append(now_ns - inputs.reading.received_ns)
        return found

    first = ages(1)
    assert first == ages(1) != ages(2)
    assert 0.62 <= np.mean([age == 0 for age in first]) <= 0.78  # four standard deviations
    assert max(first) <= 20 * MS


def test_a_late_message_keeps_its_stamp_and_arrives_late() -> None:
    faulty, _ = transport(Fault(kind=K.DELAY, size=0.006, duration_s=1.0))
    for inputs in ticks(faulty, 5)[1:]:
        assert inputs.reading is not None
        assert inputs.reading.received_ns - inputs.reading.stamps_ns[0] + 1 == 6 * MS


def test_overtaken_messages_bring_stamps_back() -> None:
    faulty, _ = transport(Fault(kind=K.REORDER, size=0.03, duration_s=2.0))
    stamps = [inputs.reading.stamps_ns for inputs in ticks(faulty, 100) if inputs.reading is not None]
    assert any(new < old for old, new in itertools.pairwise(stamps))
    assert faulty.injections[0].onset_ns is not None


def test_requests_and_wire_faults_between_ticks_are_not_lost() -> None:
    faulty, wire = transport(Fault(kind=K.JOINT_NAMES, at_s=0.003))
    wire.requests = [Event.STAND]
    first, second = ticks(faulty, 2)
    assert first.requests == (Event.STAND,)
    assert "occur twice" in (first.wire_fault or "")
    assert second.requests == ()
    assert second.wire_fault is None


def test_errors_are_raised_once_or_as_long_as_asked() -> None:
    faulty, _ = transport(Fault(kind=K.READ_ERROR, at_s=0.03), Fault(kind=K.WAIT_ERROR, at_s=0.1, duration_s=0.05))
    raised = []
    for tick in range(12):
        try:
            ticks(faulty, 1)
        except InjectedError as error:
            raised.append((tick, str(error).split()[0]))
            if "wait" in str(error):
                faulty._wire.wait_until(faulty.now_ns() + 20 * MS)
    assert raised == [(1, "read_error"), (5, "wait_error"), (6, "wait_error"), (7, "wait_error")]


def test_a_fault_is_read_from_text() -> None:
    fault = Fault.parse("not_finite@12.5,size=nan,index=3,field=velocity,duration_s=0.1")
    assert (fault.kind, fault.at_s, fault.index, fault.field, fault.duration_s) == (K.NOT_FINITE, 12.5, 3, "velocity", 0.1)
    assert np.isnan(fault.size)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flood@1", "KIND one of loss, "),
        ("loss", "KIND@AT_S"),
        ("loss@1,sise=2", "sise"),
        ("loss@-1", "must not be negative"),
        ("not_finite@1,field=name", "known: position, velocity"),
    ],
)
def test_what_is_no_fault_is_refused(text: str, said: str) -> None:
    with pytest.raises(FaultError, match=said):
        Fault.parse(text)
    with pytest.raises(FaultError, match="message_period_s"):
        FaultyTransport(FakeTransport(go1_spec()), go1_spec(), message_period_s=0.0)
