"""Play a bag to a policy node in a dry run: `ros2 launch robolearn replay.launch.py bag:=walk policy:=walk.onnx`.

The node runs in the bag's time (`/clock`), reads the recorded sensors, infers, and logs commands without sending them.
"""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

PYTHON = os.environ.get("ROBOLEARN_PYTHON", "python3")
HEARD = ("/joint_states", "/imu", "/cmd_vel", "/goal", "/goal_pose", "/motion")
CLOCK_HZ = "500"


def start(context):
    """Make the two processes from the resolved arguments."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ("bag", "policy", "rate", "extra_joints", "joint_prefix")}
    bag, policy = Path(value["bag"]).expanduser(), Path(value["policy"]).expanduser()
    if not bag.exists():
        raise RuntimeError(f"bag:= must be a recorded bag; there is none at {bag}")
    if not policy.is_file():
        raise RuntimeError(f"policy:= must be a policy file; there is none at {policy}")
    if not value["rate"].replace(".", "", 1).isdigit() or not float(value["rate"]) > 0:
        raise RuntimeError(f"rate:= must be a number above zero, not {value['rate']!r}")
    node = [PYTHON, "-m", "bridge.deploy", str(policy), "--transport", "ros2", "--dry-run", "--ungated"]
    if value["extra_joints"]:
        node += ["--extra-joints", *value["extra_joints"].split(",")]
    if value["joint_prefix"]:
        node += ["--joint-prefix", value["joint_prefix"]]
    player = ["ros2", "bag", "play", str(bag), "--rate", value["rate"], "--clock", CLOCK_HZ, "--topics", *HEARD]
    return [
        ExecuteProcess(cmd=[*node, "--ros-args", "-p", "use_sim_time:=true"], name="policy", output="screen"),
        ExecuteProcess(cmd=player, name="player", output="screen", on_exit=Shutdown(reason="the bag has ended")),
    ]


def generate_launch_description():
    """Declare the arguments and start."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="the bag, a folder or a file"),
            DeclareLaunchArgument("policy", description="path of the policy file"),
            DeclareLaunchArgument("rate", default_value="1.0", description="playback speed, 1 for real time"),
            DeclareLaunchArgument("extra_joints", default_value="", description="joints to ignore in the bag, comma-separated"),
            DeclareLaunchArgument("joint_prefix", default_value="", description="[old=]new prefix of every joint, e.g. panda_=fr3_"),
            DeclareLaunchArgument(
                "discovery", default_value="LOCALHOST", choices=["LOCALHOST", "SUBNET"], description="ROS 2 discovery range"
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery")),
            OpaqueFunction(function=start),
        ]
    )
