"""Checks operators' commands for a policy: the right size, inside the trained range, and with valid attitudes.

A goal pose is a position and a quaternion wxyz. q and -q are the same attitude, but training may have used only one of the two, so the one
nearer to the trained range is used; quaternions are normalised.
"""

from __future__ import annotations

import numpy as np

from bridge.control.joints import FloatArray
from policies.contract.spec import CommandSpec

SHORTEST = 1e-6
"""Length of a quaternion below which it is not an attitude."""


def fault(command: FloatArray, spec: CommandSpec) -> str | None:
    """Why an operator's command is invalid, in words; None if it is valid."""
    if command.shape != (spec.dimension,):
        return f"has {command.size} numbers; the policy takes {spec.dimension} ({', '.join(spec.labels) or 'none'})"
    if not np.isfinite(command).all():
        return f"is not finite: {command.tolist()}"
    if spec.kind == "goal_pose" and np.linalg.norm(command[3:]) < SHORTEST:
        return f"has the quaternion {command[3:].tolist()} (w, x, y, z), which is not an attitude; the identity is [1, 0, 0, 0]"
    return None


def upright(command: FloatArray, spec: CommandSpec) -> FloatArray:
    """A valid command (C,), with the quaternion of a goal pose normalised and with the sign used in training."""
    if spec.kind != "goal_pose":
        return command
    lower, upper = np.array(spec.lower)[3:], np.array(spec.upper)[3:]
    quat_wxyz = command[3:] / np.linalg.norm(command[3:])
    outside = [float(np.abs(sign * quat_wxyz - np.clip(sign * quat_wxyz, lower, upper)).sum()) for sign in (1.0, -1.0)]
    return np.concatenate([command[:3], quat_wxyz if outside[0] <= outside[1] else -quat_wxyz])


def inside(command: FloatArray, spec: CommandSpec) -> FloatArray:
    """The command (C,) for the policy: the nearest to a valid command in the trained range."""
    told = np.clip(upright(command, spec), spec.lower, spec.upper)
    if spec.kind == "goal_pose" and (length := np.linalg.norm(told[3:])) >= SHORTEST:
        told[3:] /= length
    return told


def nothing(spec: CommandSpec) -> FloatArray:
    """The neutral command (C,): zeros, and the identity for an attitude."""
    command = np.zeros(spec.dimension)
    if spec.kind == "goal_pose":
        command[3] = 1.0
    return command
