"""What a policy may meet: the ranges that conditions are drawn from, those of its training and a margin beyond them.

One axis is one number of an episode: a command and the one that follows it, the ground, a quantity of the table of randomization, a blow.
What an axis is called is what `envs.terms.conditions` reads. What has no axis (sensing noise, encoder offsets, links' lengths) is drawn as
in training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.scene.terrain import TerrainCfg
from envs.terms.randomization import ABOVE_ZERO, NOT_NEGATIVE, RandomizationCfg, Range
from policies.contract.spec import CommandSpec

STANDING = 0.1
"""Share of the commands that are zero, where a task's are velocities."""
SETTLE_S, AFTER_S = 1.0, 2.0
"""Nothing befalls a robot in the first second, nor in the last two: what a blow does must be seen."""
LEAST = 0.05  # of a factor or a mass that must be above zero
MOST_RESTITUTION = 0.9
LIGHTEST = 0.5  # share of the base's mass that a payload may take away

QUANTITIES = {
    "friction": ("friction", ""), "restitution": ("restitution", ""), "payload": ("payload", "kg"), "mass": ("mass", "x"),
    "motor_strength": ("motor strength", "x"), "kp": ("kp", "x"), "kd": ("kd", "x"), "joint_damping": ("joint damping", "x"),
    "observation_delay_s": ("age of readings", "s"), "action_delay_s": ("delay of actions", "s"), "thrown_mass": ("thrown mass", "kg"),
}  # fmt: skip
"""Quantities of the table that are one number an episode, or a mean over joints: name for people and unit."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One number of a condition.

    Attributes:
        name: of the column, see `envs.terms.conditions`.
        label, unit: for people.
        low, high: ends of what is drawn.
        trained: ends of what training drew.
        log: drawn evenly in its logarithm.
        whole: whole numbers alone.
        wraps: an angle, whose ends are the same.
        kinds: what the whole numbers stand for, in order; empty where they are numbers.
    """

    name: str
    label: str
    unit: str = ""
    low: float
    high: float
    trained: tuple[float, float]
    log: bool = False
    whole: bool = False
    wraps: bool = False
    kinds: tuple[str, ...] = ()

    def at(self, unit: np.ndarray) -> np.ndarray:
        """Values at shares (n,) of the range in [0, 1)."""
        if self.whole:
            return np.floor(self.low + unit * (self.high - self.low + 1))
        if self.log:
            return np.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        return self.low + unit * (self.high - self.low)


@dataclass(frozen=True, kw_only=True)
class Space:
    """All axes of a task for a robot.

    Attributes:
        axes: in the order of a condition's columns, C.
        labels: of the command's entries.
        stands: whether a command of zero means to stand.
    """

    axes: tuple[Axis, ...]
    labels: tuple[str, ...]
    stands: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(axis.name for axis in self.axes)

    def draw(self, count: int, seed: int) -> np.ndarray:
        """Conditions (count, C), a function of the seed."""
        generator = np.random.default_rng(seed)
        rows = np.stack([axis.at(generator.random(count)) for axis in self.axes], axis=1)
        if self.stands:
            for when in ("command", "then"):
                columns = [i for i, axis in enumerate(self.axes) if axis.name.startswith(f"{when}.")]
                still = generator.random(count) < STANDING
                rows[:, columns] *= ~still[:, None]
        return rows.astype(np.float32)


def space_of(cfg: EnvCfg, command: CommandSpec, robot: Robot, seconds: float, margin: float) -> Space:
    """The axes of a task.

    Args:
        cfg: of its training.
        command: what it may be asked.
        robot: who.
        seconds: length of an episode [s].
        margin: how far beyond training ranges go at either end, as a share of their width; blows twice that.
    """
    axes = [
        *_commands(command, seconds),
        *([] if cfg.terrain is None else _ground(cfg.terrain, margin)),
        *_physics(cfg, robot, margin),
        *_blows(cfg.randomization, seconds, margin),
    ]
    return Space(axes=tuple(axes), labels=command.labels, stands=command.kind == "velocity")


def widened(cfg: TerrainCfg, margin: float) -> TerrainCfg:
    """The ground of training with harder levels behind its own, which stay as they are."""
    levels = math.ceil(cfg.levels * (1 + margin))
    grown = {name: getattr(cfg, name) * levels / cfg.levels for name in ("roughness", "grade", "step", "plank")}
    return TerrainCfg(**{**{name: getattr(cfg, name) for name in cfg.__dataclass_fields__}, **grown, "levels": levels})


