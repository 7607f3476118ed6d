"""Reads a recording from a log of `robolearn deploy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bridge.control.guards import OFF_RATE, RATE_WINDOW_NS
from bridge.control.motion import APPROACH_S
from bridge.control.safety import Mode
from bridge.control.ticks import HAS_IMU, HAS_READING, MODES, Rows
from bridge.logs.reader import Log, read_log
from bridge.logs.rows import SAMPLES_IMU
from bridge.logs.writer import LogError
from bridge.simulated.physics import physics_dt
from bridge.transports.ros2.options import OWN_GAINS
from robolearn.identify.excitation import LOWERING_S, squatting_s
from robolearn.identify.recording import FloatArray, Mount, Recording, RecordingError


def from_log(path: Path, mount: Mount | None = None) -> tuple[Recording, str]:
    """Read the recording in a log of `robolearn deploy`, and its robot: its name, or the path of its `robot.yaml`.

    All readings are used if they were logged (`--log-sensors all`), otherwise those of the ticks; from a motion's log only those during the
    motion, since a robot that stands up may lean on itself. Readings keep the robot's own stamps, shifted to the loop's clock by the
    fastest message, so that transport delays add no jitter.

    Args:
        path: of the log.
        mount: whether the robot was held or stood; None for the motion's own.

    Raises:
        RecordingError: not a log, or it has no readings or commands.
    """
    try:
        log = read_log(path)
    except LogError as error:
        raise RecordingError(str(error)) from error
    interface = log.metadata.get("command_interface", "impedance")
    if interface in OWN_GAINS:
        raise RecordingError(
            f"{path} was recorded on the interface {interface}: the robot's own controller moved the joints with gains that no command "
            f"contains; record with impedance or forward_effort"
        )
    _check_topics(log)
    if not len(log.ticks):
        raise RecordingError(f"{path} holds no control steps")
    commands, notes = _in_one_piece(log)
    rows = log.samples if len(log.samples) else log.ticks
    rows = _of_motion(log, commands, rows[(rows["flags"] & HAS_READING) > 0])
    if len(commands) < len(log.ticks):
        rows = rows[(rows["received_ns"] >= commands["now_ns"][0]) & (rows["received_ns"] <= commands["now_ns"][-1])]
    has_imu = (rows["flags"] & HAS_IMU) > 0
    rows = rows[has_imu] if has_imu.any() else rows
    if len(rows) < 2 or len(log.ticks) < 2:
        raise RecordingError(f"{path} holds {len(rows)} readings and {len(log.ticks)} control steps; at least 2 of each are needed")
    stamps = rows["stamp_0"]
    rate = _rate(stamps, rows["received_ns"])
    if abs(rate - 1.0) > OFF_RATE:
        raise RecordingError(
            f"in {path} the robot's clock runs at {rate:.2f} times this computer's, which stamps the commands, so the two cannot be "
            f"aligned: record from a robot, or from a simulator that keeps up with real time"
        )
    time_s = (stamps + np.min(rows["received_ns"] - stamps)) * 1e-9
    rows, time_s = _increasing(rows, time_s)
    ticks, sent_s = _increasing(commands, (commands["now_ns"] + commands["busy_ns"]) * 1e-9)
    origin = min(time_s[0], sent_s[0])
    recording = Recording(
        time_s=time_s - origin,
        position=rows["measured_position"],
        velocity=rows["measured_velocity"],
        effort=rows["measured_effort"],
        imu_quat_wxyz=rows["imu_quat_wxyz"] if has_imu.any() else None,
        imu_angular_velocity_b=rows["imu_angular_velocity_b"] if has_imu.any() else None,
        command_time_s=sent_s - origin,
        target=ticks["sent_position"],
        command_velocity=ticks["sent_velocity"],
        command_effort=ticks["sent_effort"],
        kp=ticks["sent_kp"],
        kd=ticks["sent_kd"],
        mount=mount or ("standing" if log.metadata.get("motion") == "squats" else "held"),
        simulated_timestep_s=_timestep_s(log),
        joint_names=log.policy.spec.robot.joint_names,
        stamp_step_s=_rounding_s(rows["stamp_0"]),
        source=str(path),
        notes=notes,
    )
    return recording, log.policy.spec.robot.source or log.metadata["robot"]


def _rate(stamps_ns: FloatArray, received_ns: FloatArray) -> float:
    """Rate of the stamps' clock relative to the arrivals', both (T,) [ns]; 1 if there are too few of them, or if one of the clocks stands
    still.
    """
    stamped, passed = (int(times[-1]) - int(times[0]) for times in (stamps_ns, received_ns))
    return stamped / passed if passed >= RATE_WINDOW_NS and stamped > 0 else 1.0


def _check_topics(log: Log) -> None:
    """Raises `RecordingError` if some tool has removed the readings or the commands."""
    readings = {SAMPLES_IMU} if len(log.samples) else {"/joint_states", "/imu"}
    lacks = sorted(log.lacks & {"/impedance_command", *readings})
    if lacks:
        raise RecordingError(f"{log.path} lacks {', '.join(lacks)}, which some tool has removed; copy the log with all its topics")


def _in_one_piece(log: Log) -> tuple[Rows, tuple[str, ...]]:
    """The part with most of the motion, or of the policy's run, without missing commands, and a note about it.

    In a gap the commands are unknown.
    """
    pieces = np.split(log.ticks, np.flatnonzero(np.diff(log.ticks["index"]) != 1) + 1)
    playing = MODES.index(Mode.POLICY)
    longest = max(pieces, key=lambda piece: (int((piece["mode"] == playing).sum()), len(piece)))
    if len(pieces) == 1:
        return longest, ()
    first, last = int(longest["index"][0]), int(longest["index"][-1])
    return longest, (f"{log.path} lacks control steps in {len(pieces) - 1} places; steps {first} to {last} are used",)


def _of_motion(log: Log, ticks: Rows, rows: Rows) -> Rows:
    """The readings during a motion; all if there was none."""
    motion = log.metadata.get("motion")
    if not motion:
        return rows
    at = np.flatnonzero(ticks["mode"] == MODES.index(Mode.POLICY))
    if not len(at):
        if log.complete and not log.notes and len(ticks) == int(log.ticks["index"][-1]) + 1:  # a whole run that ended earlier
            return rows
        raise RecordingError(f"{log.path} is a part of a log without the motion {motion}; give the whole log")
    begin, end = ticks["now_ns"][at[0]] + APPROACH_S * 1e9, ticks["now_ns"][at[-1]]
    if motion == "squats":  # the robot is lowered after them, for a time that depends on the motion's length
        whole = at[0] > 0 and at[-1] < len(ticks) - 1
        end = begin + squatting_s(float(end - begin) * 1e-9) * 1e9 if whole else end - LOWERING_S * 1e9
    return rows[(rows["received_ns"] >= begin) & (rows["received_ns"] <= end)]


def _increasing(rows: Rows, time_s: FloatArray) -> tuple[Rows, FloatArray]:
    """Rows without repeated and overtaken messages: only those later than all before."""
    newest = np.concatenate([[-np.inf], np.maximum.accumulate(time_s)[:-1]])
    keep = time_s > newest
    return rows[keep], time_s[keep]


def _rounding_s(stamps_ns: FloatArray) -> float:
    """Resolution of stamps (T,) [ns] in [s]; 0 if they come in equal steps, or, with lost ones, in multiples of these."""
    steps = np.diff(stamps_ns.astype(np.int64))
    if not len(steps):
        return 0.0
    common = int(np.gcd.reduce(steps))
    return 0.0 if common == steps.min() else common * 1e-9


def _timestep_s(log: Log) -> float | None:
    return physics_dt(log.policy.spec, 500.0) if log.metadata["transport"] == "sim" else None
