"""An arm behind ros2_control reaches its goal on every interface, under foreign names; messages that were overtaken; simulated time."""

from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.safety import Mode, SafetyLimits
from bridge.transports.ros2.clock import ClockPublisher
from bridge.transports.ros2.transport import Ros2Options, Ros2Transport
from envs.robots.registry import get_robot
from policies.contract.file import PolicyFile
from robolearn.simulated_model import write_scene
from tests.bridge_helpers import REPOSITORY, Process, processes, ros_environment
from tests.make_policy import make_policy
from tests.ros2_stage import Stage

pytestmark = pytest.mark.ros
PANDA = REPOSITORY / "policies" / "zoo" / "panda-reach.onnx"
FINGERS = ("finger_joint1", "finger_joint2")
GOAL = (0.5, 0.25, 0.4)
PATIENT = {"sensor_timeout_s": 0.5, "frozen_s": 0.5, "max_lateness_s": 0.5, "max_overruns": 50.0}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interface", "prefix"),
    [
        ("trajectory", "panda_=fr3_"),
        ("trajectory", "panda_="),
        ("forward", "panda_="),
        ("forward_velocity", "panda_=xarm_"),
        ("forward_effort", "panda_=fr3_"),
    ],
)
def test_the_arm_reaches_its_goal_through_ros2_control(interface: str, prefix: str, tmp_path: Path) -> None:
    policy = PolicyFile(PANDA)
    wire = [f"{prefix.partition('=')[2]}joint{i}" for i in range(1, 8)]
    options = Ros2Options(
        interface=interface,
        joint_prefix=prefix,
        joint_order=None if interface == "trajectory" else tuple(wire),
        extra_joints=FINGERS,
        clock_timeout_s=2.0,
        ros_args=("--ros-args", "-p", "use_sim_time:=true"),
    )
    log: list[Any] = []
    controller = Controller(policy, SafetyLimits.of(policy.spec, PATIENT), on_event=log.append)
    controller.arm()
    controller.auto_start()
    scene = write_scene(get_robot("panda"), tmp_path / "panda.xml")  # with the site of its tool
    arguments = ["tests.ros2_arm", "--policy", str(PANDA), "--mjcf", str(scene), "--interface", interface, "--prefix", prefix]
    arm = Process(arguments, tmp_path / "arm.log")
    transport = Ros2Transport(policy.spec, options, GOAL, controller)
    with processes(arm):
        transport.open(controller.refusal)
        loop = ControlLoop(controller, transport)
        deadline_ns, end, reached = transport.now_ns() + loop.period_ns, time.monotonic() + 30, 0
        try:
            while reached < 50 and time.monotonic() < end:
                transport.wait_until(deadline_ns)
                deadline_ns = loop.tick(deadline_ns)
                if loop.timing.ticks % 5 == 0 and (said := states(arm)):
                    reached = reached + 5 if math.dist(said[-1]["tip"], GOAL) < 0.04 else 0
            held = math.dist(states(arm)[-1]["tip"], GOAL)
            loop.run(0.0)  # damping, as at every end, in which the arm may sag
        finally:
            transport.close()
        assert controller.mode is Mode.DAMPING, log  # the loop ended, nothing else did
        said = states(arm)
        distance = [math.dist(state["tip"], GOAL) for state in said]
        assert distance[0] > 0.1, "it began at the goal"
        assert reached >= 50, (min(distance), loop.timing.summary(), log)
        assert held < 0.05
        assert said[-1]["refused"] == 0
        if interface != "forward_effort":  # which has no controller to hold the arm once commands stop
            time.sleep(1.0)
            assert states(arm)[-1]["speed"] < 0.02, "it does not hold"
        arm.send(signal.SIGTERM)
        assert arm.wait() == 0, arm.text()


def states(arm: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in arm.text().splitlines(keepends=True) if line.startswith("{") and line.endswith("\n")]


@pytest.fixture
def stand(tmp_path: Path) -> Path:
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def test_swapped_repeated_and_lost_messages_stop_nobody_and_are_counted(stand: Path) -> None:
    with Stage(stand) as stage:
        stage.reach_policy()
        stage.sensing = False
        random = np.random.default_rng(0)
        ahead_ns = stage.stamp_ns - stage.transport.now_ns()

        def clock() -> int:
            """The robot's clock; a tick of this stage takes more than 20 ms on a busy computer."""
            return stage.transport.now_ns() + ahead_ns

        def sense() -> None:
            """A message every 20 ms; some twice, some lost, some overtaken by the next."""
            kind = random.choice(["once", "twice", "lost", "old"], p=[0.6, 0.15, 0.1, 0.15])
            stage.stamp_ns = clock()
            if kind != "lost":
                stage.sense(stage.stamp_ns)
            if kind in ("twice", "old"):
                stage.transport.wait_until(stage.transport.now_ns() + 2_000_000)  # depth 1: the first must not be overwritten
                stage.sense(stage.stamp_ns - (20_000_000 if kind == "old" else 0))

        for _ in range(150):
            sense()
            stage.tick()
        counts = stage.transport._inbox.filters["joint_states"]
        assert stage.controller.mode is Mode.POLICY, stage.events
        assert counts.reordered > 5
        assert counts.repeated > 5
        assert counts.backward == 0


