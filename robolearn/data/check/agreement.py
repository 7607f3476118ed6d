"""Compares quantities that can be computed in two ways: positions and velocities, tilt and angular velocity, attitude and gravity. If they
disagree, a unit, a rate, an order or a sign is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from policies.contract.observation import projected_gravity
from robolearn.data.check.findings import Finding, FloatArray, Seen
from robolearn.data.columns import ROOT

DEGREES = 180 / math.pi
ENOUGH = 0.15
"""Least root mean square of a speed [rad/s] for a comparison."""
SLOPE = 1.6
"""Factor by which two measures of one speed may differ."""
ALIKE = 0.5
"""Correlation below which two measures of a speed do not belong to the same motion."""


def rates(seen: Seen) -> Iterator[Finding]:
    """Check joint velocities against differences of positions: units, rate and sign."""
    if seen.position is None or seen.velocity is None or len(seen) < 10:
        return
    moved = np.diff(seen.position, axis=0) * seen.fps
    told = (seen.velocity[1:] + seen.velocity[:-1]) / 2
    if not (np.isfinite(moved).all() and np.isfinite(told).all()) or _rms(moved) < ENOUGH:
        return
    if not told.any():
        yield Finding(check="rates", key="velocity", text="all joint velocities are zero, though the joints move", episode=seen.name)
        return
    slope = _rms(told) / _rms(moved)
    if abs(_correlation(moved, told)) < ALIKE:
        return  # another order, or noise: left to the check `order`
    yield from _scaled(seen, slope, "velocity", "joint velocities")
    if _correlation(moved, told) < 0:
        text = "joint velocities have the opposite sign of the positions' differences"
        yield Finding(check="rates", key="sign", text=text, episode=seen.name)


def holes(seen: Seen) -> Iterator[Finding]:
    """Find frames between which all joints move much further than their velocities allow: missing time."""
    if seen.time_s is not None and len(seen) > 2:
        step = np.diff(seen.time_s)
        bad = np.abs(step * seen.fps - 1) > 0.5
        if bad.any():
            frame = int(np.argmax(np.abs(step - 1 / seen.fps)))
            text = f"frames {frame} and {frame + 1} are {step[frame]:.3f} s apart, but a frame takes {1 / seen.fps:.3f} s"
            yield Finding(check="clock", key="stamps", text=text, episode=seen.name, size=float(step[frame]))
    if seen.position is None or seen.velocity is None or len(seen) < 20:
        return
    moved = np.abs(np.diff(seen.position, axis=0))
    speed = np.abs(seen.velocity)
    told = np.maximum(speed[1:], speed[:-1]) / seen.fps
    usual = float(np.median(moved.sum(axis=1) / np.maximum(told.sum(axis=1), 1e-6)))
    if not 0.3 < usual < SLOPE:  # another unit or rate, which `rates` reports
        return
    most = moved > 1.5 * told + 0.02
    ratio = moved.sum(axis=1) / np.maximum(told.sum(axis=1), 1e-3)
    lost = (most.mean(axis=1) >= 0.5) & (ratio > 2)
    if lost.any():
        frame = int(np.argmax(np.where(lost, ratio, 0)))
        text = (
            f"from frame {frame} to {frame + 1} the joints move {ratio[frame]:.0f} times as far as their velocities allow: frames are "
            f"missing"
        )
        yield Finding(check="clock", key="hole", text=text, episode=seen.name, size=float(ratio[frame]))


def spin(seen: Seen) -> Iterator[Finding]:
    """Check the angular velocity against the rotation of gravity's direction: dg/dt = g x w."""
    if seen.gravity is None or seen.turn is None or len(seen) < 10 or (seen.robot is not None and not seen.robot.floating_base):
        return
    if not (np.isfinite(seen.gravity).all() and np.isfinite(seen.turn).all()):
        return
    length = np.linalg.norm(seen.gravity, axis=1)
    if np.abs(length - 1).max() > 0.02:
        text = f"gravity's direction has the length {_farthest(length):.3g}, not 1: an acceleration? a scaled observation?"
        yield Finding(check="units", key="gravity", text=text, episode=seen.name, size=float(np.abs(length - 1).max()))
        return
    turned = np.diff(seen.gravity, axis=0) * seen.fps
    told = np.cross(seen.gravity, seen.turn)
    told = (told[1:] + told[:-1]) / 2
    if _rms(turned) < ENOUGH:
        return
    if not told.any():
        text = "the angular velocity is zero, though the base tilts"
        yield Finding(check="rates", key="spin", text=text, episode=seen.name)
        return
    agree, slope = _correlation(turned, told), _rms(told) / _rms(turned)
    if agree < ALIKE:
        text = f"the angular velocity does not match the tilting of the base (correlation {agree:.2f}): its axes, sign or frame are wrong"
        yield Finding(check="rates", key="spin", text=text, episode=seen.name, size=-agree)
    else:
        yield from _scaled(seen, slope, "spin", "angular velocities")


def attitude(seen: Seen) -> Iterator[Finding]:
    """Check that the root's quaternion has length one and agrees with gravity's direction."""
    root = seen.values(ROOT, 13)
    if root is None or seen.gravity is None:
        return
    quat = root[:, 3:7]
    length = np.linalg.norm(quat, axis=1)
    if np.abs(length - 1).max() > 1e-2:
        text = f"the root's quaternion has the length {_farthest(length):.3g}, not 1"
        yield Finding(check="attitude", key="length", text=text, episode=seen.name)
        return
    gravity = seen.gravity[seen.known(ROOT)]
    off = _apart(projected_gravity(quat), gravity)
    if off > 0.2:
        swapped = _apart(projected_gravity(quat[:, [3, 0, 1, 2]]), gravity)
        mend = "; it is in the order xyzw, not wxyz" if swapped < 0.1 else ""
        text = f"the root's quaternion and gravity's direction are {off:.2f} rad apart (median){mend}"
        yield Finding(check="attitude", key="order", text=text, episode=seen.name, size=off)


def _farthest(length: FloatArray) -> float:
    """The length that is farthest from one."""
    return float(length[int(np.argmax(np.abs(length - 1)))])


def _apart(a: FloatArray, b: FloatArray) -> float:
    return float(np.median(np.arccos(np.clip(np.sum(a * b, axis=1), -1, 1))))


def _scaled(seen: Seen, slope: float, key: str, what: str) -> Iterator[Finding]:
    """Check whether speeds are `slope` times those of the motion, because of another unit or rate."""
    if slope > SLOPE or slope < 1 / SLOPE:
        check = "units" if _is_degrees(slope) else "rates"
        yield Finding(check=check, key=key, text=_why(slope, what), episode=seen.name, size=slope)


def _is_degrees(slope: float) -> bool:
    return any(0.6 < slope / factor < 1.6 for factor in (DEGREES, 1 / DEGREES))


def _why(slope: float, what: str) -> str:
    if 0.6 < slope / DEGREES < 1.6:
        return f"{what} are {slope:.0f} times those of the motion: degrees per second in place of radians"
    if 0.6 < slope * DEGREES < 1.6:
        return f"{what} are {slope:.3f} times those of the motion: positions in degrees, velocities in radians?"
    return f"{what} are {slope:.2g} times those of the motion: another unit, or another rate than the dataset's"


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _correlation(a: FloatArray, b: FloatArray) -> float:
    """Correlation of all entries together, without subtracting means."""
    return float(np.sum(a * b) / max(np.sqrt(np.sum(a * a) * np.sum(b * b)), 1e-12))
