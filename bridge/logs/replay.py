"""Replays a log: the same controller with the logged sensor readings, tick for tick, and where its results differ.

With the policy from inside the log every number must come out the same; with another one the differences show what it would have done with
the same readings (not where the robot would have gone).

A log may be partial: cut, filtered, or with gaps. The state before a part is unknown, so it is not judged at first. Two things become known
again. The policy's memory is empty when it starts, and otherwise only holds the last `history_steps` observations, so after that many ticks
its actions can be compared on the logged observations. And in damping a controller is like a new one, so from there on everything is
compared: actions, states and commands.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.control.controller import Controller
from bridge.control.holding import ImageFault
from bridge.control.plausibility import ToldPlausibility
from bridge.control.safety import Event, Mode, SafetyLimits
from bridge.control.sight import eyes_of
from bridge.control.ticks import INFERRED, MODES, SENT, get_inputs
from bridge.logs.reader import Log
from bridge.logs.replay_memory import PolicyAlone
from bridge.logs.replay_pictures import LoggedPictures
from bridge.logs.topics import EVENT
from bridge.logs.writer import LogError
from policies.contract.file import PolicyFile

TOLERANCE = 1e-5  # of an action on another computer; on the same one the difference is zero
MOST_NOTES = 3
AUTOMATIC = "automatic start"  # the cause of its transitions


class LoggedError(RuntimeError):
    """Represents an exception in the log."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay.

    Attributes:
        time_s: (T,) time of each tick since the first [s].
        inferred: (T,) ticks in which the policy ran in the log.
        logged, replayed: (T, J) actions; zero in ticks without the policy.
        command_difference: (T,) largest difference of any sent value [rad, N m / rad, ...].
        states: ticks whose state differs: (tick, logged, replayed).
        judged: (T,) ticks whose action was compared.
        followed: (T,) ticks whose state and sent command were also compared.
        notes: what is missing from the log, and from where it is judged; empty for a whole run.
    """

    time_s: NDArray[np.float64]
    inferred: NDArray[np.bool_]
    logged: NDArray[np.float32]
    replayed: NDArray[np.float32]
    command_difference: NDArray[np.float64]
    states: list[tuple[int, str, str]]
    judged: NDArray[np.bool_]
    followed: NDArray[np.bool_]
    notes: list[str]

    @property
    def difference(self) -> NDArray[np.float64]:
        """|action replayed - logged|, (T, J)."""
        return np.abs(self.replayed.astype(np.float64) - self.logged)

    @property
    def whole(self) -> bool:
        """Whether everything was compared, from the run's first tick."""
        return bool(self.followed.all())

    @property
    def worst(self) -> float:
        """Largest difference of an action; infinite if the replay gave none, or one that is not finite."""
        values = self.difference[self.judged]
        return float(np.max(np.where(np.isfinite(values), values, np.inf), initial=0.0))

    def first(self, tolerance: float = TOLERANCE) -> int | None:
        """First tick whose action differs by more than a tolerance, or whose state differs."""
        ticks = [tick for tick, *_ in self.states[:1]]
        differs = np.flatnonzero(self.judged & ~(self.difference.max(axis=1, initial=0.0) <= tolerance))
        return min([*ticks, *(int(tick) for tick in differs[:1])], default=None)

    def same(self, tolerance: float = TOLERANCE) -> bool:
        """Whether nothing differs by more than the tolerance."""
        return self.first(tolerance) is None and float(self.command_difference.max(initial=0.0)) <= max(tolerance, 1e-5) * 10


