"""C MuJoCo of whatever version this interpreter has, from 3.0: one world at a time on a thread pool.

The model is compiled from the MJCF that our side writes. Then each field is overwritten by ours, so that both versions compute from the
same numbers.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .face import Missing, Model, Physics, Refused

try:
    import mujoco
except ImportError as error:
    raise Missing("this Python has no package mujoco: install one, or name another Python") from error

OLDEST = (3, 0)
HARMLESS = ("mjDSBL_ISLAND", "mjDSBL_NATIVECCD", "mjDSBL_MULTICCD")
"""Flags that switch off what a version without them does not have."""
MESH_FIELDS = ("geom_pos", "geom_quat", "geom_size", "geom_aabb", "geom_rbound")
"""Of a mesh these are the compiler's own: each version centres it by itself."""


def compiled(model: Model) -> Any:
    """Our model in this version of MuJoCo.

    Raises:
        Refused: it is not what our side has.
    """
    if tuple(int(part) for part in mujoco.__version__.split(".")[:2]) < OLDEST:
        raise Refused("MuJoCo {} is too old; valid: from {}.{}".format(mujoco.__version__, *OLDEST))
    try:
        own = mujoco.MjModel.from_xml_string(model.mjcf)
    except ValueError as error:
        raise Refused("MuJoCo {} does not read this model: {}".format(mujoco.__version__, error)) from error
    for name in ("nq", "nv", "nu", "nbody", "njnt", "ngeom", "nsite", "nsensordata", "npair"):
        if getattr(own, name) != model.sizes[name]:
            raise Refused(
                "MuJoCo {} makes {} = {} of this model, not {}".format(mujoco.__version__, name, getattr(own, name), model.sizes[name])
            )
    meshes = own.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    for name, value in model.arrays.items():
        target = _find(own, name)
        if target is None or value.dtype.kind != "f":  # the numbers of types differ between versions
            continue
        if name in MESH_FIELDS and meshes.any():
            target[~meshes] = value.reshape(target.shape)[~meshes]
        elif target.shape == value.shape:
            target[...] = value
        elif target.shape[:1] == value.shape[:1] and target.ndim == value.ndim:  # a version with fewer or more parameters
            width = min(target.shape[-1], value.shape[-1])
            target[..., :width] = value[..., :width]
        else:
            raise Refused("MuJoCo {} has another shape for {}".format(mujoco.__version__, name))
    option = own.opt
    for name, value in model.options["numbers"].items():
        if hasattr(option, name):
            setattr(option, name, value)
    for name, value in model.options["choices"].items():
        kind, value = value
        if not hasattr(getattr(mujoco, kind), value):
            raise Refused("MuJoCo {} has no {} {}".format(mujoco.__version__, name, value.split("_", 1)[1].lower()))
        setattr(option, name, getattr(getattr(mujoco, kind), value))
    for name, (kind, flags) in model.options["flags"].items():
        known = getattr(mujoco, kind)
        lacking = [flag for flag in flags if not hasattr(known, flag) and flag not in HARMLESS]
        if lacking:
            raise Refused("MuJoCo {} has no flag {}".format(mujoco.__version__, ", ".join(lacking)))
        setattr(option, name, sum(int(getattr(known, flag)) for flag in flags if hasattr(known, flag)))
    mujoco.mj_setConst(own, mujoco.MjData(own))
    return own


def _find(model: Any, name: str) -> Any:
    holder, _, attribute = name.rpartition(".")
    array = getattr(model.opt if holder == "opt" else model, attribute, None)
    return array if holder in ("", "opt") and isinstance(array, np.ndarray) else None


