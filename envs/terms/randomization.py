"""Domain randomization: variations between worlds, as one table of entries by name.

    RandomizationCfg(
        friction=Range(low=0.5, high=2.0),                         # a quantity of ours, see `QUANTITIES`
        slope=EventTerm(my_package.slope, when="reset", most=0.1),  # your own term, with a function
        noise=0.5,
    )

A quantity varies by a `Range`. Model fields go through `Engine.set_field`, so they work with all engines, see `envs.terms.fields`.
Quantities that are not model fields are applied elsewhere: sensing noise and delay, actuation delay and encoder offsets by `envs.vec_env`,
pushes, forces and throws by `envs.terms.disturbance`. Quantities have no separate functions, since several affect the same field (mass,
payload, centre of mass and link size affect inertia; strength and gains affect the motors). A term with a function is applied after them,
in the table's order, see `envs.terms.events`; with the name of a quantity it replaces that quantity. Ranges start from Radosavovic et al.
2024 (arXiv 2303.03381, table of randomizations).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from envs.terms.term import EventTerm


@dataclass(frozen=True, kw_only=True)
class Range:
    """The variation of one quantity.

    Attributes:
        low: lower bound, in the unit of the entry, or a factor.
        high: upper bound.
        operation: `scale` multiplies the nominal value, `add` adds to it, `set` replaces it.
        distribution: `uniform`, or `log_uniform` for factors over decades.
        when: `startup` (once a world), `reset` (each episode).
    """

    low: float
    high: float
    operation: Literal["scale", "add", "set"] = "scale"
    distribution: Literal["uniform", "log_uniform"] = "uniform"
    when: Literal["startup", "reset"] = "reset"

    def __post_init__(self) -> None:
        if not self.low <= self.high:  # NaN, too
            raise ValueError(f"randomization range is empty: low {self.low} > high {self.high}")
        if self.distribution == "log_uniform" and self.low <= 0:
            raise ValueError(f"a log-uniform range needs a positive low, not {self.low}")

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        """Draw values."""
        unit = torch.rand(shape, generator=generator, device=generator.device)
        if self.distribution == "log_uniform":
            return torch.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        return self.low + unit * (self.high - self.low)

    def apply(self, nominal: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Combine a drawn value with the nominal one."""
        if self.operation == "scale":
            return nominal * value
        return nominal + value if self.operation == "add" else torch.zeros_like(nominal) + value


QUANTITIES = {
    "friction": "sliding friction of the contact geoms, one value per world",
    "mass": "mass and inertia of every link, one factor per link",
    "payload": "mass added to the base body [kg]",
    "center_of_mass": "shift of the base body's centre of mass, each axis [m]",
    "motor_strength": "factor on the torque that each motor gives for the same command (gains and limit), one per joint",
    "kp": "factor on the position gain, one per joint",
    "kd": "factor on the damping gain, one per joint",
    "joint_damping": "factor on passive damping, one per joint",
    "joint_friction": "dry friction added to each joint [N m]; it adds one constraint row per joint (20 % of the step's time)",
    "joint_armature": "factor on reflected inertia, one per joint",
    "gravity": "value added to each axis of the gravity vector [m/s2]",
    "joint_offset": "encoder offset [rad], one per joint; the PD uses the offset reading",
    "observation_delay_s": "age of the sensor readings [s], at most one control step",
    "action_delay_s": "time until a new target reaches the motors [s], at most eight control steps",
    "push_velocity": "planar velocity added to the base at a push, each axis [m/s]",
    "push_interval_s": "time between pushes [s]",
    "link_size": "factor on the size of every link and on the places of its children, one per link",
    "restitution": "restitution of the contact geoms: share of the speed that a bounce keeps, one value per world",
    "external_force": "force on the base, each axis of the world [N], held until the next draw",
    "external_force_interval_s": "how long the force is held [s]",
    "thrown_mass": "mass of a ball that is thrown at the robot [kg]; it is a separate body with six degrees of freedom",
    "thrown_speed": "speed of the ball relative to the robot [m/s]",
    "throw_interval_s": "time between throws [s]",
}
"""Entries without a function: name -> what varies."""

OPERATION = {
    "mass": "scale", "payload": "add", "center_of_mass": "add", "motor_strength": "scale", "kp": "scale", "kd": "scale",
    "joint_offset": "set", "observation_delay_s": "set", "action_delay_s": "set", "push_velocity": "add", "push_interval_s": "set",
    "link_size": "scale", "restitution": "set", "external_force": "set", "external_force_interval_s": "set",
    "thrown_mass": "set", "thrown_speed": "set", "throw_interval_s": "set",
}  # fmt: skip
"""Entries with a fixed operation; the others take any."""

WHEN_DUE = ("push_velocity", "push_interval_s", "external_force", "external_force_interval_s", "thrown_speed", "throw_interval_s")
"""Entries that are drawn each time they are due, independent of episodes."""

ABOVE_ZERO = ("mass", "link_size", "thrown_mass", "push_interval_s", "external_force_interval_s", "throw_interval_s")
"""Entries whose values must be positive: masses, sizes, and times between two disturbances."""

