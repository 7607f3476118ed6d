"""A gripper's joints on a topic of their own: each part of a command arrives by name or in the controller's order, on the wire too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from bridge.control.command import JointCommand, damping
from bridge.control.safety import Event, Mode
from bridge.simulated.commands import Commands
from bridge.transports.ros2.gripper import parts_of
from bridge.transports.ros2.messages import MESSAGE_TYPES, CommandEncoder
from bridge.transports.ros2.options import GRIPPER_TOPICS, Ros2Options
from tests.bridge_helpers import ros_environment
from tests.make_policy import go1_spec, make_policy
from tests.ros2_stage import RELIABLE, Stage

SPEC = go1_spec()
NAMES = SPEC.robot.joint_names
FINGERS = (NAMES[7], NAMES[2])  # in their controller's order, and neither first nor last
POSE = np.array(SPEC.robot.default_pose)


class Robot:
    """Whose joints stand in another order."""

    names = tuple(NAMES[i] for i in np.random.default_rng(3).permutation(12))


@pytest.mark.parametrize("interface", ["impedance", "trajectory"])
@pytest.mark.parametrize("gripper", list(GRIPPER_TOPICS))
def test_both_parts_arrive(interface: str, gripper: str) -> None:
    options = Ros2Options(interface=interface, gripper_joints=FINGERS, gripper_interface=gripper)
    hand, arm = parts_of(SPEC, options, NAMES)
    assert (hand.topic, arm.topic) == (GRIPPER_TOPICS[gripper], options.topic)
    assert set(hand.names) | set(arm.names) == set(NAMES)
    assert not set(hand.names) & set(arm.names)
    joined = Commands(SPEC, Robot(), interface, FINGERS, gripper)  # type: ignore[arg-type]
    sent = JointCommand(POSE + np.linspace(-0.1, 0.1, 12), *(np.arange(12.0) + offset for offset in (1, 2, 3, 4)))
    for part, take in ((hand, joined.gripper), (arm, joined.arm)):
        encode = CommandEncoder(part, part.interface, part.order, part.names)
        got = take(encode(part.command(sent), part.of(POSE), part.of(POSE)))
    index = [NAMES.index(name) for name in Robot.names]
    np.testing.assert_array_equal(got.position, sent.position[index])
    if interface == "impedance":
        arms = [i for i, name in enumerate(Robot.names) if name not in FINGERS]
        np.testing.assert_array_equal(got.kp[arms], sent.kp[[NAMES.index(Robot.names[i]) for i in arms]])
    fingers = [Robot.names.index(name) for name in FINGERS]
    np.testing.assert_array_equal(got.kp[fingers], [SPEC.robot.kp[NAMES.index(name)] for name in FINGERS])


def test_an_array_has_the_controllers_order_and_damping_holds_the_measured_pose() -> None:
    hand, _ = parts_of(SPEC, Ros2Options(gripper_joints=FINGERS, gripper_interface="forward"), NAMES)
    encode = CommandEncoder(hand, hand.interface, hand.order, hand.names)
    assert encode(hand.command(damping(np.ones(12))), hand.of(POSE)) is None, "a gripper that was never driven is left alone"
    driven = JointCommand(POSE + 0.1, np.zeros(12), np.zeros(12), np.ones(12), np.ones(12))
    assert list(encode(hand.command(driven), hand.of(POSE)).data) == [POSE[NAMES.index(name)] + 0.1 for name in FINGERS]
    held = encode(hand.command(damping(np.ones(12))), hand.of(POSE + 0.05))
    assert list(held.data) == [POSE[NAMES.index(name)] + 0.05 for name in FINGERS]


def test_without_a_gripper_all_is_one_part() -> None:
    (whole,) = parts_of(SPEC, Ros2Options(), NAMES)
    assert whole.names == NAMES
    assert whole.robot == SPEC.robot


@pytest.mark.ros
def test_two_topics_on_the_wire_and_a_rival_on_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    options = Ros2Options(gripper_joints=FINGERS, gripper_topic="hand/commands", gripper_interface="forward")
    with Stage(make_policy(tmp_path / "stand.onnx", kind="stand"), options) as stage:
        hand: list[Any] = []
        stage.operator.create_subscription(MESSAGE_TYPES["forward"], "hand/commands", hand.append, RELIABLE)
        stage.until(lambda: stage.controller.inputs.reading is not None and stage.controller.refusal(Event.STAND) is None)
        assert not stage.commands
        assert stage.call("stand") == (True, "accepted")
        stage.until(lambda: len(hand) > 3 and len(stage.commands) > 3)
        assert stage.controller.mode is Mode.STAND
        assert len(hand[-1].data) == 2
        assert len(stage.commands[-1].data) == 10 * 5
        assert set(stage.commands[-1].layout.dim[0].label.split(",")) == set(NAMES) - set(FINGERS)
        stage.operator.create_publisher(MESSAGE_TYPES["forward"], "hand/commands", RELIABLE)
        stage.until(lambda: stage.controller.mode is Mode.DAMPING)
        assert "other publishers on the robot's command topic /hand/commands: /operator" in stage.controller.tripped
