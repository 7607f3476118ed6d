"""MuJoCo Warp behind the `Engine` interface: all worlds in one set of kernels, tensors shared with torch without a copy.

Status: tested on Warp's CPU device, where it serves as a check of agreement and is slow. The CUDA path (graph capture, streams) is
written and has not yet run on a GPU.

Contact and constraint buffers have a fixed size, measured on the model, see `buffer_sizes`. A world whose constraints do not fit, or
whose state is no longer finite, is reported by `failures()`. MuJoCo Warp computes in float32, C MuJoCo in float64: trajectories agree up to
rounding until a contact occurs in only one of them; tests/envs/test_engines.py states the tolerances.
"""

from __future__ import annotations

import logging
from importlib import metadata
from typing import Any

import mujoco
import numpy as np
import torch

from envs.engines.face import EngineError
from policies.install import install_command

try:
    import warp as wp

    wp.config.log_level = wp.LOG_WARNING  # set before it is initialized; at a lower level it prints a banner and each kernel it loads
    import mujoco_warp as mjw
except ImportError as error:  # an optional dependency: reported in one line, as by the other engines
    raise EngineError(f"engine 'warp' needs MuJoCo Warp: {install_command('warp')}; without it, use --engine=mujoco") from error

log = logging.getLogger(__name__)

LARGEST = 1e10  # as in C MuJoCo: a larger coordinate has diverged
DROPS, DROP_STEPS = 32, 100  # parameters of measuring buffer sizes
SPARE = 2.0  # factor on the measured sizes

# Derived by set_const from other fields.
DERIVED = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0", "tendon_length0", "tendon_invweight0", "eq_data",
           "cam_pos0", "cam_poscom0", "cam_mat0", "light_pos0", "light_poscom0", "light_dir0")  # fmt: skip


def buffer_sizes(model: mujoco.MjModel) -> tuple[int, int]:
    """Contacts (a world's share of the common buffer) and constraint rows (per world) to allocate.

    Twice the largest numbers that C MuJoCo needs while the robot is dropped `DROPS` times, but not more than can occur (`most_possible`). A
    world that needs more is reported as failed.
    """
    bound = most_possible(model)
    contacts, rows = _falling_about(model)
    return min(int(SPARE * contacts) + 4, bound[0]), min(int(SPARE * rows) + model.nv, bound[1])  # dry friction may be switched on later


def _falling_about(model: mujoco.MjModel) -> tuple[int, int]:
    """The largest numbers of contacts and constraint rows of a robot that stands with trembling joints, or is dropped in any pose at any
    place.
    """
    rng, data = np.random.default_rng(0), mujoco.MjData(model)
    limited = np.flatnonzero(model.jnt_limited)
    floating = model.njnt and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
    low, high = model.actuator_ctrlrange.T if model.actuator_ctrllimited.all() else (-np.ones(model.nu), np.ones(model.nu))
    contacts = rows = 0
    for drop in range(DROPS):
        if model.nkey:
            mujoco.mj_resetDataKeyframe(model, data, 0)
        if drop:
            data.qpos[model.jnt_qposadr[limited]] = rng.uniform(*model.jnt_range[limited].T)
        if floating and drop:
            data.qpos[:2] = rng.uniform(-1, 1, 2) * (0.9 * model.hfield_size[0, :2] if model.nhfield else 3.0)
            data.qpos[3:7] = rng.normal(size=4)
            mujoco.mj_forward(model, data)
            data.qpos[2] += 0.1 - min(data.contact.dist, default=0.0)
        for step in range(DROP_STEPS):
            if step % 40 == 0:
                data.ctrl[:] = rng.uniform(low, high)
            mujoco.mj_step(model, data)
            contacts, rows = max(contacts, data.ncon), max(rows, data.nefc)
    return contacts, rows


def most_possible(model: mujoco.MjModel) -> tuple[int, int]:
    """Upper bounds of contacts and constraint rows.

    Contacts: for each pair of geoms that may touch, the most contacts that the pair can make (a sphere 1, a capsule 2, on a plane a box or
        a cylinder 4, other pairs 8, on a height field 50), summed. Rows: those of these contacts, one per limited joint, one per degree of
        freedom (dry friction may be switched on later), two per tendon, six per equality.
    """
    types = mujoco.mjtGeom
    few = {int(types.mjGEOM_SPHERE): 1, int(types.mjGEOM_ELLIPSOID): 1, int(types.mjGEOM_CAPSULE): 2}
    field = int(types.mjGEOM_HFIELD)
    pyramidal = model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL
    contacts: list[tuple[int, int]] = []  # rows per contact, and number of contacts
    for first in range(model.ngeom):
        for second in range(first + 1, model.ngeom):
            if not _may_touch(model, first, second):
                continue
            kinds = {int(model.geom_type[first]), int(model.geom_type[second])}
            on_plane = int(types.mjGEOM_PLANE) in kinds
            count = 50 if field in kinds else min([few[kind] for kind in kinds if kind in few] or [4 if on_plane else 8])
            dim = int(max(model.geom_condim[first], model.geom_condim[second]))
            contacts.append(((2 * (dim - 1) if pyramidal else dim) if dim > 1 else 1, count))
    contacts += [(10 if pyramidal else 6, 8)] * model.npair
    rows = model.nv + int(np.count_nonzero(model.jnt_limited)) + 2 * model.ntendon + 6 * model.neq
    return sum(count for _, count in contacts) + 1, rows + sum(size * count for size, count in contacts) + 1


