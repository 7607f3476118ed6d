"""Show every setting of a preset with its name, value, unit and meaning.

A section is a dotted name: robolearn config go1-velocity-flat env.rewards. To change a setting, type --NAME=VALUE after train, or write it
into a preset; docs/settings.md has them all on one page. --changed shows what differs from the defaults, and the file and line that set it.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robolearn.commands import add_robot, with_robot, write_json

if TYPE_CHECKING:
    from robolearn.config.catalogue import Setting
    from robolearn.config.schema import TrainCfg

ACCEPTS_OVERRIDES = True
LEAST_TEXT = 40
"""Least width of the column of sentences, in characters."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("preset", help="name of a preset (see robolearn list), path of a YAML, name of a task, or a run folder")
    parser.add_argument("section", nargs="?", default="", help="part to show, e.g. teacher.ppo or env.rewards (default: all)")
    add_robot(parser, "the preset's; required for presets such as velocity-flat, which name none")
    parser.add_argument("--changed", action="store_true", help="show only what differs from the defaults, with file and line")
    parser.add_argument("--yaml", action="store_true", help="write the whole configuration as YAML with comments, to start a preset from")
    parser.add_argument("--json", metavar="PATH", help="write name, value, unit and meaning as JSON; - is standard output")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Show the settings."""
    from robolearn.config import schema
    from robolearn.config.commented import commented
    from robolearn.errors import UsageError

    if args.yaml and (args.section or args.changed or args.json):
        raise UsageError("--yaml writes the whole configuration: leave out the section, --changed and --json")
    preset, section = _preset(args.preset), args.section.removeprefix("--").rstrip(".")
    given = with_robot(args, overrides)
    cfg = schema.load(preset, given)
    if args.yaml:
        print(commented(cfg), end="")
        return 0
    before = schema.defaults(cfg.task, cfg.robot)
    shown = _section(cfg, section)
    if args.changed:
        shown = _changed(before, cfg, shown, section)
    if args.json:
        write_json(args.json, [_plain(setting) for setting in shown])
    if args.json == "-":
        return 0
    sources = schema.sources(preset, given) if args.changed else {}
    print("\n".join(_differences(before, shown, sources) if args.changed else [*_lines(shown), *_unused(section, shown)]))
    return 0


def _preset(text: str) -> str | Path:
    """What was given; for a run folder its config.yaml."""
    from robolearn.learning.run_folders import newest_last

    folder = Path(text)
    if (folder / "config.yaml").is_file():
        return folder / "config.yaml"
    runs = newest_last(folder, "config.yaml") if folder.is_dir() else []
    return runs[-1] if runs else text


def _section(cfg: TrainCfg, section: str) -> list[Setting]:
    """The settings of a section.

    Raises:
        UsageError: no such section; names the nearest and those around it.
    """
    from robolearn.config.catalogue import catalogue
    from robolearn.errors import UsageError, suggestion

    settings = catalogue(cfg)
    if shown := [setting for setting in settings if _inside(setting.name, section)]:
        return shown
    names = [setting.name for setting in settings]
    short = {name.rpartition(".")[2]: name for name in names}
    close = f"; did you mean {short[section]!r}?" if section in short else suggestion(section, names)
    around = next((part for part in _parents(section) if part in names), "")
    valid = [name for name in names if name.rpartition(".")[0] == around]
    raise UsageError(f"no section or setting {section!r}{close}; valid{f' in {around}' if around else ''}: {', '.join(valid)}")


def _inside(name: str, section: str) -> bool:
    """Whether a setting belongs to a section; the empty section has them all."""
    return not section or name == section or name.startswith(f"{section}.")


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _changed(before: TrainCfg, cfg: TrainCfg, shown: Sequence[Setting], section: str) -> list[Setting]:
    """The settings of a section that differ from `before`, removed entries included."""
    from robolearn.config import settings
    from robolearn.config.catalogue import meanings

    names, old = settings.changed(before, cfg), meanings(before)
    here = {setting.name: setting for setting in shown}

    def under(name: str) -> list[Setting]:
        inside = [setting for setting in shown if setting.name.startswith(f"{name}.") and not setting.table]
        removed = [dataclasses.replace(old[name], table=False, value=None, absent=True)] if name in old else []
        return inside or ([here[name]] if name in here else removed if _inside(name, section) else [])

    return [setting for name in names for setting in under(name)]


def _lines(shown: Sequence[Setting]) -> list[str]:
    """Tables as headings, and under each its settings in columns."""
    functions = {setting.name: setting.text for setting in shown if setting.name.endswith(".func") and setting.value}
    shown = [setting for setting in shown if not setting.name.endswith(".func")]
    leaves = [setting for setting in shown if not setting.table]
    lines: list[str] = []
    rows = _columns([(f"  {s.name}", s.text, s.unit, s.sentence) for s in leaves])
    of = dict(zip([s.name for s in leaves], rows, strict=True))
    for setting in shown:
        if setting.table:
            function = functions.get(f"{setting.name}.func")
            heading = f"{setting.name}{f' ({function})' if function else ''}: {setting.sentence}".rstrip(": ")
            lines += [""] * bool(lines) + textwrap.wrap(heading, _width(), subsequent_indent="    ")
        else:
            lines += of[setting.name]
    return lines


def _unused(section: str, shown: Sequence[Setting]) -> list[str]:
    """Under a table of terms, our functions that it does not use."""
    from envs.terms.term import reference
    from robolearn.config.functions import functions
    from robolearn.config.sentences import summary

    used = {setting.value for setting in shown if setting.name.endswith(".func")}
    others = [(reference(func), summary(func)) for func in functions(section) if reference(func) not in used]
    if not others:
        return []
    rows = _columns([(f"  {name}", "", "", text) for name, text in others])
    entry = (
        f"use one with --{section}.func"
        if section in ("env.command", "env.reset", "env.success")
        else f"add one with --{section}.NAME.func"
    )
    return ["", f"not in use here; {entry}=FUNCTION:", *(line for row in rows for line in row)]


def _differences(before: TrainCfg, shown: Sequence[Setting], sources: dict[str, str]) -> list[str]:
    """Name, value, default, and the place that sets it."""
    from robolearn.config.catalogue import meanings

    if not shown:
        return ["nothing differs from the defaults"]
    old = meanings(before)
    rows = []
    for setting in shown:
        known = next((name for name in (setting.name, *_parents(setting.name)) if name in old), "")
        was = old[known] if known else None
        default = "not there" if was is None or (was.table and known != setting.name) else "a table" if was.table else was.text
        place = next((sources[name] for name in (setting.name, *_parents(setting.name)) if name in sources), "")
        rows.append((setting.name, f"{setting.text} {setting.unit}".rstrip(), f"(default {default})", place))
    return [line for row in _columns(rows) for line in row]


def _columns(rows: Sequence[tuple[str, str, str, str]]) -> list[list[str]]:
    """Rows in columns, the last column wrapped at the screen's width; a value that is too wide shifts only its own row."""
    widths = [min(max((len(row[column]) for row in rows), default=0), most) for column, most in ((0, 60), (1, 24), (2, 28))]
    made = []
    for row in rows:
        head = "  ".join(f"{cell:{width}}" for cell, width in zip(row[:3], widths, strict=True)) + "  "
        text = textwrap.wrap(row[3], max(LEAST_TEXT, _width() - len(head))) or [""]
        made.append([(head + text[0]).rstrip(), *(" " * len(head) + line for line in text[1:])])
    return made


def _width() -> int:
    """Characters per line: the screen's width, or a large number if the output is not a screen."""
    return shutil.get_terminal_size((140, 24)).columns if sys.stdout.isatty() else 10_000


def _plain(setting: Setting) -> dict[str, Any]:
    return {"name": setting.name, "value": setting.value, "unit": setting.unit, "sentence": setting.sentence, "table": setting.table}
