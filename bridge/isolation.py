"""Keep ROS 2 on this computer, and its processes apart, unless somebody says otherwise.

The ROS default sends discovery multicast to the whole network, so two people who try the same example drive each other's robot.
Fast DDS's shared memory has locks that all processes of the computer share: one that is starved of processor time, or killed, while
it holds one stalls the control loop of another, whatever priority that has (a whole second was seen). UDP on loopback has none.

`isolate` must run before anything imports rclpy; a value that the user has set always wins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

LOOPBACK_CYCLONE = (
    '<CycloneDDS><Domain Id="any"><General><Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces>'
    "<AllowMulticast>false</AllowMulticast></General>"
    '<Discovery><ParticipantIndex>auto</ParticipantIndex><Peers><Peer address="localhost"/></Peers></Discovery></Domain></CycloneDDS>'
)

LOOPBACK_MULTICAST = LOOPBACK_CYCLONE.replace('multicast="false"', 'multicast="true"').replace(
    "<AllowMulticast>false<", "<AllowMulticast>spdp<"
)
"""Also found by multicast, on `lo` alone, which nothing leaves: Unitree's SDK looks for others by multicast and by nothing else."""


def isolate(discovery: str | None = None) -> None:
    """Default this process and its children to discovery on the local host and to UDP.

    Args:
        discovery: `LOCALHOST` or `SUBNET`, said on the command line; None for the environment's value, or `LOCALHOST` without one.
    """
    if discovery is not None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = discovery
    chosen = os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
    if chosen == "LOCALHOST":
        os.environ.setdefault("CYCLONEDDS_URI", LOOPBACK_CYCLONE)
        if os.environ.get("ROS_DISTRO") == "humble":  # the one release that knows only the older variable
            os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")


def ros_arguments(given: Iterable[str]) -> list[str]:
    """Arguments for `rclpy.init`: those given, and no log files in the home folder; nodes say on the screen and on `/rosout` what they say.

    Who wants the files sets ROS_LOG_DIR or ROS_HOME, or gives `--enable-external-lib-logs`.
    """
    arguments = list(given)
    wanted = os.environ.get("ROS_LOG_DIR") or os.environ.get("ROS_HOME") or any("external-lib-logs" in item for item in arguments)
    return arguments if wanted else [*arguments, "--ros-args", "--disable-external-lib-logs"]
