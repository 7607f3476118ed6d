"""Show presets, studies, tasks, robots and trained policies.

Presets stand in configs/, studies in configs/studies/, tasks and robots in envs/, trained policies in policies/zoo/. Tasks and robots
are shown where the extra `train` is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from policies.install import install_command
from robolearn.commands import write_json
from robolearn.config import loading as config
from robolearn.errors import missing_extra
from robolearn.policy_path import zoo


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", metavar="PATH", help="write the lists as one JSON object; - is standard output")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Print the lists."""
    lists = {"presets": presets(), "studies": studies(), "tasks": _optional(tasks), "robots": _optional(robots), "policies": policies()}
    if args.json:
        write_json(args.json, lists)
        return 0
    for title, entries in lists.items():
        print(f"{title}:")
        if entries is None:
            print(f"  unknown here; to see them, run: {install_command('train')}")
            continue
        width = max((len(entry["name"]) for entry in entries), default=0)
        for entry in entries:
            print(f"  {entry['name']:{width}}  {entry['description']}".rstrip())
        if not entries:
            print("  none")
    return 0


def presets() -> list[dict[str, str]]:
    """Each preset with the first comment line of its file."""
    folder = config.presets_dir()
    return [{"name": name, "description": first_comment(folder / f"{name}.yaml")} for name in config.preset_names()]


def studies() -> list[dict[str, str]]:
    """Each study that ships with robolearn, with its question."""
    paths = sorted((config.presets_dir() / "studies").glob("*.yaml"))
    return [{"name": path.stem, "description": str(config.loads_any(path.read_text(encoding="utf-8"))["question"])} for path in paths]


def first_comment(path: Path) -> str:
    """The text of a file's first comment line, empty where it has none."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").strip()
    return ""


def tasks() -> list[dict[str, str]]:
    """Each registered task with its description."""
    from envs.tasks.registry import TASKS, get_task

    return [{"name": name, "description": task.description} for name, task in sorted((name, get_task(name)) for name in TASKS)]


def robots() -> list[dict[str, str]]:
    """Each registered robot with its number of joints."""
    from envs.robots.registry import ROBOTS

    return [{"name": name, "description": f"{len(ROBOTS.get(name).joints)} joints"} for name in sorted(ROBOTS)]


def policies() -> list[dict[str, str]]:
    """The policy files that ship with robolearn, by path."""
    return [{"name": name, "description": str(path)} for name, path in zoo().items()]


def _optional(source: Callable[[], list[dict[str, str]]]) -> list[dict[str, str]] | None:
    """The list, or None where the extra that it needs is not installed."""
    try:
        return source()
    except ModuleNotFoundError as error:
        if missing_extra(error) is None:
            raise
        return None
