"""The core of the bridge: from one tick's inputs to one safe joint command, independent of clock, wire and middleware.

check -> react -> requests -> (stand ramp | observe -> infer -> check) -> limit. The same object runs in tests, in the lock-step
simulation and on a robot; the loop around it adds time, the transport adds the wire.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.control import asked
from bridge.control.camera_guards import CAMERA_GUARDS, SightWatch
from bridge.control.command import JointCommand, Limiter, damping
from bridge.control.consistency import Consistency
from bridge.control.entry import eased, not_ready, stand_command
from bridge.control.guards import (
    ACTION_GUARDS,
    EXCEPTION,
    INPUT_GUARDS,
    ROBOT_GUARDS,
    Problem,
    Snapshot,
    StampWatch,
    run_guards,
)
from bridge.control.holding import ANEW, Holding, ImageFault
from bridge.control.joints import FloatArray
from bridge.control.plausibility import Plausibility
from bridge.control.rate_notice import RateNotice
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import ACTIVE, TRANSITIONS, UNARMED, Event, JointVectors, Mode, SafetyLimits
from bridge.control.sight import Fresh
from bridge.operator.notices import Notice
from policies.contract.file import PolicyFile
from policies.contract.observation import Sensors

RESET_FIRST, STAND_FIRST = " (reset first)", " (stand first)"
HINTS = {(Mode.FAULT, Event.STAND): RESET_FIRST, (Mode.FAULT, Event.START): RESET_FIRST, (Mode.DAMPING, Event.START): STAND_FIRST}
NEXT = {Mode.DAMPING: Event.STAND, Mode.STAND: Event.START}
CAUTION = {Event.RESET: 1, Event.STAND: 2, Event.START: 3}
OnEvent = Callable[[Mapping[str, Any]], None]


class Controller:
    """One policy, one robot, one state machine.

    Attributes:
        mode: the safety state; only `_fire` changes it, and only along `TRANSITIONS`, or `UNARMED` before `arm`.
        problems: the guards' messages at the newest tick, whether or not they reacted.
        action: newest raw action, (J,); the observation's `last_action`.
        shadow_command: in a dry run, the command that would have been sent; None before the first.
        clock: steady clock that times inference; None to leave it untimed.
        inference_ns: duration of the newest tick's inference [ns]; 0 if there was none.
        inferred: whether the newest tick ran the policy.
        observation: the policy's observation, (O,).
        asked: the newest tick's command before the limits.
        cause: cause of the newest transition.
        ran: whether the policy ever ran.
        plausibility: the check of the sensors over all readings.
        tripped: the guard's message at the last damping or latch; empty if there was none.
    """

    def __init__(
        self,
        policy: PolicyFile,
        limits: SafetyLimits | None = None,
        *,
        shadow: bool = False,
        on_event: OnEvent | None = None,
        image_fault: ImageFault = "damp",
    ) -> None:
        """Make a controller in `zero_torque`.

        Args:
            policy: the file to run.
            limits: thresholds; None for the policy's own.
            shadow: dry run: infer on every good reading without ever leaving damping.
            on_event: called with each transition, refusal and exception.
            image_fault: what a camera's fault leads to, see `bridge.control.holding`.
        """
        self.policy, self.spec = policy, policy.spec
        self.limits = limits or SafetyLimits.of(self.spec)
        self.joints = JointVectors.of(self.spec)
        self.limiter = Limiter(self.joints, self.limits, self.spec.control_dt)
        self.mode = Mode.ZERO_TORQUE
        self._transitions = UNARMED
        self.problems: list[Problem] = []
        self.shadow_command: JointCommand | None = None
        self.shadow = shadow
        self.on_event: OnEvent = on_event or (lambda event: None)
        self.clock: Callable[[], int] | None = None
        self.inference_ns = 0
        self.inferred = False
        self.observation: NDArray[np.float32] = np.zeros(self.spec.observation_dim, np.float32)
        self._plan: list[Event] = []
        self._untold: Exception | None = None
        self._commanded = False
        self._waited: str | None = None
        self.cause, self.tripped, self.ran = "", "", False
        self._remarks: tuple[str, ...] = ()
        self._rates = RateNotice()
        self._watch, self._consistency, self._wait = StampWatch(), Consistency(self.joints), Notice()
        self.plausibility = Plausibility(self.joints, 1 / self.spec.control_dt)
        self._doubted: tuple[str | None, str | None] = (None, None)
        self._sights, self.holding = SightWatch(self.spec), Holding(image_fault)
        self._guards = INPUT_GUARDS + ROBOT_GUARDS + (CAMERA_GUARDS if self._sights.periods else ())
        self._fresh, self._more = Fresh(), len(self.spec.observation) > 1
        self._damping = damping(self.limits.damping_factor * self.joints.kd)
        self.asked = self._damping
        self._snapshot = Snapshot(now_ns=0, inputs=Inputs())
        self._entered_ns = 0
        self._start_pose = self.joints.default_pose
        self._command_lower = np.array(self.spec.command.lower)
        self._command_upper = np.array(self.spec.command.upper)
        self.reset_memory(self.joints.default_pose)

    @property
    def inputs(self) -> Inputs:
        """The inputs of the newest tick."""
        return self._snapshot.inputs

    @property
    def now_ns(self) -> int:
        """Time of the newest tick [ns]."""
        return self._snapshot.now_ns

    @property
    def remarks(self) -> list[str]:
        """Remarks on the robot's end of the wire for which nothing is refused."""
        return [*self._remarks, *self.plausibility.remarks, *([self._rates.remark] if self._rates.remark else [])]

    @property
    def _in_mode_s(self) -> float:
        """Time in this mode at the newest tick [s]."""
        return (self._snapshot.now_ns - self._entered_ns) * 1e-9

    def hear(self, reading: Reading) -> None:
        """Take a reading between the ticks, which is only used to check the sensors."""
        self.plausibility.hear(reading)

    def reset_memory(self, pose: FloatArray) -> None:
        """Clear the policy's memory, as after a reset in training with the robot in `pose` [rad] (J,)."""
        self.policy.reset()
        self.action: NDArray[np.float32] = np.zeros(self.spec.action_dim, np.float32)
        self.target = pose.astype(np.float32)
        self._fresh.forget()
        self._told = asked.inside(asked.nothing(self.spec.command), self.spec.command)
        self._steps = 0

    def arm(self) -> float:
        """Verify the policy against its golden run, warm it, and leave `zero_torque`. Returns the largest difference found.

        Raises:
            GoldenMismatchError: the file does not reproduce its recorded actions; nothing is armed.
        """
        worst = self.policy.verify()
        if not self.armed:
            self._tell({"event": "armed", "t_ns": self._snapshot.now_ns})
        for _ in range(10):
            self.policy.act(np.zeros(self.spec.observation_dim, np.float32))
        self.policy.reset()
        self._transitions = TRANSITIONS
        self._fire(Event.ARM, "golden run reproduced, model warm")
        return worst

    @property
    def armed(self) -> bool:
        """Whether the policy has reproduced its golden run."""
        return self._transitions is TRANSITIONS

    def set_limits(self, limits: SafetyLimits) -> None:
        """Change thresholds between two ticks; not while the robot is driven.

        Raises:
            ValueError: in `stand` or `policy`.
        """
        if self.mode in ACTIVE:
            raise ValueError(f"thresholds do not change in {self.mode}")
        self.use_limits(limits)

    def use_limits(self, limits: SafetyLimits) -> None:
        """Change thresholds in any state, for a replay whose policy may be driving while the logged one was not."""
        self.limits = limits
        self.limiter = Limiter(self.joints, limits, self.spec.control_dt)
        self._damping = damping(limits.damping_factor * self.joints.kd)
        self.on_event({"event": "limits", "t_ns": self._snapshot.now_ns, "values": dataclasses.asdict(limits)})

    def auto_start(self) -> None:
        """Stand, then start the policy, once, each as soon as it is possible; call after `arm`. Any stop cancels the rest."""
        self._plan = [Event.STAND, Event.START]

    @property
    def waits_for(self) -> str | None:
        """What an automatic start is waiting for; None if none is pending."""
        return f"{self._plan[0]}: {self.refusal(self._plan[0])}" if self._plan else None

    @property
    def waiting(self) -> str | None:
        """What prevents the next step towards the policy, whoever requests it; None if nothing does except the ramp."""
        return None if self._standing_up and not self.problems else self._lacks

    @property
    def _standing_up(self) -> bool:
        return self.mode is Mode.STAND and self._in_mode_s < self.limits.stand_s

    @property
    def _lacks(self) -> str | None:
        if self.shadow:
            said = [f"{p.guard.name}: {p.text}" for p in self.problems if Mode.POLICY in p.guard.modes]
            return f"infer: {said[0]}" if said else None
        step = self._plan[0] if self._plan else NEXT.get(self.mode)
        reason = None if step is None else self.refusal(step)
        return None if reason is None else f"{step}: {reason}"

    @property
    def waited(self) -> str | None:
        """What the next step was waiting for at the newest tick, for the summary at the end."""
        return self._waited

    def refusal(self, event: Event) -> str | None:
        """Why the operator's `event` would be refused now; None if it would be accepted."""
        if event is Event.STOP and self._plan:
            return None  # it cancels the automatic start
        if (self.mode, event) not in self._transitions:
            hint = HINTS.get((self.mode, event), "")
            why = f"; cause: {self.tripped}" if self.mode is Mode.FAULT and self.tripped else ""
            return "the policy file is not verified" if self._transitions is UNARMED else f"not possible in {self.mode}{hint}{why}"
        if event not in (Event.STAND, Event.START):
            return None
        if self.shadow:
            return "dry run"
        entered = Mode.STAND if event is Event.STAND else Mode.POLICY
        for problem in self.problems:
            if entered in problem.guard.modes:
                return f"{problem.guard.name}: {problem.text}"
        if event is Event.STAND:
            return None
        reading = self._snapshot.inputs.reading
        assert reading is not None  # the stale_sensor guard has passed
        return not_ready(reading, self._in_mode_s, self.joints, self.limits)

    def tick(self, now_ns: int, inputs: Inputs, late_s: float = 0.0, overruns: int = 0) -> JointCommand:
        """Advance one control step.

        Args:
            now_ns: time [ns] on the clock that stamps `received_ns`.
            inputs: the inputs.
            late_s: how late this tick started [s].
            overruns: ticks in a row that ended after the next deadline.

        Returns:
            The command to send, inside all limits.
        """
        frozen_s, backward = self._watch.update(inputs.reading, now_ns, self.limits.clock_step_s)
        self._notice(inputs, now_ns)
        age_s = float("inf") if inputs.command is None else (now_ns - inputs.command_ns) * 1e-9
        self.inference_ns, self.inferred = 0, False
        watch = self._watch
        self._consistency.update(inputs.reading, self.limits)
        self._snapshot = snapshot = Snapshot(now_ns, inputs, frozen_s, backward, age_s, late_s, overruns, watch.lag_s, watch.rate)
        snapshot.command_fault = None if inputs.command is None else asked.fault(inputs.command, self.spec.command)
        snapshot.jump, snapshot.contradiction = self._consistency.jump, self._consistency.contradiction
        self._commanded |= inputs.command is not None
        snapshot.set_by_s, snapshot.commanded = watch.set_by_s, self._commanded
        snapshot.doubt, snapshot.slow = self._doubt(inputs.reading, now_ns)
        self._sights.update(inputs.sights, inputs.reading)
        snapshot.periods, snapshot.moved = self._sights.periods, self._sights.moved
        self.problems = run_guards(self._guards, snapshot, self.limits, self.joints)
        waiting, self._waited = self.waiting, self._lacks
        if self._wait.update(waiting, now_ns) and waiting is not None:
            step, _, cause = waiting.partition(": ")
            self._tell({"event": "waiting", "t_ns": now_ns, "request": step, "cause": cause})
        self._take(inputs.requests)
        if self._plan and self.refusal(self._plan[0]) is None:
            self._fire(self._plan.pop(0), "automatic start")
        self.asked = self._command(snapshot)
        command = self.limiter(self.asked, inputs.reading)
        self.raise_untold()  # the loop sends damping instead, and reports it at the end
        return command

    def _doubt(self, reading: Reading | None, now_ns: int) -> tuple[str | None, str | None]:
        """Log what is wrong with the sensors by all readings so far, and which come too slowly, since a log may not have all readings."""
        if reading is not None:
            self.plausibility.hear(reading)
        self.plausibility.look(now_ns, self.mode in ACTIVE, self.limits.contradiction)
        found = self.plausibility.doubt, self.plausibility.slow
        if found != self._doubted:
            if found[0] != self._doubted[0] or (found[1] is None) != (self._doubted[1] is None):
                self._tell({"event": "doubt", "t_ns": now_ns, "text": found[0] or "", "slow": found[1] or ""})
            self._doubted = found
        return found

    def _notice(self, inputs: Inputs, now_ns: int) -> None:
        """Report what is unusual at the robot's end of the wire: the transport's remarks, and a simulator's clock with another rate."""
        for text in inputs.remarks:
            if text not in self._remarks:
                self._tell({"event": "remark", "t_ns": now_ns, "text": text})
        self._remarks = inputs.remarks
        if step_s := self._watch.set_by_s:
            how = f"back by {-step_s * 1e3:.0f} ms" if step_s < 0 else f"ahead by {step_s:.2g} s"
            said = f"the robot's clock was set {how}; set the clocks before a robot is driven (chrony, ntp, or PTP)"
            self._tell({"event": "remark", "t_ns": now_ns, "text": said})
        rate = self._watch.rate
        if rate is None or inputs.reading is None or not inputs.reading.free_clock:
            return
        if (said := self._rates.update(rate, self.spec.control_dt, now_ns)) is not None:
            self._tell({"event": "remark", "t_ns": now_ns, "text": said})

    def _take(self, requests: tuple[Event, ...]) -> None:
        """Handle requests and guards, the safest first, since the order of requests within one step is not reliable."""
        stopped = next((event for event in (Event.ESTOP, Event.STOP) if event in requests), None)
        if stopped is Event.STOP and self.mode is Mode.FAULT:
            self._refused(Event.STOP, "nothing is driven in fault")
        if stopped is not None:
            self._plan.clear()
        if stopped is Event.ESTOP:
            self._fire(Event.ESTOP, "emergency stop")
        self._react(self._hold())
        if stopped is Event.STOP:
            self._fire(Event.STOP, "operator")
        done = stopped or min(requests, key=lambda event: CAUTION.get(event, 0), default=None)
        if stopped is None and done is not None:
            self._request(done)
        for event in dict.fromkeys(requests):
            if event is not done:
                self._refused(event, f"{done} in the same step")

    def _hold(self) -> list[Problem]:
        """The problems that lead to damping; those of cameras may be answered by holding still, which begins and ends here."""
        left, said = self.holding.update(self.problems, self.mode, self._snapshot.now_ns, self.limits)
        if said:
            self._tell({"event": "remark", "t_ns": self._snapshot.now_ns, "text": said})
        if said == ANEW and (reading := self._snapshot.inputs.reading) is not None:
            self._take_over(reading)
        return left

    def raise_untold(self) -> None:
        """Raise a listener's exception, once, after the command is decided."""
        if self._untold is not None:
            error, self._untold = self._untold, None
            raise error

    def _tell(self, event: Mapping[str, Any]) -> None:
        """Pass an event to the listener. Its exceptions (a full disk, a lost terminal) must not prevent the command from being sent."""
        try:
            self.on_event(event)
        except Exception as error:
            self._untold = error

    def fail(self, error: BaseException, phase: str = "tick") -> JointCommand:
        """Latch the fault of an exception and return the damping command; `phase` says where it occurred: `wait`, `tick` or `write`."""
        self.problems = [Problem(EXCEPTION, f"{type(error).__name__}: {error}")]
        self._tell({"event": "exception", "t_ns": self._snapshot.now_ns, "text": self.problems[0].text, "phase": phase})
        self._react(self.problems)
        return self.limiter(self._damping, None)

    def stop(self, cause: str = "the loop ends") -> JointCommand:
        """Leave `stand` and `policy`, cancel an automatic start, and return the damping command; for callers between the ticks."""
        moved = bool(self._plan) or self.mode in ACTIVE
        self._plan.clear()
        self._fire(Event.STOP, cause)
        if moved:
            self._tell({"event": "halt", "t_ns": self._snapshot.now_ns, "text": cause})
        return self.limiter(self._damping, self._snapshot.inputs.reading)

    def _command(self, snapshot: Snapshot) -> JointCommand:
        if self.mode is Mode.POLICY and self.holding.now:
            return self._driven(self._held_pose(self.asked.position))
        if self.mode is Mode.POLICY:
            return self._infer(snapshot)
        if self.mode is Mode.STAND:
            return stand_command(self._start_pose, self._in_mode_s, self.joints, self.limits)
        if self.shadow and not [problem for problem in self.problems if Mode.POLICY in problem.guard.modes]:
            if self.shadow_command is None and snapshot.inputs.reading is not None:
                self.reset_memory(snapshot.inputs.reading.position)
            self.shadow_command = self._infer(snapshot)
        return damping(np.zeros_like(self.joints.kd)) if self.mode is Mode.ZERO_TORQUE else self._damping

    def _infer(self, snapshot: Snapshot) -> JointCommand:
        reading = snapshot.inputs.reading
        assert reading is not None  # the stale_sensor guard has passed
        sensors = self._sensors(reading, snapshot)
        self.observation, self.inferred = self.policy.observe(sensors), True
        seen = self._fresh(snapshot.inputs.sights, self.policy.observe_others(sensors, self._steps)) if self._more else ()
        self._steps += 1
        begin_ns = self.clock() if self.clock else 0
        before, self.action = self.action, self.policy.act(self.observation, *seen).copy()
        self.inference_ns = self.clock() - begin_ns if self.clock else 0
        target = self.policy.targets(self.action, self.target)
        snapshot.action, snapshot.target_step = self.action, self._target_step(before)
        said = run_guards(ACTION_GUARDS, snapshot, self.limits, self.joints)
        self.problems += said
        self._react(said)
        if said:
            return self._damping
        self.target = target
        goal = np.asarray(target, np.float64)
        if self.mode is Mode.POLICY:  # in a dry run there is no pose to take over from
            goal = eased(goal, self._start_pose, self._in_mode_s, self.limits)
        return self._driven(goal)

    def _driven(self, target: FloatArray) -> JointCommand:
        """The command that drives all joints to a target [rad] (J,)."""
        zero = np.zeros_like(self.joints.kp)
        return JointCommand(target, zero, zero, self.joints.kp, self.joints.kd)

    def _held_pose(self, without: FloatArray) -> FloatArray:
        """The last target [rad] (J,), or another one if there was none."""
        held = self.limiter.newest_target  # not from the measured pose, which sags under load, or the robot would dip
        return (without if held is None else held).copy()

    def _target_step(self, before: NDArray[np.float32]) -> FloatArray:
        """Change of the joint targets [rad] (J,) by the newest action, before clipping to the joint range."""
        law = self.spec.action  # unclipped: a clip smaller than the joint's range would hide every jump
        step = self.action - before if law.mode == "position_offset" else self.action
        return np.asarray(step, np.float64) * np.array(law.scale)

    def _sensors(self, reading: Reading, snapshot: Snapshot) -> Sensors:
        command = snapshot.inputs.command
        late = snapshot.command_age_s > self.limits.command_timeout_s and self.spec.command.kind == "velocity"
        if command is None or late:  # a zero velocity is a halt; for other kinds, zero would be another command
            command = asked.nothing(self.spec.command)
        quat, gyro = reading.imu_quat_wxyz, reading.imu_angular_velocity_b
        told = self._follow(asked.inside(command, self.spec.command))
        return Sensors(
            joint_position=reading.position.astype(np.float32),
            joint_velocity=reading.velocity.astype(np.float32),
            command=told,
            last_action=self.action,
            imu_quat_wxyz=None if quat is None else quat.astype(np.float32),
            imu_angular_velocity_b=None if gyro is None else gyro.astype(np.float32),
            joint_target=self.target,
            clock=self.policy.clock(self._steps, told),
        )

    def _follow(self, command: FloatArray) -> NDArray[np.float32]:
        """The command (C,) for the policy: a goal unchanged, a velocity changing at most by its range in `command_ramp_s`."""
        if self.spec.command.kind == "velocity":
            step = (self._command_upper - self._command_lower) * self.spec.control_dt / self.limits.command_ramp_s
            command = np.clip(command, self._told - step, self._told + step)
        self._told = command
        return command.astype(np.float32)

    def _react(self, problems: list[Problem]) -> None:
        reacting = [problem for problem in problems if self.mode in problem.guard.modes and not problem.guard.entry]
        if reacting:
            latched = any(problem.guard.latched for problem in reacting)
            self._fire(Event.LATCH if latched else Event.TRIP, "; ".join(f"{p.guard.name}: {p.text}" for p in reacting))

    def _request(self, event: Event) -> None:
        reason = self.refusal(event)
        if reason is None:
            self._fire(event, "operator")
        else:
            self._refused(event, reason)

    def _refused(self, event: Event, reason: str) -> None:
        self._tell({"event": "refused", "t_ns": self._snapshot.now_ns, "request": str(event), "cause": reason})

    def _fire(self, event: Event, cause: str) -> None:
        before, after = self.mode, self._transitions.get((self.mode, event))
        if after is None:
            return
        if event is Event.RESET:
            self._watch.restart()
            self.plausibility.restart()
            self._rates.restart(self._snapshot.now_ns)
            if before is after:
                text = "reset: the measurement of the sensors' delay starts again"
                self._tell({"event": "remark", "t_ns": self._snapshot.now_ns, "text": text})
                return
        if after not in ACTIVE:
            self._plan.clear()
        self.mode = after
        self._entered_ns = self._snapshot.now_ns
        reading = self._snapshot.inputs.reading
        if after is Mode.STAND and reading is not None:
            self.limiter.reset()
            self._start_pose = reading.position.copy()
        if after is Mode.POLICY and reading is not None:
            self._take_over(reading)
        if before is not after:
            self.cause, self.ran = cause, self.ran or after is Mode.POLICY
            self.tripped = cause if event in (Event.TRIP, Event.LATCH) else self.tripped
            received_ns = None if reading is None else reading.received_ns
            record = {"event": "transition", "t_ns": self._snapshot.now_ns, "from": str(before), "to": str(after)}
            self._tell({**record, "cause": cause, "sensor_ns": received_ns})

    def _take_over(self, reading: Reading) -> None:
        """Let the policy begin, with an empty memory, from the target that was held."""
        self._start_pose = self._held_pose(reading.position)
        self._entered_ns = self._snapshot.now_ns
        self.reset_memory(reading.position)
