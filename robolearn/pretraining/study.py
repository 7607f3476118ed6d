"""Studies of pretraining: networks that differ in one thing, each trained on named datasets and judged beside the policy that made them.

A study is a YAML with `stage: pretrain`, a preset, and variants whose `pretrain.data` names datasets in the folder of `--data`. The
override `init=VARIANT` starts from another variant's network of the same seed. What is done already is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from envs.robots.registry import get_robot
from policies.contract.file import PolicyFile
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.evaluation.actors import FileActor, StudentActor
from robolearn.evaluation.figures import written
from robolearn.evaluation.paired import Episodes, Judge, difference, pooled
from robolearn.evaluation.statistics import r_interval, wilson
from robolearn.evaluation.study import FIRST_SEED, INIT, Study, alone, arguments, check_settings, digest, write_json
from robolearn.learning.finish import finished
from robolearn.learning.run import CHECKPOINT, METRICS, load_checkpoint
from robolearn.learning.student import load_student
from robolearn.pretraining.compared import Compared
from robolearn.pretraining.trainer import PretrainTrainer

ERROR, SCORE = "velocity_error_xy", "survival"
"""What is compared in walking tasks."""


@dataclass
class Bench:
    """Where a study's things are.

    Attributes:
        study: what is compared.
        data: folder of the datasets that it names.
        policy: the file beside which all are judged.
        folder: of the results; trainings stand beside it.
        quick: two iterations and a second of evaluation each.
        references: what the policy does under each condition, by seed.
        asked: what all networks are asked about, by seed.
    """

    study: Study
    data: Path
    policy: PolicyFile
    folder: Path
    quick: bool = False
    references: dict[tuple[str, int], Episodes] = field(default_factory=dict)
    asked: dict[int, Compared] = field(default_factory=dict)

    def cfg(self, overrides: tuple[str, ...]) -> TrainCfg:
        """The config of a variant.

        Raises:
            UserError: a dataset that is not in the folder.
        """
        cfg = schema.load(self.study.preset, arguments(overrides))
        paths = [str((self.data / name).resolve()) for name in cfg.pretrain.data]
        if lacking := [path for path in paths if not (Path(path) / "meta" / "info.json").is_file()]:
            raise UserError(f"the study needs a dataset at {lacking[0]}; docs/experiments.md tells how its datasets are made")
        return schema.load(self.study.preset, [*arguments(overrides), f"--pretrain.data={json.dumps(paths)}"])

    def trained(self, cfg: TrainCfg, init: Path | None) -> Path:
        """The run of a config, trained to its end."""
        start = "" if init is None else init.parent.name
        run = self.folder.parent / "trainings" / digest(config.dump(cfg), start)

        def make(fresh: bool) -> PretrainTrainer:
            print(f"seed {cfg.seed}: {run}{'' if fresh else ' (goes on)'}", flush=True)
            return PretrainTrainer(cfg, None if init is None else load_checkpoint(init))

        with alone(run):
            finished(run, cfg.pretrain.iterations, make)
        return run / CHECKPOINT

    def judge(self, overrides: tuple[str, ...], seed: int) -> Judge:
        """The worlds of a condition."""
        cfg = schema.load(self.study.preset, arguments((*self.study.common, *overrides)))
        episodes, seconds = (1, 1.2) if self.quick else (self.study.episodes, self.study.seconds)
        robot = get_robot(cfg.robot)
        return Judge(task=cfg.task, robot=robot, env=cfg.env.at_full_strength(), seeds=episodes, seconds=seconds, seed=FIRST_SEED + seed)

    def compared(self, state: dict[str, Any], cfg: TrainCfg, place: Path) -> dict[str, float]:
        """Error of actions on the dataset that all networks are asked about, kept in `place`; nothing where the study names none."""
        if not self.study.compared_on:
            return {}
        if not place.is_file():
            if cfg.seed not in self.asked:
                first = schema.load(self.study.preset, arguments((*self.study.common, f"seed={cfg.seed}")))
                self.asked[cfg.seed] = Compared(self.data / self.study.compared_on, first)
            write_json(place, {"action_error": self.asked[cfg.seed].action_error(state, cfg)})
        told = json.loads(place.read_text(encoding="utf-8"))["action_error"]
        return {} if told is None else {"compared": told}

    def reference(self, condition: str, judge: Judge) -> Episodes:
        """What the policy that made the data does in the same worlds."""
        key = condition, judge.seed
        if key not in self.references:
            place = self.folder / "policy" / f"{digest(self.policy.sha256, told(judge))}.json"
            self.references[key] = kept(place, lambda: judge.episodes(lambda worlds: FileActor(self.policy, worlds)))
        return self.references[key]


def told(judge: Judge) -> str:
    """All that decides what a judge sees."""
    return config.dump(judge.env) + str((judge.task, judge.robot.name, judge.seeds, judge.seconds, judge.seed))


def kept(place: Path, make: Any) -> Episodes:
    """Episodes that a file keeps, or that are made now and kept there."""
    if place.is_file():
        return {name: np.array(values, float) for name, values in json.loads(place.read_text(encoding="utf-8")).items()}
    found = {name: values.astype(float) for name, values in make().items()}
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, {name: [None if np.isnan(x) else float(x) for x in values] for name, values in found.items()})
    return found


def run_pretrain_study(bench: Bench) -> dict[str, Any]:
    """Train and judge what is not there yet; returns the results, which are also in `folder`/results.json."""
    study, runs = bench.study, list[dict[str, Any]]()
    check_settings(study, {"config": config.dump(schema.load(study.preset))})
    for overrides in study.variants.values():
        bench.cfg(_settings((*study.common, *overrides, "seed=0"))[0])  # all of them, before anything is trained
    results: dict[str, Any] = {}
    for seed in study.seeds:
        trained: dict[str, Path] = {}
        for name, overrides in study.variants.items():
            quick = ("pretrain.iterations=2", "pretrain.evaluate_every=0") if bench.quick else ()
            changes, init = _settings((*study.common, *overrides, f"seed={seed}", *quick))
            if init is not None and init not in trained:
                raise UserError(f"variant {name!r} starts from {init!r}, which must be a variant before it")
            trained[name] = bench.trained(bench.cfg(changes), None if init is None else trained[init])
            runs.append(_judged(bench, name, seed, trained[name]))
            results = summary(study, runs)
            write_json(bench.folder / "results.json", results)
    return results


def _settings(overrides: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The settings of a variant, and the variant that it starts from."""
    init = [text.partition("=")[2] for text in overrides if text.startswith(INIT)]
    return tuple(text for text in overrides if not text.startswith(INIT)), init[-1] if init else None


