"""Estimate a robot's gains, friction, inertia, delay and load from its logs, and propose a randomization for training.

LOG is a run with the base held (an arm, a legged robot on a gantry) under varied commands; --standing LOG is one of squats on its feet.
--demo ROBOT shows the method on a simulated robot with hidden parameters. docs/identification.md explains how to record.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robolearn.identify.fit import FitCfg
    from robolearn.identify.recording import Mount


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("log", nargs="*", metavar="LOG", help="log of a run with the base held")
    parser.add_argument("--standing", nargs="+", default=[], metavar="LOG", help="log of squats on the feet, for the base's mass")
    parser.add_argument("--demo", metavar="ROBOT", help="simulate a robot with hidden parameters instead, and compare")
    parser.add_argument("--robot", metavar="NAME", help="name or robot.yaml of the robot to compare with (default: the log's)")
    parser.add_argument(
        "--parameters",
        metavar="LIST",
        help="some of kp,kd,motor_strength,damping,friction,armature,delay,tilt,mass (default: those that the logs allow)",
    )
    parser.add_argument(
        "--by",
        choices=("joint", "group", "robot"),
        default="group",
        help="joints that share values (default: group, the joints with the same motor)",
    )
    parser.add_argument("--use-effort", action="store_true", help="use the reported torques too")
    parser.add_argument("--simulated", type=float, metavar="DT", help="physics step of a simulated robot [s] (--transport sim: known)")
    parser.add_argument("--json", metavar="PATH", help="write the result as JSON; - is standard output")
    parser.add_argument("--out", metavar="FILE", help="write the proposed ranges as a preset (.yaml) for robolearn train")
    parser.add_argument("--preset", metavar="NAME", help="preset that the proposal extends (default: the robot's first)")
    parser.add_argument("--seed", type=int, default=0, help="seed of --demo (default: 0)")
    parser.add_argument("--seconds", type=float, default=16.0, help="length of the motion of --demo (default: 16)")
    parser.add_argument("--threads", type=int, default=0, help="simulation threads (default: all cores)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Identify. Returns 1 and writes no preset if nothing was identifiable or the result was rejected."""
    from policies.files import check_writable, write_text
    from robolearn.commands import write_json
    from robolearn.identify.report import preset_text, remarks, table, to_dict

    del overrides
    _check(args)
    check_writable(args.json, args.out)
    fit, hidden, robot = _fit(args)
    if args.json != "-":
        print(table(fit, hidden))
        print("\n".join(remarks(fit)))
    if args.json:
        true = {} if hidden is None else {"hidden": {e.parameter.name: float(h) for e, h in zip(fit.estimates, hidden, strict=True)}}
        write_json(args.json, to_dict(fit) | true)
    if args.out and not fit.believable:
        print(f"robolearn: {args.out} was not written: the result was rejected, for the reason above", file=sys.stderr)
    elif args.out:
        write_text(Path(args.out), preset_text(fit, args.preset, robot))
        if args.json != "-":
            print(f"wrote {args.out}: robolearn train {args.out}")
    return 0 if fit.believable else 1


def _check(args: argparse.Namespace) -> None:
    """Raises `UsageError` for options that cannot work or do not go together."""
    from robolearn.errors import UsageError

    logs = bool(args.log or args.standing)
    paths = [Path(path).resolve() for path in (*args.log, *args.standing)]
    twice = [path.name for path in dict.fromkeys(paths) if paths.count(path) > 1]
    if twice:
        raise UsageError(f"{', '.join(twice)}: given more than once, which adds no information")
    written = [Path(path).resolve() for path in (args.json, args.out) if path and path != "-"]
    if any(path in paths for path in written) or len(set(written)) < len(written):
        raise UsageError("--json and --out must not name a log, which would be overwritten")
    if logs == bool(args.demo):
        raise UsageError("give either logs or --demo ROBOT (see robolearn identify --help)")
    if args.out and not args.out.endswith((".yaml", ".yml")):
        raise UsageError(f"--out writes a preset: its name must end in .yaml, not {args.out!r}")
    if not 4 <= args.seconds <= 600:
        raise UsageError(f"--seconds must be at least 4 and at most 600, not {args.seconds:g}")
    if args.seed < 0:
        raise UsageError(f"--seed must not be negative, is {args.seed}")
    if not 0 <= args.threads <= 4096:
        raise UsageError(f"--threads must lie between 0 and 4096, not {args.threads}")
    if args.simulated is not None and not 0 < args.simulated <= 0.1:
        raise UsageError(f"--simulated takes a physics step above 0 and up to 0.1 s, not {args.simulated:g}")


def _fit(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    """The fit, the hidden values of a demonstration (or None), and the robot."""
    from tqdm import tqdm

    from envs.robots.registry import get_robot
    from robolearn.identify.demo import demonstrate
    from robolearn.identify.fit import identify
    from robolearn.identify.report import check_preset, preset_of

    logs, name = ([], args.demo) if args.demo else _recordings(args)
    robot = get_robot(name)
    if args.out:
        args.preset = args.preset or preset_of(robot)
        check_preset(args.preset, robot)
    with tqdm(desc="identify", unit="it", dynamic_ncols=True, leave=False, disable=None) as bar:

        def progress(iteration: int, residual: float) -> None:
            bar.set_postfix_str(f"residual / noise {residual:.2f}")
            bar.update(iteration - bar.n)

        if args.demo:
            shown = demonstrate(robot, args.seed, args.seconds, _cfg(args), progress=progress)
            return shown.fit, shown.hidden, robot
        return identify(logs, robot, _cfg(args), progress), None, robot


def _cfg(args: argparse.Namespace) -> FitCfg:
    from robolearn.identify.fit import FitCfg
    from robolearn.identify.parameters import parse_kinds

    kinds = parse_kinds(args.parameters) if args.parameters else None
    return FitCfg(kinds=kinds, by=args.by, use_effort=args.use_effort, threads=args.threads)


def _recordings(args: argparse.Namespace) -> tuple[list[Any], str]:
    """The recordings of all logs, and the robot's name."""
    from robolearn.errors import UsageError
    from robolearn.identify.log import from_log

    found, names = [], set()
    kinds: tuple[tuple[Mount | None, list[str]], ...] = ((None, args.log), ("standing", args.standing))
    for mount, paths in kinds:
        for path in paths:
            recording, name = from_log(Path(path), mount)
            names.add(args.robot or name)
            found.append(recording if args.simulated is None else dataclasses.replace(recording, simulated_timestep_s=args.simulated))
    if len(names) > 1:
        raise UsageError(f"the logs are of different robots: {', '.join(sorted(names))}; name the model to compare with: --robot NAME")
    return found, names.pop()
