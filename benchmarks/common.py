"""What all benchmarks share: the form of a result, and timing that holds on a busy computer.

Things that are compared run in turns, once each a repetition, so that whatever else the computer does meets all of them. A result's value
is the median over repetitions, its ratio the median of the ratios within a repetition.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class Entry(TypedDict):
    """A result: `ratio` is `value` over that of `against`, both None where there is nothing to compare with."""

    name: str
    value: float | None
    unit: str
    against: str | None
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person can ask of a benchmark.

    Attributes:
        quick: tiny sizes, to see that it runs; the figures mean nothing.
        worlds: of the simulation; None for the benchmark's own choice.
        task: the only one to simulate, or the preset of one; all with our own robots where None.
        robot: for a task that names none: name, or path of its robot.yaml.
        seconds: roughly how long each measured thing runs in all; None for the benchmark's own choice.
        policy: path of a policy file that moves the simulated robots; None for random actions.
    """

    quick: bool = False
    worlds: int | None = None
    seconds: float | None = None
    task: str | None = None
    robot: str | None = None
    policy: str | None = None


Times = dict[str, list[float]]


def entry(name: str, value: float | None, unit: str, against: str | None = None, ratio: float | None = None) -> Entry:
    """A result, rounded to what can be meant."""
    return Entry(name=name, value=_rounded(value), unit=unit, against=against, ratio=_rounded(ratio))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def alternate(
    functions: Mapping[str, Callable[[], object]],
    *,
    quick: bool,
    seconds: float = 20.0,
    least: int = 5,
    before: Callable[[], object] | None = None,
) -> Times:
    """Run functions in turns. Returns the time of every run [s], by name.

    Args:
        functions: each runs once a repetition; one unmeasured repetition comes first.
        quick: two repetitions only.
        seconds: repeat for about so long.
        least: repetitions at least.
        before: called before every run, outside the time.
    """
    times: Times = {name: [] for name in functions}
    begin = time.perf_counter()
    repetition = -1
    while repetition < (2 if quick else least) or (not quick and time.perf_counter() - begin < seconds):
        for name, function in functions.items():
            if before is not None:
                before()
            gc.collect()
            start = time.perf_counter()
            function()
            if repetition >= 0:
                times[name].append(time.perf_counter() - start)
        repetition += 1
    return times


def median(values: list[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def time_ratio(times: Times, name: str, against: str) -> float:
    """How long `name` took over how long `against` took in the same repetition, the median."""
    return median([one / other for one, other in zip(times[name], times[against], strict=True)])


def rate_ratio(times: Times, name: str, against: str, work: float = 1.0) -> float:
    """How fast `name` was over how fast `against` was in the same repetition, the median; `work` is their ratio of work done."""
    return median([work * other / one for one, other in zip(times[name], times[against], strict=True)])


def resident_mib() -> float:
    """Memory of this process that is in RAM now [MiB]."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def say(text: str) -> None:
    """Tell the person what is going on; standard output is for results."""
    print(text, file=sys.stderr, flush=True)
