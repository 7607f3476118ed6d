"""Watch a policy file in the browser and steer it: MuJoCo's scene through viser, on this computer only, in real time until Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence

import mujoco
import numpy as np

from envs.robots.robot import Robot
from policies.contract.file import PolicyFile
from robolearn.viewer.browser import add_scene, open_server, url_of
from robolearn.viewer.moment import Moment
from robolearn.viewer.playback import Playback, default_commands

PICTURE_HZ = 50.0
MAX_LAG_S = 0.25  # further behind than this, simulated time is given up instead of being run after
GREEN, BLUE, ORANGE = (38, 173, 97), (41, 115, 230), (242, 140, 26)


class LiveViewer:
    """A server with one robot, sliders for its command, and buttons.

    Attributes:
        url: where to point the browser.
        playback: the world that is shown.
    """

    def __init__(self, playback: Playback, port: int = 8080, command: Sequence[float] | None = None) -> None:
        """Start the server; `run` makes the robot move.

        Args:
            playback: the world.
            port: first port tried; the next free one is taken if it is not free.
            command: what is asked at first, (C,).

        Raises:
            UserError: no port can be had.
        """
        self.playback = playback
        spec = playback.file.spec
        self._walks = spec.command.kind == "velocity"
        self._has_goal = spec.command.kind.startswith("goal")
        self._server = open_server(spec.task, port)
        self.url = url_of(self._server)
        robot = playback.env.robot
        self._model = playback.env.scene().compile()
        self._data = mujoco.MjData(self._model)
        self._base = self._model.body(robot.base).id
        self._lock = threading.Lock()  # buttons are pressed in the server's threads
        self._requests: list[Callable[[], None]] = []
        self._paused = False
        first = command if command is not None else default_commands(playback.file)[min(1, len(default_commands(playback.file)) - 1)]
        self._command = np.clip(np.asarray(first, float), spec.command.lower, spec.command.upper)
        self._build(spec.task, spec.command.labels)

    def run(self, stop: threading.Event | None = None) -> None:
        """Simulate in real time until `stop` is set or Ctrl-C; then close the server."""
        dt = self.playback.control_dt
        due = time.monotonic()
        shown = 0.0
        try:
            while stop is None or not stop.is_set():
                if self._paused:
                    time.sleep(0.05)
                    due = time.monotonic()
                    continue
                with self._lock:
                    requests, self._requests = self._requests, []
                    command = tuple(self._command.tolist())
                for request in requests:
                    request()
                moment = self.playback.step(command)
                due += dt
                now = time.monotonic()
                if now - shown >= 1 / PICTURE_HZ:
                    self._show(moment)
                    shown = now
                lag = time.monotonic() - due
                if lag < 0:
                    time.sleep(-lag)
                elif lag > MAX_LAG_S:
                    due = time.monotonic()
        finally:
            self._server.stop()

    def _build(self, task: str, labels: Sequence[str]) -> None:
        server, spec = self._server, self.playback.file.spec.command
        server.gui.configure_theme(control_layout="collapsible", dark_mode=False, show_logo=False, show_share_button=False)
        self._scene = add_scene(server, self._model, follow=self.playback.env.robot.floating_base)
        server.gui.add_markdown(f"**{task}**  \n{self.playback.env.cfg.engine} engine")
        with server.gui.add_folder("Command"):
            self._sliders = []
            for index, label in enumerate(labels):
                low, high = spec.lower[index], spec.upper[index]
                slider = server.gui.add_slider(
                    label.replace("_", " "), min=low, max=high, step=0.01, initial_value=float(np.clip(self._command[index], low, high))
                )
                slider.on_update(lambda _, index=index, slider=slider: self._set(index, slider.value))
                self._sliders.append(slider)
            button = server.gui.add_button("Stand" if self._walks else "Random command")
            button.on_click(lambda _: self._ask_for(np.zeros(len(labels)) if self._walks else self._random_command()))
        with server.gui.add_folder("Robot"):
            server.gui.add_button("Push").on_click(lambda _: self._request(self.playback.push))
            server.gui.add_button("Reset").on_click(lambda _: self._request(self.playback.reset))
            pause = server.gui.add_checkbox("Pause", initial_value=False)
            pause.on_update(lambda _: setattr(self, "_paused", bool(pause.value)))
        self._text = server.gui.add_markdown("")
        self._falls = 0
        points, colors = np.zeros((2, 2, 3)), np.array([GREEN, BLUE], np.uint8)
        self._arrows = server.scene.add_arrows("/arrows", points, colors, shaft_radius=0.012, head_radius=0.03, head_length=0.06)
        self._goal = server.scene.add_icosphere("/goal", radius=0.03, color=ORANGE, opacity=0.7, visible=self._has_goal)
        self._arrows.visible = self._walks
        self._next_text = 0.0

    def _set(self, index: int, value: float) -> None:
        with self._lock:
            self._command[index] = value

    def _ask_for(self, command: np.ndarray) -> None:
        for slider, value in zip(self._sliders, command, strict=True):
            slider.value = round(float(value), 2)
        with self._lock:
            self._command[:] = command

    def _random_command(self) -> np.ndarray:
        spec = self.playback.file.spec.command
        return np.random.default_rng().uniform(spec.lower, spec.upper)

    def _request(self, action: Callable[[], None]) -> None:
        """The world is changed by the thread that steps it."""
        with self._lock:
            self._requests.append(action)

    def _show(self, moment: Moment) -> None:
        self._data.qpos[:] = moment.qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        with self._server.atomic():
            self._scene.update_from_mjdata(self._data)
            if self._has_goal:
                self._goal.position = np.array(moment.command[:3])
                self._goal.color = GREEN if moment.reached else ORANGE
            if self._walks:
                self._arrows.points = self._velocity_arrows(moment)
        self._falls += moment.fell
        if moment.time_s >= self._next_text:
            self._next_text = moment.time_s + 0.2
            rows = "".join(
                f"| {label.replace('_', ' ')} | {asked:+.2f} | {is_:+.2f} |\n"
                for label, asked, is_ in zip(self.playback.file.spec.command.labels, moment.command, moment.measured, strict=True)
            )
            told = ", ".join(text for text in (f"{moment.time_s:.1f} s", moment.note, f"falls {self._falls}") if text)
            self._text.content = f"| | command | measured |\n|---|---|---|\n{rows}\n{told}"

    def _velocity_arrows(self, moment: Moment) -> np.ndarray:
        """Start and end (2, 2, 3) of the arrows over the back; the camera follows the base, so it stands at the origin."""
        rotation = self._data.xmat[self._base].reshape(3, 3)
        yaw = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        arrows = np.zeros((2, 2, 3), np.float32)
        for row, ((vx, vy, _), height) in enumerate(((moment.command, 0.26), (moment.measured, 0.22))):
            start = np.array([0.0, 0.0, height])
            tip = 0.5 * np.array([np.cos(yaw) * vx - np.sin(yaw) * vy, np.sin(yaw) * vx + np.cos(yaw) * vy, 0.0])
            arrows[row] = start, start + (tip if np.linalg.norm(tip) > 0.01 else np.array([0.0, 0.0, 0.001]))
        return arrows


def serve(
    file: PolicyFile,
    engine: str = "mujoco",
    randomize: bool = False,
    port: int = 8080,
    command: Sequence[float] | None = None,
    seed: int = 0,
    stop: threading.Event | None = None,
    robot: str | Robot | None = None,
) -> None:
    """Show a policy file until Ctrl-C; arguments as in `Playback` and `LiveViewer`."""
    viewer = LiveViewer(Playback(file, engine, randomize, seed, robot=robot), port, command)
    if threading.current_thread() is threading.main_thread():  # a shell starts background jobs deaf to it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"open {viewer.url} in a browser on this computer; Ctrl-C ends", flush=True)
    try:
        viewer.run(stop)
    except KeyboardInterrupt:
        print()
