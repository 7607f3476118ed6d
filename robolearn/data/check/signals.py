"""Finds impossible numbers: not finite, constant while everything else moves, or jumping further than a robot can."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robolearn.data.check.findings import Finding, FloatArray, Seen, runs_of
from robolearn.data.check.limits import ends
from robolearn.data.columns import ACTION, CONTACT, DONE, IS_VALID, ROOT

FROZEN_S = 0.2
MOVES = 0.3
"""Mean speed of the other joints [rad/s] above which a robot moves."""
AT_STOP = 0.03
"""Distance from the end of its range [rad] within which a joint is at that end."""
PEOPLE = ("mocap", "video")
"""Kinds of sources without encoders."""
MANY = 3
"""Number of joints that are reported one by one; if there are more, only the worst is."""
FASTER = 1.5
"""Multiple of a joint's speed limit up to which a step is allowed."""


def not_finite(seen: Seen) -> Iterator[Finding]:
    """Find NaN and infinity, also where a column is marked as missing."""
    for name, values in seen.columns.items():
        if values.dtype.kind != "f":
            continue
        bad = ~np.isfinite(values.reshape(len(seen), -1)).all(axis=1)
        if bad.any():
            text = (
                f"{name} is not finite in {int(bad.sum())} frames, first frame {int(np.argmax(bad))}; fix the recording and import it again"
            )
            yield Finding(check="nan", key=name, text=text, episode=seen.name, size=float(bad.sum()))


def marks(seen: Seen) -> Iterator[Finding]:
    """Find marks that contradict their column, and flags with values other than 0 and 1."""
    for name, values in seen.columns.items():
        if name.endswith(IS_VALID) or f"{name}{IS_VALID}" not in seen.columns or values.dtype.kind != "f":
            continue
        lies = ~seen.known(name) & (np.nan_to_num(values.reshape(len(seen), -1)) != 0).any(axis=1)
        if lies.any():
            text = f"{name} has values in {int(lies.sum())} frames that are marked as missing, first frame {int(np.argmax(lies))}"
            yield Finding(check="marks", key=name, text=text, episode=seen.name, size=float(lies.sum()))
    contact = seen.values(CONTACT)
    if contact is not None and not np.isin(contact, (0.0, 1.0)).all():
        text = f"{CONTACT} has values other than 0 and 1, up to {np.abs(contact).max():.3g}: forces? import them with contact_above"
        yield Finding(check="marks", key=CONTACT, text=text, episode=seen.name)
    done = seen.columns.get(DONE)
    if done is not None and done.astype(bool).ravel()[:-1].any():
        frame = int(np.argmax(done.astype(bool).ravel()))
        text = f"{DONE} is set in frame {frame} of {len(seen)}: two episodes in one"
        yield Finding(check="marks", key=DONE, text=text, episode=seen.name)


def frozen(seen: Seen) -> Iterator[Finding]:
    """Find sensors that repeat one value, bit for bit, while the robot moves."""
    position, gravity, turn = seen.position, seen.gravity, seen.turn
    if position is None or gravity is None or turn is None or len(seen) < 3:
        return
    least = max(5, round(FROZEN_S * seen.fps))
    speed = np.abs(np.diff(position, axis=0)) * seen.fps
    imu = np.concatenate([gravity, turn], axis=1)
    still_joints = (speed == 0).all(axis=1)
    still_imu = (np.diff(imu, axis=0) == 0).all(axis=1)
    driven = _driven(seen)
    for begin, end in runs_of(still_joints):
        if end - begin >= least and (np.ptp(imu[begin : end + 1], axis=0).max() > 0.02 or driven[begin:end].mean() > 0.5):
            yield _stuck(seen, "the joints", "joints", begin, end, "while base or targets move")
    if seen.robot is None or seen.robot.floating_base:
        for begin, end in runs_of(still_imu):
            if end - begin >= least and speed[begin:end].mean() > MOVES:
                yield _stuck(seen, "gravity and angular velocity", "imu", begin, end, "while the joints move")
    yield from _frozen_joints(seen, speed, least)


def _frozen_joints(seen: Seen, speed: FloatArray, least: int) -> Iterator[Finding]:
    position, velocity = seen.position, seen.velocity
    assert position is not None
    assert velocity is not None
    spread = position.std(axis=0)
    at_stop = _at_stop(seen)
    for joint, name in enumerate(seen.joints):
        for begin, end in runs_of(speed[:, joint] == 0):
            if end - begin < least or not speed[begin:end].any() or at_stop[begin, joint]:
                continue
            others = np.delete(speed[begin:end], joint, axis=1).mean() if speed.shape[1] > 1 else 0.0
            contradicts = np.median(np.abs(velocity[begin:end, joint])) > 0.1
            whole = end - begin == len(speed)
            if contradicts or (others > MOVES and not whole and spread[joint] > 0.02):
                yield _stuck(
                    seen, f"{name}'s position", name, begin, end, "while the others move" if not contradicts else "though it has a velocity"
                )


