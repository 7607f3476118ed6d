"""Changes that a robot cannot see and has to notice: quantities of the table of randomization that change during an episode.

    randomization:
      weak_motor:
        func: "envs.terms.changes:Change"
        when: interval
        interval_s: [3.0, 8.0]
        quantity: motor_strength    # what changes, an entry of `envs.terms.randomization.QUANTITIES`
        low: 0.2                    # new value, in the meaning of that quantity's range
        high: 0.7
        some: 1                     # number of its joints (or axes), drawn each time; 0 for all
        share: 0.7                  # share of changes to a new value; the others return to the table's value
        at_start: true              # an episode may also begin with it
        kept: true                  # and it stays after a fall

Only one such term per quantity is allowed. The privileged observation of the quantity follows, since both read the drawn value.
"""

from __future__ import annotations

from typing import Literal

import torch

from envs.seeds import uniform
from envs.terms.face import Env

Changing = Literal[
    "friction", "mass", "payload", "center_of_mass", "motor_strength", "kp", "kd", "joint_damping", "joint_friction", "gravity",
    "joint_offset", "observation_delay_s", "action_delay_s",
]  # fmt: skip
"""Quantities that may change during an episode: those of bodies, motors and sensors that do not change shapes."""
MOTORS = ("motor_strength", "kp", "kd", "joint_damping", "joint_friction", "joint_offset")
"""Those with one entry per joint."""
NOT_BELOW = {"mass": 0.05, "friction": 0.0, "motor_strength": 0.0, "kp": 0.0, "kd": 0.0, "joint_damping": 0.0, "joint_friction": 0.0,
             "observation_delay_s": 0.0, "action_delay_s": 0.0}  # fmt: skip
"""Least valid values."""


class Change:
    """Sets a quantity to other values in some worlds, until the next draw or the end of the episode.

    The drawn value replaces the table's value for the same entries. A world returns to the value that was there before, whatever set it.
    """

    def __init__(
        self,
        env: Env,
        quantity: Changing,
        low: float,
        high: float,
        some: int = 0,
        share: float = 1.0,
        at_start: bool = False,
        kept: bool = False,
        flips: bool = False,
    ) -> None:
        """Bind it to an environment.

        Args:
            env: the worlds.
            quantity: the quantity to change.
            low, high: bounds of the new value, in the quantity's own meaning (a factor, what is added, a value).
            some: number of its entries to change, drawn at each change; 0 for all.
            share: share of the changes to a new value; the others return to the table's value.
            at_start: whether episodes may begin with it, with the same share.
            kept: whether it stays after a fall, as with a worn motor; when time is up, another robot begins.
            flips: whether half of the new values have the opposite sign, each entry independently.

        Raises:
            ValueError: bounds, share or number of entries make no sense.
        """
        width = _now(env, quantity).shape[1]
        if not low <= high:
            raise ValueError(f"low {low:g} is more than high {high:g}")
        if quantity in NOT_BELOW and (low < NOT_BELOW[quantity] or flips):
            raise ValueError(f"{quantity} must not be below {NOT_BELOW[quantity]:g}: low is {low:g}" + (", and flips" if flips else ""))
        if quantity == "observation_delay_s" and high > env.cfg.control_dt:
            raise ValueError(f"observation_delay_s is at most one control step ({env.cfg.control_dt:g} s), not {high:g}")
        if not 0 <= some <= width:
            raise ValueError(f"some must lie between 0 (for all) and {width}, the entries of {quantity}, not {some}")
        if not 0 <= share <= 1:
            raise ValueError(f"share must lie between 0 and 1, not {share:g}")
        self._env, self.quantity, self._bounds = env, quantity, (low, high)
        self._some, self._share, self._at_start, self._kept, self._flips = some or width, share, at_start, kept, flips
        self._usual = env.buffer(f"change.{quantity}.usual", (width,))  # the value that a world returns to
        self.put = env.buffer(f"change.{quantity}.put", (width,))  # the value set last
        self.changed = env.buffer(f"change.{quantity}.changed", (width,), torch.bool)

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        """Draw new values for the worlds `ids` (n,)."""
        self._learn_usual(ids)
        unit = torch.rand(len(ids), self.changed.shape[1], generator=env.generator, device=env.device)
        chosen = unit.argsort(1).argsort(1) < self._some
        there = uniform(0.0, 1.0, (len(ids), 1), env.generator) < self._share
        value = uniform(*self._bounds, tuple(unit.shape), env.generator)
        if self._flips:
            value = torch.where(uniform(0.0, 1.0, tuple(unit.shape), env.generator) < 0.5, value, -value)
        self.write(ids, chosen & there, value)

    def write(self, ids: torch.Tensor, changed: torch.Tensor, value: torch.Tensor) -> None:
        """Set the entries `changed` (n, k) bool of the worlds `ids` (n,) to `value` (n, k), and the others to their usual one."""
        self._learn_usual(ids)
        put = torch.where(changed, value, self._usual[ids])
        self.changed[ids], self.put[ids] = changed, put
        _set(self._env, self.quantity, ids, put)

    def reset(self, ids: torch.Tensor) -> None:
        """Begin episodes in the worlds `ids`: with the table's values, a new draw, or, after a fall, the values they had."""
        stays = self._env.terminated[ids] & (self._env.episode_steps[ids] > 0) & self._kept
        old, begin = ids[stays], ids[~stays]
        if len(old):
            self.write(old, self.changed[old], self.put[old])
        if len(begin) and self._at_start:
            self(self._env, begin)
        elif len(begin):
            self.write(begin, torch.zeros_like(self.changed[begin]), self.put[begin])

    def _learn_usual(self, ids: torch.Tensor) -> None:
        """Record the table's values: current values that this term did not set."""
        now = _now(self._env, self.quantity)[ids]
        mine = self.changed[ids].any(1) & torch.isclose(now, self.put[ids]).all(1)
        self._usual[ids] = torch.where(mine[:, None], self._usual[ids], now)


def _now(env: Env, quantity: str) -> torch.Tensor:
    """The values of a quantity in each world, (N, k)."""
    loose = env.unwritten()
    if quantity in loose:
        value, unit = loose[quantity]
        return value * unit
    return env.randomizer.drawn[quantity]


def _set(env: Env, quantity: str, ids: torch.Tensor, values: torch.Tensor) -> None:
    """Set a quantity of worlds `ids` (n,) to values (n, k)."""
    loose = env.unwritten()
    if quantity in loose:
        value, unit = loose[quantity]
        value[ids] = values / unit
    else:
        env.randomizer.put(quantity, ids, values)