@pytest.mark.parametrize(("stamps_ms", "stops"), [((-20, -20, -20), False), ((-20, -15, -10, -5), True), ((-500,), True)])
def test_a_robot_whose_clock_really_went_back_is_stopped(stamps_ms: tuple[int, ...], stops: bool, stand: Path) -> None:
    with Stage(stand) as stage:
        stage.reach_policy()
        stage.sensing = False
        newest = stage.stamp_ns
        for offset in stamps_ms:
            stage.sense(newest + offset * 1_000_000)
            stage.tick()
        assert (stage.controller.mode is Mode.DAMPING) == stops, stage.events
        if stops:
            assert "sensor_stamps: the robot's time stamp went back" in stage.events[-1]["cause"]


SIMULATED = Ros2Options(clock_timeout_s=0.3, ros_args=("--ros-args", "-p", "use_sim_time:=true"))


class SimulatedTime:
    """Plays a simulator at `factor` times real time: sensors and `/clock` together, 5 ms a step, between the node's waits."""

    def __init__(self, stage: Stage, factor: float) -> None:
        self.stage, self.factor, self.publishing = stage, factor, True
        self.clock = ClockPublisher(stage.operator)
        self.time_ns = stage.stamp_ns
        spin = stage.transport._spin
        self._next_s = 0.0

        def stepping(timeout_s: float) -> None:
            if self.publishing and time.monotonic() >= self._next_s:
                self._next_s = time.monotonic() + 0.005 / factor
                self.time_ns += 5_000_000
                stage.sense(self.time_ns)
                self.clock.publish(self.time_ns)
            spin(min(timeout_s, 0.001))

        stage.transport._spin = stepping
        stage.sensing = False


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_with_use_sim_time_the_loop_follows_the_clock_and_a_dead_clock_damps(factor: float, stand: Path) -> None:
    with Stage(stand, SIMULATED, limits={"sensor_timeout_s": 0.06, "frozen_s": 0.06}) as stage:
        stage.tick(3)
        assert "stale_sensor" in [problem.guard.name for problem in stage.controller.problems]  # no clock, no readiness
        simulated = SimulatedTime(stage, factor)
        stage.reach_policy()
        wall, loop, clock = time.monotonic_ns(), stage.transport.now_ns(), simulated.time_ns
        stage.tick(25)
        passed, of_clock = stage.transport.now_ns() - loop, simulated.time_ns - clock
        assert stage.controller.mode is Mode.POLICY, stage.events
        assert abs(passed - of_clock) <= 20_000_000  # the loop's time is the simulator's
        assert abs(passed - 500_000_000) <= 40_000_000
        assert factor > 1 or passed < 0.8 * (time.monotonic_ns() - wall)
        simulated.publishing = False
        dead = time.monotonic()
        stage.until(lambda: stage.controller.mode is Mode.DAMPING, 3.0)
        assert 0.3 <= time.monotonic() - dead < 1.5
        assert "stale_sensor" in stage.events[-1]["cause"]
        before = stage.transport.now_ns()
        stage.tick(5)  # ticks go on, on the steady clock
        assert stage.transport.now_ns() - before >= 90_000_000
        simulated.publishing = True
        stage.ready()


def test_sensors_that_outlive_the_clock_do_not_keep_the_robot_moving(stand: Path) -> None:
    with Stage(stand, SIMULATED, limits={"sensor_timeout_s": 0.06}) as stage:
        simulated = SimulatedTime(stage, 1.0)
        stage.reach_policy()
        simulated.clock.publish = lambda time_ns: None  # type: ignore[method-assign]
        stage.until(lambda: stage.controller.mode is Mode.DAMPING, 3.0)
        assert "stale_sensor" in stage.events[-1]["cause"]
        stage.until(lambda: any("/clock stands still" in s.message for array in stage.diagnoses for s in array.status))


def test_a_simulation_that_is_reset_damps_the_robot_and_the_loop_goes_on(stand: Path) -> None:
    with Stage(stand, SIMULATED) as stage:
        simulated = SimulatedTime(stage, 1.0)
        stage.reach_policy()
        before = stage.transport.now_ns()
        simulated.time_ns = 500_000_000
        stage.until(lambda: stage.controller.mode is Mode.DAMPING, 3.0)
        assert "sensor_stamps" in stage.events[-1]["cause"]
        assert stage.transport.now_ns() >= before
        stage.ready()
