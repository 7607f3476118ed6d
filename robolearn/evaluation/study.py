"""Studies: students that differ in one thing, trained from one teacher with several seeds, evaluated on the same commands and physics.

A study is a YAML: the settings that all share, the variants, and the conditions under which all are evaluated, each a set of overrides.
When a study is started again, finished trainings and evaluations are reused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from envs.tasks.registry import UnknownTaskError, get_task
from policies.files import check_writable, make_folder, reason, write_text
from policies.networks.protocol import Network
from robolearn.config import loading as config
from robolearn.config import schema, settings
from robolearn.errors import UserError
from robolearn.evaluation.actors import StudentActor
from robolearn.evaluation.adaptation import study as adaptation
from robolearn.evaluation.adaptation.kinds import KINDS
from robolearn.evaluation.adaptation.suite import UNCHANGED
from robolearn.evaluation.evaluate import evaluate
from robolearn.evaluation.figures import Figure, written
from robolearn.evaluation.statistics import wilson
from robolearn.learning.run import CHECKPOINT, METRICS, Run, load_checkpoint
from robolearn.learning.student import StudentTrainer, load_student
from robolearn.learning.teacher import load_teacher
from robolearn.learning.trainer import resume, train
from robolearn.pretraining.starting import as_start

FIRST_SEED = 3000  # seed of the evaluations
INIT = "init="
"""Prefix of a pretraining's override that names the variant it starts from."""
SMOOTH = 5
"""Iterations over which a return is averaged, since one rollout is noisy."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """The content of a study's YAML. An override is written as on the command line without the dashes, `student.network.window=8`.

    Attributes:
        stage: `student` distills each variant from one teacher; `pretrain` trains each on datasets, see `robolearn.pretraining.study`.
        question: one line.
        task: task of the teacher, with any robot.
        preset: preset of stage `pretrain`, in place of a teacher.
        starts: variant -> name of the pretrained network that its student starts from, given as `--start NAME=RUN`.
        seeds: of the trainings.
        common: overrides for all variants.
        variants: name -> overrides.
        conditions: name -> overrides of the worlds in which all variants are evaluated.
        episodes: episodes per command of the evaluation's grid, for each seed and condition.
        seconds: length of an evaluation's episode [s].
        changes: kinds of change (`robolearn.evaluation.adaptation.kinds`, and `unchanged`) that all variants, and the teacher, walk
            through.
        change_episodes: episodes per command of those walks.
        probes: whether hidden states are probed for those changes.
    """

    stage: Literal["student", "pretrain"] = "student"
    question: str
    task: str
    preset: str = ""
    starts: dict[str, str] = field(default_factory=dict, metadata={"open": True})
    seeds: tuple[int, ...] = (0, 1)
    common: tuple[str, ...] = ()
    variants: dict[str, tuple[str, ...]]
    conditions: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"as trained": ()}, metadata={"open": True})
    episodes: int = 2
    seconds: float = 10.0
    changes: tuple[str, ...] = ()
    change_episodes: int = 8
    probes: bool = False


def load_study(path: Path) -> Study:
    """Read a study.

    Raises:
        UserError: no such file, not a study, or an unknown task.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {reason(error)}") from error
    study = config.loads(Study, text, str(path))
    try:
        get_task(schema.task_name(study.task, robot="any"))
    except (UnknownTaskError, UserError) as error:
        raise UserError(f"{path}: {error}") from error
    for kind, sets in (("variants", study.variants), ("conditions", study.conditions)):
        if not sets:
            raise UserError(f"{path}: {kind} must name at least one")
    unknown = [name for name in study.changes if name not in (UNCHANGED, *KINDS)]
    if unknown:
        raise UserError(f"{path}: there is no change {unknown[0]!r}; valid: {', '.join((UNCHANGED, *KINDS))}")
    if not study.seeds:
        raise UserError(f"{path}: seeds must name at least one")
    if (study.stage == "pretrain") != bool(study.preset):
        raise UserError(f"{path}: stage pretrain needs a preset, and stage student a teacher and none")
    if unknown := sorted({*study.starts} - {*study.variants}):
        raise UserError(f"{path}: starts names {unknown[0]!r}, which is not a variant")
    return study


