"""The far side's loop: a message at a time, in order, until the trainer has gone.

`step`, `write`, `field`, `state` and `load` are answered. The others are not waited for: if one fails, the next answer tells. The process
ends with the trainer, whatever it is doing: a thread watches the connection, and the parent's number in case that something else holds it.
"""

from __future__ import annotations

import importlib
import os
import platform
import select
import signal
import socket
import sys
import threading
import traceback
from typing import Any

import numpy as np

from . import wire
from .face import Model, Physics, Refused

ENGINES = {
    "mujoco": ("mujoco_worlds", "MujocoWorlds"),
    "newton": ("newton_worlds", "NewtonWorlds"),
    "isaacgym": ("isaacgym_worlds", "IsaacGymWorlds"),
}
"""Name -> module here and class."""

CHECK_S = 1.0
"""How often the watcher looks whether the parent has changed."""


def main(descriptor: int, engine: str) -> int:
    """Serve the trainer at the other end of a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which then saves its work with our help
    os.dup2(2, 1)  # what engines print is not the trainer's output
    link = socket.socket(fileno=descriptor)
    _watch(link)
    try:
        _serve(link, engine)
    except wire.Gone:
        return 0
    return 0


def _watch(link: socket.socket) -> None:
    poll, parent = select.poll(), os.getppid()
    poll.register(link.fileno(), select.POLLHUP | select.POLLRDHUP)

    def look() -> None:
        while os.getppid() == parent and not poll.poll(1000 * CHECK_S):
            pass
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _serve(link: socket.socket, engine: str) -> None:
    try:
        engine, _, solver = engine.partition(":")
        module, name = ENGINES[engine]
        kind = getattr(importlib.import_module("." + module, __package__), name)
        if solver:
            kind = kind.with_solver(solver)
        told = {"answer": "ready", "protocol": wire.VERSION, "version": kind.version, "python": platform.python_version()}
    except BaseException as error:
        wire.send(link, _failure(error))
        return
    wire.send(link, dict(told, fields=kind.fields, executable=sys.executable))
    worker = _Worker(link, kind)
    while True:
        worker.answer(*wire.receive(link))


def _failure(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Refused):
        return {"answer": "refused", "error": str(error)}
    kind = type(error).__name__
    return {"answer": "failed", "error": "{}: {}".format(kind, error) if str(error) else kind, "traceback": traceback.format_exc()}


class _Worker:
    """One trainer's worlds."""

    def __init__(self, link: socket.socket, kind: Any) -> None:
        self._link, self._kind = link, kind
        self._pending: Any = None
        self._shared: dict[str, np.ndarray] = {}
        self._physics = Physics.__new__(Physics)

    def answer(self, message: dict[str, Any], arrays: dict[str, np.ndarray], descriptor: Any) -> None:
        """Do what a message asks."""
        told: dict[str, Any] = {"answer": "done"}
        reply: dict[str, np.ndarray] = {}
        try:
            reply = getattr(self, "_do_" + message["do"])(message, arrays, descriptor) or {}
        except Exception as error:
            self._pending = self._pending or _failure(error)
        if message.get("wait"):
            told, self._pending = self._pending or told, None
            wire.send(self._link, told, reply)

    def _do_block(self, message: dict[str, Any], arrays: dict[str, np.ndarray], descriptor: Any) -> None:
        shapes = {name: (dtype, tuple(shape)) for name, (dtype, shape) in message["shapes"].items()}
        self._shared.update(wire.map_block(descriptor, shapes))
        os.close(descriptor)

    def _do_make(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics = self._kind(Model(message, arrays), message["worlds"], message["threads"], self._shared)

    def _do_step(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        worlds, stretches = self._physics.num_worlds, message["stretches"]
        used = self._shared["controls"][: worlds * stretches * message["nu"]]
        self._physics.step(used.reshape(worlds, stretches, message["nu"]), message["substeps"])

    def _do_write(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics.write_state(arrays["ids"], arrays["qpos"], arrays["qvel"])

    def _do_position(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics.set_position(arrays["ids"], arrays["values"])

    def _do_velocity(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics.set_velocity(arrays["ids"], arrays["values"])

    def _do_field(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics.set_field(message["name"], arrays["ids"], arrays["values"])

    def _do_read(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> dict[str, np.ndarray]:
        return {"values": self._physics.field(message["name"])}

    def _do_const(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics.set_const(arrays["ids"])

    def _do_force(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics.set_force(self._shared["force"])

    def _do_state(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> dict[str, np.ndarray]:
        return self._physics.state()

    def _do_load(self, message: dict[str, Any], arrays: dict[str, np.ndarray], _: Any) -> None:
        self._physics.load_state(arrays)
