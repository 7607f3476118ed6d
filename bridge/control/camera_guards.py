"""The guards of a policy that sees: a picture that is missing, late, frozen, black or of another camera is worse than none.

They react while the policy runs, and keep it from starting. What they lead to is a setting (`deploy --image-fault`): damping, or holding
the last target until good pictures come again, see `bridge.control.holding`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bridge.control.guards import OTHER_CLOCK_NS, POLICY_ONLY, Guard, Snapshot
from bridge.control.joints import FloatArray
from bridge.control.reading import Reading
from bridge.control.safety import JointVectors, SafetyLimits
from bridge.control.sight import Sight, Sights, eyes_of, period_s
from policies.contract.spec import PolicySpec

AHEAD_S = 0.1  # by which a picture's stamp may lie in the future of the joints': clocks of one computer differ by less


class SightWatch:
    """Tracks how far the robot has moved since each camera's bytes last changed, by which a frozen picture differs from a quiet scene.

    Attributes:
        moved: largest change of a joint between the first of the equal pictures and the last but one [rad], by group. What has moved since
            that one, the newest may not show yet: it was taken some time before it arrived.
    """

    def __init__(self, spec: PolicySpec) -> None:
        """Watch the cameras of a policy."""
        self.periods = {group.name: period_s(group, spec.control_dt) for group in eyes_of(spec)}
        self.moved: dict[str, float] = {}
        self._since: dict[str, tuple[int, FloatArray]] = {}
        self._latest: dict[str, tuple[int, float]] = {}  # number of the newest picture, and how far the robot had moved by then

    def update(self, sights: Sights, reading: Reading | None) -> None:
        """Add a tick's newest pictures and reading."""
        if reading is None:
            return
        for name, sight in sights.items():
            since = self._since.get(name)
            if since is None or since[0] != sight.same_ns:
                since = self._since[name] = sight.same_ns, reading.position.copy()
                self.moved[name], self._latest[name] = 0.0, (sight.number, 0.0)
            number, before = self._latest[name]
            if number != sight.number:
                now = float(np.max(np.abs(reading.position - since[1]), initial=0.0))
                self.moved[name], self._latest[name] = max(self.moved[name], before), (sight.number, now)


def _seen(s: Snapshot) -> Iterator[tuple[str, Sight]]:
    yield from s.inputs.sights.items()


def _fault(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    return s.inputs.sight_fault


def _stale(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    said: list[str] = []
    for name in s.periods:
        sight, hint = s.inputs.sights.get(name), s.inputs.sight_hints.get(name, "")
        if sight is None:
            said.append(f"no picture of {name} yet" + (f": {hint}" if hint else ""))
        elif (age_s := (s.now_ns - sight.received_ns) * 1e-9) > limits.picture_timeout_s:
            said.append(f"no picture of {name} for {age_s * 1e3:.0f} ms" + (f": {hint}" if hint else ""))
    return "; ".join(said) or None


def _late(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    """By the stamps of picture and joints, if they are of one clock; those of two are told apart by their distance."""
    reading = s.inputs.reading
    if reading is None:
        return None
    for name, sight in _seen(s):
        behind_ns = min(reading.stamps_ns) - sight.stamp_ns
        if abs(behind_ns) > OTHER_CLOCK_NS:
            continue
        if behind_ns > limits.picture_age_s * 1e9:
            return f"the picture of {name} is {behind_ns * 1e-6:.0f} ms older than the joints' reading by their stamps"
        if behind_ns < -AHEAD_S * 1e9:
            return (
                f"the picture of {name} is stamped {-behind_ns * 1e-6:.0f} ms after the joints' reading: their clocks differ (chrony, PTP)"
            )
    return None


def _frozen(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    for name, sight in _seen(s):
        if (still_s := (sight.received_ns - sight.stamped_ns) * 1e-9) > limits.picture_frozen_s:
            return f"the stamp of {name}'s pictures stands still for {still_s * 1e3:.0f} ms"
        same_s, moved = (sight.received_ns - sight.same_ns) * 1e-9, s.moved.get(name, 0.0)
        if same_s > limits.picture_frozen_s and moved > limits.picture_motion:
            return f"{name} has shown the same picture for {same_s * 1e3:.0f} ms, while a joint moved by {moved:.2f} rad"
    return None


def _black(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    for name, sight in _seen(s):
        if sight.brightness < limits.picture_dark:
            return f"the picture of {name} is black, or measures nothing (brightness {sight.brightness:.3f})"
        if sight.contrast < limits.picture_flat:
            return f"the picture of {name} is of one colour (contrast {sight.contrast:.4f}): is the lens covered?"
    return None


def _slow(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    for name, sight in _seen(s):
        wanted = 1 / s.periods[name]
        if 0 < sight.hz < limits.picture_rate * wanted:
            return f"pictures of {name} come at {sight.hz:.3g} Hz; the policy was trained with {wanted:.3g}"
    return None


CAMERA_GUARDS: tuple[Guard, ...] = (
    Guard("picture_fault", _fault, modes=POLICY_ONLY),
    Guard("stale_picture", _stale, modes=POLICY_ONLY),
    Guard("late_picture", _late, modes=POLICY_ONLY),
    Guard("frozen_picture", _frozen, modes=POLICY_ONLY),
    Guard("black_picture", _black, modes=POLICY_ONLY),
    Guard("slow_camera", _slow, modes=POLICY_ONLY),
)
"""Checked at every tick of a policy that sees, after the others."""
CAMERA_NAMES = frozenset(guard.name for guard in CAMERA_GUARDS)
