"""Watch a policy or a controller in the browser and steer it, on this computer only, in real time until Ctrl-C."""

from __future__ import annotations

import dataclasses
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from envs.engines.face import EngineError
from envs.robots.robot import Robot
from envs.terms.term import TermError
from policies.contract.file import PolicyFileError
from policies.contract.parts import SpecError
from policies.registry import UnknownNameError
from robolearn.errors import UserError, missing_extra
from robolearn.viewer.browser import open_server, url_of
from robolearn.viewer.live.board import board
from robolearn.viewer.live.choice import Choice, Policies, fitting, name_of
from robolearn.viewer.live.panel import Panel
from robolearn.viewer.live.stage import Stage
from robolearn.viewer.moment import Moment
from robolearn.viewer.playback import default_commands
from robolearn.viewer.who import Who

FAULTS = (UserError, PolicyFileError, SpecError, UnknownNameError, EngineError, TermError, OSError, ModuleNotFoundError)
"""Errors of a choice, not of this program: an invalid file, a missing robot or engine."""
PICTURE_HZ, BOARD_HZ = 50.0, 4.0
MAX_LAG_S = 0.25  # s: if it is further behind than this, simulated time is skipped rather than caught up
PACE_S = 1.0  # s: time over which the speed of the simulation is measured
IDLE_S = 0.03  # s: interval of checking for requests while paused


