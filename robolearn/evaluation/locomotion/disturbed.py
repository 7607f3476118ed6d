"""Item `disturbed`: commands over the whole range under all disturbances of the robot's training."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import torch

from envs.terms.randomization import TOGETHER
from envs.vec_env import VecEnv
from robolearn.evaluation.figures import mean, share
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.corners import listed, written
from robolearn.evaluation.locomotion.record import walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

SECONDS, QUICK_SECONDS = 20.0, 8.0
RANDOM = 13  # commands per seed from anywhere in the range, besides the grid's 27
MOST_TOLD = 4  # commands to list under which robots fell
KINDS = ("pushes", "lasting forces", "thrown balls")
"""The joint terms in `envs.terms.randomization.TOGETHER`."""


def commands(setup: Setup) -> np.ndarray:
    """For each seed all combinations of the ends and the middle of every axis, then some from anywhere in the range, (N, 3)."""
    axes = [(low, (low + high) / 2 if low * high >= 0 else 0.0, high) for low, high in setup.ranges]
    grid = np.array(list(itertools.product(*axes)))
    lower, upper = np.array(setup.ranges).T
    anywhere = np.random.default_rng(setup.seed).uniform(lower, upper, (setup.seeds, RANDOM, len(axes)))
    return np.concatenate([np.concatenate([grid, some]) for some in anywhere]).round(4)


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    asked = commands(setup)
    env = setup.disturbed().env(len(asked))
    seconds = QUICK_SECONDS if setup.quick else SECONDS
    command = torch.from_numpy(asked).float()
    record = walk(env, setup.make_actor(env.num_worlds), command, seconds, "disturbed")
    planar, yaw = record.errors()
    survived = record.survived
    at_ends = _at_ends(setup, asked)
    groups = {"all": np.ones(len(asked), bool)}
    groups |= {f"{count} of {at_ends.shape[1]} at an end": at_ends.sum(1) == count for count in range(at_ends.shape[1] + 1)}
    rows = [
        {
            "commands": name,
            "survival": share(survived[at]),
            "velocity_error_xy": mean(planar[at]),
            "velocity_error_yaw": mean(yaw[at]),
        }
        for name, at in groups.items()
        if at.any()
    ]
    cells = [
        {
            "vx": cell[0],
            "vy": cell[1],
            "yaw_rate": cell[2],
            "survival": share(survived[at]),
            "velocity_error_xy": mean(planar[at]),
            "velocity_error_yaw": mean(yaw[at]),
        }
        for cell in dict.fromkeys(map(tuple, asked.tolist()))
        for at in [(asked == cell).all(1)]
    ]
    fell = Counter(written(row) for row in asked[~survived])
    told = [(written((row["vx"], row["vy"], row["yaw_rate"])), row["velocity_error_xy"].value) for row in cells]
    errors = sorted([(name, error) for name, error in told if error is not None], key=lambda row: -row[1])
    world = int(np.flatnonzero(~survived)[0]) if len(fell) else 0
    return ItemResult(
        text=f"{len(asked)} episodes of {seconds:g} s on a plane, each with one command from the whole range: all combinations of the ends "
        f"and the middle, and {RANDOM} per seed from anywhere. {happening(env)}",
        headline={"survival": rows[0]["survival"], "velocity_error_xy": rows[0]["velocity_error_xy"]},
        where={
            "survival": listed("falls", [(name, str(count)) for name, count in fell.most_common(MOST_TOLD)]),
            "velocity_error_xy": listed("most under", [(name, f"{error:.2f}") for name, error in errors[:MOST_TOLD]]),
        },
        tables=[
            Table(title="By number of entries of the command at an end of the range", rows=rows),
            Table(title="All commands", rows=cells, folded=True),
        ],
        clips=[film(setup, env, record, world, max(0.0, record.alive[:, world].sum() * record.dt - 5.0), seconds, "all disturbances")],
    )


def happening(env: VecEnv) -> str:
    """The disturbances of these worlds, as a sentence."""
    table = env.cfg.randomization
    found = [kind for kind, names in zip(KINDS, TOGETHER, strict=True) if table.range(names[0]) is not None]
    found += [name for name, term in table.terms().items() if term.when == "interval"]
    return f"All randomization of its training at full strength, with {', '.join(found)}." if found else "Its training had no disturbances."


def _at_ends(setup: Setup, asked: np.ndarray) -> np.ndarray:
    """Which entries (N, C) of commands lie at an end of their range."""
    return np.isclose(asked, np.array(setup.ranges)[:, 0], atol=1e-3) | np.isclose(asked, np.array(setup.ranges)[:, 1], atol=1e-3)
