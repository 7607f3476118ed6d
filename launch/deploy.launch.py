"""Start the policy node for a robot whose driver runs already: `ros2 launch robolearn deploy.launch.py policy:=walk.onnx`.

Nothing moves before somebody calls the services `/policy/stand` and `/policy/start`.
"""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

PYTHON = os.environ.get("ROBOLEARN_PYTHON", "python3")
INTERFACES = ["impedance", "trajectory", "forward"]
TOPICS = ("joint_states", "imu", "cmd_vel", "goal")
OPTIONS = ("command_interface", "command_topic", "joint_order", "extra_joints", "base_frame", "dry_run", "ungated")


def start(context):
    """Make the policy node's process from the resolved arguments."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ("policy", *OPTIONS, *TOPICS)}
    policy = Path(value["policy"]).expanduser()
    if not policy.is_file():
        raise RuntimeError(f"policy:= must be a policy file; there is none at {policy}")
    command = [PYTHON, "-m", "bridge.deploy", str(policy), "--transport", "ros2", "--command-interface", value["command_interface"]]
    if value["command_topic"]:
        command += ["--command-topic", value["command_topic"]]
    for option in ("joint_order", "extra_joints"):
        if value[option]:
            command += [f"--{option.replace('_', '-')}", *value[option].split(",")]
    command += ["--base-frame", value["base_frame"]]
    for flag in ("dry_run", "ungated"):
        if value[flag] == "true":
            command.append(f"--{flag.replace('_', '-')}")
    remaps = [part for topic in TOPICS for part in ("-r", f"{topic}:={value[topic]}")]
    return [ExecuteProcess(cmd=[*command, "--ros-args", *remaps], name="policy", output="screen")]


def generate_launch_description():
    """Declare the arguments and start."""
    true_or_false = ["true", "false"]
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", description="path of the policy file"),
            DeclareLaunchArgument("command_interface", default_value="impedance", choices=INTERFACES, description="what the robot obeys"),
            DeclareLaunchArgument("command_topic", default_value="", description="where commands go; empty for the interface's own topic"),
            DeclareLaunchArgument("joint_order", default_value="", description="the controller's joints, comma-separated, for forward"),
            DeclareLaunchArgument("extra_joints", default_value="", description="joints to ignore on the wire, comma-separated"),
            DeclareLaunchArgument("dry_run", default_value="false", choices=true_or_false, description="send nothing to the robot"),
            DeclareLaunchArgument("ungated", default_value="false", choices=true_or_false, description="run a file without the gate's yes"),
            DeclareLaunchArgument("base_frame", default_value="base", description="frame of goal positions"),
            DeclareLaunchArgument("joint_states", default_value="joint_states", description="topic of the joint encoders"),
            DeclareLaunchArgument("imu", default_value="imu", description="topic of the IMU"),
            DeclareLaunchArgument("cmd_vel", default_value="cmd_vel", description="topic of velocity commands"),
            DeclareLaunchArgument("goal", default_value="goal", description="topic of goal positions"),
            DeclareLaunchArgument(
                "discovery", default_value="LOCALHOST", choices=["LOCALHOST", "SUBNET"], description="ROS 2 discovery range"
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery")),
            OpaqueFunction(function=start),
        ]
    )
