"""The rounds: look where it fails, teach it there, test, and again. Each step leaves a file, and what has one is not done again.

plan.json                      what was asked for, and of whom
start/                         held_out.json, nominal.json of the policy as it came; expert.json of its teacher; choosing/
mined/round-1/ ...             explored.json, failures.json, conditions.json, training/ (a run), held_out.json, nominal.json
              choosing/        held_out.json, nominal.json of other episodes, by which the round is chosen that is kept
random/round-1/ ...            the control: the same number of control steps under conditions that are drawn alike
results.json, report.html      of what there is so far
policy.onnx                    the best round, if it is worth keeping, with its provenance
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from policies.files import make_folder, write_text
from robolearn.config import loading as config
from robolearn.errors import UserError
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.figures import share
from robolearn.mining import failure, results
from robolearn.mining.bench import LISTS, SEEDS_APART, TEACHING, Bench
from robolearn.mining.digest import digest
from robolearn.mining.episodes import Episodes
from robolearn.mining.explore import Judge
from robolearn.mining.results import MINED, RANDOM, Point, Results
from robolearn.mining.subject import Subject
from robolearn.mining.teach import config_of_round, teach
from robolearn.mining.weigh import Drawn, Toward, at_random, mined

PLAN = "plan.json"
Tell = Callable[[str], None]
Collect = Callable[[Subject, Bench, Drawn, int], None]
"""What else is done with a round's conditions, e.g. keeping episodes of the expert there as a dataset: called with the round's number."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of what.

    Attributes:
        rounds: 0 to look where it fails, and no more.
        control: whether as many steps under random conditions are taken as well.
        episodes: that a round looks at.
        held_out: episodes of the test.
        choosing: episodes by which the round is chosen that is kept; none of them is in the test.
        nominal_seeds: episodes a command of the task's own evaluation.
        iterations: of a round's training; the control gets as many more as looking costs.
        seconds: length of an episode [s].
        margin: how far beyond training ranges go, see `robolearn.mining.space.space_of`.
        ordinary: share of the training's episodes that are as in the student's own.
        toward: see `robolearn.mining.weigh`.
        limits: of the task's means, beyond which an episode has failed.
        seed: of everything.
    """

    rounds: int = 3
    control: bool = False
    episodes: int = 512
    held_out: int = 512
    choosing: int = 256
    nominal_seeds: int = 2
    iterations: int = 20
    seconds: float = 8.0
    margin: float = 0.25
    ordinary: float = 0.25
    toward: Toward = "failure"
    limits: dict[str, float] = dataclasses.field(default_factory=dict)
    seed: int = 0

    @property
    def arms(self) -> tuple[str, ...]:
        """Which there are."""
        return (MINED, RANDOM) if self.control else (MINED,)


def improve(subject: Subject, plan: Plan, folder: Path, tell: Tell, collect: Collect | None = None) -> tuple[Bench, Results]:
    """Do what is not done yet.

    Args:
        subject: whom to teach.
        plan: how much.
        folder: where everything goes, or lies already.
        tell: is given a line for people after each step.
        collect: what else is to be done with a round's conditions, before the training.

    Raises:
        UserError: the folder is of another plan or policy.
        Interrupted: an end was asked for; the same call goes on.
    """
    _settle(subject, plan, folder)
    bench = Bench(subject, plan.seconds, plan.margin, Judge.of(subject.cfg.task, plan.limits), plan.seed)
    start = _tested(bench, subject.actor, plan, folder / "start", "start", tell)
    choosing = [_for_choosing(bench, subject.actor, plan, folder / "start", "start")] if plan.rounds else []
    expert = None
    if plan.rounds and subject.state is not None:
        expert = _kept(
            folder / "start" / "expert.json", lambda: bench.held_out(lambda _: _expert(subject), plan.held_out, "teacher, held out")
        )
    arms: dict[str, list[Point]] = {arm: [] for arm in plan.arms} if plan.rounds else {}
    now: dict[str, dict[str, Any] | None] = dict.fromkeys(arms, subject.state)
    measures = bench.judge.evaluation.measures
    more = {name: measure.more_is_better for name, measure in measures.items()}
    found = Results(start=start, arms=arms, expert=expert, more_is_better=more, choosing=choosing)
    for number in range(1, plan.rounds + 1):
        for arm in arms:
            here = folder / arm / f"round-{number}"
            drawn = _conditions(bench, subject, now[arm], plan, arm, number, here, tell)
            if collect is not None and arm == MINED:
                collect(subject, bench, drawn, number)
            now[arm] = _taught(bench, subject, now[arm], plan, arm, number, here, drawn, tell)
            actor, label = partial(subject.actor, state=now[arm]), f"{arm}, round {number}"
            arms[arm].append(_tested(bench, actor, plan, here, label, tell))
            if arm == MINED:
                choosing.append(_for_choosing(bench, actor, plan, here, label))
            write_text(folder / "results.json", json.dumps(results.to_dict(found), indent=1) + "\n")
    if not plan.rounds:
        look(bench, subject, None, plan, folder / "start", 1, tell)
    return bench, found


def look(
    bench: Bench, subject: Subject, state: dict[str, Any] | None, plan: Plan, folder: Path, number: int, tell: Tell
) -> tuple[Episodes, failure.Failures]:
    """Where a policy fails; kept as explored.json and failures.json."""
    explored = _kept(
        folder / "explored.json",
        lambda: bench.explored(lambda n: subject.actor(n, state), plan.episodes, number, f"round {number}, looking"),
    )
    found = failure.find(bench.space, explored)
    write_text(folder / "failures.json", json.dumps(found.to_dict(), indent=1) + "\n")
    worst = found.worst(5) or found.tree[:3]
    tell(f"fails in {found.whole.line()}; most: " + "; ".join(group.line() for group in worst))
    return explored, found


def _conditions(
    bench: Bench, subject: Subject, state: dict[str, Any] | None, plan: Plan, arm: str, number: int, folder: Path, tell: Tell
) -> Drawn:
    """The list of conditions of a round: both arms weigh the same pool."""
    seed = LISTS + plan.seed * SEEDS_APART + number
    if arm == RANDOM:
        return at_random(bench.space, seed)
    explored, _ = look(bench, subject, state, plan, folder, number, tell)
    drawn = mined(bench.space, explored, seed, plan.toward)
    told = {"ranking": drawn.ranking, "expected": drawn.expected, "effective": drawn.effective, "toward": plan.toward, "pool_seed": seed}
    order = np.argsort(-drawn.weights)[:20]
    heaviest = [
        dict(zip(bench.space.names, map(float, drawn.conditions[i]), strict=True)) | {"weight": float(drawn.weights[i])} for i in order
    ]
    write_text(folder / "conditions.json", json.dumps(told | {"heaviest": heaviest}, indent=1) + "\n")
    return drawn


def _taught(
    bench: Bench, subject: Subject, state: dict[str, Any] | None, plan: Plan, arm: str, number: int, folder: Path, drawn: Drawn, tell: Tell
) -> dict[str, Any]:
    """The checkpoint after a round's training."""
    assert state is not None
    seed = TEACHING + plan.seed * SEEDS_APART + number
    iterations = plan.iterations
    if arm == RANDOM:
        iterations += extra_iterations(subject, plan)
    cfg = config_of_round(subject.cfg, iterations, plan.seconds, plan.margin, seed)
    levels = None if subject.cfg.env.terrain is None else subject.cfg.env.terrain.levels
    return teach(state, cfg, bench.space, drawn, plan.ordinary, levels, folder / "training")


