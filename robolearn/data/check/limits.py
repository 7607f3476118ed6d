"""Checks positions and speeds against the robot's limits, which also tells degrees from radians."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from robolearn.data.check.findings import Finding, FloatArray, Seen

SOFT = 0.1
"""How far a joint may be beyond its range [rad], since end stops yield."""
HARD = 0.7
SHARE, OFTEN = 0.01, 0.1
"""Shares of frames out of range that make a note and a fault; a robot that lies on its ankle bends it too far."""
FAST = 1.5
"""Multiple of its speed limit that a joint may exceed in at most `SHARE` of the frames."""


def beyond(position: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """How far positions (T, J) lie outside their range [rad], (T, J)."""
    return np.maximum(np.maximum(lower - position, position - upper), 0.0)


def in_degrees(seen: Seen) -> bool:
    """Whether the positions are far outside the robot's ranges, but inside if read as degrees."""
    if seen.robot is None or seen.position is None or not np.isfinite(seen.position).all():
        return False
    lower, upper = ends(seen)
    out = (beyond(seen.position, lower, upper) > 0.35).any(axis=1).mean()
    turned = np.radians(seen.position)
    into = (beyond(turned, lower, upper) > SOFT).any(axis=1).mean()
    wide = np.abs(seen.position).max() > 2 * math.pi
    return bool(out > 0.3 and into < 0.02 and wide)


def units(seen: Seen) -> Iterator[Finding]:
    """Find degrees in place of radians."""
    if in_degrees(seen):
        assert seen.position is not None
        largest = float(np.abs(seen.position).max())
        text = f"joint positions reach {largest:.0f}: degrees in place of radians; import with `unit: deg`"
        yield Finding(check="units", key="position", text=text, episode=seen.name, size=largest)


def limits(seen: Seen) -> Iterator[Finding]:
    """Find joints outside their range, or faster than their motors."""
    if seen.robot is None or seen.position is None or seen.velocity is None or in_degrees(seen):
        return
    lower, upper = ends(seen)
    out = beyond(np.nan_to_num(seen.position), lower, upper)
    for joint, name in enumerate(seen.joints):
        share, most = float((out[:, joint] > SOFT).mean()), float(out[:, joint].max())
        if share > SHARE or most > HARD:
            frame = int(np.argmax(out[:, joint]))
            value = seen.position[frame, joint]
            text = (
                f"{name} is at {value:.2f} rad in frame {frame}, outside [{lower[joint]:.2f}, {upper[joint]:.2f}]"
                f" ({100 * share:.0f} % of the frames are outside)"
            )
            yield Finding(check="limits", key=name, text=text, episode=seen.name, grave=share > OFTEN or most > HARD, size=most)
    speed, most_speed = np.abs(np.nan_to_num(seen.velocity)), np.array(seen.robot.velocity_limit)
    fast = (speed > FAST * most_speed).mean(axis=0)
    for joint in np.flatnonzero(fast > SHARE):
        name = seen.joints[joint]
        share = f"in {100 * fast[joint]:.0f} % of the frames"
        text = f"{name} turns faster than its motor's {most_speed[joint]:.0f} rad/s {share}, up to {speed[:, joint].max():.0f}"
        yield Finding(check="limits", key=f"{name} speed", text=text, episode=seen.name, size=float(fast[joint]))


def ends(seen: Seen) -> tuple[FloatArray, FloatArray]:
    """The robot's ranges [rad], (J,) each, in the order of the robot."""
    assert seen.robot is not None
    spec = seen.robot.spec()
    return np.array(spec.position_lower), np.array(spec.position_upper)
