"""Start the policy node for a robot whose driver is already running: `ros2 launch robolearn deploy.launch.py policy:=walk.onnx`.

Nothing moves until the services `/policy/stand` and `/policy/start` are called. With `managed:=true` the node must first be configured and
activated, by a lifecycle manager or with `ros2 lifecycle set /policy configure` and `activate`. Do not activate it from a launch event: one
bound to the state `inactive` would activate a stopped policy again.
"""

import os
import shlex
from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

PYTHON = os.environ.get("ROBOLEARN_PYTHON", "python3")
INTERFACES = ["impedance", "trajectory", "forward", "forward_velocity", "forward_effort"]
TOPICS = ("joint_states", "imu", "cmd_vel", "goal", "goal_pose", "motion")
LISTS = ("joint_order", "joint_names", "extra_joints", "silent_nodes")
FLAGS = ("dry_run", "ungated", "managed")
OTHERS = ("config", "transport", "import", "options")
OPTIONS = (*OTHERS, "command_interface", "command_topic", "joint_prefix", "base_frame", *LISTS, *FLAGS, "use_sim_time", "policy_sha256")


def start(context):
    """Make the policy node's process from the resolved arguments."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ("policy", *OPTIONS, *TOPICS)}
    policy = Path(value["policy"]).expanduser()
    if not policy.is_file():
        raise RuntimeError(f"policy:= must be a policy file; there is none at {policy}")
    command = [PYTHON, "-m", "bridge.deploy", str(policy)]
    if value["config"]:
        command += ["--config", str(Path(value["config"]).expanduser())]
    command += [part for package in filter(None, value["import"].split(",")) for part in ("--import", package)]
    for option in ("transport", "command_interface", "command_topic", "joint_prefix", "base_frame"):
        if value[option]:
            command += [f"--{option.replace('_', '-')}", value[option]]
    for option in LISTS:
        if value[option]:
            command += [f"--{option.replace('_', '-')}", *value[option].split(",")]
    command += [f"--{flag.replace('_', '-')}" for flag in FLAGS if value[flag] == "true"]
    command += shlex.split(value["options"])
    ros = [part for topic in TOPICS for part in ("-r", f"{topic}:={value[topic]}")]
    ros += ["-p", f"use_sim_time:={value['use_sim_time']}"]
    if value["policy_sha256"]:
        ros += ["-p", f"policy_sha256:='{value['policy_sha256']}'"]
    return [ExecuteProcess(cmd=[*command, "--ros-args", *ros], name="policy", output="screen")]


def generate_launch_description():
    """Declare the arguments and start."""
    true_or_false = ["true", "false"]
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", description="path of the policy file"),
            DeclareLaunchArgument("config", default_value="", description="a YAML file of settings; arguments take precedence"),
            DeclareLaunchArgument("transport", default_value="", description="ros2 (default), or a plugin's transport"),
            DeclareLaunchArgument("import", default_value="", description="packages with plugins to import, comma-separated"),
            DeclareLaunchArgument("options", default_value="", description="further options of robolearn deploy, quoted as for a shell"),
            DeclareLaunchArgument(
                "command_interface", default_value="", choices=["", *INTERFACES], description="command interface of the robot"
            ),
            DeclareLaunchArgument("command_topic", default_value="", description="topic of commands; empty for the interface's own topic"),
            DeclareLaunchArgument("joint_order", default_value="", description="the controller's joints, comma-separated, for forward*"),
            DeclareLaunchArgument(
                "joint_names", default_value="", description="policy=wire pairs of joint names that differ, comma-separated"
            ),
            DeclareLaunchArgument("joint_prefix", default_value="", description="[old=]new prefix of every joint, e.g. panda_=fr3_"),
            DeclareLaunchArgument("extra_joints", default_value="", description="joints to ignore on the wire, comma-separated"),
            DeclareLaunchArgument(
                "silent_nodes", default_value="", description="nodes that may advertise sensor topics without publishing, comma-separated"
            ),
            DeclareLaunchArgument("dry_run", default_value="false", choices=true_or_false, description="send nothing to the robot"),
            DeclareLaunchArgument(
                "ungated", default_value="false", choices=true_or_false, description="run a file that has not passed the gate"
            ),
            DeclareLaunchArgument("managed", default_value="false", choices=true_or_false, description="wait for a lifecycle manager"),
            DeclareLaunchArgument("use_sim_time", default_value="false", choices=true_or_false, description="follow /clock"),
            DeclareLaunchArgument("policy_sha256", default_value="", description="start only if the policy file has this hash"),
            DeclareLaunchArgument("base_frame", default_value="", description="frame of goals (default: base)"),
            DeclareLaunchArgument("joint_states", default_value="joint_states", description="topic of the joint encoders"),
            DeclareLaunchArgument("imu", default_value="imu", description="topic of the IMU"),
            DeclareLaunchArgument("cmd_vel", default_value="cmd_vel", description="topic of velocity commands"),
            DeclareLaunchArgument("goal", default_value="goal", description="topic of goal positions"),
            DeclareLaunchArgument("goal_pose", default_value="goal_pose", description="topic of goal poses"),
            DeclareLaunchArgument("motion", default_value="motion", description="topic of commands defined by a task"),
            DeclareLaunchArgument(
                "discovery", default_value="LOCALHOST", choices=["LOCALHOST", "SUBNET"], description="ROS 2 discovery range"
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery")),
            OpaqueFunction(function=start),
        ]
    )
