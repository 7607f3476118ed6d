"""The policy node's ROS parameters, over real ROS 2: described, ranged, pinned at start, changed in damping only."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rcl_interfaces.srv import DescribeParameters, GetParameters

from bridge.control.safety import Mode, SafetyLimits
from bridge.transports.ros2.parameters import THRESHOLDS
from bridge.transports.ros2.transport import Ros2OptionError, Ros2Options
from policies.contract.file import PolicyFile
from tests.bridge_helpers import ros_environment
from tests.make_policy import go1_spec, make_policy
from tests.ros2_stage import Stage

pytestmark = pytest.mark.ros


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def test_thresholds_change_in_damping_only_and_say_why_not(path: Path) -> None:
    with Stage(path) as stage:
        stage.ready()
        assert stage.set("command_timeout_s", 0.3) == (True, "")
        assert stage.controller.limits.command_timeout_s == 0.3
        for value, why in ((-1.0, "range"), (math.nan, "range")):
            accepted, reason = stage.set("command_timeout_s", value)
            assert not accepted
            assert why in reason
        assert not stage.set("command_timeout_s", "soon")[0]
        for name, value in (("policy_sha256", "0"), ("rate_hz", 100.0), ("use_sim_time", True), ("joint_order", ["a"])):
            assert not stage.set(name, value)[0], name
        stage.reach_policy()
        accepted, reason = stage.set("sensor_timeout_s", 0.4)
        assert not accepted
        assert "only change in damping, not in policy: stop first" in reason
        assert stage.call("estop")[0]
        stage.until(lambda: stage.controller.mode is Mode.FAULT)
        assert "reset first" in stage.set("sensor_timeout_s", 0.4)[1]
        assert stage.controller.limits.command_timeout_s == 0.3


def test_parameters_are_described(path: Path) -> None:
    with Stage(path) as stage:
        names = [*THRESHOLDS, "policy_sha256", "task", "wire_joints"]
        described = stage.ask(DescribeParameters, "/policy/describe_parameters", DescribeParameters.Request(names=names)).descriptors
        assert all(descriptor.description for descriptor in described)
        assert [descriptor.read_only for descriptor in described] == [False] * len(THRESHOLDS) + [True] * 3
        assert all(descriptor.floating_point_range[0].from_value > 0 for descriptor in described[: len(THRESHOLDS)])
        values = stage.ask(GetParameters, "/policy/get_parameters", GetParameters.Request(names=names)).values
        assert values[len(THRESHOLDS)].string_value == PolicyFile(path).sha256
        assert values[-1].string_array_value == list(go1_spec().robot.joint_names)
    assert set(THRESHOLDS) <= {field.name for field in dataclasses.fields(SafetyLimits)}


def test_parameters_at_start_set_thresholds_and_pin_the_file(path: Path) -> None:
    def opened(*arguments: str) -> Stage:
        return Stage(path, Ros2Options(ros_args=("--ros-args", *(part for text in arguments for part in ("-p", text)))))

    with opened("sensor_timeout_s:=0.2", f"policy_sha256:='{PolicyFile(path).sha256}'", "task:=go1-test") as stage:
        assert stage.controller.limits.sensor_timeout_s == 0.2
    for argument, why in (
        ("task:=other", "go1-test"),
        ("sensor_timeout_s:=-1.0", "range"),
        ("sensor_timeout_s:=soon", "type"),
        ("managed:=true", "managed"),
    ):
        with pytest.raises(Ros2OptionError, match=why), opened(argument):
            pass
