"""Run a frozen policy file over a fixed grid of commands and seeds and report figures with 95 % intervals. Walking robots are judged on a
plane, with all disturbances of their task. With --gait: how the robot walks, in figures, targets and pictures, also during a training. With
--suite locomotion: commands and gait, disturbances, standing, terrain, pushes, thrown balls, loads, friction, a course with a slope, arm
swing, targets, and one report, also of a running training (docs/evaluation.md).
With --suite adaptation: the error before and after the body or the ground changes in the middle of a walk (docs/adaptation.md).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envs.robots.robot import Robot
    from policies.contract.file import PolicyFile
    from robolearn.config.schema import TrainCfg
    from robolearn.evaluation.gait.subject import Subject
    from robolearn.evaluation.locomotion.setup import Setup
    from robolearn.evaluation.result import EvaluationResult


SUITES = ("locomotion", "adaptation")
MOST, LONGEST_S = 100_000, 86_400.0
"""Largest number of episodes per command and longest episode, to catch numbers with a digit too many."""
ACCEPTS_OVERRIDES = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", help="policy file, run folder, name of a shipped policy, or a model-based controller: controller:trot")
    engines = "mujoco (default), precise, drake, warp, newton, mujoco@/path/to/python, ... (docs/physics.md), or all that judge here"
    parser.add_argument("--engine", metavar="NAME", default="mujoco", help=engines)
    parser.add_argument("--seeds", type=int, help="episodes per command (default: 2), or per cell of a suite (default: 8, --quick: 2)")
    parser.add_argument("--seconds", type=float, help="length of an episode; for a sequence of goals, of the whole sequence (default: 10)")
    parser.add_argument("--seed", type=int, default=1000, help="seed of the environment (default: 1000)")
    parser.add_argument(
        "--robot", metavar="ROBOT", help="name or robot.yaml of the robot (default: the one that the file was trained with)"
    )
    mjcf = "MJCF or URDF of the same robot by another author, to evaluate in; joints are matched by name"
    parser.add_argument("--mjcf", type=Path, metavar="MODEL", help=mjcf)
    parser.add_argument("--config", metavar="PRESET", help="preset or YAML to take the task settings from (default: FILE's training)")
    parser.add_argument("--no-randomization", action="store_true", help="nominal physics, clean sensors, no disturbances")
    parser.add_argument("--json", metavar="PATH", help="write one JSON object (docs/cli.md); - is standard output")
    gait = "how the robot walks: figures, targets, strips of pictures; FILE may be the run folder of a running training"
    parser.add_argument("--gait", action="store_true", help=gait)
    parser.add_argument("--no-pictures", action="store_true", help="--gait without strips")
    parser.add_argument("--suite", metavar="NAME", help=f"a whole suite with a report, one of: {', '.join(SUITES)}")
    parser.add_argument(
        "--only", metavar="ITEM", nargs="+", help="items of the suite (default: all); withstands: all items that have targets"
    )
    against = "other policies or runs to compare with FILE in the suite adaptation"
    parser.add_argument("--against", metavar="FILE", nargs="+", help=against)
    parser.add_argument("--probe", action="store_true", help="with the suite adaptation: what the hidden states encode of a change")
    parser.add_argument("--quick", action="store_true", help="a small suite or --gait, to try it out")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder of the report of a suite (default: runs/suite/<policy>) or of --gait (default: runs/gait/<policy>)",
    )


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Evaluate."""
    from envs.engines.registry import ENGINES
    from envs.terms.nominal import nothing_varies
    from policies.contract.file import PolicyFile
    from policies.files import check_writable
    from robolearn.config import settings
    from robolearn.errors import UsageError
    from robolearn.evaluation.evaluate import evaluate_file
    from robolearn.evaluation.gait.subject import is_training, of_checkpoint, of_setup
    from robolearn.evaluation.locomotion.setup import make_setup
    from robolearn.evaluation.locomotion.training import setup_of_training
    from robolearn.other_model import in_model
    from robolearn.policy_path import find_policy, is_controller
    from robolearn.policy_robot import robot_of
    from robolearn.simulated_model import check_one

    _check(args)
    check_writable(args.json)
    if args.engine != "all":
        ENGINES.get(args.engine)
    seeds, seconds = args.seeds or 2, args.seconds or 10.0
    if is_controller(args.file):
        return _judge_controller(args, overrides, seeds, seconds)
    if args.gait and is_training(args.file):
        if overrides or args.config:
            raise UsageError("--gait of a training uses the training's settings: leave out --config and --section.key=value")
        if args.mjcf:
            raise UsageError("--mjcf is for policy files: export the training first, or leave it out")
        return _look(args, of_checkpoint(args.file, args.engine, args.seed, args.robot))
    if args.suite and is_training(args.file):
        if overrides or args.config:
            raise UsageError("--suite of a training uses the training's settings: leave out --config and --section.key=value")
        if args.mjcf:
            raise UsageError("--mjcf is for policy files: export the training first, or leave it out")
        return _run_suite(args, setup_of_training(args.file, args.robot, engine=args.engine, seed=args.seed))
    file = PolicyFile(find_policy(args.file))
    file.verify()
    task = file.spec.task
    if args.mjcf:
        check_one(args.robot)
    robot = robot_of(file, args.robot)
    before, cfg = (_config(args.config, file, robot, given) for given in ([], overrides))
    settings.refuse(before, cfg, settings.EVALUATE | (settings.suite(before.env, cfg.env) if args.suite or args.gait else {}), "evaluate")
    if not args.suite and any(override.startswith("--env.terrain") for override in overrides):
        mend = "leave it out" if args.gait else "add --suite locomotion"
        raise UsageError(f"without a suite, robots are evaluated on a plane, whatever the terrain of their task: {mend}")
    if cfg.task != task:
        raise UsageError(f"{file.path} is for task {task}, the config for {cfg.task}")
    env = cfg.env.at_rates_of(file.spec).at_full_strength()
    if args.no_randomization:
        env = dataclasses.replace(env, randomization=nothing_varies(env.randomization))
    if args.engine != "all":
        env = dataclasses.replace(env, engine=args.engine)  # --env.device is the device of its worlds
    if args.mjcf:
        robot = in_model(robot, args.mjcf.expanduser(), file.spec.robot)
    if args.gait:
        return _look(args, of_setup(make_setup(file, env, robot, engine=args.engine, seed=args.seed)))
    if args.suite:
        return _run_suite(args, make_setup(file, env, robot, engine=args.engine, seed=args.seed))
    return _on_engines(args, lambda engine: evaluate_file(file, engine, seeds, seconds, args.seed, env, robot))


