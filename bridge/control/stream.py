"""The command writer for robots that need a stream: repeats the newest command at the robot's rate, and damps if no newer one comes.

The control loop puts a command at each tick, which is sent at once if the loop is slower than the stream; a separate thread repeats it at
absolute deadlines. If the loop stalls, the command's stiffness fades to damping, without a step in torque, before the robot's own watchdog
drops it:

    age of the command:  0 ......... stall_s ......... stall_s + fade_s ......
    gains sent:          as put        kp -> 0, kd -> damping's      damping
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from bridge.control.command import JointCommand, damping
from bridge.control.joints import FloatArray
from bridge.control.priority import raise_priority
from bridge.control.timing import Timing

STALL_PERIODS = 2.5  # in periods of the control loop: one late tick is not a stall
TURN_S = 0.001


class CommandStream:
    """Newest command in, one command out at each write.

    Attributes:
        stalls: number of times the stream began to fade because no newer command came.
        failure: first exception of a write, which ends the stream.
        timing: timing of the writes.
    """

    def __init__(
        self, send: Callable[[JointCommand], None], damping_kd: FloatArray, control_dt: float, rate_hz: float = 500.0, fade_s: float = 0.04
    ) -> None:
        """Prepare; nothing is sent before `start`.

        Args:
            send: writes one command to the wire; calls never overlap.
            damping_kd: kd of the damping at the end of a fade [N m s / rad], (J,).
            control_dt: period of the loop that puts commands [s].
            rate_hz: writes per second.
            fade_s: duration of the fade [s].

        Raises:
            ValueError: a rate or duration that is not above zero.
        """
        if not (control_dt > 0 and rate_hz > 0 and fade_s > 0):
            raise ValueError(f"control_dt, rate_hz and fade_s must be above zero, not {control_dt:g}, {rate_hz:g}, {fade_s:g}")
        self._send, self._damping = send, damping(np.array(damping_kd, np.float64))
        self._period_ns = round(1e9 / rate_hz)
        self._stall_ns, self._fade_ns = round(STALL_PERIODS * control_dt * 1e9), round(fade_s * 1e9)
        self._newest: tuple[JointCommand, int] | None = None
        self._fading, self._turn = False, threading.Lock()
        self._at_once = control_dt * rate_hz >= 2.0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.stalls = 0
        self.failure: BaseException | None = None
        self.timing = Timing()

    def put(self, command: JointCommand, now_ns: int) -> None:
        """Take the newest command, decided at `now_ns`; the stream keeps a reference, so the caller must not change it afterwards.

        Raises:
            Exception: raised by sending it; the stream continues with the previous command.
        """
        if self._at_once and self._thread is not None and self._turn.acquire(timeout=TURN_S):  # otherwise the thread sends it at its next
            # deadline
            try:
                self._send(command)
                self._newest = (command, now_ns)
            finally:
                self._turn.release()
        else:
            self._newest = (command, now_ns)  # a single assignment, so the thread sees either the old or the new pair

    def at(self, now_ns: int) -> JointCommand | None:
        """The command to send at `now_ns`; None before the first one."""
        newest = self._newest
        if newest is None:
            return None
        command, put_ns = newest
        if not command.drives:
            return command
        over_ns = now_ns - put_ns - self._stall_ns
        if over_ns <= 0:
            self._fading = False
            return command
        if not self._fading:
            self._fading = True
            self.stalls += 1
        keep = 1.0 - over_ns / self._fade_ns
        if keep <= 0.0:
            return self._damping
        kd = keep * command.kd + (1.0 - keep) * self._damping.kd
        return JointCommand(command.position, keep * command.velocity, keep * command.effort, keep * command.kp, kd)

    def start(self) -> None:
        """Start writing, in a thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="command stream")
        self._thread.start()

    def stop(self) -> None:
        """Write the newest command once more and end; safe to call twice.

        Raises:
            Exception: raised by a write.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        raise_priority()
        deadline_ns = time.monotonic_ns() + self._period_ns
        try:
            while not self._stopping.is_set():
                time.sleep(max(0, deadline_ns - time.monotonic_ns()) * 1e-9)
                deadline_ns = self.write(deadline_ns)
            self.write(deadline_ns)
        except Exception as error:
            self.failure = error

    def write(self, deadline_ns: int) -> int:
        """Do one write that was due at `deadline_ns`. Returns the next deadline [ns]; missed ones are not caught up."""
        now_ns = time.monotonic_ns()
        with self._turn:  # chosen under the lock, so that nothing older is sent after the newest
            command = self.at(now_ns)
            if command is not None:
                self._send(command)
        late_ns = max(0, now_ns - deadline_ns)
        missed = late_ns // self._period_ns
        self.timing.missed += missed
        self.timing.add(late_ns, time.monotonic_ns() - now_ns, 0)
        return deadline_ns + (1 + missed) * self._period_ns


def quick_switches() -> None:
    """Switch between this process's threads every half millisecond, so that a tick in Python does not delay the stream by 5 ms."""
    sys.setswitchinterval(0.0005)
