"""The engine for the gate: plain C MuJoCo, with a model and a data per world and a 1 ms step, without compromises for speed.

A policy that was trained on the batch engine's 5 ms steps and pyramidal cones must also walk here, with exact elliptic cones and a solver
that runs to convergence. It only shares MuJoCo's `mj_step` with the batch engine, so it is also the independent reference in tests of the
others. `impratio` stays 1: high values made light feet chatter.
"""

from __future__ import annotations

import copy
import logging
import math
from typing import Any

import mujoco
import numpy as np
import torch

from envs.engines.apart import WorldsApart

log = logging.getLogger(__name__)

MAX_TIMESTEP = 0.001  # s


def fine_timestep(timestep: float) -> tuple[int, float]:
    """The number of steps of at most 1 ms in one step of the nominal model, and their length [s]."""
    substeps = max(1, math.ceil(timestep / MAX_TIMESTEP - 1e-9))
    return substeps, timestep / substeps


def make_precise(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy of a model with the options of this engine."""
    precise = copy.copy(model)
    option = precise.opt
    option.timestep = fine_timestep(model.opt.timestep)[1]
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.iterations, option.ls_iterations, option.noslip_iterations = 100, 50, 0
    option.tolerance, option.ls_tolerance = 1e-8, 0.01
    option.impratio = 1.0
    option.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
    return precise


class PreciseEngine(WorldsApart):
    """C MuJoCo, one world at a time on a thread pool, behind the `Engine` interface; see `envs.engines.face.Engine`.

    Attributes:
        substeps: steps of this engine in one step of the nominal model; a control is held over them.
        data: the state of each world.
    """

    name = "precise"
    version = mujoco.__version__
    _STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)

    def __init__(self, model: mujoco.MjModel, num_worlds: int, num_threads: int = 0) -> None:
        super().__init__(model, make_precise(model), num_worlds, num_threads)
        self.substeps = fine_timestep(model.opt.timestep)[0]
        self.data = [mujoco.MjData(one) for one in self.models]
        self._read(range(num_worlds))

    def _read(self, worlds: Any) -> None:
        for name in self._TENSORS:
            rows = getattr(self, name).numpy()
            for world in worlds:
                rows[world] = getattr(self.data[world], name)

    def step(self, ctrl: torch.Tensor, substeps: int = 1) -> None:
        bad = self._step_all(ctrl.numpy(), substeps)
        self._read(range(self.num_worlds))
        self._note_failures(bad)

    def _step_world(self, world: int, controls: np.ndarray, substeps: int) -> bool:
        model, data = self.models[world], self.data[world]
        for warning in data.warning:
            warning.number = 0
        try:
            for control in controls:
                data.ctrl[:] = control
                mujoco.mj_step(model, data, self.substeps * substeps)
        except mujoco.FatalError as error:
            log.warning("physics raised in world %d: %s", world, error)
            return False
        fine = not any(warning.number for warning in data.warning)
        return fine and bool(np.isfinite(data.qpos.sum() + data.qvel.sum() + data.sensordata.sum()))

    def _note_failures(self, bad: list[int]) -> None:
        fresh = [world for world in bad if not self._failed[world]]
        self._failed[bad] = True
        if fresh:
            self.failure_count += len(fresh)
            log.warning("physics failed in %d of %d worlds (first: %d); they are reset", len(fresh), self.num_worlds, fresh[0])
        self._show_finite(bad)

    def write_state(self, ids: torch.Tensor, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        worlds = ids.tolist()
        for world, position, velocity in zip(worlds, qpos.numpy(), qvel.numpy(), strict=True):
            model, data = self.models[world], self.data[world]
            force = data.xfrc_applied.copy()  # held until changed
            mujoco.mj_resetData(model, data)
            data.xfrc_applied[:] = force
            data.qpos[:], data.qvel[:] = position, velocity
            mujoco.mj_forward(model, data)
            data.qacc_warmstart[:] = 0.0
        self._failed[worlds] = False
        self._read(worlds)

    def set_position(self, ids: torch.Tensor, qpos: torch.Tensor) -> None:
        for world, position in zip(ids.tolist(), qpos.numpy(), strict=True):
            self.data[world].qpos[:] = position
        self.qpos[ids] = qpos

    def set_velocity(self, ids: torch.Tensor, qvel: torch.Tensor) -> None:
        for world, velocity in zip(ids.tolist(), qvel.numpy(), strict=True):
            self.data[world].qvel[:] = velocity
        self.qvel[ids] = qvel

    def set_field(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        for world, value in zip(ids.tolist(), values.numpy(), strict=True):
            array = self._array(world, name)
            array[...] = value.reshape(array.shape)
        self._fields.add(name)

    def set_external_force(self, force: torch.Tensor | None) -> None:
        for world, data in enumerate(self.data):
            data.xfrc_applied[:] = 0.0 if force is None else force[world].numpy()

    def state_dict(self) -> dict[str, Any]:
        size = mujoco.mj_stateSize(self.model, self._STATE)
        state = np.zeros((self.num_worlds, size))
        for row, model, data in zip(state, self.models, self.data, strict=True):
            mujoco.mj_getState(model, data, row, self._STATE)
        read = {name: getattr(self, name).clone() for name in self._TENSORS}
        return {"state": torch.from_numpy(state), "fields": self._own_fields(), "read": read, "failure_count": self.failure_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        everywhere = torch.arange(self.num_worlds)
        for name, values in state["fields"].items():
            self.set_field(name, everywhere, values)
        self.set_const(everywhere)
        for row, model, data in zip(state["state"].numpy(), self.models, self.data, strict=True):
            mujoco.mj_setState(model, data, row, self._STATE)
        for name, values in state["read"].items():
            getattr(self, name).copy_(values)
        self.failure_count = state["failure_count"]
        self._failed[:] = False
