"""Record the topics of a policy node with rosbag2: `ros2 launch robolearn record.launch.py output:=walk`.

The policy node's own log (`--log`) also holds the inferences; a bag can be read by other ROS tools and played by `replay.launch.py`.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

TOPICS = {
    "impedance": "/impedance_command",
    "trajectory": "/joint_trajectory_controller/joint_trajectory",
    "forward": "/forward_position_controller/commands",
    "forward_velocity": "/forward_velocity_controller/commands",
    "forward_effort": "/forward_effort_controller/commands",
}
OF_POLICY = ("/policy/state", "/policy/transition_event")
ALWAYS = ("/joint_states", "/imu", "/cmd_vel", "/goal", "/goal_pose", "/motion", "/estop", "/diagnostics", "/rosout", *OF_POLICY)


def start(context):
    """Make the recorder's process from the resolved arguments."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ("output", "storage", "command_interface", "topics")}
    output = Path(value["output"]).expanduser()
    if output.exists():
        raise RuntimeError(f"output:= must be a new folder; {output} exists")
    topics = [*ALWAYS, TOPICS[value["command_interface"]], *(topic for topic in value["topics"].split(",") if topic)]
    command = ["ros2", "bag", "record", "--output", str(output), "--storage", value["storage"], *topics]
    return [ExecuteProcess(cmd=command, name="recorder", output="screen")]


def generate_launch_description():
    """Declare the arguments and start."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("output", description="folder for the bag, which must not exist yet"),
            DeclareLaunchArgument("storage", default_value="mcap", choices=["mcap", "sqlite3"], description="rosbag2's storage"),
            DeclareLaunchArgument(
                "command_interface", default_value="impedance", choices=list(TOPICS), description="command interface of the robot"
            ),
            DeclareLaunchArgument("topics", default_value="", description="further topics, comma-separated"),
            DeclareLaunchArgument(
                "discovery", default_value="LOCALHOST", choices=["LOCALHOST", "SUBNET"], description="ROS 2 discovery range"
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery")),
            OpaqueFunction(function=start),
        ]
    )
