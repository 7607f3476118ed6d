"""What a physics engine of the far side is: N worlds of one model that are stepped together, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np


class Refused(Exception):
    """The engine cannot do what was asked; the message says what, in one line."""


class Missing(Refused, ImportError):
    """The engine is not in this Python."""


class Model:
    """The model as our side sends it, see `envs.engines.elsewhere.description`.

    Attributes:
        mjcf: the whole model as MJCF that any MuJoCo from 3.0 reads; its objects are called by kind and number, e.g. `b3`.
        names: kind of object -> the names of the user's model, for messages.
        options: flags and enumerations by name.
        sizes: nq, nv, nu, nbody and so on.
        arrays: the fields of mjModel by their names, `opt.` before those of mjOption.
    """

    def __init__(self, message: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.mjcf: str = message["mjcf"]
        self.names: dict[str, list[str]] = message["names"]
        self.options: dict[str, Any] = message["options"]
        self.sizes: dict[str, int] = message["sizes"]
        self.arrays = arrays

    def __getattr__(self, name: str) -> Any:
        for kind in ("sizes", "arrays"):
            if kind in self.__dict__ and name in self.__dict__[kind]:
                return self.__dict__[kind][name]
        raise AttributeError(name)


class Physics:
    """N worlds. A method that is given `ids` (n,) leaves all other worlds alone.

    Attributes:
        version: the engine's, told to the user.
        fields: fields of the model that may differ between worlds; None for all of mjModel's.
        qpos, qvel, sensordata: float32 (N, ...), shared with the trainer, filled by `step` and `write_state`.
        failed: uint8 (N,), shared: worlds that are to be reset.
    """

    version = ""
    fields: Any = None

    def __init__(self, model: Model, num_worlds: int, num_threads: int, shared: dict[str, np.ndarray]) -> None:
        self.model, self.num_worlds, self.num_threads = model, num_worlds, num_threads
        self.qpos, self.qvel, self.sensordata = (shared[name] for name in ("qpos", "qvel", "sensordata"))
        self.failed = shared["failed"]

    def step(self, controls: np.ndarray, substeps: int) -> None:
        """Hold each of the controls (N, K, nu) for some physics steps; note worlds that failed."""
        raise NotImplementedError

    def write_state(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Put worlds into a state without memory of the past; fields and forces stay."""
        raise NotImplementedError

    def set_position(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        """Overwrite positions."""
        raise NotImplementedError

    def set_velocity(self, ids: np.ndarray, qvel: np.ndarray) -> None:
        """Overwrite velocities."""
        raise NotImplementedError

    def set_field(self, name: str, ids: np.ndarray, values: np.ndarray) -> None:
        """Overwrite a field."""
        raise NotImplementedError

    def field(self, name: str) -> np.ndarray:
        """A field of all worlds."""
        raise NotImplementedError

    def set_const(self, ids: np.ndarray) -> None:
        """Recompute what depends on fields."""
        raise NotImplementedError

    def set_force(self, force: np.ndarray) -> None:
        """Hold a force and torque on each body, (N, nbody, 6)."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """All that the future depends on besides fields."""
        raise NotImplementedError

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Restore it, after the fields."""
        raise NotImplementedError
