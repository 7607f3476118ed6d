"""What the robot cannot see and has to find out: quantities of the table of randomization that change while a world lives.

    randomization:
      weak_motor:
        func: "envs.terms.changes:Change"
        when: interval
        interval_s: [3.0, 8.0]
        quantity: motor_strength    # what changes, an entry of `envs.terms.randomization.QUANTITIES`
        low: 0.2                    # to what, as a range of that quantity would say it
        high: 0.7
        some: 1                     # of its joints (or axes), drawn anew; 0 for all
        share: 0.7                  # of the changes that bring it; the others bring back what the table drew
        at_start: true              # an episode may begin with it, too
        kept: true                  # and a fall does not mend it

One such term may be about a quantity. What the privileged observation tells of the quantity follows, since both read what was drawn.
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
"""Quantities that may change in mid-episode: those of bodies, motors and sensors that keep the shapes as they are."""
MOTORS = ("motor_strength", "kp", "kd", "joint_damping", "joint_friction", "joint_offset")
"""Those with an entry a joint."""
NOT_BELOW = {"mass": 0.05, "friction": 0.0, "motor_strength": 0.0, "kp": 0.0, "kd": 0.0, "joint_damping": 0.0, "joint_friction": 0.0,
             "observation_delay_s": 0.0, "action_delay_s": 0.0}  # fmt: skip
"""The least that makes sense."""


class Change:
    """A quantity takes other values in some worlds, until it is drawn again or the episode ends.

    What is drawn takes the place of what the table drew for the same entries. What stands there before, by whomever it was put, is what a
    world goes back to.
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
        """Bind it.

        Args:
            env: the worlds.
            quantity: what changes.
            low, high: bounds of the new value, in the quantity's own meaning (a factor, what is added, a value).
            some: how many of its entries change, drawn at each change; 0 for all.
            share: of the changes that bring a new value; the others bring back what the table drew.
            at_start: whether episodes may begin with it, by the same share.
            kept: whether it outlasts a fall, as a worn motor does; when time is up another robot begins.
            flips: whether half of the new values have the other sign, each entry by itself.

        Raises:
            ValueError: bounds, share or number of entries that make no sense.
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
        self._usual = env.buffer(f"change.{quantity}.usual", (width,))  # what a world goes back to
        self.put = env.buffer(f"change.{quantity}.put", (width,))  # what it was given last
        self.changed = env.buffer(f"change.{quantity}.changed", (width,), torch.bool)

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        """Draw anew for the worlds `ids` (n,)."""
        self._learn_usual(ids)
        unit = torch.rand(len(ids), self.changed.shape[1], generator=env.generator, device=env.device)
        chosen = unit.argsort(1).argsort(1) < self._some
        there = uniform(0.0, 1.0, (len(ids), 1), env.generator) < self._share
        value = uniform(*self._bounds, tuple(unit.shape), env.generator)
        if self._flips:
            value = torch.where(uniform(0.0, 1.0, tuple(unit.shape), env.generator) < 0.5, value, -value)
        self.write(ids, chosen & there, value)

    def write(self, ids: torch.Tensor, changed: torch.Tensor, value: torch.Tensor) -> None:
        """Give the entries `changed` (n, k) bool of the worlds `ids` (n,) the `value` (n, k), and the others their usual one."""
        self._learn_usual(ids)
        put = torch.where(changed, value, self._usual[ids])
        self.changed[ids], self.put[ids] = changed, put
        _set(self._env, self.quantity, ids, put)

    def reset(self, ids: torch.Tensor) -> None:
        """The worlds `ids` begin anew: with what the table drew, or with a new draw, or after a fall with what they had."""
        stays = self._env.terminated[ids] & (self._env.episode_steps[ids] > 0) & self._kept
        old, begin = ids[stays], ids[~stays]
        if len(old):
            self.write(old, self.changed[old], self.put[old])
        if len(begin) and self._at_start:
            self(self._env, begin)
        elif len(begin):
            self.write(begin, torch.zeros_like(self.changed[begin]), self.put[begin])

    def _learn_usual(self, ids: torch.Tensor) -> None:
        """What stands there and was not put by this term is what the table drew."""
        now = _now(self._env, self.quantity)[ids]
        mine = self.changed[ids].any(1) & torch.isclose(now, self.put[ids]).all(1)
        self._usual[ids] = torch.where(mine[:, None], self._usual[ids], now)


def _now(env: Env, quantity: str) -> torch.Tensor:
    """What each world has of a quantity, (N, k)."""
    loose = env.unwritten()
    if quantity in loose:
        value, unit = loose[quantity]
        return value * unit
    return env.randomizer.drawn[quantity]


def _set(env: Env, quantity: str, ids: torch.Tensor, values: torch.Tensor) -> None:
    """Give worlds `ids` (n,) values (n, k) of a quantity."""
    loose = env.unwritten()
    if quantity in loose:
        value, unit = loose[quantity]
        value[ids] = values / unit
    else:
        env.randomizer.put(quantity, ids, values)
