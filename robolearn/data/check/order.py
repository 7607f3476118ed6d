"""Checks that the joints' columns are in the order of their names and of the robot.

Names are compared first, then numbers: velocities and targets must belong to the positions in the same column, and the positions must fit
the robot's ranges and pose better in its order than in the orders of other programs. The last test cannot distinguish similar legs; the
others can if the recording has measured velocities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from envs.robots.robot import Robot
from robolearn.data.check.findings import Finding, FloatArray, Seen
from robolearn.data.check.limits import SOFT, beyond, in_degrees

MOVED = 0.02
"""Least standard deviation of a joint's position [rad], or of its speed [rad/s], for its column to be compared."""
BETTER, SURE = 0.2, 0.5
"""Correlations: how much better, and how well, columns must fit on average in another order to be judged to be in it."""
LEFT_OVER = 0.5
"""Largest remaining share of the present order's distance from correlation 1; in a gait all joints are somewhat correlated."""
TARGET_DELAY = 3
"""Control steps by which a joint may lag its target."""


def names(seen: Seen) -> Iterator[Finding]:
    """Compare the source's joint names with the robot's."""
    if seen.robot is None or not seen.source.joint_names:
        return
    ours, theirs = seen.robot.joint_names, seen.source.joint_names
    if ours == theirs:
        return
    missing, extra = [n for n in ours if n not in theirs], [n for n in theirs if n not in ours]
    if missing or extra:
        parts = ([f"lack {', '.join(missing[:4])}"] if missing else []) + ([f"have {', '.join(extra[:4])} in addition"] if extra else [])
        text = f"the joints are not those of {seen.robot.name}: they {' and '.join(parts)}"
    else:
        at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
        text = f"the joints are in another order than {seen.robot.name} has them: column {at} is {theirs[at]}, not {ours[at]}"
    yield Finding(check="order", key="names", text=text, episode=seen.name)


def velocities(seen: Seen) -> Iterator[Finding]:
    """Check whether a velocity belongs to another joint's position."""
    if seen.position is not None and seen.velocity is not None and len(seen) >= 50:
        moved, told = np.diff(seen.position, axis=0) * seen.fps, (seen.velocity[1:] + seen.velocity[:-1]) / 2
        yield from _belong(seen, moved, told, "velocities")


def targets(seen: Seen) -> Iterator[Finding]:
    """Check whether a target belongs to another joint."""
    target, position = seen.targets, seen.position
    if target is not None and position is not None and len(seen) >= 100:
        yield from _belong(seen, position[TARGET_DELAY:], target[:-TARGET_DELAY], "actions")


def _belong(seen: Seen, moved: FloatArray, told: FloatArray, what: str) -> Iterator[Finding]:
    """Check whether columns `told` (T, J) fit the columns `moved` better in another order."""
    if not (np.isfinite(moved).all() and np.isfinite(told).all()):
        return
    live = np.flatnonzero((moved.std(axis=0) > MOVED) & (told.std(axis=0) > MOVED))
    if len(live) < 2:
        return
    a, b = moved[:, live] - moved[:, live].mean(axis=0), told[:, live] - told[:, live].mean(axis=0)
    alike = (a.T @ b) / np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    best = _assigned(alike)
    own, other = float(np.diag(alike).mean()), float(alike[np.arange(len(live)), best].mean())
    if other < max(own + BETTER, SURE) or 1 - other > LEFT_OVER * (1 - own):
        return
    wrong = [(live[i], live[j]) for i, j in enumerate(best) if i != j]
    pairs = ", ".join(f"{seen.joints[i]} has that of {seen.joints[j]}" for i, j in wrong[:3])
    text = (
        f"{what} are in another order than positions: {pairs}{', ...' if len(wrong) > 3 else ''} (correlation {own:.2f}, then {other:.2f})"
    )
    yield Finding(check="order", key=what, text=text, episode=seen.name, size=other - own)


def _assigned(alike: FloatArray) -> list[int]:
    """A column for each row, the most similar pair first, no column twice."""
    found = [-1] * len(alike)
    taken: set[int] = set()
    for flat in np.argsort(-alike, axis=None):
        row, column = divmod(int(flat), len(alike))
        if found[row] < 0 and column not in taken:
            found[row] = column
            taken.add(column)
    return found


def positions(seen: Seen) -> Iterator[Finding]:
    """Check whether the positions fit the robot better in another order."""
    robot, position = seen.robot, seen.position
    if robot is None or position is None or position.shape[1] != robot.num_joints or in_degrees(seen) or not np.isfinite(position).all():
        return
    own = _misfit(robot, position, range(robot.num_joints))
    if own[0] < 0.2:
        return
    found = {name: _misfit(robot, position, order) for name, order in other_orders(robot).items()}
    name, best = min(found.items(), key=lambda item: item[1])
    if best[0] < 0.02 and best[1] < own[1]:
        text = f"{100 * own[0]:.0f} % of the frames are outside the joints' ranges, and {100 * best[0]:.0f} % if the columns are {name}"
        yield Finding(check="order", key="positions", text=text, episode=seen.name, size=own[0])


def _misfit(robot: Robot, position: FloatArray, order: Sequence[int]) -> tuple[float, float]:
    """Share of frames outside the ranges, and distance of the median from the default pose [rad], for columns in this order."""
    spec = robot.spec()
    arranged = np.empty_like(position)
    arranged[:, list(order)] = position
    out = beyond(arranged, np.array(spec.position_lower), np.array(spec.position_upper)) > SOFT
    far = np.abs(np.median(arranged, axis=0) - np.array(robot.default_pose))
    return float(out.any(axis=1).mean()), float(far.mean())


def other_orders(robot: Robot) -> dict[str, list[int]]:
    """Orders that other programs use, each as the robot's joints column by column."""
    joints = robot.joint_names
    kinds = [_kind(name) for name in joints]
    by_kind = sorted(range(len(joints)), key=lambda i: (kinds.index(kinds[i]), i))
    alphabetical = sorted(range(len(joints)), key=lambda i: joints[i])
    mirrored = {name: _other_side(name) for name in joints}
    swapped = [joints.index(mirrored[name]) if mirrored[name] in joints else i for i, name in enumerate(joints)]
    orders = {
        "sorted by kind of joint (as in Isaac)": by_kind,
        "sorted by name": alphabetical,
        "with left and right exchanged": swapped,
        "sorted by kind, with left and right exchanged": [swapped[i] for i in by_kind],
        "in the opposite order": list(range(len(joints)))[::-1],
    }
    return {name: order for name, order in orders.items() if order != list(range(len(joints)))}


def _kind(name: str) -> str:
    """A joint's name without its side: `FL_hip_joint` and `left_hip_roll_joint` are `hip` and `hip_roll`."""
    return re.sub(r"^(fl|fr|rl|rr|hl|hr|lf|rf|lh|rh|l|r|left|right)[_\-]|_(fl|fr|rl|rr|l|r|left|right)$", "", name.lower())


def _other_side(name: str) -> str:
    """The same joint on the other side, by the usual naming schemes."""
    swap = {
        "left": "right",
        "right": "left",
        "FL": "FR",
        "FR": "FL",
        "RL": "RR",
        "RR": "RL",
        "LF": "RF",
        "RF": "LF",
        "LH": "RH",
        "RH": "LH",
    }
    return re.sub(r"left|right|FL|FR|RL|RR|LF|RF|LH|RH", lambda match: swap[match[0]], name)