def _judge_controller(args: argparse.Namespace, overrides: list[str], seeds: int, seconds: float) -> int:
    """Evaluate a controller."""
    from envs.terms.nominal import nothing_varies
    from robolearn.config import settings
    from robolearn.controllers.registry import find_controller
    from robolearn.controllers.setup import config_of, evaluate_controller, idle, setup_of_controller
    from robolearn.errors import UsageError
    from robolearn.evaluation.gait.subject import of_setup

    if args.mjcf:
        raise UsageError("--mjcf is for policy files: a controller uses the robot's own model; leave it out")
    kind, robot = find_controller(args.file, args.robot)
    env = config_of(kind, robot, overrides, idle(settings.EVALUATE), "evaluate", args.config).env
    if args.no_randomization:
        env = dataclasses.replace(env, randomization=nothing_varies(env.randomization))
    if args.gait or args.suite:
        setup = setup_of_controller(kind, robot, env, args.engine, args.seed)
        return _look(args, of_setup(setup)) if args.gait else _run_suite(args, setup)
    return _on_engines(args, lambda engine: evaluate_controller(kind, robot, engine, seeds, seconds, args.seed, env))


def _on_engines(args: argparse.Namespace, judge: Callable[[str], EvaluationResult]) -> int:
    """Evaluate on the engine that was asked for, or on all, and print the result."""
    from envs.engines.elsewhere.kinds import all_here
    from envs.engines.face import EngineError
    from robolearn.commands import write_json
    from robolearn.commands.ending import after_evaluation
    from robolearn.evaluation.table import show
    from robolearn.policy_path import is_controller

    engines = all_here() if args.engine == "all" else (args.engine,)
    results, unable = [], dict[str, str]()
    for engine in engines:
        try:
            results.append(judge(engine))
        except EngineError as error:
            if not results:
                raise
            unable[engine] = str(error)  # under `all` the other engines' results stay
            print(f"note: {engine} cannot simulate this robot: {error}", file=sys.stderr)
    if args.json:
        first, *others = [result.to_dict() for result in results]
        others += [{"engine": engine, "reason": why} for engine, why in unable.items()]
        write_json(args.json, first | {"others": others} if others else first)
    if args.json != "-":
        show(results)
        if args.mjcf:
            print(f"model: {results[0].model}, {(results[0].model_sha256 or '')[:12]}")
        if not is_controller(args.file):
            print("\n".join(after_evaluation(args.file, results[0].ground is not None, args.engine)))
    return 0


def _config(preset: str | None, file: PolicyFile, robot: Robot, overrides: list[str]) -> TrainCfg:
    """The config with the task settings: of a preset, or of the file's training, for the robot that is evaluated."""
    from robolearn.config import schema
    from robolearn.evaluation.worlds import config_of

    if preset:
        return schema.load(preset, [*overrides, f"--robot={robot.source or robot.name}"])
    return config_of(file, robot, overrides)


