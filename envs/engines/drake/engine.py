"""The second opinion: Drake's multibody dynamics and contact, one world at a time, with steps of at most 1 ms, behind the `Engine`
interface.

Nothing of MuJoCo's dynamics runs here: the compiled model is translated into a Drake plant (`envs.engines.drake.model`), with another
contact law and solver. A policy that walks in both does not depend on quirks of one simulator. Models with parts that Drake cannot
represent are refused with one line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import mujoco
import numpy as np
import torch

from envs.engines.apart import WorldsApart
from envs.engines.face import EngineError
from envs.engines.precise import fine_timestep
from policies.install import install_command

try:
    from envs.engines.drake.model import DrakeModel
    from envs.engines.drake.sensors import DrakeSensors
    from envs.engines.drake.world import FIELDS, DrakeWorld
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "pydrake":
        raise
    raise EngineError(f"engine 'drake' needs the package drake, which is not installed; run: {install_command('drake')}") from error

log = logging.getLogger(__name__)


class DrakeEngine(WorldsApart):
    """Drake behind the `Engine` interface; see `envs.engines.face.Engine`.

    Attributes:
        substeps: steps of this engine in one step of the nominal model; a control is held over them.
    """

    name = "drake"
    version = metadata.version("drake")

    def __init__(self, model: mujoco.MjModel, num_worlds: int, num_threads: int = 0) -> None:
        super().__init__(model, model, num_worlds, num_threads)
        self.substeps, timestep = fine_timestep(model.opt.timestep)
        drake, sensors = DrakeModel(model, timestep), DrakeSensors(model)
        self._worlds = [DrakeWorld(one, model, drake, sensors) for one in self.models]
        self._poisoned = np.zeros(num_worlds, bool)  # got an invalid state; fails at its next step
        rest = torch.tensor(model.qpos0, dtype=torch.float32).repeat(num_worlds, 1)
        self.write_state(torch.arange(num_worlds), rest, torch.zeros(num_worlds, model.nv))

    def step(self, ctrl: torch.Tensor, substeps: int = 1) -> None:
        bad = self._step_all(ctrl.numpy().astype(float), substeps)
        self._read(world for world in range(self.num_worlds) if not self._failed[world] and world not in bad)
        self._note_failures(bad)

    def _step_world(self, world: int, controls: np.ndarray, substeps: int) -> bool:
        """As in the base class; a failed world waits until its state is written."""
        if self._failed[world]:
            return True
        if self._poisoned[world]:
            return False
        one = self._worlds[world]
        one.refresh()
        try:
            return all(
                one.advance(control, self.substeps * substeps, sense=index == len(controls) - 1) for index, control in enumerate(controls)
            )
        except RuntimeError as error:
            log.warning("physics raised in world %d: %s", world, error)
            return False

    def _read(self, worlds: Iterable[int]) -> None:
        rows = [getattr(self, name).numpy() for name in self._TENSORS]
        for world in worlds:
            one = self._worlds[world]
            for row, value in zip(rows, (*one.state(), one.sensordata), strict=True):
                row[world] = value

    def _note_failures(self, bad: list[int]) -> None:
        if not bad:
            return
        self._failed[bad] = True
        self.failure_count += len(bad)
        log.warning("physics failed in %d of %d worlds (first: %d); they are reset", len(bad), self.num_worlds, bad[0])
        for world in bad:
            self._worlds[world].recover()
        self._show_finite(bad)

    def write_state(self, ids: torch.Tensor, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        rows = ids.numpy()
        self._failed[rows] = self._poisoned[rows] = False
        for world, position, velocity in zip(ids.tolist(), qpos.numpy(), qvel.numpy(), strict=True):
            self._put(world, position, velocity)
            if not self._poisoned[world]:
                self._worlds[world].refresh()
                self._worlds[world].sense(np.zeros(self.model.nu))
                self.sensordata.numpy()[world] = self._worlds[world].sensordata
        self.qpos[ids], self.qvel[ids] = qpos, qvel

    def set_position(self, ids: torch.Tensor, qpos: torch.Tensor) -> None:
        for world, position in zip(ids.tolist(), qpos.numpy(), strict=True):
            self._put(world, position, self._worlds[world].state()[1])
        self.qpos[ids] = qpos

    def set_velocity(self, ids: torch.Tensor, qvel: torch.Tensor) -> None:
        for world, velocity in zip(ids.tolist(), qvel.numpy(), strict=True):
            self._put(world, self._worlds[world].state()[0], velocity)
        self.qvel[ids] = qvel

    def _put(self, world: int, qpos: np.ndarray, qvel: np.ndarray) -> None:
        if np.isfinite(qpos).all() and np.isfinite(qvel).all():
            self._worlds[world].set_state(qpos, qvel)
        else:
            self._poisoned[world] = True

    def set_field(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        if name not in FIELDS:
            raise EngineError(f"engine 'drake' cannot let {name!r} differ between worlds; valid: {', '.join(sorted(FIELDS))}")
        for world, value in zip(ids.tolist(), values.numpy(), strict=True):
            array = self._array(world, name)
            value = value.reshape(array.shape)
            if not np.array_equal(array, value):
                array[...] = value
                self._worlds[world].changed(name)
        self._fields.add(name)

    def set_external_force(self, force: torch.Tensor | None) -> None:
        values = np.zeros((self.num_worlds, self.model.nbody, 6)) if force is None else force.numpy()
        for world, value in zip(self._worlds, values, strict=True):
            if not np.array_equal(world.external, value):
                world.external[:] = value
                world.changed("external")

    def state_dict(self) -> dict[str, Any]:
        states = [np.concatenate([one.raw, one.external.ravel()]) for one in self._worlds]
        read = {name: getattr(self, name).clone() for name in self._TENSORS}
        return {
            "state": torch.from_numpy(np.stack(states)),
            "fields": self._own_fields(),
            "read": read,
            "failure_count": self.failure_count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        everywhere = torch.arange(self.num_worlds)
        for name, values in state["fields"].items():
            self.set_field(name, everywhere, values)
        self.set_const(everywhere)
        size = self.model.nq + self.model.nv
        for one, row in zip(self._worlds, state["state"].numpy(), strict=True):
            one.raw = row[:size]
            one.external[:] = row[size:].reshape(one.external.shape)
            one.changed("external")
        for name, values in state["read"].items():
            getattr(self, name).copy_(values)
        self.failure_count = state["failure_count"]
        self._failed[:] = self._poisoned[:] = False
