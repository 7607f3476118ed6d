"""The common part of engines that step one world at a time: a model for each world, threads, and the tensors shared by all worlds."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
import torch

from envs.engines.cores import available_cores
from envs.engines.face import EngineError


class WorldsApart(ABC):
    """N worlds, each with its own model, behind the `Engine` interface; see `envs.engines.face.Engine`.

    Attributes:
        models: the model of each world, whose arrays are the per-world fields.
    """

    name = ""
    switches_controls = True
    _TENSORS = ("qpos", "qvel", "sensordata")

    def __init__(self, model: mujoco.MjModel, own: mujoco.MjModel, num_worlds: int, num_threads: int) -> None:
        """Give each world a copy of `own`, the nominal `model` in the engine's form; 0 threads means as many as are allowed."""
        self.model = model
        self.num_worlds = num_worlds
        self.device = torch.device("cpu")
        self.failure_count = 0
        self.models = [copy.copy(own) for _ in range(num_worlds)]
        self.qpos = torch.zeros(num_worlds, model.nq)
        self.qvel = torch.zeros(num_worlds, model.nv)
        self.sensordata = torch.zeros(num_worlds, model.nsensordata)
        self._failed = np.zeros(num_worlds, bool)
        self._fields: set[str] = set()
        threads = max(1, min(num_threads or available_cores(), num_worlds))
        self._chunks = np.array_split(np.arange(num_worlds), threads)
        self._pool = ThreadPoolExecutor(threads, self.name) if threads > 1 else None

    @abstractmethod
    def _step_world(self, world: int, controls: np.ndarray, substeps: int) -> bool:
        """Hold each control (K, nu) for its substeps. Returns whether all went well."""

    def _step_all(self, controls: np.ndarray, substeps: int) -> list[int]:
        """Step all worlds under (N, K, nu) controls. Returns those that failed."""

        def run(worlds: np.ndarray) -> list[int]:
            return [int(world) for world in worlds if not self._step_world(int(world), controls[world], substeps)]

        results = map(run, self._chunks) if self._pool is None else self._pool.map(run, self._chunks)
        return [world for chunk in results for world in chunk]

    def _show_finite(self, bad: list[int]) -> None:
        """Make the state of failed worlds finite until they are reset, so that reductions over worlds stay valid."""
        for name in self._TENSORS if bad else ():
            rows = getattr(self, name)
            rows[bad] = torch.nan_to_num(rows[bad], nan=0.0, posinf=0.0, neginf=0.0)

    def failures(self) -> torch.Tensor:
        return torch.from_numpy(self._failed.copy())

    def _array(self, world: int, name: str) -> np.ndarray:
        holder, _, attribute = name.rpartition(".")
        array = getattr(self.models[world].opt if holder == "opt" else self.models[world], attribute, None)
        if holder not in ("", "opt") or not isinstance(array, np.ndarray):
            valid = "arrays of mjModel, and of mjOption such as 'opt.gravity'"
            raise EngineError(f"engine {self.name!r} has no per-world field {name!r}; valid: {valid}")
        return array

    def field(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self._stacked(name).astype(np.float32))

    def _stacked(self, name: str) -> np.ndarray:
        return np.stack([self._array(world, name) for world in range(self.num_worlds)])

    def _own_fields(self) -> dict[str, torch.Tensor]:
        """The fields that were set, to continue from."""
        return {name: torch.from_numpy(self._stacked(name)) for name in sorted(self._fields)}

    def set_const(self, ids: torch.Tensor) -> None:
        """Recompute MuJoCo's constants, which users may read even if the engine does not."""
        for world in ids.tolist():
            mujoco.mj_setConst(self.models[world], mujoco.MjData(self.models[world]))
