"""Measure simulation, training, the policy step or the control loop, each against a peer or a limit in the same run."""

from __future__ import annotations

import argparse
import importlib

NAMES = ("sim", "train", "policy", "loop")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", choices=NAMES, help="what to measure")
    parser.add_argument("--json", metavar="PATH", help="write a list of objects name, value, unit, against, ratio; - is standard output")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs; the figures mean nothing")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Measure."""
    from robolearn.commands import write_json
    from robolearn.errors import UserError

    try:
        module = importlib.import_module(f"benchmarks.{args.name}")
    except ModuleNotFoundError as error:
        if error.name not in ("benchmarks", f"benchmarks.{args.name}"):
            raise
        raise UserError("the benchmarks are in the repository, not in the package: run this in a checkout") from error
    entries = [entry.to_dict() for entry in module.run(args.quick)]
    if args.json:
        write_json(args.json, entries)
    if args.json != "-":
        for entry in entries:
            ratio = f"   {entry['ratio']:.3g}x {entry['against']}" if entry["ratio"] is not None else ""
            print(f"{entry['name']:58} {entry['value']:12.5g} {entry['unit']}{ratio}")
    return 0
