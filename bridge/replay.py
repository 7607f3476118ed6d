"""Run a log again: the same controller, fed with the logged sensors, tick for tick, and where it answers differently.

With the policy from inside the log every number must come out the same; with another one the differences show what it would have asked
for on the same sensors (not where the robot would have gone).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.controller import Controller
from bridge.log_reader import Log
from bridge.log_writer import LogError
from bridge.safety import Event, SafetyLimits
from bridge.ticks import INFERRED, MODES, SENT, get_inputs
from policies.file import PolicyFile

TOLERANCE = 1e-5  # of an action, where another machine computes it; on the same one the difference is zero


class LoggedError(RuntimeError):
    """Stands for an exception that the log tells of."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it.

    Attributes:
        time_s: (T,) time of each tick since the first [s].
        inferred: (T,) where the policy ran in the log.
        logged, replayed: (T, J) actions; zero where the policy did not run.
        command_difference: (T,) largest difference of anything sent [rad, N m / rad, ...].
        states: ticks whose state differs: (tick, logged, replayed).
    """

    time_s: NDArray[np.float64]
    inferred: NDArray[np.bool_]
    logged: NDArray[np.float32]
    replayed: NDArray[np.float32]
    command_difference: NDArray[np.float64]
    states: list[tuple[int, str, str]]

    @property
    def difference(self) -> NDArray[np.float64]:
        """|action replayed - logged|, (T, J)."""
        return np.abs(self.replayed.astype(np.float64) - self.logged)

    @property
    def worst(self) -> float:
        """Largest difference of an action; infinite where the replay gave none or one that is not finite."""
        values = self.difference[self.inferred]
        return float(np.max(np.where(np.isfinite(values), values, np.inf), initial=0.0))

    def first(self, tolerance: float = TOLERANCE) -> int | None:
        """First tick whose action differs by more than a tolerance, or whose state differs."""
        ticks = [tick for tick, *_ in self.states[:1]]
        differs = np.flatnonzero(self.inferred & ~(self.difference.max(axis=1, initial=0.0) <= tolerance))
        return min([*ticks, *(int(tick) for tick in differs[:1])], default=None)

    def same(self, tolerance: float = TOLERANCE) -> bool:
        """Whether nothing differs by more than the tolerance."""
        return self.first(tolerance) is None and float(self.command_difference.max(initial=0.0)) <= max(tolerance, 1e-5) * 10


def replay(log: Log, policy: PolicyFile | None = None, progress: Callable[[int], None] = lambda tick: None) -> Replay:
    """Run a log again.

    Args:
        log: what was recorded.
        policy: another policy for the same robot; None for the one inside the log.
        progress: called with the number of each tick.

    Raises:
        LogError: nothing to run, ticks were lost, or the other policy is for another robot, command or rate.
    """
    if not len(log.ticks):
        raise LogError(f"{log.path} holds no ticks")
    if log.metadata.get("motion"):
        raise LogError(f"in {log.path} the motion {log.metadata['motion']} ran in place of the policy; there is no policy's run to replay")
    policy = policy or log.policy
    _check(policy, log)
    controller = Controller(policy, SafetyLimits(**json.loads(log.metadata["limits"])), shadow=json.loads(log.metadata["shadow"]))
    if json.loads(log.metadata.get("armed", "true")):
        controller.arm()
    if json.loads(log.metadata["auto_start"]):
        controller.auto_start()
    said: dict[int, list[dict[str, Any]]] = {}
    for event in log.events:
        said.setdefault(int(event["tick"]), []).append(event)
    shape = (len(log.ticks), policy.spec.action_dim)
    logged, replayed = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    command, states = np.zeros(len(log.ticks)), []
    for index, row in enumerate(log.ticks):
        sent = _tick(controller, row, said.get(index, []))
        mode = MODES[int(row["mode"])]
        if controller.mode is not mode:
            states.append((index, str(mode), str(controller.mode)))
        if int(row["flags"]) & INFERRED:
            logged[index], replayed[index] = row["action"], controller.action if controller.inferred else np.nan
        command[index] = max(float(np.max(np.abs(row[f"sent_{name}"] - getattr(sent, name)), initial=0.0)) for name in SENT)
        progress(index)
    time_s = (log.ticks["now_ns"] - log.ticks["now_ns"][0]) * 1e-9
    inferred = (log.ticks["flags"] & INFERRED) > 0
    return Replay(time_s, inferred, logged, replayed, command, states)


def _between(controller: Controller, said: list[dict[str, Any]]) -> None:
    """Do what others did to the controller before the tick: a lifecycle manager, a parameter, an exception while it waited."""
    for event in said:
        if event["event"] == "armed" and not controller.armed:
            controller.arm()
        elif event["event"] == "halt":
            controller.stop(event["text"])
        elif event["event"] == "limits":
            controller.use_limits(SafetyLimits(**event["values"]))
        elif event["event"] == "exception" and event.get("phase") == "wait":
            controller.fail(LoggedError(event["text"]), "wait")


def _tick(controller: Controller, row: Any, said: list[dict[str, Any]]) -> Any:
    _between(controller, said)
    failed = {event.get("phase", "tick"): event["text"] for event in said if event["event"] == "exception"}
    if "tick" in failed:
        return controller.fail(LoggedError(failed["tick"]))
    inputs = get_inputs(row)
    inputs.requests = tuple(Event(event["text"]) for event in said if event["event"] == "request")
    faults = [event["text"] for event in said if event["event"] == "wire_fault"]
    inputs.wire_fault = faults[0] if faults else None
    sent = controller.tick(int(row["now_ns"]), inputs, int(row["late_ns"]) * 1e-9, int(row["overruns"]))
    if "write" in failed:
        controller.fail(LoggedError(failed["write"]), "write")
    return sent


def _check(policy: PolicyFile, log: Log) -> None:
    for what, a, b in (
        ("joints", policy.spec.robot.joint_names, log.policy.spec.robot.joint_names),
        ("commands", policy.spec.command.labels, log.policy.spec.command.labels),
        ("control rate", policy.spec.control_dt, log.policy.spec.control_dt),
    ):
        if a != b:
            raise LogError(f"{policy.path} cannot run on {log.path}: its {what} are {a}, the log's {b}")
    gaps = np.flatnonzero(np.diff(log.ticks["index"]) != 1)
    if len(gaps):
        at = int(gaps[0])
        lost = int(log.ticks["index"][at + 1] - log.ticks["index"][at]) - 1
        raise LogError(f"{log.path} lacks {lost} ticks after tick {at}: damaged, or the recorder could not keep up")