def _judged(bench: Bench, name: str, seed: int, checkpoint: Path) -> dict[str, Any]:
    """A variant with one seed under all conditions."""
    state = load_checkpoint(checkpoint)
    cfg = schema.loads(state["config"], str(checkpoint))
    student = load_student(state, cfg)
    last = json.loads((checkpoint.parent / METRICS).read_text(encoding="utf-8").splitlines()[-1])
    conditions: dict[str, Any] = {}
    for condition, overrides in bench.study.conditions.items():
        judge = bench.judge(overrides, seed)
        place = checkpoint.parent / f"episodes-{digest(told(judge))}.json"
        ours = kept(place, lambda judge=judge: judge.episodes(lambda worlds: StudentActor(student, worlds)))
        theirs = bench.reference(condition, judge)
        conditions[condition] = {
            who: {measure: _plain(values[measure]) for measure in (SCORE, ERROR)} for who, values in (("ours", ours), ("policy", theirs))
        }
    size = sum(value.numel() for value in student.parameters())
    held = {key.partition("/")[2]: value for key, value in last.items() if key.startswith("held_out/")}
    held |= bench.compared(state, cfg, checkpoint.parent / f"compared-{digest(bench.study.compared_on, *bench.study.common)}.json")
    return {"variant": name, "seed": seed, "minutes": state.get("minutes"), "parameters": size, "held_out": held, "conditions": conditions}


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _episodes(found: Mapping[str, list[float | None]]) -> Episodes:
    return {name: np.array([np.nan if value is None else value for value in values]) for name, values in found.items()}


