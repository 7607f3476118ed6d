"""Applies a fault to one sensor reading: from the received reading to its faulty fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bridge.control.joints import FloatArray
from bridge.control.reading import Reading
from bridge.faults.kinds import Fault, FaultKind
from policies.contract.spec import PolicySpec

Changed = dict[str, Any]
Damage = Callable[[Reading, Fault, PolicySpec, Reading | None], Changed]


def altered(values: FloatArray | None, index: int, value: float) -> FloatArray | None:
    """A copy with one entry changed; None stays None."""
    if values is None:
        return None
    changed = values.copy()
    changed[index % len(changed)] = value
    return changed


def _position(reading: Reading, fault: Fault, spec: PolicySpec, good: Reading | None) -> Changed:
    joint = fault.index % spec.robot.num_joints
    end = spec.robot.position_upper[joint] if fault.size > 0 else spec.robot.position_lower[joint]
    if not math.isfinite(end):  # no position is wrong for an unlimited joint
        return {}
    return {"position": altered(reading.position, joint, end + fault.size)}


def _tilt(reading: Reading, fault: Fault, spec: PolicySpec, good: Reading | None) -> Changed:
    if reading.imu_quat_wxyz is None:
        return {}
    half, way = fault.size / 2, 0.7 * fault.index
    sine = math.sin(half)
    return {"imu_quat_wxyz": np.array([math.cos(half), sine * math.cos(way), sine * math.sin(way), 0.0])}


def _jump(reading: Reading, fault: Fault, spec: PolicySpec, good: Reading | None) -> Changed:
    joint = fault.index % spec.robot.num_joints
    return {"position": altered(reading.position, joint, reading.position[joint] + fault.size)}


def _stuck_encoder(reading: Reading, fault: Fault, spec: PolicySpec, good: Reading | None) -> Changed:
    joint = fault.index % spec.robot.num_joints
    return {} if good is None else {"position": altered(reading.position, joint, good.position[joint])}


def _gyro_scale(reading: Reading, fault: Fault, spec: PolicySpec, good: Reading | None) -> Changed:
    turn = reading.imu_angular_velocity_b
    return {} if turn is None else {"imu_angular_velocity_b": fault.size * turn}


def _inverted(reading: Reading, fault: Fault, spec: PolicySpec, good: Reading | None) -> Changed:
    quat = reading.imu_quat_wxyz
    return {} if quat is None else {"imu_quat_wxyz": quat * np.array([1.0, -1.0, -1.0, -1.0])}


def _turned(reading: Reading, fault: Fault, spec: PolicySpec, good: Reading | None) -> Changed:
    if reading.imu_quat_wxyz is None:
        return {}
    w, x, y, z = reading.imu_quat_wxyz
    c, s = math.cos(fault.size / 2), math.sin(fault.size / 2)
    return {"imu_quat_wxyz": np.array([w * c - z * s, x * c + y * s, y * c - x * s, w * s + z * c])}


DAMAGES: Mapping[FaultKind, Damage] = {
    FaultKind.NOT_FINITE: lambda r, fault, spec, good: {fault.field: altered(getattr(r, fault.field), fault.index, fault.size)},
    FaultKind.POSITION: _position,
    FaultKind.VELOCITY: lambda r, fault, spec, good: {"velocity": altered(r.velocity, fault.index, fault.size)},
    FaultKind.EFFORT: lambda r, fault, spec, good: {"effort": altered(r.effort, fault.index, fault.size)},
    FaultKind.TILT: _tilt,
    FaultKind.JUMP: _jump,
    FaultKind.STUCK_ENCODER: _stuck_encoder,
    FaultKind.VELOCITY_SCALE: lambda r, fault, spec, good: {"velocity": fault.size * r.velocity},
    FaultKind.STUCK_ATTITUDE: lambda r, fault, spec, good: {} if good is None else {"imu_quat_wxyz": good.imu_quat_wxyz},
    FaultKind.GYRO_SCALE: _gyro_scale,
    FaultKind.INVERTED_ATTITUDE: _inverted,
    FaultKind.TURNED_ATTITUDE: _turned,
}
"""By kind: the faulty fields of a reading, given the fault, the contract, and the last good reading."""