def replay(log: Log, policy: PolicyFile | None = None, progress: Callable[[int], None] = lambda tick: None) -> Replay:
    """Replay a log as far as it goes.

    Args:
        log: the log, or a part of it.
        policy: another policy for the same robot; None for the one inside the log.
        progress: called with the number of each tick.

    Raises:
        LogError: nothing to run or to compare, a needed topic is missing, or the other policy is for another robot, command or rate.
    """
    if not len(log.ticks):
        raise LogError(f"{log.path} holds no ticks")
    if log.metadata.get("motion"):
        raise LogError(
            f"in {log.path} the motion {log.metadata['motion']} ran in place of the policy; there is no run of a policy to replay"
        )
    lacks = sorted(topic for topic in log.lacks if not topic.startswith(("/policy/observation/", "/policy/asked", "/sensors/")))
    if lacks:
        raise LogError(
            f"{log.path} lacks {', '.join(lacks)}, which some tool has removed; replay needs it: copy the log with all its topics"
        )
    policy = policy or log.policy
    _check(policy, log)
    run = _Run(log, policy)
    for index in range(len(log.ticks)):
        run.step(index)
        progress(index)
    notes = [*run.notes(), *log.notes]
    inferred = (log.ticks["flags"] & INFERRED) > 0
    if inferred.any() and not run.judged.any():
        raise LogError(f"no action in {log.path} can be judged: {'; '.join(notes)}")
    time_s = (log.ticks["now_ns"] - log.ticks["now_ns"][0]) * 1e-9
    return Replay(time_s, inferred, run.logged, run.replayed, run.command, run.states, run.judged, run.followed, notes)


@dataclass(slots=True)
class _Break:
    """A place before which the state is unknown.

    Attributes:
        row: the first row after it.
        why: what is missing, as text.
        judged, followed: first rows after it from which actions, and states and commands, are compared again; None if none.
    """

    row: int
    why: str
    judged: int | None = None
    followed: int | None = None


