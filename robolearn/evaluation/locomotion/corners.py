"""Item `corners`: commands that jump from each corner of their range, and from standing, to every other in one step."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from envs.vec_env import VecEnv
from robolearn.evaluation.figures import share
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.record import Record, walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

BEFORE_S, AFTER_S = 3.0, 4.0
MOST_TOLD = 4  # pairs to list in which robots fell


def pairs(ranges: Sequence[tuple[float, float]]) -> np.ndarray:
    """All ordered pairs of the corners of a range and zero, (P, 2, C)."""
    ends = list(dict.fromkeys([*itertools.product(*ranges), (0.0,) * len(ranges)]))
    return np.array(list(itertools.permutations(ends, 2)))


def rush(setup: Setup, seeds: int) -> tuple[Record, np.ndarray, VecEnv]:
    """Run all pairs with this many seeds. Returns the record, the pairs (N, 2, C), and the worlds."""
    asked = np.tile(pairs(setup.ranges), (seeds, 1, 1))
    env = setup.env(len(asked))
    first, second = (torch.from_numpy(asked[:, index]).float().to(env.device) for index in range(2))
    at, step = round(BEFORE_S / env.cfg.control_dt), iter(range(10**9))

    def ask(env: VecEnv) -> torch.Tensor:
        del env
        return first if next(step) < at else second

    record = walk(env, setup.make_actor(env.num_worlds), ask, BEFORE_S + AFTER_S, "corners")
    return record, asked, env


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    record, asked, env = rush(setup, max(1, setup.seeds // 2))
    at = round(BEFORE_S / record.dt)
    ready = record.alive[at - 1] if len(record.alive) >= at else np.zeros(len(asked), bool)
    if not ready.any():
        return ItemResult(status="failed", reason="every world fell before its command changed")
    survived = record.survived
    fell = ready & ~survived
    turned = (asked[:, 0] * asked[:, 1] < 0).sum(1)
    groups = {"all": ready, "from standing": ready & ~asked[:, 0].any(1), "to standing": ready & ~asked[:, 1].any(1)}
    between = asked[:, 0].any(1) & asked[:, 1].any(1)
    groups |= {f"{count} entries change sign": ready & between & (turned == count) for count in range(1, asked.shape[2] + 1)}
    pair_names = [f"{written(one)} to {written(other)}" for one, other in asked]
    told = Counter(name for name, down in zip(pair_names, fell, strict=True) if down)
    world = int(np.flatnonzero(fell)[0]) if fell.any() else int(np.flatnonzero(ready & (turned == turned[ready].max()))[0])
    return ItemResult(
        text=f"Each robot holds a corner of the range of commands, or stands, for {BEFORE_S:g} s, then gets another command in one step, "
        f"and must still be up {AFTER_S:g} s later; all {len(pairs(setup.ranges))} ordered pairs, no pushes. Robots that fell before "
        f"the step are left out.",
        headline={"survival": share(survived[ready]), "fell_before": share(~ready)},
        where={"survival": listed("falls", [(name, str(count)) for name, count in told.most_common(MOST_TOLD)])},
        tables=[
            Table(
                title="By change", rows=[{"change": name, "survival": share(survived[mask])} for name, mask in groups.items() if mask.any()]
            ),
            Table(
                title="Falls by pair",
                rows=[{"pair": name, "falls": count} for name, count in told.most_common()] or [{"pair": "none"}],
                folded=True,
            ),
        ],
        clips=[film(setup, env, record, world, BEFORE_S - 1.0, BEFORE_S + 3.0, "corner to corner")],
    )


def written(command: Sequence[float] | np.ndarray) -> str:
    """A command as text."""
    return "(" + ", ".join(f"{value:.3g}" for value in command) + ")"


def listed(what: str, found: Sequence[tuple[str, str]]) -> str:
    """Names with their values, as a line of text; empty if there are none."""
    return f"{what}: " + ", ".join(f"{name} {value}" for name, value in found) if found else ""