NOT_NEGATIVE = ("friction", "motor_strength", "kp", "kd", "joint_damping", "joint_friction", "joint_armature", "thrown_speed")
"""Entries whose values or factors cannot be negative; values added to the nominal one may be."""

TOGETHER = (
    ("push_velocity", "push_interval_s"),
    ("external_force", "external_force_interval_s"),
    ("thrown_mass", "thrown_speed", "throw_interval_s"),
)
"""Groups of entries that need each other: the disturbances."""

RESERVED = ("entries", "disturbance_ramp", "noise")
"""The table's own settings, which are not allowed as names of entries."""

Entry = Range | EventTerm


@dataclass(frozen=True, init=False)
class RandomizationCfg:
    """The table of randomization.

    Attributes:
        entries: name -> the range of a quantity, or a term with a function.
        disturbance_ramp: whether pushes, forces and throws begin at zero in each world and grow with its success.
        noise: factor on the observation noise of every term; 0 for none.
    """

    entries: Mapping[str, Entry]
    disturbance_ramp: bool = False
    noise: float = 1.0

    def __init__(
        self, entries: Mapping[str, Entry] | None = None, *, disturbance_ramp: bool = False, noise: float = 1.0, **named: Entry | None
    ) -> None:
        """Entries are keyword arguments by name; None removes one of `entries`, as in `dataclasses.replace(table, friction=None)`.

        Raises:
            ValueError: an entry that does not exist or makes no sense; the message names it.
        """
        given = {**(entries or {}), **named}
        object.__setattr__(self, "entries", {name: entry for name, entry in given.items() if entry is not None})
        object.__setattr__(self, "disturbance_ramp", disturbance_ramp)
        object.__setattr__(self, "noise", noise)
        self._check()

    def range(self, name: str) -> Range | None:
        """The variation of a quantity; None if it does not vary, or a term has replaced it.

        Raises:
            KeyError: no such quantity.
        """
        if name not in QUANTITIES:
            raise KeyError(f"there is no quantity {name!r}; valid: {', '.join(QUANTITIES)}")
        entry = self.entries.get(name)
        return entry if isinstance(entry, Range) else None

    def terms(self) -> dict[str, EventTerm]:
        """Entries that have a function, in order."""
        return {name: entry for name, entry in self.entries.items() if isinstance(entry, EventTerm)}

    def undisturbed(self) -> RandomizationCfg:
        """The table without disturbances during an episode: pushes, forces, throws, and terms at intervals."""
        happening = {name for names in TOGETHER for name in names}
        happening |= {name for name, term in self.terms().items() if term.when == "interval"}
        kept = {name: entry for name, entry in self.entries.items() if name not in happening}
        return RandomizationCfg(kept, disturbance_ramp=self.disturbance_ramp, noise=self.noise)

    def _check(self) -> None:
        for name, entry in self.entries.items():
            check_entry(name, entry)
        for parts in TOGETHER:
            given = [name for name in parts if self.range(name) is not None]
            if given and len(given) < len(parts):
                lacking = ", ".join(name for name in parts if name not in given)
                raise ValueError(f"{', '.join(given)} without {lacking}: they are needed together")
        if not self.noise >= 0:
            raise ValueError(f"noise must not be negative, is {self.noise:g}")


def check_entry(name: str, entry: object) -> None:
    """Raises `ValueError` if an entry of the table is invalid, or cannot have these values."""
    if name in RESERVED:
        raise ValueError(f"{name} is a setting of the table; give your entry another name")
    if isinstance(entry, EventTerm):
        return
    if not isinstance(entry, Range):
        raise ValueError(f"{name} must be a Range, or an EventTerm with a function, not {entry!r}")
    if name not in QUANTITIES:
        raise ValueError(no_such_quantity(name))
    if name in OPERATION and entry.operation != OPERATION[name]:
        raise ValueError(f"{name} has operation {OPERATION[name]!r}, not {entry.operation!r}")
    if name in WHEN_DUE and entry.when != "reset":
        raise ValueError(f"{name} is drawn each time it is due, so its `when` has no effect; leave it out")
    if name in ABOVE_ZERO and not entry.low > 0:
        raise ValueError(f"{name} must be above zero, its low is {entry.low:g}")
    if name in NOT_NEGATIVE and entry.operation != "add" and entry.low < 0:
        raise ValueError(f"{name} must not be negative, its low is {entry.low:g}")
    if name == "restitution" and not 0 <= entry.low <= entry.high < 1:
        raise ValueError(f"restitution must lie between 0 and 1, not {entry.low:g} to {entry.high:g}")


def no_such_quantity(name: str) -> str:
    """The message for a range with an unknown name."""
    near = difflib.get_close_matches(name, QUANTITIES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no quantity {name!r}{hint}; valid: {', '.join(QUANTITIES)}; an entry of your own has a function"


def without_randomization() -> RandomizationCfg:
    """Nominal physics, clean sensors."""
    return RandomizationCfg(noise=0.0)
