"""Keeps ROS 2 on this computer, and its processes independent, unless configured otherwise.

By default ROS sends discovery multicast to the whole network, so two people who try the same example drive each other's robot. Fast DDS's
shared memory uses locks shared by all processes of the computer: a process that is starved of processor time, or killed, while it holds one
stalls another's control loop, whatever its priority (a whole second was seen). UDP on loopback has no such locks.

`isolate` must run before anything imports rclpy; values set by the user take precedence.
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
"""Also discoverable by multicast, but only on `lo`, which nothing leaves: Unitree's SDK only discovers others by multicast."""


def isolate(discovery: str | None = None) -> None:
    """Set the default of this process and its children to discovery on the local host and to UDP.

    Args:
        discovery: `LOCALHOST` or `SUBNET` from the command line; None for the environment's value, or `LOCALHOST` without one.
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
    """Arguments for `rclpy.init`: the given ones, and no log files in the home folder; nodes log to the screen and to `/rosout`.

    To get the files, set ROS_LOG_DIR or ROS_HOME, or give `--enable-external-lib-logs`.
    """
    arguments = list(given)
    wanted = os.environ.get("ROS_LOG_DIR") or os.environ.get("ROS_HOME") or any("external-lib-logs" in item for item in arguments)
    return arguments if wanted else [*arguments, "--ros-args", "--disable-external-lib-logs"]
