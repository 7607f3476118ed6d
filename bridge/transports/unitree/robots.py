"""The messages of Unitree robots, and the joint of each motor. This is the only table of motor numbers.

The motor order is Unitree's own: `LegID` in the SDK for quadrupeds, `G1JointIndex` in the SDK's G1 example for the humanoid. The ankles
and the waist's roll and pitch of G1 are driven by two motors in parallel; in the mode PR (`mode_pr` 0) the robot's firmware takes
pitch and roll as if each had a motor of its own, and that is the mode of this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.control.joints import JointError, JointMap
from bridge.transports.unitree.layout import GO_LOW_COMMAND, GO_LOW_STATE, HG_LOW_COMMAND, HG_LOW_STATE, Schema
from policies.contract.spec import PolicySpec


@dataclass(frozen=True, kw_only=True)
class Family:
    """A set of messages.

    Attributes:
        name: the SDK's package of IDL types, `unitree_go` or `unitree_hg`.
        low_state, low_command: their fields.
        slots: motors that a message has room for.
    """

    name: str
    low_state: Schema
    low_command: Schema
    slots: int


GO = Family(name="unitree_go", low_state=GO_LOW_STATE, low_command=GO_LOW_COMMAND, slots=20)
HG = Family(name="unitree_hg", low_state=HG_LOW_STATE, low_command=HG_LOW_COMMAND, slots=35)


@dataclass(frozen=True, kw_only=True)
class UnitreeRobot:
    """One robot.

    Attributes:
        family: its messages.
        motors: the joint that each motor moves, by motor number from 0; the slots after them are empty.
        others: what else a robot of this name can be, by the `mode_machine` that says so; it has other motors.
    """

    family: Family
    motors: tuple[str, ...]
    others: Mapping[int, str] = field(default_factory=dict[int, str])


def _leg(side: str) -> tuple[str, ...]:
    parts = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
    return tuple(f"{side}_{part}_joint" for part in parts)


def _arm(side: str) -> tuple[str, ...]:
    parts = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")
    return tuple(f"{side}_{part}_joint" for part in parts)


_WAIST = tuple(f"waist_{axis}_joint" for axis in ("yaw", "roll", "pitch"))
_QUADRUPED = UnitreeRobot(
    family=GO,
    motors=tuple(f"{leg}_{part}_joint" for leg in ("FR", "FL", "RR", "RL") for part in ("hip", "thigh", "calf")),
)

ROBOTS = {
    "g1": UnitreeRobot(
        family=HG, motors=(*_leg("left"), *_leg("right"), *_WAIST, *_arm("left"), *_arm("right")), others={4: "a G1 of 23 joints"}
    ),
    "go1": _QUADRUPED,  # Go2's messages and joint names; a real Go1 speaks an older protocol over UDP
    "go2": _QUADRUPED,
}
"""By the name in the policy file (`spec.robot.name`)."""


def robot_of(spec: PolicySpec) -> tuple[UnitreeRobot, JointMap]:
    """The robot that a policy drives, and the map between its motors and the policy's joints.

    Raises:
        JointError: no such Unitree robot, or another set of joints.
    """
    robot = ROBOTS.get(spec.robot.name)
    if robot is None:
        raise JointError(f"the policy's robot {spec.robot.name!r} is not a Unitree robot; known: {', '.join(ROBOTS)}")
    if not spec.robot.floating_base:
        raise JointError(f"the policy's robot {spec.robot.name!r} has a fixed base; Unitree's robots of that name walk")
    return robot, JointMap(spec.robot.joint_names, robot.motors)
