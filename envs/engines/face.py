"""The interface of a physics engine: N worlds of one model that are stepped together.

Tasks only use `Engine`, so that the same task runs on any engine of `envs.engines.registry`. All tensors are torch float32 on `device`;
they are persistent, refreshed in place. An engine may say its package's version in an attribute `version`.
"""

from __future__ import annotations

from typing import Any, Protocol

import mujoco
import torch


class Engine(Protocol):
    """N worlds of one model.

    Attributes:
        name: one of `envs.engines.registry.ENGINES`, or `NAME@PYTHON`.
        switches_controls: whether a late target takes effect at the nearest physics step; otherwise old and new are mixed by their shares
            of the control step, in one call of the engine.
        model: the nominal model on the host.
        num_worlds: N.
        device: device of the tensors.
        qpos: (N, nq).
        qvel: (N, nv).
        sensordata: (N, nsensordata). As with `mj_step` it belongs to the start of the last physics step, qpos and qvel to its end.
        failure_count: worlds that failed since the engine was made.
    """

    name: str
    switches_controls: bool
    model: mujoco.MjModel
    num_worlds: int
    device: torch.device
    qpos: torch.Tensor
    qvel: torch.Tensor
    sensordata: torch.Tensor
    failure_count: int

    def step(self, ctrl: torch.Tensor, substeps: int = 1) -> None:
        """Advance K x `substeps` physics steps; ctrl (N, K, nu), each control held for `substeps` of them."""
        ...

    def write_state(self, ids: torch.Tensor, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        """Put worlds `ids` (n,) into a state (n, nq), (n, nv), clear their history and failure, and update sensordata."""
        ...

    def set_position(self, ids: torch.Tensor, qpos: torch.Tensor) -> None:
        """Overwrite the positions (n, nq) of worlds `ids` during an episode, e.g. to place an object."""
        ...

    def set_velocity(self, ids: torch.Tensor, qvel: torch.Tensor) -> None:
        """Overwrite the velocity (n, nv) of worlds `ids`: a kick."""
        ...

    def set_field(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        """Give worlds `ids` their own values (n, ...) of a model field, e.g. `geom_friction` or `opt.gravity`."""
        ...

    def field(self, name: str) -> torch.Tensor:
        """A copy of a model field of all worlds, (N, ...)."""
        ...

    def set_const(self, ids: torch.Tensor) -> None:
        """Recompute the constants of worlds `ids` that depend on masses, inertias and positions."""
        ...

    def set_external_force(self, force: torch.Tensor | None) -> None:
        """Force and torque [N, N m] on each body in the world frame, (N, nbody, 6), held until changed; None for none."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that the engine's future depends on, as tensors and plain values on the CPU."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        ...

    def failures(self) -> torch.Tensor:
        """Worlds (N,) bool whose last step raised a MuJoCo error or warning or left a number that is not finite."""
        ...


class EngineError(RuntimeError):
    """A physics engine is unknown, not installed, or cannot do what was requested."""


def sensor_slice(model: mujoco.MjModel, name: str) -> slice:
    """The slice of a named sensor's values in `sensordata`."""
    sensor = model.sensor(name)
    return slice(int(sensor.adr[0]), int(sensor.adr[0] + sensor.dim[0]))
