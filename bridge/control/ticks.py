"""One control tick as a row of numbers: all inputs and all decisions, so that the log can be replayed bit for bit.

Rows are in a ring buffer that is allocated once; the loop copies into the next row and another thread reads behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Mode
from bridge.control.sight import FACTS, TIMES, eyes_of, get_sights, put_sights
from policies.contract.spec import PolicySpec

MODES = tuple(Mode)
UNKNOWN = -1
COUNTERS = (
    "index",
    "now_ns",
    "late_ns",
    "overruns",
    "busy_ns",
    "inference_ns",
    "mode",
    "received_ns",
    "command_ns",
    "rivals",
    "stamp_0",
    "stamp_1",
    "flags",
)
HAS_READING, HAS_COMMAND, HAS_IMU, TWO_STAMPS, INFERRED = 1, 2, 4, 8, 16
NO_TURN = 64  # an IMU without a gyro, if the policy does not need one
SENT = ("position", "velocity", "effort", "kp", "kd")
FREE_CLOCK = 32  # `Reading.free_clock`
HAS_HEAT, HAS_BATTERY = 128, 256
HAS_SIGHT = 512

Rows = NDArray[Any]


def tick_dtype(spec: PolicySpec) -> np.dtype[np.void]:
    """A row: `COUNTERS` as integers, then the reading, the operator's command, the policy's numbers and the commands; units as in
    `Reading` and `JointCommand`, joints in policy order. `asked` is the command before the limits, `acted` its changes by the limits.
    `sight_times` and `sight_facts` are the numbers of each camera's newest picture, see `bridge.control.sight`.
    """
    joints, cameras = (spec.robot.num_joints,), len(eyes_of(spec))
    return np.dtype(
        [
            *((name, np.int64) for name in COUNTERS),
            *((f"measured_{name}", np.float64, joints) for name in ("position", "velocity", "effort")),
            ("imu_quat_wxyz", np.float64, (4,)),
            ("imu_angular_velocity_b", np.float64, (3,)),
            ("command", np.float64, (len(spec.command.labels),)),
            ("temperature", np.float64, joints),
            ("battery", np.float64),
            ("sight_times", np.int64, (cameras, len(TIMES))),
            ("sight_facts", np.float64, (cameras, len(FACTS))),
            ("observation", np.float32, (spec.observation_dim,)),
            ("action", np.float32, (spec.action_dim,)),
            ("asked", np.float64, joints),
            *((f"sent_{name}", np.float64, joints) for name in SENT),
            ("acted", np.uint8, joints),
        ]
    )


def sample_dtype(spec: PolicySpec) -> np.dtype[np.void]:
    """A row for one sensor reading between the ticks."""
    joints = (spec.robot.num_joints,)
    counters = ("received_ns", "stamp_0", "stamp_1", "flags")
    vectors = [(f"measured_{name}", np.float64, joints) for name in ("position", "velocity", "effort")]
    return np.dtype(
        [
            *((name, np.int64) for name in counters),
            *vectors,
            ("imu_quat_wxyz", np.float64, (4,)),
            ("imu_angular_velocity_b", np.float64, (3,)),
        ]
    )


def put_reading(row: Any, reading: Reading) -> int:
    """Copy a reading into a row. Returns its flags."""
    row["measured_position"], row["measured_velocity"], row["measured_effort"] = reading.position, reading.velocity, reading.effort
    row["received_ns"], row["stamp_0"] = reading.received_ns, reading.stamps_ns[0]
    flags = HAS_READING | (FREE_CLOCK if reading.free_clock else 0)
    if len(reading.stamps_ns) > 1:
        row["stamp_1"] = reading.stamps_ns[1]
        flags |= TWO_STAMPS
    if reading.imu_quat_wxyz is not None:
        turn = reading.imu_angular_velocity_b
        row["imu_quat_wxyz"], row["imu_angular_velocity_b"] = reading.imu_quat_wxyz, 0.0 if turn is None else turn
        flags |= HAS_IMU | (NO_TURN if turn is None else 0)
    return flags


def get_reading(row: Any) -> Reading | None:
    """The reading of a row; None if it has none."""
    flags = int(row["flags"])
    if not flags & HAS_READING:
        return None
    imu = bool(flags & HAS_IMU)
    stamps = (int(row["stamp_0"]), int(row["stamp_1"])) if flags & TWO_STAMPS else (int(row["stamp_0"]),)
    return Reading(
        row["measured_position"].copy(),
        row["measured_velocity"].copy(),
        row["measured_effort"].copy(),
        row["imu_quat_wxyz"].copy() if imu else None,
        row["imu_angular_velocity_b"].copy() if imu and not flags & NO_TURN else None,
        stamps,
        int(row["received_ns"]),
        bool(flags & FREE_CLOCK),
    )


def put_inputs(row: Any, inputs: Inputs, cameras: tuple[str, ...] = ()) -> None:
    """Copy the inputs; texts (requests, wire faults, remarks) are logged as events. Fields without a flag keep their old content.

    Args:
        row: the tick's.
        inputs: what came in.
        cameras: the observation groups that are images, in the contract's order; the pictures themselves are logged apart.
    """
    flags = 0 if inputs.reading is None else put_reading(row, inputs.reading)
    if inputs.command is not None:
        row["command"], row["command_ns"] = inputs.command, inputs.command_ns
        flags |= HAS_COMMAND
    if inputs.temperature is not None:
        row["temperature"] = inputs.temperature
        flags |= HAS_HEAT
    if inputs.battery is not None:
        row["battery"] = inputs.battery
        flags |= HAS_BATTERY
    if inputs.sights:
        put_sights(row, inputs.sights, cameras)
        flags |= HAS_SIGHT
    row["rivals"] = UNKNOWN if inputs.rivals is None else inputs.rivals
    row["flags"] = flags


def get_inputs(row: Any, cameras: tuple[str, ...] = ()) -> Inputs:
    """The inputs, without requests, faults in words, remarks and the pictures themselves; `cameras` as in `put_inputs`."""
    command = row["command"].copy() if int(row["flags"]) & HAS_COMMAND else None
    rivals = None if int(row["rivals"]) == UNKNOWN else int(row["rivals"])
    heat = row["temperature"].copy() if int(row["flags"]) & HAS_HEAT else None
    battery = float(row["battery"]) if int(row["flags"]) & HAS_BATTERY else None
    sights = get_sights(row, cameras) if int(row["flags"]) & HAS_SIGHT else {}
    return Inputs(get_reading(row), command, int(row["command_ns"]), rivals=rivals, temperature=heat, battery=battery, sights=sights)


def put_outcome(row: Any, controller: Controller, sent: JointCommand) -> None:
    """Copy the controller's decisions and the sent command."""
    row["mode"], row["inference_ns"] = MODES.index(controller.mode), controller.inference_ns
    if controller.inferred:
        row["observation"], row["action"] = controller.observation, controller.action
        row["flags"] |= INFERRED
    row["asked"], row["acted"] = controller.asked.position, controller.limiter.acted
    for name in SENT:
        row[f"sent_{name}"] = getattr(sent, name)


@dataclass(slots=True)
class Ring:
    """Rows that one thread fills and another empties.

    Attributes:
        rows: the rows.
        written, read: total numbers of rows; their difference is at most the ring's length.
        dropped: number of rows dropped because the ring was full.
    """

    rows: Rows
    written: int = 0
    read: int = 0
    dropped: int = 0

    @staticmethod
    def of(dtype: np.dtype[np.void], length: int) -> Ring:
        """Make an empty ring; its memory is touched now, not in the loop."""
        rows = np.empty(length, dtype)
        rows[:] = np.zeros((), dtype)
        return Ring(rows)

    @property
    def full(self) -> bool:
        """Whether the reader is a whole ring behind."""
        return self.written - self.read >= len(self.rows)

    def next(self) -> Any:
        """The row to fill, or None if the ring is full."""
        if self.full:
            self.dropped += 1
            return None
        return self.rows[self.written % len(self.rows)]

    def done(self) -> None:
        """Commit the filled row."""
        self.written += 1

    def take(self) -> Any:
        """The oldest unread row, or None; call `release` when done with it."""
        return None if self.read == self.written else self.rows[self.read % len(self.rows)]

    def release(self) -> None:
        """Free the row."""
        self.read += 1
