"""The launch files: what they would run, checked with ROS's own `launch` where it is installed, and by reading them where it is not."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import py_compile
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bridge import options, settings
from bridge.simulated import robot as simulated_robot
from bridge.transports.ros2.options import COMMAND_TOPICS, INTERFACES
from policies import plugins
from tests.bridge_helpers import REPOSITORY, ros_environment, wait_for

FOLDER = REPOSITORY / "launch"
NAMES = sorted(path.name.removesuffix(".launch.py") for path in FOLDER.glob("*.launch.py"))
POLICY = REPOSITORY / "policies" / "zoo" / "go1-velocity-flat.onnx"
OF_ROSBAG = {"--output", "--storage", "--rate", "--clock", "--topics"}
OF_ROBOLEARN = {"--out"}  # of `robolearn robot mjcf`


def strings(name: str) -> set[str]:
    tree = ast.parse((FOLDER / f"{name}.launch.py").read_text())
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    plugins.add_option(parser)
    options.configure(parser)
    return parser, simulated_robot.parser()


@pytest.mark.parametrize("name", NAMES)
def test_a_launch_file_compiles_and_passes_options_that_exist(name: str, tmp_path: Path) -> None:
    py_compile.compile(str(FOLDER / f"{name}.launch.py"), cfile=str(tmp_path / "compiled"), doraise=True)
    known = {option for parser in parsers() for action in parser._actions for option in action.option_strings}
    assert {text for text in strings(name) if text.startswith("--")} - {"--", "--ros-args"} <= known | OF_ROSBAG | OF_ROBOLEARN


@pytest.mark.parametrize("name", NAMES)
def test_no_launch_file_activates_a_node_by_an_event(name: str) -> None:
    """An activation that is bound to the state `inactive` would start a stopped policy again."""
    text = (FOLDER / f"{name}.launch.py").read_text()
    assert "OnStateTransition" not in text
    assert "TRANSITION_ACTIVATE" not in text


def test_interfaces_and_topics_are_those_of_the_bridge() -> None:
    for name in ("deploy", "record"):
        assert set(INTERFACES) <= strings(name)
    assert {f"/{topic}" for topic in COMMAND_TOPICS.values()} <= strings("record")


def commands(name: str, **arguments: str) -> list[list[str]]:
    """The processes that a launch file would start, without starting them."""
    actions = pytest.importorskip("launch.actions", reason="ROS's launch is not installed")
    from launch.utilities import perform_substitutions

    import launch

    spec = importlib.util.spec_from_file_location(f"{name}_launch", FOLDER / f"{name}.launch.py")
    assert spec is not None
    assert spec.loader is not None
    before = dict(os.environ)
    os.environ["ROBOLEARN_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context: Any = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    found: list[list[str]] = []
    try:
        for entity in module.generate_launch_description().entities:
            for action in entity.visit(context) or []:
                assert isinstance(action, actions.ExecuteProcess)
                found.append([perform_substitutions(context, part) for part in action.cmd])
    finally:
        os.environ.clear()
        os.environ.update(before)
    return found


def test_deploy_passes_every_argument_on() -> None:
    (command,) = commands(
        "deploy",
        policy=str(POLICY),
        command_interface="forward_effort",
        joint_order="a,b",
        joint_prefix="panda_=",
        extra_joints="f1,f2",
        silent_nodes="/standby",
        managed="true",
        ungated="true",
        use_sim_time="true",
        policy_sha256="0123",
        imu="/torso/imu",
        options="--limit max_tilt=0.5 --log 'a b.mcap'",
        **{"import": "my_package,other.plugin"},
    )
    cut = command.index("--ros-args")
    parsed = parsers()[0].parse_args(command[3:cut])
    assert (parsed.command_interface, parsed.joint_order, parsed.joint_prefix) == ("forward_effort", ["a", "b"], "panda_=")
    assert parsed.silent_nodes == ["/standby"]
    assert (parsed.transport, parsed.imports, parsed.limit) == ("ros2", ["my_package", "other.plugin"], ["max_tilt=0.5"])
    assert parsed.log == Path("a b.mcap")
    assert (parsed.extra_joints, parsed.managed, parsed.ungated, parsed.dry_run) == (["f1", "f2"], True, True, False)
    assert {"use_sim_time:=true", "policy_sha256:='0123'", "imu:=/torso/imu"} <= set(command[cut:])


def test_deploy_leaves_to_a_file_of_settings_what_nobody_asks_for(tmp_path: Path) -> None:
    file = tmp_path / "deploy.yaml"
    file.write_text("transport: ros2\nros2: {command_interface: trajectory, base_frame: world, managed: true}\n")
    (command,) = commands("deploy", policy=str(POLICY), config=str(file), base_frame="stand")
    ours = command[3 : command.index("--ros-args")]
    parser = parsers()[0]
    settings.prepare(parser, ours, [])
    parsed = parser.parse_args(ours)
    assert (parsed.command_interface, parsed.base_frame, parsed.managed) == ("trajectory", "stand", True)


def test_sim_starts_robot_and_node() -> None:
    robot, node = commands("sim", policy=str(POLICY), clock="true", auto_start="true", command_interface="trajectory")
    assert parsers()[1].parse_args(robot[3:]).clock
    parsed = parsers()[0].parse_args(node[3 : node.index("--ros-args")])
    assert (parsed.auto_start, parsed.managed, parsed.command_interface) == (True, False, "trajectory")


def test_record_and_replay(tmp_path: Path) -> None:
    (record,) = commands("record", output=str(tmp_path / "bag"), command_interface="forward", topics="/tf,/camera")
    assert record[:3] == ["ros2", "bag", "record"]
    assert {"/joint_states", "/policy/state", "/forward_position_controller/commands", "/tf", "/camera"} <= set(record)
    node, player = commands("replay", bag=str(tmp_path), policy=str(POLICY), rate="0.5")
    assert parsers()[0].parse_args(node[3 : node.index("--ros-args")]).dry_run
    assert player[:3] == ["ros2", "bag", "play"]


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("deploy", {"policy": "none.onnx"}, "no.* at none.onnx|there is none"),
        ("deploy", {"policy": str(POLICY), "command_interface": "wish"}, "wish"),
        ("deploy", {"policy": str(POLICY), "managed": "maybe"}, "maybe"),
        ("sim", {"policy": str(POLICY), "robot": "spot"}, "unknown robot 'spot'"),
        ("record", {"output": str(FOLDER)}, "new folder"),
        ("record", {"output": "bag", "storage": "paper"}, "paper"),
        ("replay", {"bag": "none", "policy": str(POLICY)}, "there is none"),
        ("replay", {"bag": str(FOLDER), "policy": str(POLICY), "rate": "0"}, "above zero"),
    ],
)
def test_wrong_arguments_are_refused(name: str, arguments: dict[str, str], why: str) -> None:
    pytest.importorskip("launch.actions", reason="ROS's launch is not installed")
    with pytest.raises(RuntimeError, match=why):
        commands(name, **arguments)


RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, *arguments = sys.argv[1:]
service = LaunchService()
pairs = [tuple(argument.split(":=")) for argument in arguments]
source = PythonLaunchDescriptionSource(file)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=pairs)]))
sys.exit(service.run())
"""


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "everybody"),
    [
        pytest.param("zero_torque -> damping", True, id="Ctrl-C while it runs"),
        pytest.param("zero_torque -> damping", False, id="SIGINT for launch alone"),
        pytest.param("[policy-2]: process started", True, id="Ctrl-C while it loads"),
    ],
)
def test_what_launch_is_asked_to_end_ends_without_an_error(
    after: str, everybody: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal sends Ctrl-C to all its processes, and `launch` sends it to them once more. (SIGTERM ends `launch` itself at once.)"""
    pytest.importorskip("launch.actions", reason="ROS's launch is not installed")
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROBOLEARN_PYTHON", sys.executable)
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    run, log = tmp_path / "run.py", tmp_path / "launch.log"
    run.write_text(RUN)
    command = [sys.executable, str(run), str(FOLDER / "sim.launch.py"), f"policy:={POLICY}", "auto_start:=true", "ungated:=true"]
    with log.open("w") as output:
        child = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output, start_new_session=True)
    try:
        assert wait_for(lambda: after in log.read_text(), 40), log.read_text()
        time.sleep(0.5)
        (os.killpg if everybody else os.kill)(child.pid, signal.SIGINT)
        assert child.wait(40) == 0, log.read_text()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    said = log.read_text()
    assert "process has died" not in said
    assert said.count("process has finished cleanly") == 2, said
