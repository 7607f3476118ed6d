"""Run a frozen policy file over a fixed grid of commands and seeds and report figures with 95 % intervals."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robolearn.evaluate import Evaluation


ACCEPTS_OVERRIDES = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", help="policy file, run folder or name of a shipped policy")
    engines = ("mujoco", "precise", "drake", "warp", "all")
    parser.add_argument("--engine", choices=engines, default="mujoco", help="default: mujoco; all: mujoco, precise, and drake if there")
    parser.add_argument("--seeds", type=int, default=2, help="episodes a command (default: 2)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of an episode (default: 10)")
    parser.add_argument("--seed", type=int, default=1000, help="of the environment (default: 1000)")
    parser.add_argument("--config", metavar="PRESET", help="preset or YAML whose task settings count (default: the task's own)")
    parser.add_argument("--json", metavar="PATH", help="write one JSON object (docs/cli.md); - is standard output")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Evaluate."""
    from policies.file import PolicyFile
    from robolearn import config, schema
    from robolearn.commands import write_json
    from robolearn.errors import UsageError
    from robolearn.evaluate import evaluate_file
    from robolearn.policy_path import find_policy

    if args.seeds < 1 or args.seconds <= 1:
        raise UsageError("--seeds must be at least 1 and --seconds more than 1")
    file = PolicyFile(find_policy(args.file))
    file.verify()
    task = file.spec.task
    cfg = (
        schema.load(args.config, overrides) if args.config else config.loads(schema.schema_of(task), "{}", "the task's defaults", overrides)
    )
    if cfg.task != task:
        raise UsageError(f"{file.path} is for task {task}, the config for {cfg.task}")
    env = cfg.env.at_rates_of(file.spec)
    everything = ("mujoco", "precise", "drake") if find_spec("pydrake") else ("mujoco", "precise")
    engines = everything if args.engine == "all" else (args.engine,)
    results = [evaluate_file(file, engine, args.seeds, args.seconds, args.seed, env) for engine in engines]
    if args.json:
        first, *others = (result.to_dict() for result in results)
        write_json(args.json, first | {"others": others} if others else first)
    if args.json != "-":
        show(results)
    return 0


def show(results: list[Evaluation]) -> None:
    """Print evaluations as a table, an interval under each figure."""
    units = {"survival": "", "velocity_error_xy": "m/s", "velocity_error_yaw": "rad/s", "success": "", "cost_of_transport": ""}
    print(f"{'':22}" + "".join(f"{result.engine:>26}" for result in results))
    for name, unit in units.items():
        values = [getattr(result, name) for result in results]
        if all(value is None for value in values):
            continue
        cells = []
        for result, value in zip(results, values, strict=True):
            low, high = result.intervals.get(name, (0.0, 0.0))
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]" if value is not None else "-")
        print(f"{(name + ' ' + unit).strip():22}" + "".join(f"{cell:>26}" for cell in cells))
    print(f"{'episodes':22}" + "".join(f"{result.episodes:>26}" for result in results))
