"""Items `payload` and `friction`: one property of the world set to values within and beyond the trained range."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from envs.robots.robot import Robot
from envs.terms.randomization import Range
from robolearn.evaluation.figures import Figure, mean, share
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.logistic import fit
from robolearn.evaluation.locomotion.record import walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

SECONDS = 6.0
PAYLOAD_SHARES = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)  # of the robot's mass
FRICTIONS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 2.0)
EPISODES = 4  # per seed and value, since these items have few cells


def payload(setup: Setup) -> ItemResult:
    """See `items.Item`: mass on the base."""
    nominal = setup.robot.mass
    grain = 2.0 if nominal >= 5 else 20.0  # half a kilogram, or 50 g
    levels = tuple(round(grain * nominal * part) / grain for part in PAYLOAD_SHARES)
    rows, level, survived = _sweep(setup, "payload", levels[:: 2 if setup.quick else 1], "add", "startup")
    curve = fit(level + 1e-3, survived)
    trained = None if setup.trained is None else setup.trained.randomization.range("payload")
    known = "none" if setup.trained is not None else "a range that this version cannot read from its file"
    within = known if trained is None else f"{trained.low:g} to {trained.high:g} kg"
    return ItemResult(
        text=f"A mass fixed to the base, at its centre of mass; the robot weighs {nominal:.1f} kg and was trained with {within}. It walks "
        f"ahead at {setup.cruise:g} m/s for {SECONDS:g} s.",
        headline={"half_payload": curve.half},
        tables=[Table(title="By payload", rows=rows)],
        plots=[charts.sweep(rows, "payload", None if trained is None else (trained.low, trained.high))],
    )


def friction(setup: Setup) -> ItemResult:
    """See `items.Item`: sliding friction between foot and ground."""
    rows, _, _ = _sweep(setup, "friction", FRICTIONS[:: 3 if setup.quick else 1], "set", "reset")
    trained = trained_friction(setup)
    within = "one value" if trained is None else f"{trained[0]:g} to {trained[1]:g}"
    inside = [row for row in rows if trained is None or trained[0] <= row["friction"] <= trained[1]]
    least = rows[0]
    return ItemResult(
        text=f"The coefficient of sliding friction of the feet, trained with {within}. The robot walks ahead at {setup.cruise:g} m/s for "
        f"{SECONDS:g} s.",
        headline={f"survival (friction {least['friction']:g})": least["survival"]}
        | ({f"survival (friction {inside[0]['friction']:g})": inside[0]["survival"]} if inside else {}),
        tables=[Table(title="By friction", rows=rows)],
        plots=[charts.sweep(rows, "friction", trained)],
    )


def _sweep(setup: Setup, entry: str, levels: tuple[float, ...], operation: Any, when: Any) -> tuple[list[dict], np.ndarray, np.ndarray]:
    """Walk ahead at each level. Returns a row per level, and level and survival of each episode."""
    worlds = EPISODES * setup.seeds
    rows: list[dict[str, float | Figure]] = []
    survived = []
    for value in levels:
        env = setup.env(worlds, **{entry: Range(low=value, high=value, operation=operation, when=when)})
        command = torch.tensor([[setup.cruise, 0.0, 0.0]]).repeat(worlds, 1)
        record = walk(env, setup.make_actor(env.num_worlds), command, SECONDS, f"{entry} {value:g}")
        planar, yaw = record.errors()
        figures = {
            "velocity_error_xy": mean(planar),
            "velocity_error_yaw": mean(yaw),
            "cost_of_transport": mean(record.cost_of_transport()),
        }
        rows.append({entry: value, "survival": share(record.survived)} | figures)
        survived.append(record.survived)
    return rows, np.repeat(np.array(levels), worlds), np.concatenate(survived)


def trained_friction(setup: Setup) -> tuple[float, float] | None:
    """The coefficients that training drew; None if it drew none, or the file does not state them."""
    entry = None if setup.trained is None else setup.trained.randomization.range("friction")
    if entry is None:
        return None
    nominal = torch.tensor(foot_friction(setup.robot))
    low, high = (float(entry.apply(nominal, torch.tensor(value))) for value in (entry.low, entry.high))
    return round(low, 4), round(high, 4)


def foot_friction(robot: Robot) -> float:
    """The nominal coefficient of sliding friction under the first foot."""
    model = robot.compiled
    return float(model.geom_friction[robot.foot_geoms(model)[0][0], 0])
