"""What an operator asks, as the policy knows it: of the right size, inside the trained range, and an attitude that is one.

A goal pose is a position and a quaternion wxyz. q and -q are the same attitude, but training may have shown one of the two alone, so the
one that lies nearer the trained range counts; a length other than 1 is none.
"""

from __future__ import annotations

import numpy as np

from bridge.control.joints import FloatArray
from policies.contract.spec import CommandSpec

SHORTEST = 1e-6
"""Length of a quaternion below which it tells no attitude."""


def fault(command: FloatArray, spec: CommandSpec) -> str | None:
    """Why an operator's command is none, in words; None if it is one."""
    if command.shape != (spec.dimension,):
        return f"has {command.size} numbers; the policy takes {spec.dimension} ({', '.join(spec.labels) or 'none'})"
    if not np.isfinite(command).all():
        return f"is not finite: {command.tolist()}"
    if spec.kind == "goal_pose" and np.linalg.norm(command[3:]) < SHORTEST:
        return f"has the quaternion {command[3:].tolist()} (w, x, y, z), which is no attitude; no turn is [1, 0, 0, 0]"
    return None


def upright(command: FloatArray, spec: CommandSpec) -> FloatArray:
    """A command (C,) without a fault; of a goal pose the quaternion at unit length, with the sign that training knows."""
    if spec.kind != "goal_pose":
        return command
    lower, upper = np.array(spec.lower)[3:], np.array(spec.upper)[3:]
    quat_wxyz = command[3:] / np.linalg.norm(command[3:])
    outside = [float(np.abs(sign * quat_wxyz - np.clip(sign * quat_wxyz, lower, upper)).sum()) for sign in (1.0, -1.0)]
    return np.concatenate([command[:3], quat_wxyz if outside[0] <= outside[1] else -quat_wxyz])


def inside(command: FloatArray, spec: CommandSpec) -> FloatArray:
    """What the policy is told (C,) of a command without a fault: the nearest in the trained range."""
    told = np.clip(upright(command, spec), spec.lower, spec.upper)
    if spec.kind == "goal_pose" and (length := np.linalg.norm(told[3:])) >= SHORTEST:
        told[3:] /= length
    return told


def nothing(spec: CommandSpec) -> FloatArray:
    """What stands for no command (C,): zeros, and no turn."""
    command = np.zeros(spec.dimension)
    if spec.kind == "goal_pose":
        command[3] = 1.0
    return command
