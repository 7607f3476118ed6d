"""The steps of a biped: when it changes from foot to foot, where it presses on the ground, and where it steps.

    both feet      one foot               both feet      the other foot
    |  lean  | ---- swing_s ---- touch |  lean  | ...

With both feet on the ground the point of pressure may lie anywhere between them, so in this phase the capture point is moved to where a
steady walk has it at the beginning of single support; only then does the other foot lift off. On one foot the point of pressure can move
only a little, and the capture point runs away; the next foot is placed where it will be, minus the offset of a steady walk
(`robolearn.controllers.capture`). A foot that touches early ends its swing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.controllers.capture import Pace, runs_to


@dataclass(frozen=True, kw_only=True)
class StepsCfg:
    """Steps of G1; they are scaled for other robots.

    Attributes:
        step_s: time of a step [s].
        both_share: least share of a step with both feet on the ground.
        width: distance between the feet, sideways [m].
        narrowest, widest: bounds of a step, sideways [m].
        longest: bound of a step, lengthwise [m].
        pressure_gain: shift of the point of pressure from the middle of the stance foot, per error of the capture point.
        shift_gain: the same between both feet, added to the capture point itself.
        near: sideways error of the capture point below which a foot may lift off [m].
        hurry: lengthwise error above which it lifts off in any case [m].
        patience_s: time after which it lifts off in any case [s].
        calm: largest distance of the capture point from the middle of both feet before the first step [m].
        leans: largest distance while standing [m]; beyond it, a step is taken.
        settle_s: longest time before the first step [s].
        early: share of a swing after which touching the ground ends it.
    """

    step_s: float = 0.36
    both_share: float = 0.25
    width: float = 0.2
    narrowest: float = 0.15
    widest: float = 0.42
    longest: float = 0.46
    pressure_gain: float = 2.0
    shift_gain: float = 1.5
    near: float = 0.05
    hurry: float = 0.06
    patience_s: float = 0.3
    calm: float = 0.03
    leans: float = 0.08
    settle_s: float = 0.5
    early: float = 0.6


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The state that steps depend on.

    Attributes:
        feet: middles of the soles in the world [m], (2, 2).
        contact: which feet touch the ground, (2,) bool.
        capture: the capture point [m], (2,).
        heading: its columns are forward and left in the world, (2, 2).
        velocity: the commanded velocity, forward and left [m/s], (2,).
        asked: whether any motion is commanded.
    """

    feet: np.ndarray
    contact: np.ndarray
    capture: np.ndarray
    heading: np.ndarray
    velocity: np.ndarray
    asked: bool