class LiveViewer:
    """A page with one robot, sliders for its command, and choices.

    Attributes:
        url: the URL to open.
        playback: the shown world.
        choice: the current choice.
        command: the current command, (C,).
        panel: the widgets.
        stage: the scene.
    """

    def __init__(self, who: Who, choice: Choice, port: int = 8080, command: Sequence[float] | None = None, seed: int = 0,
                 robot: str | Robot | None = None) -> None:  # fmt: skip
        """Start the server; `run` makes the robot move.

        Args:
            who: the policy, whose golden run has been reproduced, or the controller.
            choice: the initial choice; its policy is ignored.
            port: first port tried; if it is taken, the next free one is used.
            command: the initial command, (C,).
            seed: of everything random.
            robot: as in `Playback`.

        Raises:
            UserError: no port is free, or the file cannot run here.
        """
        self._policies = Policies(who, robot, seed)
        self.choice = dataclasses.replace(choice, policy=self._policies.names[0])
        self._who, self._wanted = who, self.choice
        self.playback = self._policies.play(who, self.choice)
        self._server = open_server(name_of(who), port)
        self.url = url_of(self._server)
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()  # callbacks run in the server's threads
        self._paused, self._falls, self._pace = False, 0, None
        self._moment: Moment | None = None
        self.command = self._fitting(command)
        self.panel = Panel(self._server, self, self.do, self.choice, self._policies.names)
        corner = self._server.gui.add_panel()
        with corner.add_tab("Figures"):
            self._board = self._server.gui.add_html("")
        corner.float(x=-14, y=14, width=330)  # over the sky
        self.stage = Stage(self._server, self.playback)
        self._tell()

    def run(self, stop: threading.Event | None = None) -> None:
        """Simulate in real time until `stop` is set or Ctrl-C; then close the server."""
        due = time.monotonic()
        shown = told = 0.0
        paced, steps = due, 0
        try:
            while stop is None or not stop.is_set():
                if self.do_what_is_asked():
                    due = paced = time.monotonic()
                    steps = 0
                if self._paused:
                    time.sleep(IDLE_S)
                    due = paced = time.monotonic()
                    steps = 0
                    continue
                dt = self.playback.control_dt
                moment = self.advance()
                due, steps, now = due + dt, steps + 1, time.monotonic()
                if now - shown >= 1 / PICTURE_HZ:
                    self.stage.show(moment, min(now - shown, 1.0))
                    shown = now
                if now - paced >= PACE_S:
                    self._pace, paced, steps = steps * dt / (now - paced), now, 0
                if now - told >= 1 / BOARD_HZ:
                    self._say()
                    told = now
                lag = time.monotonic() - due
                if lag < 0:
                    time.sleep(-lag)
                elif lag > MAX_LAG_S:
                    due = time.monotonic()
        finally:
            self.close()

    def close(self) -> None:
        """End the server."""
        self._server.stop()

    def do(self, wish: Callable[[], None]) -> None:
        """Run something in the simulating thread."""
        self._asked.put(wish)

    def push(self) -> None:
        """Kick the robot."""
        self.playback.push()

    def restart(self) -> None:
        """Restart the episode."""
        self.playback.reset()
        self._show_still()

    def pause(self, paused: bool) -> None:
        """Pause, or continue."""
        self._paused = paused
        self.panel.paused(paused)
        self._say()

    def ask(self, command: np.ndarray) -> None:
        """Set the command (C,) from now on."""
        self.command = command.copy()

    def look(self, follow: bool, arrows: bool) -> None:
        """Set whether arrows are drawn, and whether the camera follows."""
        self.stage.follow, self.stage.arrows.visible = follow, arrows
        if self._moment is not None:
            self.stage.show(self._moment, 0.0)

    def choose(self, choice: Choice) -> None:
        """Show another world, once there are no other requests."""
        self._wanted = choice

    def _change(self, choice: Choice) -> None:
        """Show another world; if that is not possible, say why and continue with the current one."""
        self._say(f"loading {choice.policy} ...")
        try:
            who = self._who if choice.policy == self.choice.policy else self._policies.called(choice.policy)
            choice = choice if choice.policy == self.choice.policy else fitting(choice, who)
            playback = self._policies.play(who, choice)
        except FAULTS as error:
            self._wanted = self.choice
            self._fail(error)
            return
        other_robot = playback.env.robot.name != self.playback.env.robot.name
        same_command = playback.command == self.playback.command
        self._who, self.playback, self.choice, self._wanted, self._moment = who, playback, choice, choice, None
        self.command = self._fitting(self.command if same_command else None)
        self._falls, self._pace = 0, None
        self.stage = Stage(self._server, playback, move=other_robot, old=self.stage)
        self._tell()
        self._show_still()

    def advance(self) -> Moment:
        """One control step."""
        self._moment = self.playback.step(self.command.tolist())
        self._falls += self._moment.fell
        return self._moment

    def _show_still(self) -> None:
        """While paused, show the current state."""
        if self._paused:
            self.stage.show(self.advance(), 0.0)
            self._say()

    def do_what_is_asked(self) -> bool:
        """Handle all requests since the last call; returns whether there were any."""
        found = False
        while not self._asked.empty():
            self._asked.get()()
            found = True
        if self._wanted != self.choice:
            self._change(self._wanted)
        return found

    def _fitting(self, command: Sequence[float] | np.ndarray | None) -> np.ndarray:
        """A command (C,) within the trained range; None for the first one that moves."""
        spec = self.playback.command
        commands = default_commands(self.playback.task, spec)
        first = command if command is not None else commands[min(1, len(commands) - 1)]
        return np.clip(np.asarray(first, float), spec.lower, spec.upper)

    def _tell(self) -> None:
        spec, evaluation = self.playback.command, self.playback.evaluation
        under = f"robot {self.playback.env.robot.name}, task {self.playback.task}"
        self.panel.tell(self.choice, self.choice.policy, under, spec, evaluation.play.units, self.command, evaluation.terrain)
        self._say()

    def _say(self, state: str = "") -> None:
        units, state = self.playback.evaluation.play.units, state or ("paused" if self._paused else "")
        self._board.content = board(self.playback.command, units, self._moment, self.stage.arrow_m, self._falls, self._pace, state)

    def _fail(self, error: Exception) -> None:
        extra = missing_extra(error) if isinstance(error, ModuleNotFoundError) else None
        if isinstance(error, ModuleNotFoundError) and extra is None:
            raise error
        for client in self._server.get_clients().values():
            client.add_notification("This cannot be shown", str(extra or error), color="red")
        self._tell()


def serve(
    who: Who,
    choice: Choice,
    port: int = 8080,
    command: Sequence[float] | None = None,
    seed: int = 0,
    stop: threading.Event | None = None,
    robot: str | Robot | None = None,
) -> None:
    """Show a policy or controller until Ctrl-C; arguments as in `LiveViewer`."""
    viewer = LiveViewer(who, choice, port, command, seed, robot)
    if threading.current_thread() is threading.main_thread():  # shells start background jobs with it ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"open {viewer.url} in a browser on this computer; Ctrl-C ends", flush=True)
    try:
        viewer.run(stop)
    except KeyboardInterrupt:
        print()
