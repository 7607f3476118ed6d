"""Show presets, studies, tasks, robots, networks, engines, controllers, transports and trained policies, and what plugins bring.

Presets are in configs/, studies in configs/studies/, trained policies in policies/zoo/. Entries of plugins are shown with their module.
Entries that only training uses are shown if the extra `train` is installed.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.contract.file import PolicyFile
from policies.install import install_command
from policies.registry import OWN, Registry
from robolearn.commands import write_json
from robolearn.config import presets as config
from robolearn.errors import missing_extra
from robolearn.policy_path import zoo


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", metavar="PATH", help="write the lists as one JSON object; - is standard output")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Print the lists."""
    lists = {
        "presets": presets(),
        "studies": studies(),
        "tasks": _optional(tasks),
        "robots": _optional(robots),
        "networks": _optional(networks),
        "engines": _optional(engines),
        "controllers": _optional(controllers),
        "transports": transports(),
        "policies": policies(),
    }
    if args.json:
        write_json(args.json, lists)
        return 0
    for title, entries in lists.items():
        print(f"{title}:")
        if entries is None:
            print(f"  not available here; to see them, run: {install_command('train')}")
            continue
        width = max((len(entry["name"]) for entry in entries), default=0)
        for entry in entries:
            source = entry.get("source", OWN)
            brought = "" if source == OWN else f"  (of {source})"
            print(f"  {entry['name']:{width}}  {entry['description']}{brought}".rstrip())
        if not entries:
            print("  none")
    return 0


def presets() -> list[dict[str, str]]:
    """Each preset with the first comment line of its file."""
    sources = {name: config.PRESETS.source(name) for name in config.PRESETS}
    return [
        {"name": name, "description": first_comment(config.preset_path(name)), "source": sources.get(name, OWN)}
        for name in config.preset_names()
    ]


def studies() -> list[dict[str, str]]:
    """Each study that ships with robolearn, with its question."""
    paths = sorted((config.presets_dir() / "studies").glob("*.yaml"))
    return [{"name": path.stem, "description": str(config.loads_any(path.read_text(encoding="utf-8"))["question"])} for path in paths]


def first_comment(path: Path) -> str:
    """The text of a file's first comment line, empty if it has none."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").strip()
    return ""


def tasks() -> list[dict[str, str]]:
    """Each registered task with its description."""
    from envs.tasks.registry import TASKS

    return _registered(TASKS, lambda task: task.description)


def robots() -> list[dict[str, str]]:
    """Each registered robot with its number of joints."""
    from envs.robots.registry import ROBOTS

    return _registered(ROBOTS, lambda robot: f"{len(robot.joints)} joints")


def networks() -> list[dict[str, str]]:
    """Each registered kind of network with its config's description."""
    from policies.networks.registry import NETWORKS

    return _registered(NETWORKS, lambda kind: (inspect.getdoc(kind.cfg) or "").partition("\n")[0])


def engines() -> list[dict[str, str]]:
    """Each registered physics engine with where it runs."""
    from envs.engines.registry import ENGINES

    return _registered(ENGINES, lambda kind: f"on {' or '.join(kind.devices)}")


def controllers() -> list[dict[str, str]]:
    """Each registered model-based controller with its description."""
    from robolearn.controllers.registry import CONTROLLERS

    return _registered(CONTROLLERS, lambda kind: kind.description)


def transports() -> list[dict[str, str]]:
    """Each registered transport."""
    import bridge.transports.connect  # noqa: F401 (registers ours)
    from bridge.transports.registry import TRANSPORTS

    return _registered(TRANSPORTS, lambda kind: kind.description)


def _registered(registry: Registry[Any], describe: Callable[[Any], str]) -> list[dict[str, str]]:
    """Ours first, then the plugins', each by name."""
    names = sorted(registry, key=lambda name: (registry.source(name) != OWN, name))
    return [{"name": name, "description": describe(registry.get(name)), "source": registry.source(name)} for name in names]


def policies() -> list[dict[str, str]]:
    """The policy files that ship with robolearn: robot, task, results of their evaluation, and date."""
    return [{"name": name, "description": described(PolicyFile(path)), "path": str(path)} for name, path in zoo().items()]


def described(file: PolicyFile) -> str:
    """A policy file in one line, from what is written in it."""
    spec, provenance = file.spec, file.provenance
    parts = [f"{spec.robot.name}, {spec.task}", *_judged(provenance.get("evaluation", []))]
    if made := str(provenance.get("made", ""))[:10]:
        parts.append(f"made {made}")
    if not provenance.get("deployable", False):
        parts.append("has not passed the gate")
    return "; ".join(parts)


def _judged(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """The score and the first error of the training engine's evaluation, as files of all versions have them."""
    if not evaluations:
        return []
    first = evaluations[0]
    told = [f"{name} {100 * first[name]:.1f} %" for name in ("survival", "success") if first.get(name) is not None]
    if not told and isinstance(first.get("score"), str) and first.get(first["score"]) is not None:
        told.append(f"{first['score']} {100 * first[first['score']]:.1f} %")
    if (error := first.get("velocity_error_xy")) is not None:
        told.append(f"planar velocity error {error:.3f} m/s")
    elif (distance := first.get("distance")) is not None:
        told.append(f"distance {distance:.4f} m")
    return told


def _optional(source: Callable[[], list[dict[str, str]]]) -> list[dict[str, str]] | None:
    """The list, or None if the extra that it needs is not installed."""
    try:
        return source()
    except ModuleNotFoundError as error:
        if missing_extra(error) is None:
            raise
        return None
