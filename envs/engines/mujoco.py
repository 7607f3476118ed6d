"""The default engine: C MuJoCo's batch API, worlds as rows of live arrays, stepped on a thread pool.

The pool's threads and torch's OpenMP threads never run at the same time: `step` blocks, so phases alternate.
"""

from __future__ import annotations

import logging
from typing import Any

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch, SimulationError

log = logging.getLogger(__name__)


class MujocoEngine:
    """`mujoco.batch.Batch` behind the `Engine` interface; see `envs.engines.face.Engine`."""

    name = "mujoco"
    version = mujoco.__version__
    switches_controls = False
    _STATE = ("qpos", "qvel", "ctrl", "qacc_warmstart", "time", "xfrc_applied")

    def __init__(self, model: mujoco.MjModel, num_worlds: int, num_threads: int = 0) -> None:
        self.model = model
        self.num_worlds = num_worlds
        self.device = torch.device("cpu")
        self.failure_count = 0
        self._batch = Batch(model, num_worlds, num_threads)
        self._live = {
            name: self._batch.bind(name) for name in ("qpos", "qvel", "ctrl", "sensordata", "qacc_warmstart", "time", "xfrc_applied")
        }
        self._tensors = ("qpos", "qvel", "sensordata")
        self.qpos = torch.zeros(num_worlds, model.nq)
        self.qvel = torch.zeros(num_worlds, model.nv)
        self.sensordata = torch.zeros(num_worlds, model.nsensordata)
        self._failed = np.zeros(num_worlds, bool)
        self._warnings_seen = self._warnings()
        self._expanded: dict[str, np.ndarray] = {}
        self._batch.reset()
        self._read()

    def _warnings(self) -> np.ndarray:
        return self._batch.warning[..., 1].sum(axis=1)

    def _read(self) -> None:
        for name in self._tensors:
            np.copyto(getattr(self, name).numpy(), self._live[name], casting="same_kind")

    def step(self, ctrl: torch.Tensor, substeps: int = 1) -> None:
        known = self._failed.copy()
        for control in ctrl.numpy().swapaxes(0, 1):
            self._live["ctrl"][:] = control
            try:
                self._batch.step(nstep=substeps)
            except SimulationError as error:
                self._failed[error.ids] = True
        self._read()
        self._note_failures(known)

    def _note_failures(self, known: np.ndarray) -> None:
        warnings = self._warnings()
        bad = warnings > self._warnings_seen
        self._warnings_seen = warnings
        self._failed |= bad
        if not torch.isfinite(self.qpos.sum() + self.qvel.sum() + self.sensordata.sum()):
            self._failed |= ~torch.isfinite(self.qpos.sum(1) + self.qvel.sum(1) + self.sensordata.sum(1)).numpy()
        if self._failed.any():
            fresh = np.flatnonzero(self._failed & ~known)
            self.failure_count += len(fresh)
            if len(fresh):
                log.warning("physics failed in %d of %d worlds (first: %d); they are reset", len(fresh), self.num_worlds, fresh[0])
            # a failed world's state is finite until it is reset, so that reductions over worlds stay valid
            for tensor in (self.qpos, self.qvel, self.sensordata):
                tensor[self._failed] = torch.nan_to_num(tensor[self._failed], nan=0.0, posinf=0.0, neginf=0.0)

    def failures(self) -> torch.Tensor:
        return torch.from_numpy(self._failed.copy())

    def write_state(self, ids: torch.Tensor, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        rows = ids.numpy()
        force = self._live["xfrc_applied"][rows]  # a copy: held until changed
        self._batch.reset(ids=rows, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self._live["xfrc_applied"][rows] = force
        self._live["qpos"][rows] = qpos.numpy()
        self._live["qvel"][rows] = qvel.numpy()
        self._failed[rows] = False
        try:
            self._batch.forward(ids=rows)
        except SimulationError as error:
            self._failed[error.ids] = True
        self._live["qacc_warmstart"][rows] = 0.0
        self._warnings_seen[rows] = 0  # the reset cleared them; warnings of the forward pass count at the next step
        for name in self._tensors:
            getattr(self, name).numpy()[rows] = self._live[name][rows]

    def set_position(self, ids: torch.Tensor, qpos: torch.Tensor) -> None:
        self._live["qpos"][ids.numpy()] = qpos.numpy()
        self.qpos[ids] = qpos

    def set_velocity(self, ids: torch.Tensor, qvel: torch.Tensor) -> None:
        self._live["qvel"][ids.numpy()] = qvel.numpy()
        self.qvel[ids] = qvel

    def _expand(self, name: str) -> np.ndarray:
        if name not in self._expanded:
            self._expanded[name] = self._batch.expand(name)
        return self._expanded[name]

    def set_field(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        array = self._expand(name)
        array[ids.numpy()] = values.numpy().reshape(len(ids), *array.shape[1:])

    def field(self, name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(self._expand(name), dtype=np.float32))

    def set_const(self, ids: torch.Tensor) -> None:
        self._batch.set_const(ids=ids.numpy())

    def set_external_force(self, force: torch.Tensor | None) -> None:
        self._live["xfrc_applied"][:] = 0.0 if force is None else force.numpy()

    def state_dict(self) -> dict[str, Any]:
        state = {name: torch.from_numpy(self._live[name].copy()) for name in self._STATE}
        fields = {name: torch.from_numpy(np.array(values)) for name, values in self._expanded.items()}
        read = {name: getattr(self, name).clone() for name in self._tensors}
        return {"state": state, "fields": fields, "read": read, "failure_count": self.failure_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, values in state["fields"].items():
            self._expand(name)[:] = values.numpy()
        self._batch.set_const()
        for name, values in state["state"].items():
            self._live[name][:] = values.numpy()
        for name, values in state["read"].items():
            getattr(self, name).copy_(values)
        self.failure_count = state["failure_count"]
        self._failed[:] = False
        self._warnings_seen = self._warnings()