def run_study(study: Study, teacher: Path, folder: Path, quick: bool = False, starts: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """Train and evaluate whatever is missing; returns the results, which are also in `folder`/results.json.

    Args:
        study: what to compare.
        teacher: checkpoint or run of the teacher.
        folder: folder of the results; the trainings are beside it, named by the hash of teacher and settings, so that other studies can
            reuse them.
        quick: two iterations and one second of evaluation each, to check that a study runs.
        starts: checkpoint of each pretrained network that the study's `starts` name.

    Raises:
        UserError: the teacher is of another task or not a teacher, or a pretrained network is missing.
    """
    source = load_checkpoint(teacher)
    task = schema.loads(source["config"], str(teacher)).task
    if source["kind"] != "teacher" or task != study.task:
        raise UserError(f"{teacher} is a {source['kind']} of {task}; this study needs a teacher of {study.task}")
    if lacking := sorted({*study.starts.values()} - {*(starts or {})}):
        raise UserError(f"this study starts from pretrained networks: {' '.join(f'--start {name}=RUN' for name in lacking)}")
    check_writable(folder / "results.json")
    check_settings(study, source)
    told = {} if not study.changes else {adaptation.TEACHER: _through_changes(study, teacher, folder, quick, _weights(source["policy"]))}
    runs: list[dict[str, Any]] = []
    for seed in study.seeds:  # seed by seed, so that an interrupted study compares all variants
        for name, overrides in study.variants.items():
            changes = (*study.common, *overrides, f"seed={seed}", *(["student.iterations=2"] if quick else []))
            start = (starts or {})[study.starts[name]] if name in study.starts else None
            runs.append(_one(study, source, name, changes, folder, quick, start))
            results = _summary(study, runs, told)
            write_json(folder / "results.json", results)
    return results


def check_settings(study: Study, source: dict[str, Any]) -> None:
    """Check all overrides of a study, before anything is trained.

    Raises:
        ConfigError: a setting of a variant or a condition would have no effect; names both.
    """

    def config_of(*sets: tuple[str, ...]) -> Any:
        given = (item for overrides in sets for item in overrides if not item.startswith(INIT))
        everything = (*(("student.until=null",) if study.stage == "student" else ()), *given)
        return schema.loads(source["config"], "the teacher's config", arguments(everything))

    for name, overrides in {"common": (), **study.variants}.items():
        table = settings.STUDY if study.stage == "student" else settings.STUDY_PRETRAIN
        settings.refuse(config_of(), config_of(study.common, overrides), table, f"a study's variant ({name})")
    for name, overrides in study.conditions.items():
        settings.refuse(config_of(study.common), config_of(study.common, overrides), settings.EVALUATE, f"a study's condition ({name})")


def _one(
    study: Study, source: dict[str, Any], name: str, changes: tuple[str, ...], folder: Path, quick: bool, start: Path | None
) -> dict[str, Any]:
    """One variant with one seed: trained to its end and evaluated under all conditions."""
    cfg = schema.loads(source["config"], "the teacher's config", arguments(("student.until=null", *changes)))
    network, hashes = None, [_weights(source["policy"])]
    if start is not None:
        cfg, network, state = as_start(start, cfg)
        hashes.append(_weights(state["policy"]))
    run_folder = folder.parent / "trainings" / digest(config.dump(cfg), *hashes)
    with alone(run_folder):
        return _trained_and_evaluated(study, source, name, cfg, run_folder, quick, network)


def _trained_and_evaluated(
    study: Study, source: dict[str, Any], name: str, cfg: Any, run_folder: Path, quick: bool, start: Network | None
) -> dict[str, Any]:
    state = load_checkpoint(run_folder) if (run_folder / CHECKPOINT).is_file() else None
    if state is None or state["iteration"] < cfg.student.iterations:
        trainer = StudentTrainer(cfg, load_teacher(source, cfg), start)
        if state is not None:
            resume(trainer, state)
        job = Run(run_folder, cfg)
        if state is not None:
            job.truncate_metrics(trainer.iteration)
        print(f"{name}, seed {cfg.seed}: {run_folder}", flush=True)
        try:
            train(trainer, job)
        finally:
            job.close()
        state = load_checkpoint(run_folder)
    student = load_student(state, cfg)
    found: dict[str, Any] = {}
    for condition, overrides in study.conditions.items():
        world = schema.loads(source["config"], "the teacher's config", arguments((*study.common, *overrides))).env
        episodes, seconds = (1, 1.2) if quick else (study.episodes, study.seconds)
        done = run_folder / f"evaluation-{digest(config.dump(world), str((episodes, seconds)))}.json"
        if done.is_file():
            found[condition] = json.loads(done.read_text(encoding="utf-8"))
            continue
        seed = FIRST_SEED + cfg.seed
        result = evaluate(lambda n: StudentActor(student, n), cfg.task, cfg.robot, world.engine, episodes, seconds, seed, world)
        found[condition] = result.to_dict()
        write_json(done, found[condition])
    size = sum(value.numel() for value in student.parameters())
    about = {"variant": name, "seed": cfg.seed, "minutes": state.get("minutes"), "parameters": size}
    about |= {"conditions": found, "reward": rewards(run_folder)}
    return about | ({"changes": _through_changes(study, run_folder, run_folder, quick)} if study.changes else {})


def _through_changes(study: Study, run: Path, folder: Path, quick: bool, whose: str = "") -> dict[str, Any]:
    """Run a policy through the study's changes and keep the result in `folder`; all get the same worlds. `whose` distinguishes policies in
    one folder.
    """
    kinds, episodes = (study.changes[:2], 1) if quick else (study.changes, study.change_episodes)
    what = [str(KINDS.get(name)) for name in kinds]
    done = folder / f"changes-{digest(whose, str((kinds, episodes, study.probes)), *what)}.json"
    if not done.is_file():
        write_json(done, adaptation.of_run(run, kinds, episodes, FIRST_SEED, study.probes))
    return json.loads(done.read_text(encoding="utf-8"))


def rewards(run: Path) -> list[float]:
    """A training's mean reward in each iteration."""
    return [json.loads(line)["reward"] for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]


def iterations_to(curve: Sequence[float], level: float) -> float:
    """Iterations until the mean reward over `SMOOTH` of them reaches a level; infinite if it never does."""
    means = np.convolve(curve, np.ones(SMOOTH) / SMOOTH, mode="valid")
    reached = np.flatnonzero(means >= level)
    return float(reached[0] + SMOOTH) if len(reached) else math.inf


def speed(results: dict[str, Any]) -> str:
    """Iterations that each variant needs to reach the final return of the first variant, seed by seed."""
    curves = {(run["variant"], run["seed"]): run["reward"] for run in results["runs"] if run.get("reward")}
    names, seeds = list(dict.fromkeys(name for name, _ in curves)), list(dict.fromkeys(seed for _, seed in curves))
    if len(names) < 2:
        return ""
    lines = [f"iterations to the final return of {names[0]} (mean of {SMOOTH}), by seed:"]
    for name in names:
        pairs = [(curves[name, seed], curves[names[0], seed]) for seed in seeds if (name, seed) in curves]
        needed = [iterations_to(mine, float(np.mean(first[-SMOOTH:]))) for mine, first in pairs]
        lines.append(f"  {name}: {', '.join('never' if math.isinf(x) else f'{x:.0f}' for x in needed)}")
    return "\n".join(lines)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(values, indent=1) + "\n")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a folder, so that one process at a time trains and evaluates in it; others wait."""
    make_folder(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(*texts: str) -> str:
    """A short hash of these texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _weights(policy: dict[str, torch.Tensor]) -> str:
    """A hash of a teacher's weights."""
    total = hashlib.sha256()
    for name, value in sorted(policy.items()):
        total.update(name.encode() + value.contiguous().numpy().tobytes())
    return total.hexdigest()