class _Run:
    """A running replay: the controller while its state is known, otherwise only the policy while its memory is known."""

    def __init__(self, log: Log, policy: PolicyFile) -> None:
        self.log, self.policy, ticks = log, policy, log.ticks
        self.breaks: list[_Break] = []
        self.states: list[tuple[int, str, str]] = []
        shape = (len(ticks), self.policy.spec.action_dim)
        self.logged, self.replayed = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.command = np.zeros(len(ticks))
        self.judged, self.followed = np.zeros(len(ticks), bool), np.zeros(len(ticks), bool)
        self.shadow = bool(json.loads(self.log.metadata["shadow"]))
        self.limits = _limits(json.loads(self.log.metadata["limits"]))
        self.said = _said(self.log)
        self.alone = PolicyAlone(self.policy, self.log)
        self.pictures = LoggedPictures(self.policy, self.log)
        self.holes = {int(at) + 1 for at in np.flatnonzero(np.diff(ticks["index"]) != 1)}
        self.whole = int(ticks["index"][0]) == 0
        self.doubt = ToldPlausibility()
        self.controller: Controller | None = None
        if self.whole:
            self.controller = self._new(bool(json.loads(self.log.metadata.get("armed", "true"))))
            if json.loads(self.log.metadata["auto_start"]):
                self.controller.auto_start()

    def _new(self, armed: bool) -> Controller:
        controller = Controller(self.policy, self.limits, shadow=self.shadow, image_fault=_reaction(self.log))
        controller.plausibility = self.doubt
        if armed:
            controller.arm()
        return controller

    def step(self, index: int) -> None:
        """Replay one tick."""
        row, said = self.log.ticks[index], self.said.get(index, [])
        mode = MODES[int(row["mode"])]
        before = MODES[int(self.log.ticks[index - 1]["mode"])] if index else None
        for event in said:
            if event["event"] == "doubt":
                self.doubt.told(str(event["text"]), str(event["slow"]))
        self._notice(index)
        if self.controller is None and self._known_again(index, before):
            self.controller = self._new(before is not Mode.ZERO_TORQUE)
            self.breaks[-1].followed = index
        if self.controller is not None:
            self._follow(self.controller, index, row, said)
        if self.controller is None:
            self._alone(index, row, entered=mode is Mode.POLICY and before is Mode.STAND and index not in self.holes)
        for event in said:
            if event["event"] == "limits":
                self.limits = _limits(event["values"])

    def _notice(self, index: int) -> None:
        """Drop the known state if something is missing before a tick."""
        number = int(self.log.ticks["index"][index])
        if index == 0 and not self.whole:
            self._let_go(index, f"begins at tick {number}, so the memory before is unknown")
        elif index in self.holes:
            lost = number - int(self.log.ticks["index"][index - 1]) - 1
            self._let_go(index, f"lacks {lost} ticks after tick {number - lost - 1}: cut out, damaged, or the recorder could not keep up")

    def _let_go(self, index: int, why: str) -> None:
        self.controller, self.whole = None, False
        self.breaks.append(_Break(index, why))
        self.alone.forget()

    def _known_again(self, index: int, before: Mode | None) -> bool:
        """Whether the controller is like a new one before a tick, which is so after a tick in damping. In a dry run it infers all the
        time.
        """
        return index > self.breaks[-1].row and not self.shadow and before in (Mode.DAMPING, Mode.ZERO_TORQUE)

    def _follow(self, controller: Controller, index: int, row: Any, said: list[dict[str, Any]]) -> None:
        """Run a tick of the controller; drop it if it cannot know why the logged one behaved differently."""
        sent = _tick(controller, row, said if self.whole else _as_it_went(said), self.pictures)
        logged = MODES[int(row["mode"])]
        if controller.mode is not logged and (why := self._unknowable(index, logged, said)):
            self._let_go(index, why)
            return
        if controller.mode is not logged:
            self.states.append((index, str(logged), str(controller.mode)))
        if int(row["flags"]) & INFERRED:
            self._compare(index, controller.action if controller.inferred else np.nan)
        self.followed[index] = True
        self.command[index] = max(float(np.max(np.abs(row[f"sent_{name}"] - getattr(sent, name)), initial=0.0)) for name in SENT)

    def _unknowable(self, index: int, logged: Mode, said: list[dict[str, Any]]) -> str | None:
        """Why a replay cannot be expected to reach the logged state; None if it can."""
        if index == 0 or MODES[int(self.log.ticks[index - 1]["mode"])] is logged:
            return None
        number = int(self.log.ticks["index"][index])
        causes = [str(event["cause"]) for event in said if event["event"] == "transition"]
        if not causes:
            return f"lacks the events of tick {number} on {EVENT}, in which the state became {logged}"
        if not self.whole and logged in (Mode.DAMPING, Mode.FAULT) and causes[-1] != "operator":
            return f"became {logged} in tick {number} for a reason that may be before this part ({causes[-1]})"
        return None

    def _alone(self, index: int, row: Any, entered: bool) -> None:
        if not int(row["flags"]) & INFERRED:
            return
        action = self.alone.act(row["observation"], entered, self.pictures.sights(row))
        if action is not None:
            self._compare(index, action)

    def _compare(self, index: int, action: Any) -> None:
        self.logged[index], self.replayed[index], self.judged[index] = self.log.ticks["action"][index], action, True
        if self.breaks and self.breaks[-1].judged is None:
            self.breaks[-1].judged = index

    def notes(self) -> list[str]:
        """One line for each break, only the first ones if there are many."""
        inferred = (self.log.ticks["flags"] & INFERRED) > 0
        lines = []
        for at, broken in enumerate(self.breaks):
            end = self.breaks[at + 1].row if at + 1 < len(self.breaks) else len(inferred)
            ran = bool(inferred[broken.row : end].any())
            parts = [("states and commands", broken.followed)]
            if ran:
                parts = [("all", broken.judged)] if broken.judged == broken.followed else [("actions", broken.judged), *parts]
            compared = ", ".join(f"{what} {self._place(row)}" for what, row in parts)
            lines.append(f"{broken.why}; " + ("nothing after it can be compared" if compared == "all not" else f"compared are {compared}"))
        more = len(lines) - MOST_NOTES
        return lines if more <= 0 else [*lines[:MOST_NOTES], f"and so at {more} more places"]

    def _place(self, row: int | None) -> str:
        if row is None:
            return "not"
        ticks = self.log.ticks
        return f"from tick {int(ticks['index'][row])} on ({(int(ticks['now_ns'][row]) - int(ticks['now_ns'][0])) * 1e-9:.2f} s)"


def _limits(values: dict[str, Any]) -> SafetyLimits:
    try:
        return SafetyLimits(**values)
    except TypeError as error:
        raise LogError(
            f"the log has thresholds that this version of robolearn does not know: another version wrote it ({error})"
        ) from error


