"""Converts logs of robolearn deploy to episodes: the readings, commands and actions of each run of the policy, at its own rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bridge.control.safety import Mode
from bridge.control.ticks import HAS_COMMAND, HAS_IMU, HAS_READING, INFERRED, MODES, NO_TURN, Rows
from bridge.logs.reader import Log, read_log
from bridge.logs.writer import METADATA, LogError
from policies.contract.observation import projected_gravity
from policies.contract.spec import PolicySpec
from robolearn.data.columns import ACTION, COMMAND, DONE, IS_VALID, STATE
from robolearn.data.imports.series import RecordingError
from robolearn.data.source import Episode, Source

SAME_CLOCK = 0.5
"""Two ticks are neighbours if they are at most one control step and this share of it apart."""


def is_own_log(path: Path) -> bool:
    """Whether robolearn deploy wrote an MCAP file."""
    from mcap.records import Message, Metadata

    from bridge.logs.reader import records

    if path.suffix != ".mcap":
        return False
    try:
        for record in records(path):
            if isinstance(record, Metadata) and record.name == METADATA:
                return True
            if isinstance(record, Message):  # our mark is before the first message
                return False
    except LogError as error:
        raise RecordingError(str(error)) from error
    return False


def read_episodes(
    path: Path, licence: str = "unknown", attribution: str = "", least_s: float = 1.0
) -> tuple[list[Episode], PolicySpec, list[str]]:
    """The runs of the policy in a log.

    Args:
        path: of the log.
        licence, attribution: see `Source`.
        least_s: runs shorter than this are left out [s].

    Returns: Episodes; the contract of the policy that ran; notes for the user.

    Raises:
        RecordingError: not a log, or no policy ran in it.
    """
    try:
        log = read_log(path)
    except LogError as error:
        raise RecordingError(str(error)) from error
    spec, notes = log.policy.spec, list(log.notes)
    if log.lacks & {"/joint_states", "/imu"}:
        raise RecordingError(f"{path} lacks {', '.join(sorted(log.lacks))}, which some tool has removed; copy the log with all its topics")
    if log.dropped:
        notes.append(f"{log.dropped} control steps were lost while it was recorded")
    source = _source(log, licence, attribution)
    runs = _runs(log.ticks, spec)
    episodes = [_episode(run, spec, source, _fell(log, run)) for run in runs if len(run) * spec.control_dt >= least_s]
    if len(episodes) < len(runs):
        notes.append(f"{len(runs) - len(episodes)} runs shorter than {least_s:g} s were left out")
    if not episodes:
        raise RecordingError(f"in {path} no policy ran for at least {least_s:g} s with sensor readings")
    return episodes, spec, notes


def _runs(ticks: Rows, spec: PolicySpec) -> list[Rows]:
    """Rows of each run of the policy with readings, split at lost or late steps."""
    needed = HAS_READING | (HAS_IMU if spec.robot.floating_base else 0)
    good = (ticks["mode"] == MODES.index(Mode.POLICY)) & ((ticks["flags"] & needed) == needed)
    rows = np.flatnonzero(good)
    if not len(rows):
        return []
    step_ns = spec.control_dt * 1e9
    late = np.diff(ticks["now_ns"][rows]) > (1 + SAME_CLOCK) * step_ns
    cuts = np.flatnonzero(late | (np.diff(ticks["index"][rows]) != 1)) + 1
    return [ticks[piece] for piece in np.split(rows, cuts)]


def _episode(run: Rows, spec: PolicySpec, source: Source, fell: bool) -> Episode:
    flags, count = run["flags"], len(run)
    if spec.robot.floating_base:
        quat = run["imu_quat_wxyz"] / np.linalg.norm(run["imu_quat_wxyz"], axis=1, keepdims=True)
        gravity = projected_gravity(quat)
        turn = np.where(((flags & NO_TURN) > 0)[:, None], 0.0, run["imu_angular_velocity_b"])
    else:
        gravity, turn = np.tile([0.0, 0.0, -1.0], (count, 1)), np.zeros((count, 3))
    state = np.concatenate([run["measured_position"], run["measured_velocity"], gravity, turn], axis=1)
    columns: dict[str, np.ndarray] = {STATE: state.astype(np.float32), DONE: np.arange(count) == count - 1}
    acted = (flags & INFERRED) > 0
    if acted.any():
        columns[ACTION] = np.where(acted[:, None], run["action"], 0.0).astype(np.float32)
        columns[ACTION + IS_VALID] = acted
    asked = (flags & HAS_COMMAND) > 0
    if asked.any() and len(spec.command.labels):
        columns[COMMAND] = np.where(asked[:, None], run["command"], 0.0).astype(np.float32)
        columns[COMMAND + IS_VALID] = asked
    return Episode(columns=columns, task=spec.task, source=source, success=False if fell else None)


def _fell(log: Log, run: Rows) -> bool:
    """Whether a guard or a fault ended the run, not the operator or the end of the program."""
    last = int(run["index"][-1])
    near = [event for event in log.events if last <= int(event["tick"]) <= last + 2]
    ends = [event for event in near if event.get("event") == "transition" and event.get("from") == str(Mode.POLICY)]
    halted = any(event.get("event") == "halt" for event in near)  # the program was ended
    return any(event.get("cause") != "operator" for event in ends) and not halted


def _source(log: Log, licence: str, attribution: str) -> Source:
    spec = log.policy.spec
    return Source(
        kind="log",
        robot=spec.robot.name,
        joint_names=spec.robot.joint_names,
        fps=1.0 / spec.control_dt,
        control_mode=spec.action.mode,
        licence=licence,
        attribution=attribution,
        file_hash=log.policy.sha256,
        config=log.metadata.get("settings", ""),
        engine=log.metadata["transport"],
        note=f"log {log.path.name}" + "".join(f"; {note}" for note in log.notes),
    )
