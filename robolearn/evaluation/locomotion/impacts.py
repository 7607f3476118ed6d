"""Items `pushes` and `throws`: survival and recovery time by strength and side of a blow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from envs.terms.disturbance import BALL_MASS
from envs.terms.randomization import Range
from envs.vec_env import VecEnv
from robolearn.evaluation.figures import mean, share
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.logistic import fit
from robolearn.evaluation.locomotion.record import walk
from robolearn.evaluation.locomotion.recovery import recovery_times
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.evaluation.worlds import FOREVER_S

BEFORE_S, AFTER_S = 2.5, 4.0
SIDES = ("front", "front left", "left", "rear left", "rear", "rear right", "right", "front right")
"""Sides of the blow, counterclockwise from the front."""
VELOCITY_CHANGES = np.linspace(0.4, 3.2, 8)  # m/s, of the pushes; scale with the robot
BALL_SPEEDS = np.linspace(2.0, 16.0, 8)  # m/s; scale with the robot, as the ball's mass does


def pushes(setup: Setup) -> ItemResult:
    """See `items.Item`: an impulse on the whole robot."""
    env = setup.env(_worlds(setup))
    mass = env.robot_mass().cpu().numpy()
    levels = to_two_digits(setup.scaled(VELOCITY_CHANGES, "speed") * np.median(mass))

    def strike(level: np.ndarray, side: np.ndarray) -> None:
        velocity = env.engine.qvel.clone()
        away, change = _heading(env) + side + np.pi, level / mass
        velocity[:, :2] += env.tensor(np.stack([change * np.cos(away), change * np.sin(away)], axis=1))
        env.engine.set_velocity(torch.arange(env.num_worlds, device=env.device), velocity)

    text = "An impulse changes the velocity of the whole robot at once: impulse = mass times change of velocity."
    return _impacts(setup, env, levels, strike, "impulse", text)


def throws(setup: Setup) -> ItemResult:
    """See `items.Item`: a ball, simulated as a separate body."""
    mass = float(setup.scaled(BALL_MASS, "mass"))
    ball = Range(low=mass, high=mass, operation="set")
    never = Range(low=FOREVER_S, high=FOREVER_S, operation="set")
    speed = Range(low=1.0, high=1.0, operation="set")
    env = setup.env(_worlds(setup), thrown_mass=ball, thrown_speed=speed, throw_interval_s=never)

    def strike(level: np.ndarray, side: np.ndarray) -> None:
        everywhere = torch.arange(env.num_worlds, device=env.device)
        env.disturbances.throw(everywhere, env.tensor(_heading(env) + side), env.tensor(level))

    text = f"A ball of {mass:.3g} kg, simulated as a separate body, flies at the base from 1 m away at the given relative speed."
    return _impacts(setup, env, setup.scaled(BALL_SPEEDS, "speed"), strike, "ball_speed", text)


def _worlds(setup: Setup) -> int:
    return len(BALL_SPEEDS) * len(SIDES[:: 2 if setup.quick else 1]) * setup.seeds


def to_two_digits(values: np.ndarray) -> np.ndarray:
    """Values rounded to whole numbers, or to two digits if they are small."""
    return np.round(values) if values.min() >= 1 else np.array([float(f"{value:.2g}") for value in values])


def _heading(env: VecEnv) -> np.ndarray:
    """Yaw of each base [rad], (N,)."""
    return env.base.yaw.cpu().numpy().astype(float)


def _impacts(
    setup: Setup, env: VecEnv, levels: np.ndarray, strike: Callable[[np.ndarray, np.ndarray], None], what: str, text: str
) -> ItemResult:
    """Strike every world once, each combination of level and side in `setup.seeds` worlds."""
    sides = SIDES[:: 2 if setup.quick else 1]
    level = np.tile(np.repeat(levels, len(sides)), setup.seeds)
    side = np.tile(np.arange(len(sides)), len(levels) * setup.seeds)
    at = round(BEFORE_S / env.cfg.control_dt)
    command = torch.tensor([[setup.cruise, 0.0, 0.0]]).repeat(env.num_worlds, 1)
    name = "pushes" if what == "impulse" else "throws"

    def before(index: int) -> None:
        if index == at:
            strike(level, side * 2 * np.pi / len(sides))

    record = walk(env, setup.make_actor(env.num_worlds), command, BEFORE_S + AFTER_S, name, before=before)
    ready = record.alive[at - 1] if len(record.alive) > at else np.zeros(env.num_worlds, bool)
    off = (record.velocity - record.command)[..., :2]
    recovery = recovery_times(off, record.tilt, record.alive, at, record.dt)
    survived = record.survived
    half_name = f"half_{what.removeprefix('ball_')}"
    if not ready.any():
        return ItemResult(status="failed", reason="every world fell before it was struck")
    curve = fit(level[ready], survived[ready])
    by_side = {label: ready & (side == index) for index, label in enumerate(sides)}
    halves = {label: fit(level[mask], survived[mask]).half for label, mask in by_side.items() if mask.any()}

    def row(value: float) -> dict:
        mask = ready & (level == value)
        stood = mask & survived
        return {
            what: value,
            "survival": share(survived[mask]),
            "recovered": share(np.isfinite(recovery[stood])),
            "recovery_time": mean(recovery[stood]),
        }

    rows = [row(value) for value in levels]
    lived = np.flatnonzero(ready & survived)
    world = int(lived[level[lived].argmax()]) if len(lived) else 0
    title = (
        f"{'push' if what == 'impulse' else 'ball'} from the {sides[side[world]]}, {level[world]:g} {'N s' if what == 'impulse' else 'm/s'}"
    )
    return ItemResult(
        text=f"{text} The robot walks ahead at {setup.cruise:g} m/s when it is struck after {BEFORE_S:g} s, and must still be up "
        f"{AFTER_S:g} s later. The half point is where a logistic curve through all episodes falls to 50 %; a robot has recovered "
        f"when it stays within the velocity error and tilt of undisturbed walking for half a second.",
        headline={half_name: curve.half, "recovery_time": mean(recovery[ready & survived]), "fell_before": share(~ready)},
        tables=[
            Table(title="By strength", rows=rows),
            Table(title="By side", rows=[{"from": label, half_name: half} for label, half in halves.items()]),
        ],
        plots=[charts.survival_curve(rows, what, curve, half_name), charts.by_side(halves, half_name)],
        clips=[film(setup, env, record, world, BEFORE_S - 0.5, BEFORE_S + 2.5, title)],
    )
