"""Options for reaching a Unitree robot. Needs no DDS."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.fields import option


@dataclass(frozen=True, kw_only=True)
class UnitreeOptions:
    """How to reach the robot.

    Attributes:
        interface: network interface of the cable to the robot, for example `eth0`; None for loopback, or what `CYCLONEDDS_URI` says.
        domain: DDS domain; None for `ROS_DOMAIN_ID`, or 0, where Unitree's robots are.
        rate_hz: commands a second.
        check_crc: whether a LowState with a wrong check sum is dropped; on loopback, one without any is taken in any case.
        known_publishers: publishers of commands that are known to be silent and are not counted as rivals, for example a service of
            the robot's own that was told to let go and keeps its place on the wire.
        known_senders: likewise, second publishers of sensors.
        damping_factor: kd of the damping that the stream fades to, as a multiple of the robot's.
    """

    interface: str | None = option(
        None, "interface of the cable to the robot (default: loopback)", flag="--network-interface", metavar="NAME"
    )
    domain: int | None = option(
        None, "DDS domain (default: ROS_DOMAIN_ID, or 0; Unitree's simulators: 1)", flag="--dds-domain", metavar="N"
    )
    rate_hz: float = 500.0
    check_crc: bool = option(True, "accept LowStates with any check sum; on loopback, a missing one is always accepted", flag="--no-crc")
    known_publishers: int = option(0, "silent publishers of rt/lowcmd that do not count as rivals", metavar="N")
    known_senders: int = option(0, "silent second publishers of rt/lowstate that do not count as rivals", metavar="N")
    damping_factor: float = 1.0