def _said(log: Log) -> dict[int, list[dict[str, Any]]]:
    """Row -> the events of its tick. Events count the written ticks, while rows also count those lost by the recorder."""
    numbers, times = log.ticks["index"], log.ticks["now_ns"]
    exact = {"request", "wire_fault", "sight_fault"}  # from the recorder itself, so in the tick of that time
    lost = {}
    for event in log.events:
        row = int(np.searchsorted(times, event["t_ns"])) if event["event"] in exact or event.get("cause") == AUTOMATIC else len(times)
        if row < len(times) and int(times[row]) == event["t_ns"]:
            lost[int(event["tick"])] = int(numbers[row]) - int(event["tick"])
    said: dict[int, list[dict[str, Any]]] = {}
    row_of = {int(number): row for row, number in enumerate(numbers)}
    whole = int(numbers[0]) == 0 and log.dropped == int(numbers[-1]) + 1 - len(numbers)  # every gap is the recorder's
    for event in log.events:
        written = int(event["tick"])
        before = [tick for tick in lost if tick <= written]
        number = written + (lost[max(before)] if before else 0)
        row = written if whole else row_of.get(number)
        if row is not None:
            said.setdefault(row, []).append(event)
    return said


def _as_it_went(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A tick's events for a part of a run: with the requests of an automatic start, since it is unknown whether one was pending, and
    without refused requests, whose reason may be before the part.
    """
    refused = {event["request"] for event in said if event["event"] == "refused"}
    went = {str(Mode.STAND): Event.STAND, str(Mode.POLICY): Event.START}
    started = [went[event["to"]] for event in said if event["event"] == "transition" and event["cause"] == AUTOMATIC]
    kept = [event for event in said if event["event"] != "request" or event["text"] not in refused]
    return [*kept, *({"event": "request", "text": str(event)} for event in started)]


def _between(controller: Controller, said: list[dict[str, Any]]) -> None:
    """Apply external events before the tick: a lifecycle manager, a parameter, an exception while waiting."""
    for event in said:
        if event["event"] == "armed" and not controller.armed:
            controller.arm()
        elif event["event"] == "halt":
            controller.stop(event["text"])
        elif event["event"] == "limits":
            controller.use_limits(_limits(event["values"]))
        elif event["event"] == "exception" and event.get("phase") == "wait":
            controller.fail(LoggedError(event["text"]), "wait")


def _reaction(log: Log) -> ImageFault:
    return "hold" if log.metadata.get("image_fault") == "hold" else "damp"


def _tick(controller: Controller, row: Any, said: list[dict[str, Any]], pictures: LoggedPictures) -> Any:
    _between(controller, said)
    failed = {event.get("phase", "tick"): event["text"] for event in said if event["event"] == "exception"}
    if "tick" in failed:
        return controller.fail(LoggedError(failed["tick"]))
    inputs = get_inputs(row)
    inputs.requests = tuple(Event(event["text"]) for event in said if event["event"] == "request")
    faults = [event["text"] for event in said if event["event"] == "wire_fault"]
    inputs.wire_fault = faults[0] if faults else None
    inputs.sights = pictures.sights(row)
    inputs.sight_fault = next((event["text"] for event in said if event["event"] == "sight_fault"), None)
    sent = controller.tick(int(row["now_ns"]), inputs, int(row["late_ns"]) * 1e-9, int(row["overruns"]))
    if "write" in failed:
        controller.fail(LoggedError(failed["write"]), "write")
    return sent


def _check(policy: PolicyFile, log: Log) -> None:
    for what, a, b in (
        ("joints are", policy.spec.robot.joint_names, log.policy.spec.robot.joint_names),
        ("kind of command is", policy.spec.command.kind, log.policy.spec.command.kind),
        ("commands are", policy.spec.command.labels, log.policy.spec.command.labels),
        ("control rate is", policy.spec.control_dt, log.policy.spec.control_dt),
        ("pictures are", _eyes(policy), _eyes(log.policy)),
    ):
        if a != b:
            raise LogError(f"{policy.path} cannot run on {log.path}: its {what} {a}, the log's {b}")


def _eyes(policy: PolicyFile) -> list[tuple[object, ...]]:
    return [(group.name, group.shape, group.dtype) for group in eyes_of(policy.spec)]
