"""Indices of a model's named elements in the arrays of its state. Consecutive indices are a slice, which gives a view instead of a copy."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import torch

from envs.engines.face import sensor_slice

Ids = slice | torch.Tensor
"""Columns of an array: a slice, or indices."""


def run(ids: Sequence[int], device: torch.device | str) -> Ids:
    """Indices as a slice if they are consecutive, otherwise as a tensor."""
    first = ids[0] if ids else 0
    return slice(first, first + len(ids)) if list(ids) == list(range(first, first + len(ids))) else torch.tensor(list(ids), device=device)


def qpos_ids(model: mujoco.MjModel, joints: Sequence[str], device: torch.device | str) -> Ids:
    """Indices of the positions of joints in qpos."""
    return run([int(model.joint(name).qposadr[0]) for name in joints], device)


def dof_ids(model: mujoco.MjModel, joints: Sequence[str], device: torch.device | str) -> Ids:
    """Indices of the velocities of joints in qvel."""
    return run([int(model.joint(name).dofadr[0]) for name in joints], device)


def actuator_ids(model: mujoco.MjModel, joints: Sequence[str]) -> list[int]:
    """The actuator of each joint.

    Raises:
        ValueError: a joint has none, or more than one; names all such joints.
    """
    on_joint = model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT
    found = {name: [a for a in range(model.nu) if on_joint[a] and model.actuator_trnid[a, 0] == model.joint(name).id] for name in joints}
    wrong = [f"{name} ({len(ids)})" for name, ids in found.items() if len(ids) != 1]
    if wrong:
        raise ValueError(f"these joints must have one actuator each: {', '.join(wrong)}")
    return [ids[0] for ids in found.values()]


def sensor_ids(model: mujoco.MjModel, sensors: Sequence[str], device: torch.device | str) -> Ids:
    """Indices of the values of sensors in sensordata, sensor by sensor.

    Raises:
        ValueError: the model lacks some of them; names all.
    """
    missing = [name for name in sensors if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, name) < 0]
    if missing:
        raise ValueError(f"the model lacks the sensors {', '.join(missing)}")
    spans = [sensor_slice(model, name) for name in sensors]
    return run([index for span in spans for index in range(span.start, span.stop)], device)
