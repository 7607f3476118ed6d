"""Start a simulated robot and the policy node that drives it: `ros2 launch robolearn sim.launch.py policy:=walk.onnx`."""

import importlib.util
import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

PYTHON = os.environ.get("ROBOLEARN_PYTHON", "python3")
INTERFACES = ["impedance", "trajectory"]
FLAGS = ("auto_start", "ungated", "managed")
OPTIONS = ("robot", "mjcf", "command_interface", "clock", *FLAGS)


def bundled_mjcf(robot: str) -> Path:
    """The model of a bundled robot."""
    found = importlib.util.find_spec("envs")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("robolearn is not installed in this Python environment")
    path = Path(found.submodule_search_locations[0]) / "robots" / robot / f"{robot}.xml"
    if not path.is_file():
        raise RuntimeError(f"no bundled model at {path}; give another robot:= or mjcf:=")
    return path


def robot_of(policy: Path) -> str:
    """The name of the robot that a policy file is for."""
    from policies.contract.file import PolicyFile

    return PolicyFile(policy).spec.robot.name


def start(context):
    """Make the two processes from the resolved arguments."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ("policy", *OPTIONS)}
    policy = Path(value["policy"]).expanduser()
    if not policy.is_file():
        raise RuntimeError(f"policy:= must be a policy file; there is none at {policy}")
    mjcf = value["mjcf"] or str(bundled_mjcf(value["robot"] or robot_of(policy)))
    shared = ["--command-interface", value["command_interface"]]
    robot = [PYTHON, "-m", "bridge.simulated.robot", "--policy", str(policy), "--mjcf", mjcf, *shared]
    node = [PYTHON, "-m", "bridge.deploy", str(policy), "--transport", "ros2", *shared]
    node += [f"--{flag.replace('_', '-')}" for flag in FLAGS if value[flag] == "true"]
    if value["clock"] == "true":
        robot.append("--clock")
        node += ["--ros-args", "-p", "use_sim_time:=true"]
    return [
        ExecuteProcess(cmd=robot, name="simulated_robot", output="screen", on_exit=Shutdown(reason="the simulated robot has ended")),
        ExecuteProcess(cmd=node, name="policy", output="screen", on_exit=Shutdown(reason="the policy node has ended")),
    ]


def generate_launch_description():
    """Declare the arguments and start."""
    true_or_false = ["true", "false"]
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", description="path of the policy file"),
            DeclareLaunchArgument("robot", default_value="", description="bundled robot model; empty for the policy's own robot"),
            DeclareLaunchArgument("mjcf", default_value="", description="model to simulate instead of the bundled one"),
            DeclareLaunchArgument("command_interface", default_value="impedance", choices=INTERFACES, description="what the robot obeys"),
            DeclareLaunchArgument("auto_start", default_value="false", choices=true_or_false, description="stand and walk at once"),
            DeclareLaunchArgument("managed", default_value="false", choices=true_or_false, description="wait for a lifecycle manager"),
            DeclareLaunchArgument("clock", default_value="false", choices=true_or_false, description="run both in simulated time, /clock"),
            DeclareLaunchArgument("ungated", default_value="false", choices=true_or_false, description="run a file without the gate's yes"),
            DeclareLaunchArgument(
                "discovery", default_value="LOCALHOST", choices=["LOCALHOST", "SUBNET"], description="ROS 2 discovery range"
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery")),
            OpaqueFunction(function=start),
        ]
    )
