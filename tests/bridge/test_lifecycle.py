"""The policy node as a lifecycle node, its QoS, diagnostics and emergency stop, over real ROS 2."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from rclpy.duration import Duration
from rclpy.lifecycle import ManagedEntity
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from bridge.control.safety import Event, Mode
from bridge.transports.ros2.compat import answer_bad_transitions
from bridge.transports.ros2.options import OPERATOR_TOPICS
from bridge.transports.ros2.transport import Ros2OptionError, Ros2Options, Ros2Transport
from policies.contract.parts import COMMAND_SIZES
from policies.contract.spec import CommandSpec
from tests.bridge_helpers import REPOSITORY, ros_environment
from tests.make_policy import arm_spec, go1_spec, make_policy
from tests.ros2_stage import Stage

pytestmark = pytest.mark.ros
MANAGED = Ros2Options(managed=True)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def driven(stage: Stage) -> bool:
    """Whether the newest impedance command drives."""
    return any(stage.commands[-1].data[3::5])


def test_a_managed_node_moves_at_nothing_but_an_operators_word(path: Path) -> None:
    with Stage(path, MANAGED, armed=False) as stage:
        assert stage.lifecycle == "unconfigured"
        assert stage.controller.mode is Mode.ZERO_TORQUE
        assert not stage.call("stand")[0]
        assert stage.change("configure")
        assert stage.lifecycle == "inactive"
        assert stage.controller.mode is Mode.DAMPING  # verified
        stage.tick(5)
        accepted, reason = stage.call("stand")
        assert not accepted
        assert "inactive" in reason
        assert stage.change("activate")
        stage.tick(5)
        assert stage.controller.mode is Mode.DAMPING
        assert not stage.commands  # the robot was left alone
        stage.reach_policy()
        assert driven(stage)


def test_deactivating_damps_before_it_answers_and_activating_again_moves_nothing(path: Path) -> None:
    with Stage(path) as stage:
        assert stage.lifecycle == "active"  # it is not managed
        stage.reach_policy()
        before = len(stage.commands)
        assert stage.change("deactivate")
        assert stage.controller.mode is Mode.DAMPING
        stage.tick()
        assert not driven(stage)
        assert len(stage.commands) > before
        assert stage.change("activate")
        stage.tick(10)
        assert stage.controller.mode is Mode.DAMPING
        assert not driven(stage)
        stage.reach_policy()  # a person may


def test_deactivating_writes_damping_at_once(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        stage.tick()
        written: list[Any] = []
        write = stage.transport.write
        stage.transport.write = lambda command: (written.append(command), write(command))[1]  # type: ignore[method-assign]
        stage.transport._node.trigger_deactivate()
        assert [command.drives for command in written] == [False]
        assert stage.controller.mode is Mode.DAMPING


def test_a_stand_that_was_accepted_does_not_outlive_a_deactivation(path: Path) -> None:
    with Stage(path) as stage:
        stage.ready()
        answer = stage.transport._service(Event.STAND)(None, type("Response", (), {})())
        assert answer.success
        stage.transport._node.trigger_deactivate()
        stage.transport._node.trigger_activate()
        stage.tick(5)
        assert stage.controller.mode is Mode.DAMPING


def test_an_automatic_start_waits_while_the_node_is_inactive(path: Path) -> None:
    with Stage(path, MANAGED, armed=False) as stage:
        assert stage.change("configure")
        stage.controller.auto_start()
        stage.tick(20)
        assert stage.controller.mode is Mode.DAMPING


def test_deactivating_cancels_an_automatic_start(path: Path) -> None:
    with Stage(path) as stage:
        stage.controller.auto_start()
        stage.sensing = False
        stage.tick(3)
        assert stage.change("deactivate")
        assert stage.change("activate")
        stage.sensing = True
        stage.tick(40)
        assert stage.controller.mode is Mode.DAMPING


def test_a_file_that_fails_its_golden_run_is_not_configured(path: Path) -> None:
    with Stage(path, MANAGED, armed=False) as stage:
        stage.controller.policy.golden.action[3] += 1.0
        assert not stage.change("configure")
        assert stage.lifecycle == "unconfigured"
        assert stage.controller.mode is Mode.ZERO_TORQUE
        assert "Golden" in type(stage.transport._node.failure).__name__


def test_cleanup_verifies_anew_and_takes_the_endpoints_down(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        assert stage.change("deactivate")
        assert stage.change("cleanup")
        stage.until(lambda: stage.operator.count_publishers("impedance_command") == 0)  # the graph hears of it a little later
        assert not driven(stage)
        stage.controller.policy.golden.action[3] += 1.0
        assert not stage.change("configure")
        stage.controller.policy.golden.action[3] -= 1.0
        assert stage.change("configure")
        assert stage.change("activate")
        stage.reach_policy()


class Breaks(ManagedEntity):
    def on_deactivate(self, state: Any) -> Any:
        raise RuntimeError("broken")


def test_an_error_in_a_transition_ends_in_damping(path: Path) -> None:
    with Stage(path) as stage:
        stage.transport._node.add_managed_entity(Breaks())
        stage.reach_policy()
        assert not stage.change("deactivate")
        assert stage.controller.mode is Mode.DAMPING
        assert not driven(stage)
        assert stage.lifecycle == "unconfigured"


def test_shutdown_damps_and_ends_the_program(path: Path) -> None:
    with Stage(path) as stage:
        ended: list[bool] = []
        stage.transport.on_shutdown = lambda: ended.append(True)
        stage.reach_policy()
        assert stage.change("shutdown")
        assert ended == [True]
        assert stage.controller.mode is Mode.DAMPING
        assert not driven(stage)


def test_an_impossible_transition_is_refused_and_disturbs_nothing(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        assert not stage.change("activate")
        assert not stage.change("configure")
        assert not stage.change("nonsense")
        stage.tick(5)
        assert stage.controller.mode is Mode.POLICY
        assert stage.loop.failure is None
        service = next(service for service in stage.transport._node.services if service.srv_name.endswith("/change_state"))

        def raises(request: Any, response: Any) -> Any:
            raise RuntimeError("Failed to trigger lifecycle state machine transition")  # what rclpy does up to Jazzy

        service.callback = raises
        answer_bad_transitions(stage.transport._node)
        assert not stage.change("activate")
        assert stage.controller.mode is Mode.POLICY


@pytest.mark.parametrize("profile", [
    QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
    QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, deadline=Duration(seconds=1)),
    QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL),
], ids=["best effort", "deadline", "transient local"])  # fmt: skip
def test_whatever_qos_a_driver_has_its_sensors_arrive(profile: QoSProfile, path: Path) -> None:
    with Stage(path) as stage:
        stage.operator.destroy_publisher(stage.joints)
        stage.joints = stage.operator.create_publisher(JointState, "joint_states", profile)
        stage.ready()
        ours = [info.qos_profile for info in stage.operator.get_subscriptions_info_by_topic("/joint_states")]
        assert [qos.reliability for qos in ours] == [ReliabilityPolicy.BEST_EFFORT]
        assert ours[0].deadline.nanoseconds > 1e18  # none asked for


def test_commands_are_reliable_and_a_subscriber_that_asks_for_more_is_named_once(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        offered = [info.qos_profile for info in stage.operator.get_publishers_info_by_topic("/impedance_command")]
        assert [qos.reliability for qos in offered] == [ReliabilityPolicy.RELIABLE]
        assert offered[0].deadline.nanoseconds == 100_000_000
        kind = type(stage.commands[-1])
        for _ in range(2):
            asks = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            stage.operator.create_subscription(kind, "impedance_command", lambda message: None, asks)
        stage.until(lambda: bool(stage.controller.remarks))
        stage.tick(10)
        said = [event["text"] for event in stage.events if event["event"] == "remark"]
        assert said == list(stage.controller.remarks)
        assert len(said) == 1
        assert stage.controller.mode is Mode.POLICY
        assert said[0].startswith("/impedance_command: incompatible QoS, DURABILITY")
        stage.until(lambda: any(said[0] in status.message for array in stage.diagnoses for status in array.status))


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_an_emergency_stop_by_topic_latches(reliability: ReliabilityPolicy, path: Path) -> None:
    with Stage(path) as stage:
        button = stage.operator.create_publisher(Bool, "estop", QoSProfile(depth=1, reliability=reliability))
        stage.reach_policy()
        button.publish(Bool(data=False))
        stage.tick(10)
        assert stage.controller.mode is Mode.POLICY
        stage.until(lambda: (button.publish(Bool(data=True)), stage.controller.mode is Mode.FAULT)[1])
        button.publish(Bool(data=False))
        stage.tick(5)
        assert stage.controller.mode is Mode.FAULT
        assert not driven(stage)


def test_an_emergency_stop_works_in_every_lifecycle_state(path: Path) -> None:
    with Stage(path, MANAGED, armed=False) as stage:
        assert stage.call("estop")[0]
        stage.until(lambda: stage.controller.mode is Mode.FAULT)
        assert stage.change("configure")
        assert stage.call("reset")[0]
        stage.tick(2)
        assert stage.call("estop")[0]
        stage.until(lambda: stage.controller.mode is Mode.FAULT)


def test_diagnostics_tell_state_timing_sensors_and_limits(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        stage.diagnoses.clear()
        stage.until(lambda: bool(stage.diagnoses))
        by_name = {status.name.partition(": ")[2]: status for status in stage.diagnoses[-1].status}
        assert list(by_name) == ["go1-test", "timing", "sensors", "limits"]
        values = {name: {pair.key: pair.value for pair in status.values} for name, status in by_name.items()}
        assert values["go1-test"]["lifecycle"] == "active"
        assert by_name["go1-test"].message == "policy"
        assert {"late_p50_ms", "late_p99_ms", "inference_p50_ms", "overruns", "missed"} <= set(values["timing"])
        assert int(values["sensors"]["joint_states received"]) > 0
        assert values["sensors"]["imu reordered"] == "0"
        assert {"joint range ticks", "torque ticks", "now on"} <= set(values["limits"])


def test_a_late_subscriber_still_learns_the_state(path: Path) -> None:
    with Stage(path) as stage:
        stage.tick(2)
        heard: list[str] = []
        asks = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        stage.operator.create_subscription(String, "/policy/state", lambda message: heard.append(message.data), asks)
        stage.until(lambda: heard == ["damping"] or len(heard) > 1)


def test_the_transport_starts_no_thread_and_closes_twice(path: Path) -> None:
    before = threading.enumerate()
    with Stage(path) as stage:
        stage.tick(3)
        assert threading.enumerate() == before
    stage.transport.close()


def test_a_managed_node_without_a_controller_is_refused() -> None:
    with pytest.raises(Ros2OptionError, match="controller"):
        Ros2Transport(go1_spec(), MANAGED)


def test_every_kind_of_command_has_a_topic_or_asks_for_nothing() -> None:
    assert set(OPERATOR_TOPICS) == set(COMMAND_SIZES) - {"none"}
    nothing = CommandSpec(kind="none", labels=(), lower=(), upper=(), ages=False)
    Ros2Transport(dataclasses.replace(arm_spec(), command=nothing))


def test_the_options_the_clock_and_the_filter_need_no_ros() -> None:
    modules = [f"bridge.transports.ros2.{name}" for name in ("transport", "options", "clock", "newest", "compat")]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]; print('rclpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=60, check=True)
    assert result.stdout.strip() == "False"