class Steps:
    """The steps of one walker.

    Attributes:
        carrier: the stance foot, or the next one once the other has lifted off.
        single: whether it is the only foot on the ground.
        down: feet that stand, (2,) bool.
        swing_s: time of a swing [s].
    """

    def __init__(
        self,
        cfg: StepsCfg,
        control_dt: float,
        rate: float,
        left: np.ndarray,
        sole: tuple[np.ndarray, np.ndarray],
        length: float,
        time: float,
    ) -> None:
        """Begin standing.

        Args:
            cfg: the settings.
            control_dt: time between two control steps [s].
            rate: the pendulum's rate w [1/s].
            left: which foot is the left one, (2,) bool.
            sole: lowest and highest point of pressure from a sole's middle, forward and left [m], (2,) each.
            length: scale of the config's lengths.
            time: scale of its times.
        """
        self.cfg, self.dt, self.rate, self._left = cfg, control_dt, rate, left
        self._sole, self._length, self._time = sole, length, time
        self.step_s = cfg.step_s * time
        self._both_s = cfg.both_share * self.step_s
        self.swing_s = self.step_s - self._both_s
        self.reset()

    def reset(self) -> None:
        """Stand, as at the beginning of an episode."""
        self.carrier, self.single, self._settled, self._rests = 0, False, False, True
        self.down = np.array([True, True])
        self._since_s = 0.0  # since this support began
        self._pressure = np.zeros(2)

    @property
    def share(self) -> float:
        """Share of the swing that is over."""
        return self._since_s / self.swing_s

    @property
    def left_s(self) -> float:
        """Time until the weight is on the next foot, including half of the double support [s]."""
        return max(self.swing_s - self._since_s, 0.0) + self._both_s / 2

    def advance(self, now: Moment) -> bool:
        """Advance by one control step. Returns whether a foot lifts off now."""
        self._since_s += self.dt
        if self.single:
            self._land(now)
            return False
        self.down |= now.contact
        off = now.heading.T @ (now.capture - now.feet.mean(0))
        far = float(np.hypot(*off)) / self._length
        if not self._settled:
            late = self._since_s > self.cfg.settle_s * self._time
            self._settled = (far < self.cfg.calm and bool(self.down.all())) or late or far > self.cfg.leans
            self.carrier = int(np.flatnonzero(self._left == (off[1] > 0))[0])
        self._rests = not self._settled or (not now.asked and far < self.cfg.leans)
        if self._rests or not self._may_leave(now):
            return False
        self.single, self._since_s = True, 0.0
        self.down[1 - self.carrier] = False
        return True

    def pressure(self, now: Moment) -> np.ndarray:
        """The desired point of pressure [m], (2,)."""
        self._pressure = self._press_one(now) if self.single else self._press_both(now)
        return self._pressure

    def foothold(self, now: Moment) -> np.ndarray:
        """The foothold of the swing foot [m], (2,); call `pressure` first in the same control step."""
        cfg, foot, left = self.cfg, now.feet[self.carrier], bool(self._left[1 - self.carrier])
        will_be = runs_to(now.capture, self._pressure, self.rate, self.left_s)
        along, across = now.heading.T @ (will_be - foot) - self._pace(now).offset(left)
        side = 1.0 if left else -1.0
        across = side * np.clip(side * across, cfg.narrowest * self._length, cfg.widest * self._length)
        along = np.clip(along, -cfg.longest * self._length, cfg.longest * self._length)
        return foot + now.heading @ np.array([along, across])

    def _pace(self, now: Moment) -> Pace:
        """The commanded steady walk."""
        return Pace(step_s=self.step_s, rate=self.rate, stride=now.velocity * self.step_s, width=self.cfg.width * self._length)

    def _land(self, now: Moment) -> None:
        """End a swing whose time is up or whose foot has touched the ground."""
        swinging = 1 - self.carrier
        if self.share >= 1.0 or (self.share > self.cfg.early and now.contact[swinging]):
            self.single, self._since_s, self.carrier = False, 0.0, swinging
            self.down = np.array([True, True])
            self.down[swinging] = now.contact[swinging]

    def _may_leave(self, now: Moment) -> bool:
        """Whether the next single support can begin."""
        if not self.down[self.carrier] or self._since_s < self._both_s - 1e-6:
            return False
        cfg = self.cfg
        along, across = (now.heading.T @ (now.capture - self._steady(now, 0.0))) / self._length
        out = across if self._left[self.carrier] else -across
        return -cfg.near < out < 2 * cfg.near or abs(along) > cfg.hurry or self._since_s > cfg.patience_s * self._time

    def _steady(self, now: Moment, since_s: float) -> np.ndarray:
        """The capture point of a steady walk after a time in single support [m], (2,)."""
        offset = self._pace(now).offset(bool(self._left[self.carrier]))
        return now.feet[self.carrier] + now.heading @ offset * np.exp(self.rate * (since_s + self._both_s / 2))

    def _press_one(self, now: Moment) -> np.ndarray:
        """The point of pressure on the stance foot that brings the capture point back to the steady walk's."""
        error = now.heading.T @ (now.capture - self._steady(now, self._since_s))
        return now.feet[self.carrier] + now.heading @ np.clip(self.cfg.pressure_gain * error, *self._sole)

    def _press_both(self, now: Moment) -> np.ndarray:
        """The point of pressure between the standing feet: beyond the capture point, such that it moves to where it should be."""
        foot, other = now.feet[self.carrier], now.feet[1 - self.carrier]
        goal = now.feet.mean(0) if self._rests else self._steady(now, 0.0)
        low, high = self._sole
        wanted = now.heading.T @ (now.capture + self.cfg.shift_gain * (now.capture - goal) - foot)
        apart = now.heading.T @ (other - foot)
        if not self.down.all():  # on the one that does
            stand = apart if self.down[1 - self.carrier] else np.zeros(2)
            return foot + now.heading @ np.clip(wanted, stand + low, stand + high)
        across = np.clip(wanted[1], min(0.0, apart[1]) + low[1], max(0.0, apart[1]) + high[1])
        along = np.clip(across / apart[1], 0.0, 1.0) * apart[0]  # of the line between the feet
        return foot + now.heading @ np.array([np.clip(wanted[0], along + low[0], along + high[0]), across])
