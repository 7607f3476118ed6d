"""Measure simulation, training, the policy step and the control loop, each against a reference in the same run.

sim: control steps per second of each task against the engine alone. cameras: images as observations against the ray tracer's kernel alone.
train: whole training iterations against the engine alone and against Stable-Baselines3's PPO; the PPO update against rsl_rl's. policy: a
step of the student by ONNX Runtime against a pass over a window in torch; training tokens per second. pretrain: tokens per second of a
pretraining against torch's own encoder. loader: windows of a dataset against the student's training step. loop: how late the control loop's
ticks begin, at 50 and 500 Hz. latency: from a sensor message to the command over ROS 2. faults: a thousand random faults on a walking
robot's wire. soak: a quarter of an hour of simulated time; `python -m benchmarks.soak --hours 24` runs longer.
docs/benchmarks.md and docs/reliability.md explain the figures. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

MOST = 1_000_000  # worlds, or seconds
NAMES = ("sim", "cameras", "train", "policy", "pretrain", "loader", "loop", "latency", "faults", "soak")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--json", metavar="PATH", help="also write the results as JSON; - is standard output, instead of the table")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to check that it runs; the figures mean nothing")
    parser.add_argument("--worlds", type=int, help="worlds of the simulation (default: the benchmark's own, 1024 for most)")
    parser.add_argument("--task", help="task or preset for `sim` (default: all tasks with our robots, several minutes)")
    parser.add_argument("--robot", metavar="ROBOT", help="name or robot.yaml, for `sim --task TASK` if the task names no robot")
    parser.add_argument("--policy", help="policy file or name that drives the robots of `sim --task` (default: random actions)")
    parser.add_argument("--seconds", type=float, help="roughly how long each thing is measured")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Run one benchmark."""
    from policies.files import check_writable
    from robolearn.commands import write_json
    from robolearn.errors import UsageError
    from robolearn.policy_path import find_policy

    del overrides
    for option in ("worlds", "seconds"):
        value = getattr(args, option)
        if value is not None and not 0 < value <= MOST:
            raise UsageError(f"--{option} must be above zero and at most {MOST}, not {value:g}")
    if args.policy and (args.name != "sim" or not args.task):
        raise UsageError("--policy is for bench sim --task TASK")
    policy = str(find_policy(args.policy)) if args.policy else None
    if args.task and args.name != "sim":
        raise UsageError("--task is for bench sim")
    if args.robot and not args.task:
        raise UsageError("--robot is for bench sim --task TASK")
    check_writable(args.json)
    module, options = load(args.name)
    entries = module.run(
        options(quick=args.quick, worlds=args.worlds, seconds=args.seconds, task=args.task, robot=args.robot, policy=policy)
    )
    if args.json != "-":
        print(table(entries))
    if args.json:
        write_json(args.json, entries)
    return 0


def load(name: str) -> tuple[Any, Any]:
    """The module of a benchmark and the class of its options.

    Raises:
        UserError: this installation has no benchmarks.
    """
    from robolearn.errors import UserError

    root = Path(__file__).resolve().parent.parent.parent
    if not (root / "benchmarks" / f"{name}.py").is_file():
        raise UserError("the benchmarks are not part of the installed package: run this in a checkout (there: pip install -e '.[train]')")
    return importlib.import_module(f"benchmarks.{name}"), importlib.import_module("benchmarks.common").Options


def table(entries: list[dict[str, Any]]) -> str:
    """The results for people."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    width = max(len(entry["name"]) for entry in entries)
    lines = []
    for entry in entries:
        line = f"{entry['name']:{width}}  {number(entry['value']):>9} {entry['unit']}"
        if entry["ratio"] is not None:
            line += f"  = {number(entry['ratio'])} x {entry['against']}"
        elif entry["against"] is not None:
            line += f"  ({entry['against']})"
        lines.append(line)
    return "\n".join(lines)