def _check(args: argparse.Namespace) -> None:
    """Raises `UsageError` for options that cannot work or do not go together."""
    from robolearn.commands import check_seed
    from robolearn.errors import UsageError, suggestion

    if (args.seeds is not None and args.seeds < 1) or (args.seconds is not None and not args.seconds > 1):
        raise UsageError("--seeds must be at least 1 and --seconds more than 1")
    check_seed(args.seed)
    if args.seeds is not None and args.seeds > MOST:
        raise UsageError(f"--seeds must be at most {MOST}, not {args.seeds}")
    if args.seconds is not None and not args.seconds <= LONGEST_S:
        raise UsageError(f"--seconds must be at most {LONGEST_S:g}, not {args.seconds:g}")
    if args.no_pictures and not args.gait:
        raise UsageError("--no-pictures is for --gait")
    if args.gait:
        for name in ("only", "suite", "seconds"):
            if getattr(args, name):
                raise UsageError(f"--gait stands alone: leave out --{name}")
        if args.engine == "all":
            raise UsageError("--gait runs on one engine, not on all: give --engine mujoco, precise, drake or warp")
    elif args.suite is None:
        for name in ("only", "quick", "out"):
            if getattr(args, name):
                raise UsageError(f"--{name} is for suites: add --suite {SUITES[0]}")
    if args.suite != "adaptation":
        for name in ("against", "probe"):
            if getattr(args, name):
                raise UsageError(f"--{name} is for the suite adaptation: add --suite adaptation")
    if args.suite is None or args.gait:
        return
    if args.suite not in SUITES:
        raise UsageError(f"no suite {args.suite!r}{suggestion(args.suite, SUITES)}; valid: {', '.join(SUITES)}")
    if args.seconds is not None:
        raise UsageError("--seconds is not for suites, whose items have their own lengths")
    if args.engine == "all":
        raise UsageError("a suite runs on one engine, not on all: give --engine mujoco, precise, drake or warp")


def _look(args: argparse.Namespace, subject: Subject) -> int:
    """Evaluate a gait and print the result."""
    from policies.files import check_writable
    from robolearn.commands import write_json
    from robolearn.evaluation.gait import report
    from robolearn.evaluation.gait.command import look

    folder = Path(args.out) if args.out else Path("runs") / "gait" / subject.name
    check_writable(folder / report.DATA)
    shown = look(subject, folder, args.seeds, args.quick, not args.no_pictures)
    if args.json:
        write_json(args.json, shown.data)
    if args.json != "-":
        print(report.text(shown.gait, shown.people))
        print(f"figures: {folder / report.DATA}")
        print(f"strips: {shown.picture}" if shown.picture else f"no strips: {shown.failure}")
    return 0


def _run_suite(args: argparse.Namespace, setup: Setup) -> int:
    """Run the suite and print where its report is."""
    from policies.files import check_writable
    from robolearn.commands import write_json
    from robolearn.evaluation.locomotion.report import PAGE
    from robolearn.evaluation.locomotion.run import chosen, run

    if args.suite == "adaptation":
        return _run_adaptation(args, setup)
    names = chosen(args.only)
    seeds = args.seeds or (2 if args.quick else 8)
    folder = Path(args.out) if args.out else Path("runs") / "suite" / setup.name
    check_writable(folder / PAGE)
    setup = dataclasses.replace(setup, seeds=seeds, quick=args.quick, folder=folder)
    data = run(setup, names, folder, quiet=args.json == "-")
    if args.json:
        write_json(args.json, data)
    if args.json != "-":
        print(f"report: {folder / PAGE}")
    return 0 if any(item["status"] != "failed" for item in data["items"]) else 1


def _run_adaptation(args: argparse.Namespace, setup: Setup) -> int:
    """Run the suite of changes on one policy or several, and print where its report is."""
    from policies.contract.file import PolicyFile
    from policies.files import check_writable
    from robolearn.commands import write_json
    from robolearn.evaluation.adaptation.report import PAGE
    from robolearn.evaluation.adaptation.suite import chosen, compare
    from robolearn.evaluation.gait.subject import is_training
    from robolearn.evaluation.locomotion.setup import make_setup
    from robolearn.evaluation.locomotion.training import setup_of_training
    from robolearn.evaluation.worlds import env_of
    from robolearn.policy_path import find_policy
    from robolearn.policy_robot import robot_of

    names = chosen(args.only, args.quick)
    folder = Path(args.out) if args.out else Path("runs") / "adaptation" / setup.name
    check_writable(folder / PAGE)
    setups = [setup]
    for other in args.against or ():
        if is_training(other):
            setups.append(setup_of_training(other, args.robot, engine=args.engine, seed=args.seed))
            continue
        file = PolicyFile(find_policy(other))
        file.verify()
        robot = robot_of(file, args.robot)
        setups.append(make_setup(file, env_of(file, robot), robot, engine=args.engine, seed=args.seed))
    seeds = args.seeds or (2 if args.quick else 8)
    setups = [dataclasses.replace(one, seeds=seeds, quick=args.quick) for one in setups]
    data = compare(setups, names, folder, args.probe, quiet=args.json == "-")
    if args.json:
        write_json(args.json, data)
    if args.json != "-":
        print(f"report: {folder / PAGE}")
    return 1 if all("failure" in one for item in data["items"] for one in item["policies"].values()) else 0
