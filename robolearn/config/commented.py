"""A configuration as YAML with the meaning of each setting in a comment: a run's config.yaml and the output of `--print-config`.

The comments change nothing: the text loads as the same config, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from policies.schema import join
from robolearn.config.catalogue import Setting, meanings
from robolearn.config.loading import dump

_SAID_ONCE = ("func", "operation", "distribution", "when", "low", "high", "noise", "scale", "clip", "delayed", "weight", "time_out")
"""Settings that mean the same in every entry of a table: explained only at the first."""


def commented(cfg: Any) -> str:
    """The YAML of `robolearn.config.loading.dump`, with comments."""
    text, known = dump(cfg), meanings(cfg)
    lines, said = text.splitlines(), set[tuple[str, str]]()
    for key, line, one in _places(yaml.compose(text, Loader=yaml.SafeLoader), ""):
        setting = known.get(key)
        if setting is None or not one:
            continue
        word = key.rpartition(".")[2]
        if word in _SAID_ONCE and key.startswith("env."):
            table = ".".join(key.split(".")[:2])
            if (table, word) in said:
                continue
            said.add((table, word))
        if remark := _remark(setting):
            lines[line] += f"  # {remark}"
    return "\n".join(lines) + "\n"


def _remark(setting: Setting) -> str:
    unit = f"[{setting.unit}] " if setting.unit and not setting.table else ""
    return f"{unit}{setting.sentence}".strip()


def _places(node: Any, name: str) -> Iterator[tuple[str, int, bool]]:
    """Dotted key, its line, and whether a comment may follow on that line: the value ends there, or is a table that begins below."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        here, line = join(name, str(key.value)), key.start_mark.line
        below = value.start_mark.line > line
        yield here, line, below or value.end_mark.line == line
        if below:
            yield from _places(value, here)