def arguments(overrides: tuple[str, ...]) -> list[str]:
    """Overrides in the form of the command line."""
    return [f"--{override}" for override in overrides]


def _summary(study: Study, runs: list[dict[str, Any]], told: dict[str, Any]) -> dict[str, Any]:
    """Summary over seeds: shares pooled over all episodes with Wilson's interval; means as the mean over seeds and each seed's value."""
    rows: list[dict[str, Any]] = []
    for name in study.variants:
        mine = [run for run in runs if run["variant"] == name]
        for condition in study.conditions:
            seen = [run["conditions"][condition] for run in mine]
            if seen:
                rows.append({"variant": name, "condition": condition, "seeds": len(seen), **_over_seeds(seen)})
    found: dict[str, Any] = {"study": dataclasses.asdict(study), "rows": rows, "runs": runs}
    if study.changes:
        by_variant = {name: [run["changes"] for run in runs if run["variant"] == name] for name in study.variants}
        sets = {name: [one] for name, one in told.items()} | {name: some for name, some in by_variant.items() if some}
        found["changes"] = {name: {kind: adaptation.pooled([one[kind] for one in some]) for kind in some[0]} for name, some in sets.items()}
    return found


def _over_seeds(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One row for evaluations (`EvaluationResult.to_dict`) that differ only in their seeds."""
    row: dict[str, Any] = {"episodes": sum(result["episodes"] for result in results)}
    for name, told in results[0]["figures"].items():
        known = [result["figures"][name] for result in results if result[name] is not None]
        if not known:
            continue
        if told["kind"] == "share":
            count = sum(figure["count"] for figure in known)
            good = sum(round(figure["value"] * figure["count"]) for figure in known)
            row[name], row[f"{name}_interval"] = good / count, wilson(good, count)
        else:
            row[name], row[f"{name}_seeds"] = float(np.mean([figure["value"] for figure in known])), [figure["value"] for figure in known]
    return row


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table: shares over all episodes with their 95 % interval, means with each seed's in brackets."""
    evaluations = [evaluation for run in results["runs"] for evaluation in run["conditions"].values()]
    figures = evaluations[0]["figures"] if evaluations else {}
    titles = [told["label"] + (f", {told['unit']}" if told["unit"] else "") for told in figures.values()]
    columns = ["variant", "condition", *titles, "seeds"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in results["rows"]:
        cells = [_cell(row, name, told["unit"]) for name, told in figures.items()]
        lines.append("| " + " | ".join([row["variant"], row["condition"], *cells, str(row["seeds"])]) + " |")
    if "changes" in results:
        lines += ["", *adaptation.rows(results["changes"], results["study"]["changes"])]
    return "\n".join(lines)


def _cell(row: dict[str, Any], name: str, unit: str) -> str:
    """A figure of a row."""
    if name not in row:
        return "-"
    if f"{name}_interval" in row:
        low, high = row[f"{name}_interval"]
        value, ends = Figure(row[name], low, high, row["episodes"]).text(unit)
        return f"{value} [{ends}]"
    seeds = ", ".join(written(value, unit) for value in row[f"{name}_seeds"])
    return f"{written(row[name], unit)} ({seeds})"