def _commands(command: CommandSpec, seconds: float) -> Iterator[Axis]:
    for when, words in (("command", ""), ("then", "then ")):
        for label, low, high in zip(command.labels, command.lower, command.upper, strict=True):
            yield Axis(name=f"{when}.{label}", label=f"{words}{label.replace('_', ' ')}", low=low, high=high, trained=(low, high))
    if command.labels:
        ends = (0.3 * seconds, 0.6 * seconds)
        yield Axis(name="change_s", label="command changes at", unit="s", low=ends[0], high=ends[1], trained=ends)


def _ground(cfg: TerrainCfg, margin: float) -> Iterator[Axis]:
    columns, levels = len(cfg.kinds), widened(cfg, margin).levels
    ends = (0.0, columns - 1.0)
    yield Axis(name="terrain.column", label="ground", low=0, high=ends[1], trained=ends, whole=True, kinds=cfg.kinds)
    yield Axis(name="terrain.level", label="level of the ground", low=0, high=levels - 1, trained=(0, cfg.levels - 1), whole=True)


def _physics(cfg: EnvCfg, robot: Robot, margin: float) -> Iterator[Axis]:
    table = cfg.randomization
    for name, (label, unit) in QUANTITIES.items():
        entry = table.range(name)
        if entry is not None and entry.high > entry.low:
            yield _axis(name, label, unit, entry, _limits(name, entry, cfg, robot), margin)
    center = table.range("center_of_mass")
    if center is not None and center.high > center.low:
        for axis, words in (("x", "ahead"), ("y", "to the left")):
            yield _axis(f"center_of_mass.{axis}", f"centre of mass {words}", "m", center, (-math.inf, math.inf), margin)


def _axis(name: str, label: str, unit: str, entry: Range, limits: tuple[float, float], margin: float) -> Axis:
    log = entry.distribution == "log_uniform"
    low, high = (math.log(entry.low), math.log(entry.high)) if log else (entry.low, entry.high)
    more = margin * (high - low)
    low, high = (math.exp(low - more), math.exp(high + more)) if log else (low - more, high + more)
    low, high = max(low, limits[0]), min(high, limits[1])
    return Axis(name=name, label=label, unit=unit, low=low, high=high, trained=(entry.low, entry.high), log=log)


def _limits(name: str, entry: Range, cfg: EnvCfg, robot: Robot) -> tuple[float, float]:
    """What a quantity cannot be beyond, whatever the margin."""
    if name in ("observation_delay_s", "action_delay_s"):
        return 0.0, cfg.control_dt
    if name == "restitution":
        return 0.0, max(entry.high, MOST_RESTITUTION)
    if name == "payload":
        base = float(robot.compiled.body_mass[robot.compiled.body(robot.base).id])
        return min(entry.low, -LIGHTEST * base), math.inf
    if name in ABOVE_ZERO or name in NOT_NEGATIVE:
        return min(entry.low, LEAST), math.inf
    return -math.inf, math.inf


def _blows(table: RandomizationCfg, seconds: float, margin: float) -> Iterator[Axis]:
    late = max(SETTLE_S, seconds - AFTER_S)
    kinds = (
        ("push", "push_velocity", "speed", "push", "m/s", (SETTLE_S, late)),
        ("force", "external_force", "size", "lasting force", "N", (SETTLE_S / 2, max(SETTLE_S, seconds / 2))),
        ("throw", "thrown_speed", "speed", "thrown object", "m/s", (SETTLE_S, late)),
    )
    for name, quantity, what, label, unit, when in kinds:
        entry = table.range(quantity)
        if entry is None:
            continue
        thrown = name == "throw"
        most = entry.high if thrown else math.sqrt(2) * max(abs(entry.low), abs(entry.high))
        least = entry.low if thrown else 0.0
        yield Axis(name=f"{name}.{what}", label=label, unit=unit, low=least, high=most * (1 + 2 * margin), trained=(least, most))
        turn = (-math.pi, math.pi)
        words = f"{label} {'comes from' if thrown else 'goes'}"
        yield Axis(name=f"{name}.angle", label=words, unit="rad", low=turn[0], high=turn[1], trained=turn, wraps=True)
        yield Axis(name=f"{name}.at_s", label=f"{label} at", unit="s", low=when[0], high=when[1], trained=when)
