"""Readings that cannot follow each other are named; good ones never are, at any rate, with noise, gaps, pushes and falls."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.consistency import Consistency, tilting_b, up_b
from bridge.control.reading import Reading
from bridge.control.safety import JointVectors, SafetyLimits
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from tests.bridge_helpers import REPOSITORY
from tests.make_policy import arm_spec, go1_spec

ROOT = REPOSITORY / "policies" / "zoo"
Change = Callable[[Reading, int], None]


def moving(spec: PolicySpec, dt: float = 0.02, seconds: float = 3.0, height: float = 0.5) -> Iterator[Reading]:
    """All joints and the base swing about their default poses at 1.5 Hz, `height` [rad] to each side."""
    joints, rate = JointVectors.of(spec), 2 * math.pi * 1.5
    for index in range(round(seconds / dt)):
        time_s = index * dt
        angle, speed = height * math.sin(rate * time_s), height * rate * math.cos(rate * time_s)
        stamp = 1_000_000_000 + round(time_s * 1e9)
        floating = spec.robot.floating_base
        quat = np.array([math.cos(angle / 2), math.sin(angle / 2), 0, 0]) if floating else None
        ones = np.ones(len(joints.names))
        turn = np.array([speed, 0, 0]) if floating else None
        yield Reading(joints.default_pose + angle * ones, speed * ones, 0 * ones, quat, turn, (stamp,), stamp)


def good(reading: Reading, index: int) -> None:
    """As it is."""


def told(spec: PolicySpec, readings: Iterator[Reading], change: Change = good) -> list[tuple[int, str]]:
    """(index, text) of each reading that something is said about."""
    watch, limits, said = Consistency(JointVectors.of(spec)), SafetyLimits.of(spec), []
    for index, reading in enumerate(readings):
        change(reading, index)
        watch.update(reading, limits)
        said += [(index, text) for text in (watch.jump, watch.contradiction) if text is not None]
    return said


@pytest.mark.parametrize("dt", [0.02, 0.01, 0.005, 0.002, 0.001])
@pytest.mark.parametrize("spec", [go1_spec(), arm_spec()], ids=["go1", "arm"])
def test_good_readings_fit_at_any_rate(spec: PolicySpec, dt: float) -> None:
    height = 0.5 if spec.robot.floating_base else 0.2
    assert told(spec, moving(spec, dt, height=height)) == []


def scale(field: str, factor: float) -> Change:
    def change(reading: Reading, index: int) -> None:
        setattr(reading, field, factor * getattr(reading, field))

    return change


def hold(field: str, joint: int | None) -> Change:
    first: list[Any] = []

    def change(reading: Reading, index: int) -> None:
        value = getattr(reading, field)
        first.append(value.copy())
        if joint is None:
            setattr(reading, field, first[0].copy())
        else:
            value[joint] = first[0][joint]

    return change


def second_sender(reading: Reading, index: int) -> None:
    if index % 2:
        reading.position, reading.velocity = np.zeros_like(reading.position), np.zeros_like(reading.velocity)


FAULTS: dict[str, tuple[Change, str]] = {
    "a velocity that is always zero": (scale("velocity", 0.0), "position of"),
    "a velocity of the wrong sign": (scale("velocity", -1.0), "position of"),
    "a velocity in degrees": (scale("velocity", 180 / math.pi), "position of"),
    "a velocity in revolutions a minute": (scale("velocity", 30 / math.pi), "position of"),
    "positions in degrees": (scale("position", 180 / math.pi), "position of"),
    "a stuck encoder": (hold("position", 2), "calf"),
    "all encoders stuck": (hold("position", None), "position of"),
    "a second sender of zeros": (second_sender, "position of"),
    "an attitude that is stuck": (hold("imu_quat_wxyz", None), "attitude about x"),
    "a gyro that is always zero": (scale("imu_angular_velocity_b", 0.0), "attitude about x"),
    "a gyro of the wrong sign": (scale("imu_angular_velocity_b", -1.0), "attitude about x"),
    "a gyro in degrees": (scale("imu_angular_velocity_b", 180 / math.pi), "attitude about x"),
}


@pytest.mark.parametrize("dt", [0.02, 0.005, 0.001])
@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_is_named_within_a_second(name: str, dt: float) -> None:
    change, said = FAULTS[name]
    found = told(go1_spec(), moving(go1_spec(), dt), change)
    assert found, name
    assert found[0][0] * dt <= 1.05
    assert said in found[0][1]


def test_an_arms_slow_joints_are_held_to_less() -> None:
    found = told(arm_spec(), moving(arm_spec(), height=0.15), scale("velocity", 0.0))
    assert found
    assert "by its velocity it was 0.00 rad" in found[0][1]


def test_a_jump_beyond_what_is_possible_is_named_at_once() -> None:
    def jump(reading: Reading, index: int) -> None:
        reading.position[2] += 1.8 if index >= 20 else 0.0

    found = told(go1_spec(), moving(go1_spec(), height=0.0), jump)
    assert found[0][0] == 20
    assert "FR_calf" in found[0][1] or "calf" in found[0][1]
    assert "changed by 1.80 rad in 20 ms" in found[0][1]
    assert "second publisher" in found[0][1]


def test_a_contradiction_is_forgotten_after_a_second() -> None:
    def jump(reading: Reading, index: int) -> None:
        reading.position[2] += 0.5 if index == 20 else 0.0

    last = told(go1_spec(), moving(go1_spec(), height=0.0), jump)[-1][0]
    assert 60 <= last <= 72


def test_what_is_put_elsewhere_during_a_silence_is_no_contradiction() -> None:
    """A person moved the robot while its driver was restarted."""

    def change(reading: Reading, index: int) -> None:
        if index >= 40:
            reading.stamps_ns, reading.received_ns = (reading.stamps_ns[0] + 5_000_000_000,), reading.received_ns + 5_000_000_000
            reading.position += 1.0

    assert told(go1_spec(), moving(go1_spec(), height=0.0), change) == []


def test_an_encoder_that_wraps_has_not_jumped() -> None:
    spec = go1_spec()
    robot = dataclasses.replace(spec.robot, position_lower=(-math.pi,) * 12, position_upper=(math.pi,) * 12)
    spec = dataclasses.replace(spec, robot=robot)

    def turns(reading: Reading, index: int) -> None:
        reading.position[:] = (5.0 * 0.02 * index + math.pi) % (2 * math.pi) - math.pi
        reading.velocity[:] = 5.0

    assert told(spec, moving(spec), turns) == []


def test_the_same_attitude_with_the_other_sign_has_not_moved() -> None:
    def flip(reading: Reading, index: int) -> None:
        assert reading.imu_quat_wxyz is not None
        reading.imu_quat_wxyz *= -1.0 if index % 3 == 0 else 1.0

    assert told(go1_spec(), moving(go1_spec()), flip) == []


def test_an_orientation_that_is_never_filled_in_is_named_before_the_robot_moves() -> None:
    """The default of the message is the identity, with covariances of zero; a gyro of a robot at rest has noise."""
    rng = np.random.default_rng(0)

    def still(reading: Reading, index: int) -> None:
        reading.imu_quat_wxyz, reading.imu_angular_velocity_b = np.array([1.0, 0, 0, 0]), 0.01 * rng.standard_normal(3)

    found = told(go1_spec(), moving(go1_spec(), height=0.0), still)
    assert found
    assert "fills in no orientation" in found[0][1]


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_a_heading_alone_is_no_orientation(rate: float) -> None:
    """What drivers say that are made for robots on wheels: roll and pitch are 0, whatever the robot does."""
    rng = np.random.default_rng(0)

    def planar(reading: Reading, index: int) -> None:
        reading.imu_quat_wxyz, reading.imu_angular_velocity_b = heading(1.0 + rate * 0.02 * index), 0.01 * rng.standard_normal(3)

    found = told(go1_spec(), moving(go1_spec(), height=0.0), planar)
    assert found
    assert found[0][0] <= 55
    assert "roll and pitch" in found[0][1]


def test_two_sources_with_stamps_of_their_own() -> None:
    def two(reading: Reading, index: int) -> None:
        reading.stamps_ns = (reading.stamps_ns[0], reading.stamps_ns[0] + 700_000_000_000)

    assert told(go1_spec(), moving(go1_spec()), two) == []


def test_numbers_that_are_not_finite_are_another_guards() -> None:
    def broken(reading: Reading, index: int) -> None:
        if index % 7 == 3:
            reading.position[1] = math.nan
        if index % 11 == 3:
            assert reading.imu_quat_wxyz is not None
            reading.imu_quat_wxyz[:] = math.inf

    assert told(go1_spec(), moving(go1_spec()), broken) == []


def times(first: Any, second: Any) -> Any:
    """Product of two quaternions wxyz."""
    w, x, y, z = first
    a, b, c, d = second
    return np.array(
        [w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c, w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a]
    )


def heading(angle: float) -> Any:
    return np.array([math.cos(angle / 2), 0, 0, math.sin(angle / 2)])


def test_tilting_is_that_of_the_base_frame_and_knows_no_heading() -> None:
    about_x = np.array([math.cos(0.1), math.sin(0.1), 0, 0])
    for before, after in ((heading(0.0), about_x), (heading(0.5 * math.pi), times(heading(-2.0), about_x))):
        np.testing.assert_allclose(tilting_b(up_b(before), up_b(after)), [0.2, 0, 0], atol=1e-12)


def turning(rate: float, dt: float, height: float = 0.3) -> Iterator[Reading]:
    """The base rolls as in `moving`, leans, and turns about the vertical at `rate` [rad/s]."""
    lean = np.array([math.cos(0.1), 0, math.sin(0.1), 0])
    for index, reading in enumerate(moving(go1_spec(), dt, height=height)):
        assert reading.imu_quat_wxyz is not None
        assert reading.imu_angular_velocity_b is not None
        quat = reading.imu_quat_wxyz = times(times(heading(rate * index * dt), lean), reading.imu_quat_wxyz)
        reading.imu_angular_velocity_b = reading.imu_angular_velocity_b + rate * up_b(quat)
        yield reading


def without_heading(reading: Reading, index: int) -> None:
    """What a driver says that knows roll and pitch alone: yaw is 0 by whatever angles it has."""
    assert reading.imu_quat_wxyz is not None
    w, x, y, z = reading.imu_quat_wxyz
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    reading.imu_quat_wxyz = times(heading(-yaw), reading.imu_quat_wxyz)


def snapping(reading: Reading, index: int) -> None:
    """A heading that is corrected, or begun anew, from one message to the next."""
    assert reading.imu_quat_wxyz is not None
    reading.imu_quat_wxyz = times(heading([0.0, 0.5, -1.0, 2.5, math.pi][index // 30 % 5]), reading.imu_quat_wxyz)


def drifting(reading: Reading, index: int) -> None:
    """A heading that goes its own way."""
    assert reading.imu_quat_wxyz is not None
    reading.imu_quat_wxyz = times(heading(-0.03 * index), reading.imu_quat_wxyz)


HEADINGS = {"good": good, "none": without_heading, "snaps": snapping, "drifts": drifting}


@pytest.mark.parametrize("dt", [0.02, 0.005, 0.002])
@pytest.mark.parametrize("rate", [0.0, 1.0, -4.0, 8.0])
@pytest.mark.parametrize("name", HEADINGS)
def test_the_heading_may_be_whatever_it_is(name: str, rate: float, dt: float) -> None:
    assert told(go1_spec(), turning(rate, dt), HEADINGS[name]) == []


@pytest.mark.parametrize("dt", [0.02, 0.005])
def test_an_attitude_that_is_stuck_is_found_where_the_base_turns_about_the_vertical_alone(dt: float) -> None:
    found = told(go1_spec(), turning(0.5, dt, height=0.0), hold("imu_quat_wxyz", None))
    assert found
    assert found[0][0] * dt <= 1.05
    assert "the base's attitude about z moved by 0.00 rad" in found[0][1]


def test_a_driver_may_repeat_an_attitude_between_messages_and_keep_no_heading() -> None:
    """The gyro comes five times as often as what a filter makes of it."""
    newest: list[Any] = []

    def repeat(reading: Reading, index: int) -> None:
        without_heading(reading, index)
        newest[:] = [reading.imu_quat_wxyz] if index % 5 == 0 else newest
        reading.imu_quat_wxyz = newest[0].copy()

    assert told(go1_spec(), turning(-4.0, 0.002), repeat) == []


@pytest.mark.parametrize("name", [name for name, (_, said) in FAULTS.items() if said.startswith("attitude")])
@pytest.mark.parametrize("rate", [1.0, -4.0])
def test_a_base_that_turns_hides_no_fault_of_its_tilt(name: str, rate: float) -> None:
    def change(reading: Reading, index: int) -> None:
        without_heading(reading, index)
        FAULTS[name][0](reading, index)

    found = told(go1_spec(), turning(rate, 0.02), change)
    assert found
    assert "attitude about" in found[0][1]


ROBOTS = [("go1-velocity", "go1"), ("g1-velocity", "g1"), ("panda-reach", "panda")]


@pytest.mark.parametrize(("policy", "robot"), ROBOTS)
def test_a_shipped_policy_that_is_pushed_and_falls_contradicts_nothing(policy: str, robot: str) -> None:
    mujoco = pytest.importorskip("mujoco")
    from bridge.control.controller import Controller
    from bridge.control.loop import ControlLoop
    from bridge.control.safety import Event
    from bridge.simulated.physics import PhysicsRobot
    from bridge.transports.sim import SimTransport

    file = PolicyFile(ROOT / f"{policy}.onnx")
    spec = file.spec
    physical = PhysicsRobot(spec.robot, Path(REPOSITORY) / "envs" / "robots" / robot / f"{robot}.xml", 0.001, gantry="none")
    wire = SimTransport(physical, spec.robot.joint_names, np.array(spec.command.upper) * 0.5)
    trace: list[Reading] = []
    wire.on_reading = trace.append
    loose = {"max_tilt": 3.2, "entry_tilt": 3.2, "entry_pose": 9.0, "entry_speed": 99.0, "velocity_factor": 4.0, "effort_factor": 4.0}
    controller = Controller(file, SafetyLimits.of(spec, loose | {"position_excess": 1.0}))
    controller.arm()
    loop, rng = ControlLoop(controller, wire), np.random.default_rng(1)
    asked = {5: Event.STAND, 120: Event.START, 300: Event.STOP}  # stopped, a walking robot falls
    for tick in range(360):
        if tick in asked:
            wire.requests.append(asked[tick])
        if spec.robot.floating_base and tick > 120 and tick % 50 == 0:
            physical.data.qvel[:6] += rng.normal(0, [1, 1, 0.3, 2, 2, 2])
            mujoco.mj_forward(physical.model, physical.data)
        deadline_ns = wire.now_ns() + loop.period_ns
        wire.wait_until(deadline_ns)
        loop.tick(deadline_ns)
    assert controller.ran
    assert "sensor" not in controller.cause
    noise = {term.name: term.noise for term in spec.terms}
    for step, lost, late in ((20, 0.0, 0), (20, 0.3, 10), (5, 0.1, 5)):  # readings a control step or less apart; speeds are late [ms]

        def sensed(step: int = step, lost: float = lost, late: int = late) -> Iterator[Reading]:
            for index in range(step, len(trace), step):
                if rng.random() < lost:
                    continue
                now, before = trace[index], trace[index - late]
                position = now.position + rng.uniform(-1, 1, spec.robot.num_joints) * noise["joint_position"]
                velocity = before.velocity + rng.uniform(-1, 1, spec.robot.num_joints) * noise["joint_velocity"]
                quat, turn = now.imu_quat_wxyz, before.imu_angular_velocity_b
                if quat is not None and turn is not None:
                    quat = quat + rng.uniform(-0.02, 0.02, 4)
                    quat, turn = quat / np.linalg.norm(quat), turn + rng.uniform(-0.2, 0.2, 3)
                yield Reading(position, velocity, now.effort, quat, turn, now.stamps_ns, now.received_ns)

        for name in HEADINGS if spec.robot.floating_base else ("good",):
            assert told(spec, sensed(), HEADINGS[name]) == [], name
