"""Sensors that are wrong from the beginning and finite all the same: found before the robot stands, and good ones let be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.plausibility import Plausibility
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event, JointVectors, Mode
from bridge.logs.replay import _between  # pyright: ignore[reportPrivateUsage]
from policies.contract.file import PolicyFile
from tests.bridge_helpers import MS, Driver, good_reading
from tests.make_policy import go1_spec, make_policy

SPEC = go1_spec()
JOINTS = JointVectors.of(SPEC)
RATE_HZ = 1 / SPEC.control_dt
Change = Callable[[Reading], dict[str, Any]]


def product(a: Any, b: Any) -> Any:
    w, v, u, t = a[0], a[1:], b[0], b[1:]
    return np.array([w * u - v @ t, *(w * t + u * v + np.cross(v, t))])


def turn(angle: float, axis: int) -> Any:
    quat = np.zeros(4)
    quat[0], quat[1 + axis] = math.cos(angle / 2), math.sin(angle / 2)
    return quat


def readings(
    seconds: float, hz: float = 500.0, size: float = 0.15, heading: float = 0.7, noise: float = 0.0, seed: int = 0
) -> list[Reading]:
    """A robot that rocks and whose joints follow: attitude and gyro, positions and velocities from the same curves."""
    random = np.random.default_rng(seed)
    period_s = 1 / hz
    made: list[Reading] = []

    def attitude(t: float) -> Any:
        roll, pitch = size * math.sin(3.1 * t), size * math.sin(2.3 * t + 1.0)
        return product(turn(heading + 0.3 * t, 2), product(turn(pitch, 1), turn(roll, 0)))

    for index in range(round(seconds * hz)):
        t = index * period_s
        now_ns = 1_000 * MS + round(t * 1e9)
        quat, ahead, behind = attitude(t), attitude(t + 1e-4), attitude(t - 1e-4)
        rate = 2 * product(behind * np.array([1, -1, -1, -1]), ahead)[1:] / 2e-4
        phase = np.arange(SPEC.robot.num_joints) * 0.4
        position = JOINTS.default_pose + size * np.sin(4.0 * t + phase)
        reading = good_reading(SPEC, now_ns)
        quat = quat + noise * random.standard_normal(4)
        made.append(
            dataclasses.replace(
                reading,
                position=position + noise * random.standard_normal(len(phase)),
                velocity=4.0 * size * np.cos(4.0 * t + phase) + 30 * noise * random.standard_normal(len(phase)),
                imu_quat_wxyz=quat / np.linalg.norm(quat),
                imu_angular_velocity_b=rate + 5 * noise * random.standard_normal(3),
                stamps_ns=(now_ns, now_ns),
            )
        )
    return made


def found(made: list[Reading], change: Change = lambda reading: {}, driven: bool = False) -> Plausibility:
    watch = Plausibility(JOINTS, RATE_HZ)
    tick_ns = made[0].received_ns
    for reading in made:
        while tick_ns <= reading.received_ns:
            watch.look(tick_ns, driven)
            tick_ns += 20 * MS
        watch.hear(dataclasses.replace(reading, **change(reading)))
    return watch


@pytest.mark.parametrize("hz", [50.0, 200.0, 500.0])
@pytest.mark.parametrize("driven", [False, True])
def test_good_sensors_are_let_be(hz: float, driven: bool) -> None:
    watch = found(readings(4.0, hz), driven=driven)
    assert watch.doubt is None
    assert watch.slow is None


@pytest.mark.parametrize("noise", [0.002, 0.01])
@pytest.mark.parametrize("size", [0.0, 0.02, 0.15])
def test_noise_is_no_contradiction(noise: float, size: float) -> None:
    for seed, hz in ((0, 50.0), (1, 50.0), (2, 500.0)):
        assert found(readings(4.0, hz, size=size, noise=noise, seed=seed)).doubt is None


FAULTS: dict[str, tuple[Change, str]] = {
    "gyro in degrees": (lambda r: {"imu_angular_velocity_b": np.degrees(r.imu_angular_velocity_b)}, "degrees per second"),  # type: ignore[arg-type]
    "gyro empty": (lambda r: {"imu_angular_velocity_b": np.zeros(3)}, "is it filled in"),
    "gyro's sign": (lambda r: {"imu_angular_velocity_b": -r.imu_angular_velocity_b}, "opposite signs"),  # type: ignore[operator]
    "gyro's axes": (lambda r: {"imu_angular_velocity_b": r.imu_angular_velocity_b[[1, 0, 2]] * np.array([-1, 1, 1])}, "differ by about"),  # type: ignore[index]
    "inverted": (lambda r: {"imu_quat_wxyz": r.imu_quat_wxyz * np.array([1, -1, -1, -1])}, "inverted"),  # type: ignore[operator]
    "attitude of other axes": (lambda r: {"imu_quat_wxyz": product(r.imu_quat_wxyz, turn(math.pi / 2, 2))}, "differ by about"),
    "stuck attitude": (lambda r: {"imu_quat_wxyz": turn(0.1, 0)}, "stuck"),
    "no velocities": (lambda r: {"velocity": np.zeros_like(r.velocity)}, "fills in no velocities"),
    "velocities in degrees": (lambda r: {"velocity": np.degrees(r.velocity)}, "degrees per second"),
    "velocities' sign": (lambda r: {"velocity": -r.velocity}, "opposite signs"),
    "one joint's sign": (lambda r: {"velocity": r.velocity * np.where(np.arange(len(r.velocity)) == 4, -1, 1)}, JOINTS.names[4]),
}


MOVING = readings(4.0, 250.0)


@pytest.mark.parametrize(("change", "cause"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("driven", [False, True])
def test_each_fault_is_named_with_its_likely_cause(change: Change, cause: str, driven: bool) -> None:
    if driven and cause == JOINTS.names[4]:
        pytest.skip("one joint that moves so little is the other watch's, bridge.control.consistency")
    doubt = found(MOVING, change, driven).doubt
    assert doubt is not None
    assert cause in doubt


def test_a_heading_that_nobody_keeps_is_no_fault() -> None:
    """A driver without a compass: the attitude is what it is but for the turn about the vertical."""

    def without(r: Reading) -> dict[str, Any]:
        w, x, y, z = r.imu_quat_wxyz  # type: ignore[misc]
        yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        return {"imu_quat_wxyz": product(turn(-yaw, 2), r.imu_quat_wxyz)}

    assert found(readings(6.0), without).doubt is None


def test_gravity_tells_an_attitude_that_leans_the_other_way_without_any_movement() -> None:
    still = [
        dataclasses.replace(reading, imu_quat_wxyz=turn(0.4, 1), imu_angular_velocity_b=np.zeros(3)) for reading in readings(2.0, size=0.0)
    ]
    pull = 9.81 * np.array([-math.sin(0.4), 0.0, math.cos(0.4)])
    assert found(still, lambda r: {"imu_acceleration_b": pull}).doubt is None
    assert found(still, lambda r: {"imu_acceleration_b": -pull}).doubt is None  # some drivers tell it downwards
    assert found(still, lambda r: {"imu_acceleration_b": pull / 9.81}).doubt is None  # in g: nothing is known
    doubt = found(still, lambda r: {"imu_acceleration_b": pull, "imu_quat_wxyz": turn(-0.4, 1)}).doubt
    assert doubt is not None
    assert "accelerometer" in doubt


@pytest.mark.parametrize(
    ("hz", "slow", "remarked"), [(29.0, True, False), (45.0, False, True), (50.0, False, False), (500.0, False, False)]
)
def test_messages_that_come_more_slowly_than_the_policy_runs(hz: float, slow: bool, remarked: bool) -> None:
    watch = found(readings(6.0, hz))
    assert (watch.slow is not None) is slow
    assert bool(watch.remarks) is remarked
    if watch.slow is not None:
        assert "29 Hz" in watch.slow
        assert "50 Hz" in watch.slow


def test_what_was_wrong_is_forgotten_once_the_sensors_show_the_opposite() -> None:
    watch = Plausibility(JOINTS, RATE_HZ)
    for index, reading in enumerate(readings(12.0)):
        changed = {"imu_angular_velocity_b": -reading.imu_angular_velocity_b} if index < 2000 else {}  # type: ignore[operator]
        watch.hear(dataclasses.replace(reading, **changed))
        watch.look(reading.received_ns, driven=False)
        if index == 2000:
            assert watch.doubt is not None
    assert watch.doubt is None


def test_who_ticks_late_itself_blames_no_sensor() -> None:
    watch = Plausibility(JOINTS, RATE_HZ)
    for reading in readings(6.0, 20.0):  # a busy computer: messages and ticks at 20 Hz
        watch.hear(reading)
        watch.look(reading.received_ns, driven=False)
    assert watch.slow is None


def heard(driver: Driver, made: list[Reading], change: Change = lambda reading: {}) -> None:
    """Let a controller hear readings, a tick every 20 ms, with the last one of each."""
    begin_ns = driver.now_ns
    for reading in made:
        now_ns = begin_ns + reading.received_ns - 1_000 * MS + MS
        reading = dataclasses.replace(reading, received_ns=now_ns, stamps_ns=(now_ns, now_ns))
        reading = dataclasses.replace(reading, **change(reading))
        driver.controller.hear(reading)
        while now_ns >= driver.now_ns + 20 * MS:
            driver.now_ns += 20 * MS
            command = np.zeros(len(SPEC.command.labels))
            driver.controller.tick(driver.now_ns, Inputs(reading, command, driver.now_ns))


def test_a_robot_with_such_sensors_may_not_stand_and_is_told_why(tmp_path: Any) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"))
    heard(driver, readings(3.0), FAULTS["gyro in degrees"][0])
    refusal = driver.controller.refusal(Event.STAND)
    assert refusal is not None
    assert "sensor_contradiction" in refusal
    assert "degrees per second" in refusal


def test_what_all_readings_told_is_in_the_log_and_comes_again(tmp_path: Any) -> None:
    """A log has the readings of the ticks alone; the verdict of all of them is an event, which a replay takes over."""
    path = make_policy(tmp_path / "linear.onnx")
    driver = Driver(path)
    heard(driver, readings(3.0), FAULTS["no velocities"][0])
    told = [event for event in driver.events if event["event"] == "doubt"]
    assert "fills in no velocities" in told[-1]["text"]
    again = Controller(PolicyFile(path))
    again.arm()
    from bridge.control.plausibility import ToldPlausibility

    again.plausibility = held = ToldPlausibility()
    held.told(told[-1]["text"], told[-1]["slow"])
    _between(again, [])
    now_ns = 5_000 * MS
    again.tick(now_ns, Inputs(good_reading(SPEC, now_ns), np.zeros(3), now_ns, (Event.STAND,)))
    assert again.mode is Mode.DAMPING


def test_a_robot_that_stands_is_damped_where_it_shows_only_then(tmp_path: Any) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"))
    driver.reach(Mode.STAND)
    heard(driver, readings(3.0, size=0.2), FAULTS["inverted"][0])
    assert driver.controller.mode is Mode.DAMPING
    assert "inverted" in driver.controller.cause


def test_slow_messages_keep_a_robot_from_standing_and_end_nothing(tmp_path: Any) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"))
    heard(driver, readings(4.0, 29.0, size=0.05))
    refusal = driver.controller.refusal(Event.STAND)
    assert refusal is not None
    assert "slow_sensor" in refusal
    driver = Driver(make_policy(tmp_path / "other.onnx"))
    driver.reach(Mode.STAND)
    heard(driver, readings(4.0, 29.0, size=0.05))
    assert driver.controller.mode is Mode.STAND
