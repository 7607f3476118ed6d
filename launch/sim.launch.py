"""Start a simulated robot and the policy node that drives it: `ros2 launch robolearn sim.launch.py policy:=walk.onnx`."""

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

PYTHON = os.environ.get("ROBOLEARN_PYTHON", "python3")
INTERFACES = ["impedance", "trajectory"]
FLAGS = ("auto_start", "ungated", "managed")
OPTIONS = ("robot", "mjcf", "config", "command_interface", "clock", *FLAGS)


def model_of(robot: str, folder: str) -> str:
    """The MJCF of a robot (a name, a robot.yaml, or a policy file, for its own robot), written by robolearn into a folder."""
    path = str(Path(folder) / "robot.xml")
    made = subprocess.run([PYTHON, "-m", "robolearn", "robot", "mjcf", robot, "--out", path], capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(made.stderr.strip() or f"robolearn robot mjcf {robot} failed with exit code {made.returncode}")
    return path


def start(context):
    """Make the two processes from the resolved arguments."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ("policy", *OPTIONS)}
    policy = Path(value["policy"]).expanduser()
    if not policy.is_file():
        raise RuntimeError(f"policy:= must be a policy file; there is none at {policy}")
    mjcf = value["mjcf"]
    if not mjcf:
        folder = tempfile.mkdtemp(prefix="robolearn-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        mjcf = model_of(str(Path(value["robot"]).expanduser()) if value["robot"] else str(policy), folder)
    shared = ["--command-interface", value["command_interface"]]
    robot = [PYTHON, "-m", "bridge.simulated.robot", "--policy", str(policy), "--mjcf", mjcf, *shared]
    node = [PYTHON, "-m", "bridge.deploy", str(policy), "--transport", "ros2", *shared]
    if value["config"]:
        node += ["--config", str(Path(value["config"]).expanduser())]
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
            DeclareLaunchArgument("robot", default_value="", description="a name or a robot.yaml; empty for the policy's own robot"),
            DeclareLaunchArgument("mjcf", default_value="", description="another model of the robot, MJCF"),
            DeclareLaunchArgument("config", default_value="", description="a YAML file of settings; arguments take precedence"),
            DeclareLaunchArgument(
                "command_interface", default_value="impedance", choices=INTERFACES, description="command interface of the robot"
            ),
            DeclareLaunchArgument("auto_start", default_value="false", choices=true_or_false, description="stand and walk automatically"),
            DeclareLaunchArgument("managed", default_value="false", choices=true_or_false, description="wait for a lifecycle manager"),
            DeclareLaunchArgument("clock", default_value="false", choices=true_or_false, description="run both in simulated time, /clock"),
            DeclareLaunchArgument(
                "ungated", default_value="false", choices=true_or_false, description="run a file that has not passed the gate"
            ),
            DeclareLaunchArgument(
                "discovery", default_value="LOCALHOST", choices=["LOCALHOST", "SUBNET"], description="ROS 2 discovery range"
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery")),
            OpaqueFunction(function=start),
        ]
    )
