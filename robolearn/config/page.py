"""docs/settings.md: every setting with its values for our robots, its unit and its meaning, generated from the code.

python -m robolearn.config.page        # writes the page again; a test compares
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from envs.terms.term import reference
from policies.files import write_text
from policies.networks.registry import NETWORKS
from robolearn.config import schema
from robolearn.config.catalogue import Setting, catalogue
from robolearn.config.functions import TABLES, functions
from robolearn.config.sentences import summary
from robolearn.pretraining.config import PretrainCfg
from robolearn.pretraining.encoder.config import EncoderTraining

PAGE = Path("docs/settings.md")
COLUMNS = (("Go1", "velocity-rough", "go1"), ("G1", "velocity-rough", "g1"), ("Panda", "reach", "panda"))
"""Title, task and robot of each column of values."""
HEAD = """\
# Settings

Every setting, generated from the code by `python -m robolearn.config.page`. To see the settings of one preset with its own values:

    robolearn config go1-velocity-flat                   # all; add a section to see a part: env.rewards, teacher.ppo
    robolearn config go1-velocity-flat --changed         # what the preset changes, with file and line
    robolearn train go1-velocity-flat --print-config     # the whole configuration as YAML, with comments

To change a setting, type `--NAME=VALUE` after `train` or `distill`, or write it into a preset ([Configuration](configuration.md)). Where
three columns stand side by side they are what the tasks make of it for Go1 and G1 (`velocity-rough`) and for Panda (`reach`), before a
preset; `-` means that there is no such entry there.
"""
FUNCTIONS = """\
## Functions of ours

Functions that an entry of a table can name as its `func`, used above or not:
`--env.rewards.NAME.func=envs.terms.rewards:trunk_rate --env.rewards.NAME.weight=-0.1`.
"""


def page() -> str:
    """The text of the page."""
    parts = [HEAD, *_of_tasks(), *_of_learners(), FUNCTIONS]
    for table in TABLES:
        parts.append(f"### For {table}\n")
        parts.append(_table(("function", "gives"), [(f"`{reference(func)}`", summary(func)) for func in functions(table)]))
    return "\n".join(parts)


def _of_tasks() -> Iterable[str]:
    """The settings that depend on task and robot: `env`, section by section."""
    configs = [schema.defaults(task, robot).env for _, task, robot in COLUMNS]
    found = [{setting.name: setting for setting in catalogue(cfg, "env")} for cfg in configs]
    names = _merged([list(one) for one in found])
    yield "## env\n"
    yield "The simulation, observations, commands and rewards.\n"
    top = [name for name in names if name.count(".") == 1 and not any(n.startswith(f"{name}.") for n in names)]
    yield _beside(top, found)
    for table in [name for name in names if name.count(".") == 1 and name not in top]:
        yield f"### {table}\n"
        yield _sentence(next(one[table] for one in found if table in one))
        yield _beside([name for name in names if name.startswith(f"{table}.") and not name.endswith(".func")], found)


def _of_learners() -> Iterable[str]:
    """The settings that depend on neither task nor robot: the defaults of teacher, student and so on."""
    cfg = schema.defaults(*COLUMNS[0][1:])
    known = catalogue(cfg)
    yield "## General\n"
    yield _plain([setting for setting in known if "." not in setting.name and not setting.table])
    parts: list[tuple[str, Any]] = [
        ("teacher", cfg.teacher), ("teacher.until", schema.TeacherUntilCfg()), ("teacher.ppo", cfg.teacher.ppo),
        ("student", cfg.student), ("student.until", schema.StudentUntilCfg()), ("student.imitation", cfg.student.imitation),
        ("student.ppo", cfg.student.ppo), ("sb3", cfg.sb3),
    ]  # fmt: skip
    sentences = {setting.name: setting for setting in known}
    for name, part in parts:
        yield f"{'##' if '.' not in name else '###'} {name}\n"
        yield _sentence(sentences[name])
        yield _plain([setting for setting in catalogue(part, name) if setting.name.count(".") == name.count(".") + 1 and not setting.table])
    yield "## pretrain\n"
    yield "How a student's network learns from trajectories: `robolearn pretrain PRESET --pretrain.iterations=300`.\n"
    yield _plain(catalogue(PretrainCfg(), "pretrain"))
    yield "## encoder\n"
    yield "How an image encoder learns from images, and its other settings: `robolearn pretrain encoder --encoder.size=micro --seed=3`.\n"
    yield _plain([setting for setting in catalogue(EncoderTraining()) if not setting.table])
    for kind in NETWORKS:
        if NETWORKS.source(kind) == "robolearn":
            yield f"### student.network, kind {kind}\n"
            yield _plain(catalogue(NETWORKS.get(kind).cfg(kind=kind), "student.network"))


def _sentence(setting: Setting) -> str:
    return f"{setting.sentence[:1].upper()}{setting.sentence[1:]}.\n" if setting.sentence else ""


def _plain(settings: Sequence[Setting]) -> str:
    return _table(("setting", "default", "unit", "what it is"), [(f"`{s.name}`", f"`{s.text}`", s.unit, s.sentence) for s in settings])


def _beside(names: Sequence[str], found: Sequence[dict[str, Setting]]) -> str:
    """Settings by name with their value for each robot; an entry of a table has only its sentence."""
    rows = []
    for name in names:
        told = min((one[name] for one in found if name in one), key=lambda setting: setting.absent)
        values = [f"`{one[name].text}`" if name in one and not one[name].table and not one[name].absent else "-" for one in found]
        cells = ["" for _ in found] if told.table else values
        rows.append((f"**`{name}`**" if told.table else f"`{name}`", *cells, told.unit, told.sentence))
    return _table(("setting", *(title for title, _, _ in COLUMNS), "unit", "what it is"), rows)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _merged(lists: Sequence[Sequence[str]]) -> list[str]:
    """The names of several lists, each once; names that only a later list has come after the name that they follow there."""
    merged: list[str] = list(lists[0])
    for names in lists[1:]:
        place = 0
        for name in names:
            if name in merged:
                place = merged.index(name) + 1
            else:
                merged.insert(place, name)
                place += 1
    return merged


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    write_text(target, page())
    print(f"wrote {target}")
