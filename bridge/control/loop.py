"""The fixed-rate loop: absolute deadlines around read -> controller -> write.

A deadline is the previous one plus the period, never "now plus the period", so work and jitter do not add up to drift. A tick that is more
than a period late runs once; the deadlines missed meanwhile are counted and not caught up in a burst. A lock to the sensors' phase may move
the deadlines by a hundredth of a period per tick, and starts a tick with the message it waits for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import time
from typing import TYPE_CHECKING

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.phase_lock import PhaseLock
from bridge.control.reading import Inputs, Reading
from bridge.control.timing import Timing
from bridge.transports.base import Transport

if TYPE_CHECKING:
    from bridge.logs.writer import LogWriter

FAREWELL_TICKS = 5


class ControlLoop:
    """Runs a controller on a transport until told to stop.

    Attributes:
        timing: statistics of the ticks so far.
        asked: whether an end was requested, by a signal, a key, or a lifecycle manager.
    """

    def __init__(
        self, controller: Controller, transport: Transport, recorder: LogWriter | None = None, lock: PhaseLock | None = None
    ) -> None:
        """Join an armed controller, an open transport and, if given, a flight recorder and a lock to the sensors' phase."""
        self.controller, self.transport, self.recorder, self._lock = controller, transport, recorder, lock
        self.period_ns = round(controller.spec.control_dt * 1e9)
        self.timing = Timing()
        self._twin = None if lock is None else Controller(controller.policy.fork(), controller.limits, shadow=True)
        self.failure: BaseException | None = None
        self._overruns_in_a_row = 0
        self._stopping = self.asked = False
        controller.clock = transport.now_ns

    def stop(self) -> None:
        """Ask `run` to end; safe in a signal handler."""
        self._stopping = self.asked = True

    def end(self) -> None:
        """Let `run` end without a request: the work is done, or impossible."""
        self._stopping = True

    def run(self, duration_s: float | None = None) -> None:
        """Tick until `stop` or for a duration [s]; a final series of damping commands is sent in every case.

        Raises:
            Exception: the first exception of a tick, after the loop has ended; until then the robot was kept in damping.
        """
        gc.collect()
        gc.freeze()
        gc.disable()
        begin_ns = self.transport.now_ns()
        end_ns = None if duration_s is None else begin_ns + round(duration_s * 1e9)
        deadline_ns = begin_ns + self.period_ns
        try:
            while not self._stopping and (end_ns is None or deadline_ns <= end_ns):
                self._wait(deadline_ns)
                if not self._stopping:
                    deadline_ns = self.tick(deadline_ns)
        finally:
            try:
                self._farewell()
            finally:
                gc.enable()
                gc.unfreeze()
        if self.failure is not None:
            raise self.failure

    def tick(self, deadline_ns: int) -> int:
        """Do one tick that was due at `deadline_ns`. Returns the next deadline [ns]."""
        now_ns, due_ns = self.transport.now_ns(), deadline_ns
        late_ns, overruns = max(0, now_ns - deadline_ns), self._overruns_in_a_row
        inputs = Inputs()
        try:
            inputs = self.transport.read()
            command = self.controller.tick(now_ns, inputs, late_ns * 1e-9, overruns)
        except Exception as error:  # whatever it was, the robot must get damping, now and until a reset
            self.failure = self.failure or error
            command = self.controller.fail(error)
        self._write(command)
        self._record(now_ns, inputs, command, late_ns, overruns)
        missed = late_ns // self.period_ns
        deadline_ns += (1 + missed) * self.period_ns
        end_ns = self.transport.now_ns()
        over = end_ns > deadline_ns
        self._overruns_in_a_row = self._overruns_in_a_row + 1 if over else 0
        self.timing.missed += missed
        self.timing.overruns += over
        self.timing.add(late_ns, end_ns - now_ns, self.controller.inference_ns)
        if self.timing.ticks % 50 == 0 and deadline_ns - end_ns > self.period_ns // 2:
            gc.collect(0)  # in the slack of a tick, where it delays nothing
        if self._lock is not None and inputs.reading is not None:
            deadline_ns += self._align(self._lock, due_ns, inputs.reading)
        return deadline_ns

    def _align(self, lock: PhaseLock, due_ns: int, reading: Reading) -> int:
        """Correction of the next deadline [ns]."""
        correction_ns = lock.correction_ns(due_ns, reading.received_ns)
        if lock.failure is not None:
            self._lock = None
            self._say(lock.failure)
        return correction_ns

    def _wait(self, deadline_ns: int) -> None:
        try:
            if self._lock is None or self._twin is None:
                self.transport.wait_until(deadline_ns)
            else:
                self._rehearse(self._twin, self._lock, deadline_ns)
                self.transport.wait_until(deadline_ns, self._lock.window_ns(deadline_ns))
        except Exception as error:
            self.failure = self.failure or error
            self.controller.fail(error, "wait")
            time.sleep(max(0, min(self.period_ns, deadline_ns - self.transport.now_ns())) * 1e-9)  # a failing wait must not spin

    def _rehearse(self, twin: Controller, lock: PhaseLock, deadline_ns: int) -> None:
        """Shortly before the tick, do a dry run with the newest inputs, without effect."""
        at_ns = lock.rehearsal_ns(deadline_ns)
        if at_ns is None or self.transport.now_ns() > at_ns:
            return
        self.transport.wait_until(at_ns)
        begin_ns = self.transport.now_ns()
        with contextlib.suppress(Exception):  # the tick itself will report it
            self.transport.rehearse()
            inputs = self.controller.inputs
            twin.tick(self.controller.now_ns, dataclasses.replace(inputs, requests=()))
            if twin.shadow_command is not None:
                twin.limiter(twin.shadow_command, inputs.reading)
        lock.rehearsed(begin_ns, self.transport.now_ns())

    def _write(self, command: JointCommand) -> None:
        try:
            self.transport.write(command)
            self.transport.report(self.status())
        except Exception as error:
            self.failure = self.failure or error
            self.controller.fail(error, "write")

    def _record(self, now_ns: int, inputs: Inputs, command: JointCommand, late_ns: int, overruns: int) -> None:
        """Log the tick. A failing recorder is dropped, since the robot does not need it."""
        if self.recorder is None:
            return
        try:
            self.recorder.tick(now_ns, inputs, self.controller, command, late_ns, overruns, self.transport.now_ns() - now_ns)
        except Exception as error:
            self.recorder.failure = self.recorder.failure or f"{type(error).__name__}: {error}"
        if self.recorder.failure is not None:
            self._say(f"warning: the log ends here: {self.recorder.failure}")
            self.recorder = None

    def _say(self, line: str) -> None:
        if self.transport.on_line is not None:
            self.transport.on_line(line)

    def status(self) -> dict[str, object]:
        """The content of diagnostics: mode and its cause, what is waited for, problems, remarks and counters."""
        problems = [f"{problem.guard.name}: {problem.text}" for problem in self.controller.problems]
        counters = {"ticks": self.timing.ticks, "missed": self.timing.missed, "overruns": self.timing.overruns}
        why = {"cause": self.controller.cause, "waits": self.controller.waiting}
        told = {"mode": str(self.controller.mode), "problems": problems, "remarks": self.controller.remarks}
        return {**told, "timing": self.timing, **why, **counters}

    def _farewell(self) -> None:
        """Send damping a few more times at the loop's rate."""
        for _ in range(FAREWELL_TICKS):
            self._write(self.controller.stop())
            try:
                self.controller.raise_untold()
            except Exception as error:
                self.failure = self.failure or error
            self._wait(self.transport.now_ns() + self.period_ns)