class MujocoWorlds(Physics):
    """A model and a data per world.

    Attributes:
        models: whose arrays are the per-world fields.
        data: their states.
    """

    version = mujoco.__version__
    _STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)

    def __init__(self, model: Model, num_worlds: int, num_threads: int, shared: dict[str, np.ndarray]) -> None:
        super().__init__(model, num_worlds, num_threads, shared)
        own = compiled(model)
        self.models = [copy.copy(own) for _ in range(num_worlds)]
        self.data = [mujoco.MjData(one) for one in self.models]
        threads = max(1, min(num_threads, num_worlds))
        self._chunks = [chunk.tolist() for chunk in np.array_split(np.arange(num_worlds), threads)]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._expanded: dict[str, list[np.ndarray]] = {}

    def step(self, controls: np.ndarray, substeps: int) -> None:
        def run(worlds: list[int]) -> None:
            for world in worlds:
                self._step_world(world, controls[world], substeps)

        list(map(run, self._chunks) if self._pool is None else self._pool.map(run, self._chunks))

    def _step_world(self, world: int, controls: np.ndarray, substeps: int) -> None:
        model, data = self.models[world], self.data[world]
        before = data.warning.number.sum()
        try:
            for control in controls:
                data.ctrl[:] = control
                mujoco.mj_step(model, data, substeps)
            bad = data.warning.number.sum() != before
        except mujoco.FatalError:
            bad = True
        self._read(world)
        if bad or not np.isfinite(data.qpos.sum() + data.qvel.sum() + data.sensordata.sum()):
            self.failed[world] = 1
            for rows in (self.qpos, self.qvel, self.sensordata):
                rows[world] = np.nan_to_num(rows[world], nan=0.0, posinf=0.0, neginf=0.0)

    def _read(self, world: int) -> None:
        data = self.data[world]
        self.qpos[world], self.qvel[world], self.sensordata[world] = data.qpos, data.qvel, data.sensordata

    def write_state(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        for world, position, velocity in zip(ids.tolist(), qpos, qvel):
            model, data = self.models[world], self.data[world]
            force = data.xfrc_applied.copy()
            mujoco.mj_resetData(model, data)
            data.xfrc_applied[:] = force
            data.qpos[:], data.qvel[:] = position, velocity
            mujoco.mj_forward(model, data)
            data.qacc_warmstart[:] = 0.0
            self._read(world)
            self.failed[world] = 0

    def set_position(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        for world, position in zip(ids.tolist(), qpos):
            self.data[world].qpos[:] = position

    def set_velocity(self, ids: np.ndarray, qvel: np.ndarray) -> None:
        for world, velocity in zip(ids.tolist(), qvel):
            self.data[world].qvel[:] = velocity

    def _rows(self, name: str) -> list[np.ndarray]:
        if name not in self._expanded:
            rows = [_find(model, name) for model in self.models]
            if any(row is None for row in rows):
                raise Refused("MuJoCo {} has no field {}".format(mujoco.__version__, name))
            self._expanded[name] = rows
        return self._expanded[name]

    def set_field(self, name: str, ids: np.ndarray, values: np.ndarray) -> None:
        rows = self._rows(name)
        for world, value in zip(ids.tolist(), values):
            target = rows[world]
            if target.size == value.size:
                target[...] = value.reshape(target.shape)
            else:
                width = min(target.shape[-1], value.shape[-1])
                target[..., :width] = value[..., :width]

    def field(self, name: str) -> np.ndarray:
        return np.stack(self._rows(name))

    def set_const(self, ids: np.ndarray) -> None:
        for world in ids.tolist():
            mujoco.mj_setConst(self.models[world], mujoco.MjData(self.models[world]))

    def set_force(self, force: np.ndarray) -> None:
        for data, value in zip(self.data, force):
            data.xfrc_applied[:] = value

    def state(self) -> dict[str, np.ndarray]:
        size = mujoco.mj_stateSize(self.models[0], self._STATE)
        rows = np.zeros((self.num_worlds, size))
        for row, model, data in zip(rows, self.models, self.data):
            mujoco.mj_getState(model, data, row, self._STATE)
        return {"integration": rows}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        for row, model, data in zip(state["integration"], self.models, self.data):
            mujoco.mj_setState(model, data, row, self._STATE)
        self.failed[:] = 0