def summary(study: Study, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Over seeds: survival pooled, errors as the mean and each seed's own, and the paired difference to the policy over all episodes."""
    rows: list[dict[str, Any]] = []
    for name in study.variants:
        mine = [run for run in runs if run["variant"] == name]
        for condition in study.conditions if mine else ():
            parts = [(_episodes(run["conditions"][condition]["ours"]), _episodes(run["conditions"][condition]["policy"])) for run in mine]
            ours, theirs = (pooled([pair[side] for pair in parts]) for side in (0, 1))
            apart = difference(ours, theirs, ERROR)
            row = {"variant": name, "condition": condition, "seeds": len(mine), "episodes": len(ours[SCORE])}
            for who, values in (("", ours), ("policy_", theirs)):
                row[f"{who}{SCORE}"] = float(values[SCORE].mean())
                row[f"{who}{SCORE}_interval"] = wilson(int(values[SCORE].sum()), len(values[SCORE]))
                row[f"{who}{ERROR}"] = float(np.nanmean(values[ERROR]))
            row[f"{ERROR}_seeds"] = [float(np.nanmean(pair[0][ERROR])) for pair in parts]
            row["difference"], row["difference_interval"] = apart.value, (apart.low, apart.high)
            for key in mine[0]["held_out"]:
                row[f"held_out_{key}"] = float(np.mean([run["held_out"][key] for run in mine]))
            rows.append(row)
    return {
        "study": {"question": study.question, "variants": study.variants},
        "rows": rows,
        "runs": runs,
        "correlation": _correlation(runs),
    }


def _correlation(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Pearson's r between held-out errors and the error in closed loop, over all networks, under the first condition."""
    found: dict[str, Any] = {"models": len(runs)}
    for key in ("action_error", "observation_error", "compared"):
        pairs = [
            (run["held_out"][key], float(np.nanmean(_episodes(next(iter(run["conditions"].values()))["ours"])[ERROR])))
            for run in runs
            if key in run["held_out"]
        ]
        if len(pairs) > 2:
            x, y = np.array(pairs).T
            if x.std() > 0 and y.std() > 0:
                found[key] = float(np.corrcoef(x, y)[0, 1])
                found[f"{key}_interval"] = r_interval(found[key], len(pairs))
    return found


def pretrain_table(results: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    titles = (
        "variant",
        "condition",
        "held-out action error",
        "on the same episodes",
        "survival, %",
        "error, m/s (seeds)",
        "less the policy's, paired",
        "seeds",
    )
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in results["rows"]:
        low, high = row[f"{SCORE}_interval"]
        ends = [written(x, "m/s") if x is not None else "…" for x in row["difference_interval"]]
        apart = "-" if row["difference"] is None else f"{row['difference']:+.3f} [{', '.join(ends)}]"
        held = f"{row['held_out_action_error']:.3f}" if "held_out_action_error" in row else "-"
        same = f"{row['held_out_compared']:.3f}" if "held_out_compared" in row else "-"
        seeds = ", ".join(written(x, "m/s") for x in row[f"{ERROR}_seeds"])
        cells = [
            row["variant"], row["condition"], held, same, f"{100 * row[SCORE]:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
            f"{written(row[ERROR], 'm/s')} ({seeds})", apart, str(row["seeds"]),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    first = results["rows"][0]
    lines.append(
        f"\nthe policy itself: survival {100 * first[f'policy_{SCORE}']:.1f} %, error {written(first[f'policy_{ERROR}'], 'm/s')} m/s"
    )
    found = results["correlation"]
    words = {"action_error": "action error", "observation_error": "observation error", "compared": "action error on the same episodes"}
    told_r = ", ".join(
        f"{word} r = {found[key]:.2f} [{found[f'{key}_interval'][0]:.2f}, {found[f'{key}_interval'][1]:.2f}]"
        for key, word in words.items()
        if key in found
    )
    return "\n".join(
        [*lines, f"held-out against closed-loop error over {results['correlation']['models']} networks: {told_r or 'too few'}"]
    )