def _may_touch(model: mujoco.MjModel, first: int, second: int) -> bool:
    """Whether MuJoCo's filters let two geoms collide."""
    bodies = [int(model.body_weldid[model.geom_bodyid[geom]]) for geom in (first, second)]
    if bodies[0] == bodies[1]:
        return False
    parents = [int(model.body_weldid[model.body_parentid[body]]) for body in bodies]
    if 0 not in bodies and (parents[0] == bodies[1] or parents[1] == bodies[0]):
        return False
    types, affinities = model.geom_contype, model.geom_conaffinity
    return bool(types[first] & affinities[second] or types[second] & affinities[first])


class WarpEngine:
    """MuJoCo Warp; see `envs.engines.face.Engine`.

    The persistent tensors are views of Warp's own arrays. On CUDA the substeps of a control step are one CUDA graph, captured at the second
    step, and again after a field has become per-world or the number of substeps has changed.
    """

    name = "warp"
    version = metadata.version("mujoco-warp")
    switches_controls = False
    _STATE = ("qpos", "qvel", "act", "ctrl", "qacc_warmstart", "time", "qfrc_applied", "xfrc_applied", "sensordata")

    def __init__(self, model: mujoco.MjModel, num_worlds: int, device: str = "cpu") -> None:
        log.info("MuJoCo Warp compiles its kernels the first time on a machine, which takes about a minute")
        wp.init()
        if device.startswith("cuda") and not (wp.is_cuda_available() and torch.cuda.is_available()):
            raise EngineError(f"engine 'warp' cannot use device {device!r}: there is no CUDA device here; valid: --device=cpu")
        if device == "cuda":  # Warp needs the index
            device = f"cuda:{torch.cuda.current_device()}"
        self.model = model
        self.num_worlds = num_worlds
        self.device = torch.device(device)
        self.failure_count = 0
        self._device = wp.device_from_torch(self.device)
        contacts, rows = buffer_sizes(model)
        with wp.ScopedDevice(self._device):
            try:
                self._model = mjw.put_model(model)
            except NotImplementedError as error:
                raise EngineError(f"engine 'warp' cannot run this model: {error}; valid: --engine=mujoco") from error
            self._model.opt.warn_overflow = False
            self._data = mjw.put_data(model, mujoco.MjData(model), nworld=num_worlds, nconmax=contacts, njmax=rows)
        self._live = {name: wp.to_torch(getattr(self._data, name)) for name in self._STATE}
        self.qpos, self.qvel, self.sensordata = (self._live[name] for name in ("qpos", "qvel", "sensordata"))
        self._overflow = wp.to_torch(self._data.overflow)
        kinds = mjw.OverflowType
        self._too_small = int(kinds.NEFC | kinds.NJMAX_NNZ | kinds.BROADPHASE | kinds.NARROWPHASE | kinds.CCD | kinds.HFIELD)
        self._failed = torch.zeros(num_worlds, dtype=torch.bool, device=self.device)
        self._qpos0 = torch.tensor(model.qpos0, dtype=torch.float32, device=self.device)
        self._controls: torch.Tensor | None = None
        self._held = 1  # substeps of each control
        self._graph: Any = None
        self._fields: dict[str, torch.Tensor] = {}

    # stepping --------------------------------------------------------------------------------------------------------

    def step(self, ctrl: torch.Tensor, substeps: int = 1) -> None:
        by_stretch = ctrl.transpose(0, 1)  # (K, N, nu)
        if self._controls is None or self._controls.shape != by_stretch.shape or substeps != self._held:
            self._controls, self._graph = torch.zeros_like(by_stretch, memory_format=torch.contiguous_format), None
            self._held = substeps
        self._controls.copy_(by_stretch)
        self._run(self._substeps)
        self._note_failures()

    def _substeps(self) -> None:
        assert self._controls is not None
        for control in self._controls:
            wp.copy(self._data.ctrl, wp.from_torch(control))
            for _ in range(self._held):
                mjw.step(self._model, self._data)

    def _run(self, launches: Any) -> None:
        """Launch on Warp's stream, after the work that torch has queued and before what it queues later."""
        with wp.ScopedDevice(self._device):
            if not self._device.is_cuda:
                launches()
                return
            warp_stream, torch_stream = wp.get_stream(self._device), wp.stream_from_torch(torch.cuda.current_stream(self.device))
            warp_stream.wait_stream(torch_stream)
            if launches != self._substeps:
                launches()
            elif self._graph is None:  # the first call loads the kernels, which is not allowed in a capture
                launches()
                self._graph = False
            else:
                if self._graph is False:
                    with wp.ScopedCapture(device=self._device) as capture:
                        launches()
                    self._graph = capture.graph
                wp.capture_launch(self._graph)
            torch_stream.wait_stream(warp_stream)

    def _note_failures(self) -> None:
        finite = (self.qpos.abs() < LARGEST).all(1) & (self.qvel.abs() < LARGEST).all(1) & torch.isfinite(self.sensordata).all(1)
        assert self._controls is not None
        sane = (self._controls.abs() < LARGEST).all(2).all(0)  # otherwise the force limits would turn NaN into full torque
        bad = ~finite | ~sane | (self._overflow & self._too_small).bool()
        self._overflow.zero_()
        if not bool(bad.any()):
            return
        fresh = (bad & ~self._failed).nonzero()[:, 0]
        self._failed |= bad
        self.failure_count += len(fresh)
        if len(fresh):
            log.warning("physics failed in %d of %d worlds (first: %d); they are reset", len(fresh), self.num_worlds, int(fresh[0]))
        # as in C MuJoCo, a failed world restarts from the reference pose until it is reset, so that nothing stays NaN
        lost = ~finite[:, None]
        self.qpos.copy_(torch.where(lost, self._qpos0, self.qpos))
        for name in ("qvel", "qacc_warmstart", "act", "ctrl"):
            self._live[name].masked_fill_(lost, 0.0)
        self.sensordata.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)

    def failures(self) -> torch.Tensor:
        return self._failed.clone()

    # state -----------------------------------------------------------------------------------------------------------

    def write_state(self, ids: torch.Tensor, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        """See `Engine`. MuJoCo Warp has no forward pass for some worlds, so it runs for all, and the others' sensors are restored."""
        sensors = self.sensordata.clone()
        for name in ("act", "ctrl", "qacc_warmstart", "time", "qfrc_applied"):
            self._live[name][ids] = 0.0
        self.qpos[ids], self.qvel[ids] = qpos, qvel
        self._run(self._forward)
        current = self.sensordata[ids]
        self.sensordata.copy_(sensors)
        self.sensordata[ids] = current
        self._overflow.zero_()
        self._failed[ids] = False

    def _forward(self) -> None:
        mjw.forward(self._model, self._data)

    def set_position(self, ids: torch.Tensor, qpos: torch.Tensor) -> None:
        self.qpos[ids] = qpos

    def set_velocity(self, ids: torch.Tensor, qvel: torch.Tensor) -> None:
        self.qvel[ids] = qvel

    def set_external_force(self, force: torch.Tensor | None) -> None:
        target = self._live["xfrc_applied"]
        target.copy_(torch.zeros_like(target) if force is None else force)

    # per-world fields ------------------------------------------------------------------------------------------------

    def _field(self, name: str, expand: bool = False) -> torch.Tensor:
        """A view of a model field, (1, ...) while it is shared, (N, ...) after `expand`."""
        if name in self._fields:
            return self._fields[name]
        holder_name, _, attribute = name.rpartition(".")
        holder = self._model.opt if holder_name == "opt" else self._model
        spec = type(holder).__annotations__.get(attribute)
        array = getattr(holder, attribute, None)
        if holder_name not in ("", "opt") or not isinstance(array, wp.array) or (getattr(spec, "shape", None) or ("",))[0] != "*":
            raise EngineError(f"engine 'warp' has no per-world field {name!r}; valid: the fields of mujoco_warp.Model with a leading '*'")
        view = wp.to_torch(array)
        if not expand:
            return view
        view = view.expand(self.num_worlds, *view.shape[1:]).contiguous() if len(view) == 1 else view
        batched = wp.from_torch(view, dtype=array.dtype)
        setattr(holder, attribute, batched)
        self._fields[name], self._graph = view, None  # a graph contains the addresses of the old arrays
        return view

    def set_field(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        view = self._field(name, expand=True)
        view[ids] = values.to(view.dtype).reshape(len(ids), *view.shape[1:])

    def field(self, name: str) -> torch.Tensor:
        view = self._field(name)
        return view.expand(self.num_worlds, *view.shape[1:]).float().clone()

    def set_const(self, ids: torch.Tensor) -> None:
        """See `Engine`. The constants are computed for all worlds on the device; those of the other worlds are restored bit for bit."""
        names = [name for name in DERIVED if self._field(name).numel()]
        before = {name: self._field(name, expand=True).clone() for name in names}
        self._run(self._constants)
        others = torch.ones(self.num_worlds, dtype=torch.bool, device=self.device)
        others[ids] = False
        for name, values in before.items():
            self._field(name)[others] = values[others]

    def _constants(self) -> None:
        mjw.set_const(self._model, self._data)

    # snapshots -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        state = {name: values.cpu().clone() for name, values in self._live.items()}
        fields = {name: values.cpu().clone() for name, values in self._fields.items()}
        return {"state": state, "fields": fields, "failure_count": self.failure_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, values in state["fields"].items():
            self._field(name, expand=True).copy_(values)
        for name, values in state["state"].items():
            self._live[name].copy_(values)
        self.failure_count = state["failure_count"]
        self._failed.zero_()
        self._overflow.zero_()
