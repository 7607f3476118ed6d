"""An engine whose physics runs in another process, behind the `Engine` interface; see `envs.engines.face.Engine`.

State and sensors are in memory that both processes map: our tensors are the arrays that the other side fills. Only steps, written states
and questions wait for an answer; fields, forces and kicks are sent ahead and done in order.
"""

from __future__ import annotations

import logging
from typing import Any

import mujoco
import numpy as np
import torch

from envs.engines.elsewhere.description import described
from envs.engines.elsewhere.process import Worker
from envs.engines.face import EngineError

log = logging.getLogger(__name__)


class ElsewhereEngine:
    """N worlds in a worker process.

    Attributes:
        worker: the process.
        version: the engine's own version and its Python's.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_worlds: int,
        worker: Worker,
        num_threads: int = 1,
        substeps: int = 1,
        switches_controls: bool = False,
    ) -> None:
        """Send the model to a worker that has been started.

        Args:
            model: the nominal model.
            num_worlds: N.
            worker: the process; this engine ends it.
            num_threads: threads there.
            substeps: steps of the other side in one step of the nominal model.
            switches_controls: see `Engine`.

        Raises:
            EngineError: the other side cannot represent the model.
        """
        self.name, self.worker, self.switches_controls = worker.name, worker, switches_controls
        self.version = worker.version
        self.model, self.num_worlds, self.device = model, num_worlds, torch.device("cpu")
        self.failure_count, self._substeps = 0, substeps
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            "qpos": ("<f4", (num_worlds, model.nq)),
            "qvel": ("<f4", (num_worlds, model.nv)),
            "sensordata": ("<f4", (num_worlds, model.nsensordata)),
            "failed": ("|u1", (num_worlds,)),
            "force": ("<f4", (num_worlds, model.nbody, 6)),
        }
        self._shared = worker.share(shapes)
        self.qpos, self.qvel, self.sensordata = (torch.from_numpy(self._shared[name]) for name in ("qpos", "qvel", "sensordata"))
        self._failed = self._shared["failed"]
        self._controls = np.zeros(0, np.float32)
        self._fields: set[str] = set()
        message, arrays = described(model)
        worker.ask("make", message | {"worlds": num_worlds, "threads": num_threads}, **arrays)
        rest = torch.tensor(model.qpos0, dtype=torch.float32).repeat(num_worlds, 1)
        self.write_state(torch.arange(num_worlds), rest, torch.zeros(num_worlds, model.nv))

    def step(self, ctrl: torch.Tensor, substeps: int = 1) -> None:
        if ctrl.numel() > self._controls.size:
            self._controls = self.worker.share({"controls": ("<f4", (ctrl.numel(),))})["controls"]
        self._controls[: ctrl.numel()] = ctrl.numpy().ravel()
        known = self._failed.copy() if self._failed.any() else None
        self.worker.ask("step", {"stretches": ctrl.shape[1], "substeps": substeps * self._substeps, "nu": ctrl.shape[2]})
        if not self._failed.any():
            return
        fresh = np.flatnonzero(self._failed if known is None else self._failed & ~known.astype(bool))
        self.failure_count += len(fresh)
        if len(fresh):
            log.warning("physics failed in %d of %d worlds (first: %d); they are reset", len(fresh), self.num_worlds, fresh[0])

    def failures(self) -> torch.Tensor:
        return torch.from_numpy(self._failed != 0)

    def write_state(self, ids: torch.Tensor, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        self.worker.ask("write", ids=ids.numpy(), qpos=qpos.numpy(), qvel=qvel.numpy())

    def set_position(self, ids: torch.Tensor, qpos: torch.Tensor) -> None:
        self.worker.tell("position", ids=ids.numpy(), values=qpos.numpy())
        self.qpos[ids] = qpos

    def set_velocity(self, ids: torch.Tensor, qvel: torch.Tensor) -> None:
        self.worker.tell("velocity", ids=ids.numpy(), values=qvel.numpy())
        self.qvel[ids] = qvel

    def _shape(self, name: str) -> tuple[int, ...]:
        """Shape of a world's field in our model."""
        holder, _, attribute = name.rpartition(".")
        array = getattr(self.model.opt if holder == "opt" else self.model, attribute, None)
        if holder not in ("", "opt") or not isinstance(array, np.ndarray):
            valid = "arrays of mjModel, and of mjOption such as 'opt.gravity'"
            raise EngineError(f"engine {self.name!r} has no per-world field {name!r}; valid: {valid}")
        return array.shape

    def set_field(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        shape, valid = self._shape(name), self.worker.fields
        if valid is not None and name not in valid:
            raise EngineError(f"engine {self.name!r} cannot let {name!r} differ between worlds; valid: {', '.join(valid)}")
        self.worker.tell("field", {"name": name}, ids=ids.numpy(), values=values.numpy().reshape(len(ids), *shape))
        self._fields.add(name)

    def field(self, name: str) -> torch.Tensor:
        shape = self._shape(name)
        return torch.from_numpy(self._read(name).astype(np.float32).reshape(self.num_worlds, *shape))

    def _read(self, name: str) -> np.ndarray:
        return self.worker.ask("read", {"name": name})["values"]

    def set_const(self, ids: torch.Tensor) -> None:
        self.worker.tell("const", ids=ids.numpy())

    def set_external_force(self, force: torch.Tensor | None) -> None:
        self._shared["force"][:] = 0.0 if force is None else force.numpy()
        self.worker.tell("force")

    def state_dict(self) -> dict[str, Any]:
        state = {name: torch.from_numpy(values.copy()) for name, values in self.worker.ask("state").items()}
        fields = {name: torch.from_numpy(self._read(name).copy()) for name in sorted(self._fields)}
        read = {name: torch.from_numpy(self._shared[name].copy()) for name in ("qpos", "qvel", "sensordata", "force")}
        return {"version": self.version, "state": state, "fields": fields, "read": read, "failure_count": self.failure_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["version"] != self.version:
            raise EngineError(f"engine {self.name!r} is {self.version}, and this state is of {state['version']}: use that one to continue")
        everywhere = torch.arange(self.num_worlds)
        for name, values in state["fields"].items():
            self.worker.tell("field", {"name": name}, ids=everywhere.numpy(), values=values.numpy())
            self._fields.add(name)
        self.set_const(everywhere)
        self.set_external_force(state["read"]["force"])
        self.worker.ask("load", **{name: values.numpy() for name, values in state["state"].items()})
        for name, values in state["read"].items():
            self._shared[name][:] = values.numpy()
        self.failure_count = state["failure_count"]

    def close(self) -> None:
        """End the process; also happens with this object and with the program."""
        self.worker.close()