def extra_iterations(subject: Subject, plan: Plan) -> int:
    """Iterations that cost as many control steps as looking where it fails does: what the control gets instead."""
    looked = plan.episodes * plan.seconds / subject.cfg.env.control_dt
    return math.ceil(looked / (subject.cfg.student.ppo.rollout_steps * subject.cfg.env.num_worlds))


def _tested(bench: Bench, actor: Callable[[int], Actor], plan: Plan, folder: Path, label: str, tell: Tell) -> Point:
    """A policy on both tests."""
    held_out = _kept(folder / "held_out.json", lambda: bench.held_out(actor, plan.held_out, f"{label}, held out"))
    nominal = _kept(folder / "nominal.json", lambda: bench.nominal(actor, plan.nominal_seeds, f"{label}, nominal"))
    shares = [f"{name} {value} % [{ends}]" for name, episodes in (("held-out", held_out), ("nominal", nominal))
              for value, ends in [share(episodes.failed).text("%")]]  # fmt: skip
    tell(f"{label}: failures {', '.join(shares)}")
    return Point(held_out=held_out, nominal=nominal)


def _for_choosing(bench: Bench, actor: Callable[[int], Actor], plan: Plan, folder: Path, label: str) -> Point:
    """A policy on the episodes by which the round is chosen that is kept."""
    here, label = folder / "choosing", f"{label}, choosing"
    return Point(
        held_out=_kept(here / "held_out.json", lambda: bench.held_out(actor, plan.choosing, label, choosing=True)),
        nominal=_kept(here / "nominal.json", lambda: bench.nominal(actor, plan.nominal_seeds, label, choosing=True)),
    )


def _expert(subject: Subject) -> Actor:
    expert = subject.expert()
    assert expert is not None
    return expert


def _kept(path: Path, run: Callable[[], Episodes]) -> Episodes:
    """Episodes of a file, or those that are run now and put there."""
    if not path.is_file():
        run().save(path)
    return Episodes.load(path)


def _settle(subject: Subject, plan: Plan, folder: Path) -> None:
    """Write the plan down, or see that a folder is of the same one; only the number of rounds may grow, and a control be added.

    Raises:
        UserError: it is of another.
    """
    wanted = json.loads(json.dumps(dataclasses.asdict(plan))) | {"policy": identity(subject), "settings": settings_of(subject)}
    path = folder / PLAN
    if path.is_file():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is none of robolearn improve: give another --out") from error
        differing = [name for name in wanted if name not in ("rounds", "control") and there.get(name) != wanted[name]]
        if differing:
            raise UserError(f"{folder} was begun with another {', '.join(differing)}; give another --out, or the same settings to go on")
    make_folder(folder)
    write_text(path, json.dumps(wanted, indent=1) + "\n")


def identity(subject: Subject) -> str:
    """What tells a policy from another: the digest of its weights, or of its file."""
    return subject.file.sha256 if subject.file is not None else digest(subject.state["policy"] if subject.state else {})


def settings_of(subject: Subject) -> str:
    """Digest of its training's config, overrides included: episodes that were met under others are no part of the same test."""
    return hashlib.sha256(config.dump(subject.cfg).encode()).hexdigest()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time works in a folder.

    Raises:
        UserError: another does.
    """
    make_folder(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another robolearn improve is at work in {folder}; wait for it, or give another --out") from error
        yield
