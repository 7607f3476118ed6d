"""What can go wrong: the kinds of faults, the meaning of their sizes, and one fault with its start time and duration.

`bridge.faults.injection` makes them happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What can go wrong; the unit of `Fault.size` in brackets.

    Attributes:
        LOSS: each message is lost with a probability [1]; 1 is silence
        DUPLICATE: each message arrives a second time, later [s]
        REORDER: about half of the messages, at random, are overtaken: they arrive later [s]
        DELAY: each message arrives later [s]
        LAG: the delay grows [s/s] and stays, as in a queue that fills
        FROZEN_STAMP: messages keep coming with the last good stamp
        BACKWARD_STAMP: stamps are old [s]
        NOT_FINITE: an entry of `field` becomes `size`: NaN or an infinity
        JOINT_NAMES: the robot sends another joint's name in place of one
        POSITION: a joint is measured beyond its upper (lower, if negative) range [rad]
        VELOCITY: a joint's measured speed [rad/s]
        EFFORT: a joint's measured torque [N m]
        TILT: the base's measured tilt [rad]
        JUMP: a joint's measured position is offset [rad]
        STUCK_ENCODER: a joint's measured position does not change
        VELOCITY_SCALE: all measured speeds are multiplied [1]: 0 for a driver that has none, -1 for a wrong sign, 57.3 for degrees
        STUCK_ATTITUDE: the base's measured attitude does not change
        GYRO_SCALE: the gyro's values are multiplied [1]
        INVERTED_ATTITUDE: the base's attitude is that of the world in the base
        TURNED_ATTITUDE: the base's attitude has axes rotated about the vertical relative to the gyro's [rad]
        CLOCK_SET: the robot's clock is set back (ahead, if positive) permanently [s]
        HOT_MOTOR: a joint's motor has this temperature [C]
        SECOND_SENDER: about half of the messages, at random, are another publisher's: all joints at zero, at rest
        OPERATOR_LOST: the operator's command ends
        OPERATOR_NOT_FINITE: an entry of the operator's command becomes `size`
        RIVAL: another publisher of commands
        LATE_TICK: the process is stalled before a tick [s]
        SLOW_TICK: a tick takes longer [s]
        READ_ERROR: reading raises
        WRITE_ERROR: writing raises, and nothing is sent
        WAIT_ERROR: waiting raises
        ACTION_NOT_FINITE: an entry of the policy's action becomes `size`; needs `FaultyTransport.policy`
        ACTION_JUMP: a size is added to an entry of the policy's action [1]; needs `FaultyTransport.policy`
        PICTURE_LOSS: no picture comes; this and the rest need `bridge.faults.pictures.FaultyEyes`
        PICTURE_FROZEN: the last good picture comes again and again, with new stamps
        PICTURE_STAMP: pictures keep coming with the last good stamp
        PICTURE_DELAY: pictures are stamped earlier [s]: they show what was then
        PICTURE_BLACK: all pixels are `size` (0: black)
        PICTURE_SIZE: pictures have `size` rows fewer
    """

    LOSS = "loss"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DELAY = "delay"
    LAG = "lag"
    FROZEN_STAMP = "frozen_stamp"
    BACKWARD_STAMP = "backward_stamp"
    NOT_FINITE = "not_finite"
    JOINT_NAMES = "joint_names"
    POSITION = "position"
    VELOCITY = "velocity"
    EFFORT = "effort"
    TILT = "tilt"
    JUMP = "jump"
    STUCK_ENCODER = "stuck_encoder"
    VELOCITY_SCALE = "velocity_scale"
    STUCK_ATTITUDE = "stuck_attitude"
    GYRO_SCALE = "gyro_scale"
    INVERTED_ATTITUDE = "inverted_attitude"
    TURNED_ATTITUDE = "turned_attitude"
    CLOCK_SET = "clock_set"
    HOT_MOTOR = "hot_motor"
    SECOND_SENDER = "second_sender"
    OPERATOR_LOST = "operator_lost"
    OPERATOR_NOT_FINITE = "operator_not_finite"
    RIVAL = "rival"
    LATE_TICK = "late_tick"
    SLOW_TICK = "slow_tick"
    READ_ERROR = "read_error"
    WRITE_ERROR = "write_error"
    WAIT_ERROR = "wait_error"
    ACTION_NOT_FINITE = "action_not_finite"
    ACTION_JUMP = "action_jump"
    PICTURE_LOSS = "picture_loss"
    PICTURE_FROZEN = "picture_frozen"
    PICTURE_STAMP = "picture_stamp"
    PICTURE_DELAY = "picture_delay"
    PICTURE_BLACK = "picture_black"
    PICTURE_SIZE = "picture_size"


LOOP_KINDS = frozenset(
    kind for kind in FaultKind if kind.value.endswith(("_tick", "_error")) or kind.value.startswith(("action", "operator"))
)
PICTURE_KINDS = frozenset(kind for kind in FaultKind if kind.value.startswith("picture"))
MESSAGE_KINDS = frozenset(FaultKind) - LOOP_KINDS - PICTURE_KINDS - {FaultKind.RIVAL, FaultKind.HOT_MOTOR}
FIELDS = ("position", "velocity", "effort", "imu_quat_wxyz", "imu_angular_velocity_b")


class FaultError(ValueError):
    """An invalid description of a fault."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: the kind.
        at_s: start, from the moment it is added [s].
        duration_s: duration [s]; 0 for one message, call or tick.
        size: size, in the unit of the kind.
        index: joint, camera, or entry of `field` or of the action; taken modulo their length.
        field: the one of `FIELDS` that becomes not finite.
    """

    kind: FaultKind
    at_s: float = 0.0
    duration_s: float = 0.0
    size: float = 0.0
    index: int = 0
    field: str = "position"

    def __post_init__(self) -> None:
        """Check.

        Raises:
            FaultError: says what is wrong and what is valid.
        """
        if not (self.at_s >= 0 and self.duration_s >= 0):
            raise FaultError(f"a fault's at_s and duration_s must not be negative, they are {self.at_s:g} and {self.duration_s:g}")
        if self.field not in FIELDS:
            raise FaultError(f"unknown field {self.field!r} of a fault; known: {', '.join(FIELDS)}")

    @staticmethod
    def parse(text: str) -> Fault:
        """Read `KIND@AT_S[,NAME=VALUE...]`, for example `velocity@12.5,size=60,index=3,duration_s=0.1`.

        Raises:
            FaultError: not of that form.
        """
        head, *pairs = text.split(",")
        kind, _, at_s = head.partition("@")
        try:
            values: dict[str, Any] = {"kind": FaultKind(kind), "at_s": float(at_s)}
            for name, _, value in (pair.partition("=") for pair in pairs):
                values[name] = value if name == "field" else int(value) if name == "index" else float(value)
            return Fault(**values)
        except FaultError:
            raise
        except (TypeError, ValueError) as error:
            form = "KIND@AT_S[,size=X][,duration_s=S][,index=N][,field=NAME]"
            raise FaultError(f"not a fault: {text!r} ({error}); the form is {form}, KIND one of {', '.join(FaultKind)}") from error
