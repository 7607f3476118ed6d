"""Item `commands`: how well each cell of the task's command range is followed, and whether it looks like walking."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from robolearn.evaluation.figures import Figure, mean, ratio, share
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.gait import FIGURES, gait
from robolearn.evaluation.locomotion.record import Record, over_time, walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

SECONDS = 8.0
DIGITS = 4  # digits of a command, so that cells are found by their values
EXTRA = 4  # episodes per seed of compared commands: turning on the spot, and ahead and backward at one speed
AHEAD, BACKWARD = "ahead, as fast as backward", "backward, as fast as ahead"
Cell = tuple[float, float, float]


def grid(setup: Setup) -> list[Cell]:
    """Commands from end to end of the task's range, zero included: 5 x 3 x 3, or only the ends and the middle."""
    vx, vy, yaw = setup.ranges

    def through_zero(low: float, high: float, halves: bool) -> list[float]:
        values = {low, 0.0, high} | ({low / 2, high / 2} if halves else set())
        return sorted(round(value, DIGITS) for value in values)

    return list(itertools.product(through_zero(*vx, halves=not setup.quick), through_zero(*vy, False), through_zero(*yaw, False)))


def named(setup: Setup) -> dict[str, Cell]:
    """The cells that have a name."""
    (back, ahead), (right, left), (_, turn) = setup.ranges
    cells = {"stand": (0.0, 0.0, 0.0), "ahead, full": (ahead, 0.0, 0.0), "backward": (back, 0.0, 0.0), "left": (0.0, left, 0.0)}
    cells |= {"right": (0.0, right, 0.0), "turn left": (0.0, 0.0, turn), "ahead and turn": (ahead, 0.0, turn)}
    halves = {} if setup.quick else {"ahead, half": (ahead / 2, 0.0, 0.0)}
    all_cells = {"stand": cells["stand"], **halves, **cells}
    return {name: (round(vx, DIGITS), round(vy, DIGITS), round(yaw, DIGITS)) for name, (vx, vy, yaw) in all_cells.items()}


def compared(setup: Setup) -> dict[str, Cell]:
    """Commands that are tried more often: full turns on the spot and while walking, and ahead and backward at their common speed."""
    (back, ahead), _, (right, left) = ((round(low, DIGITS), round(high, DIGITS)) for low, high in setup.ranges)
    both = min(ahead, -back)
    cells = {"turn left": (0.0, 0.0, left), "turn right": (0.0, 0.0, right)}
    cells |= {"ahead and turn left": (ahead / 2, 0.0, left), "ahead and turn right": (ahead / 2, 0.0, right)}
    cells = {name: cell for name, cell in cells.items() if cell[2]}
    return cells | ({AHEAD: (both, 0.0, 0.0), BACKWARD: (-both, 0.0, 0.0)} if both > 0 else {})


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    cells, extra = grid(setup), compared(setup)
    often = EXTRA * setup.seeds
    tried = [*(cells * setup.seeds), *(cell for cell in extra.values() for _ in range(often))]
    env = setup.env(len(tried))
    command = torch.tensor(tried, dtype=torch.float32)
    record = walk(env, setup.make_actor(env.num_worlds), command, SECONDS / 2 if setup.quick else SECONDS, "commands")
    seeds_of = {cell: np.arange(setup.seeds) * len(cells) + index for index, cell in enumerate(cells)}
    figures = measure(record)
    first = len(cells) * setup.seeds
    worlds_of = {name: first + index * often + np.arange(often) for index, name in enumerate(extra)}
    everything = [_row(cell, figures, seeds_of[cell]) for cell in cells]
    by_name = {name: _row(cell, figures, seeds_of[cell]) for name, cell in named(setup).items()}
    tracking = ("survival", "velocity_error_xy", "velocity_error_yaw", "cost_of_transport")
    walking = seeds_of[named(setup)["ahead, full"]]
    ahead = _summary(figures, walking)
    planar, yaw = figures["velocity_error_xy"], figures["velocity_error_yaw"]
    headline = {
        "survival": share(record.survived[:first]),
        "velocity_error_xy": mean(planar[:first]),
        "velocity_error_yaw": mean(yaw[:first]),
        "cost_of_transport": mean(figures["cost_of_transport"][:first]),
    }
    headline |= {f"{name} (ahead, full)": ahead[name] for name in ("foot_slip", "flight", "double_support", "step_length")}
    headline |= {f"turning_off ({name})": mean(figures["turning_off"][at]) for name, at in worlds_of.items() if extra[name][2]}
    if AHEAD in extra:
        headline["backward_ratio"] = ratio(planar[worlds_of[BACKWARD]], planar[worlds_of[AHEAD]])
    comparison = [{**_only(name, _summary(figures, at), (*tracking, "turning_off"))} for name, at in worlds_of.items()]
    world = int(next((w for w in walking if record.survived[w]), walking[0]))
    return ItemResult(
        text=f"{len(cells)} commands over the task's range, {setup.seeds} episodes of {len(record.alive) * record.dt:g} s each, bodies and "
        f"sensors randomized as in training, no pushes; {often} more of each compared command. Figures leave out the first second.",
        headline=headline,
        tables=[
            Table(title="Following commands", rows=[_only(name, row, tracking) for name, row in by_name.items()]),
            Table(title="Turning, and backward against ahead at the same speed", rows=comparison),
            Table(title="Feet", rows=[_only(name, row, FIGURES) for name, row in by_name.items()]),
            Table(title=f"All {len(cells)} commands", rows=everything, folded=True),
        ],
        plots=[
            charts.command_maps(cells, everything),
            charts.footfalls(record, world, env.feet.names, "footfalls, full speed ahead"),
        ],
        clips=[film(setup, env, record, world, 1.0, 5.0, "full speed ahead")],
    )


def measure(record: Record) -> dict[str, np.ndarray]:
    """All figures of each world (N,)."""
    planar, yaw = record.errors()
    figures = {"survival": record.survived, "velocity_error_xy": planar, "velocity_error_yaw": yaw}
    figures["turning_off"] = np.abs(over_time((record.velocity - record.command)[..., 2], record.counted()))
    return figures | {"cost_of_transport": record.cost_of_transport()} | gait(record)


def _row(cell: Cell, figures: dict[str, np.ndarray], worlds: np.ndarray) -> dict[str, float | Figure]:
    return {"vx": cell[0], "vy": cell[1], "yaw_rate": cell[2], **_summary(figures, worlds)}


def _summary(figures: dict[str, np.ndarray], worlds: np.ndarray) -> dict[str, Figure]:
    return {name: share(values[worlds]) if name == "survival" else mean(values[worlds]) for name, values in figures.items()}


def _only(name: str, row: Mapping[str, float | Figure], figures: Sequence[str]) -> dict[str, str | float | Figure]:
    return {"command": name} | {figure: row[figure] for figure in figures}