def _at_stop(seen: Seen) -> np.ndarray:
    """Frames in which a joint is at an end of its range, (T, J): a clipped value may be constant there."""
    position = seen.position
    assert position is not None
    if seen.robot is not None and position.shape[1] == seen.robot.num_joints:
        lower, upper = ends(seen)
        return np.minimum(np.abs(position - lower), np.abs(position - upper)) < AT_STOP
    return np.zeros(position.shape, bool)


def _driven(seen: Seen) -> np.ndarray:
    """Frames (T - 1,) in which the action changes much."""
    action = seen.columns.get(ACTION)
    if action is None:
        return np.zeros(len(seen) - 1)
    return (np.abs(np.diff(action.reshape(len(seen), -1).astype(np.float64), axis=0)).max(axis=1) > 0.1) & seen.known(ACTION)[1:]


def _stuck(seen: Seen, what: str, key: str, begin: int, end: int, how: str) -> Finding:
    seconds = (end - begin) / seen.fps
    stands = "stands" if what.endswith("position") else "stand"
    people = seen.source.kind in PEOPLE
    why = "clipped, or a gap that was filled" if people else "a stuck sensor"
    text = f"{what} {stands} still, bit for bit, for {seconds:.2f} s from frame {begin} {how}: {why}"
    return Finding(check="frozen", key=key, text=text, episode=seen.name, grave=not people, size=seconds)


def jumps(seen: Seen) -> Iterator[Finding]:
    """Find steps that are larger than the robot can move in one frame."""
    position, velocity, gravity, turn = seen.position, seen.velocity, seen.gravity, seen.turn
    if position is None or velocity is None or gravity is None or turn is None or len(seen) < 2:
        return
    step = np.abs(np.diff(position, axis=0))
    told = np.maximum(np.abs(velocity[1:]), np.abs(velocity[:-1]))
    most = np.full(position.shape[1], 20.0) if seen.robot is None else np.array(seen.robot.velocity_limit)
    beyond = step - np.minimum(FASTER * np.maximum(most, told) / seen.fps + 0.05, 3 * told / seen.fps + 0.4)
    jumping = np.flatnonzero((beyond > 0).any(axis=0))
    several = len(jumping) > MANY
    for joint in jumping[[int(beyond.max(axis=0)[jumping].argmax())]] if several else jumping:
        frame, name = int(np.argmax(beyond[:, joint])), seen.joints[joint]
        far = step[frame, joint]
        fast = f"{far * seen.fps:.0f} rad/s where its velocity is {told[frame, joint]:.0f} and its motor can do {most[joint]:.0f}"
        text = f"{name} moves {far:.2f} rad from frame {frame} to {frame + 1}, {fast}"
        text += f"; {len(jumping)} joints jump" if several else ""
        yield Finding(check="jumps", key="joints" if several else name, text=text, episode=seen.name, size=float(far))
    angle = np.arccos(np.clip(np.sum(gravity[1:] * gravity[:-1], axis=1), -1, 1))
    spin = np.maximum(np.linalg.norm(turn[1:], axis=1), np.linalg.norm(turn[:-1], axis=1))
    yield from _leap(seen, angle - (2 * spin + 3) / seen.fps - 0.05, angle, "the base's tilt", "rad", "tilt")
    root = seen.values(ROOT, 13)
    if root is not None and seen.known(ROOT).all():
        far = np.linalg.norm(np.diff(root[:, :3], axis=0), axis=1)
        speed = np.linalg.norm(root[:, 7:10], axis=1)
        yield from _leap(seen, far - (2 * np.maximum(speed[1:], speed[:-1]) + 1) / seen.fps - 0.02, far, "the base", "m", "root")


def _leap(seen: Seen, beyond: FloatArray, far: FloatArray, what: str, unit: str, key: str) -> Iterator[Finding]:
    if (beyond > 0).any():
        frame = int(np.argmax(beyond))
        text = f"{what} leaps {far[frame]:.2f} {unit} from frame {frame} to {frame + 1}: a reset or a hole inside the episode"
        yield Finding(check="jumps", key=key, text=text, episode=seen.name, size=float(far[frame]))
