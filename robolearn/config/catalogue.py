"""Every setting of a configuration with its value, unit and meaning: what `robolearn config`, config.yaml and docs/settings.md show."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from envs.terms.randomization import OPERATION, QUANTITIES, RandomizationCfg, Range
from envs.terms.term import SensedTerm, Term
from policies.contract.observation import ABOUT
from policies.schema import fields, join, plain
from robolearn.config.loading import to_dict
from robolearn.config.sentences import arguments, attributes, summary, unit, without_unit
from robolearn.config.terms import FUNC

_SENSED = {
    "base_angular_velocity": "angular velocity of the base by the gyro, in the base frame",
    "projected_gravity": "direction of gravity in the base frame",
    "command": "the command of the robot",
    "joint_position": "joint angles minus the default pose",
    "joint_velocity": "joint speeds",
    "joint_target": "the previous step's targets, minus the default pose",
    "last_action": "the previous step's action",
    "clock": "sine and cosine of the gait's clock",
}
"""Meaning of the contract's own observations; their functions are in `policies.contract.observation.TERMS`."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting, or a table of settings.

    Attributes:
        name: dotted, as typed after `--`.
        value: as plain data; None for a table.
        sentence: its meaning.
        unit: empty for pure numbers, words and switches.
        table: whether it holds other settings.
        absent: whether it is an entry that could be there and is not.
    """

    name: str
    value: Any
    sentence: str
    unit: str = ""
    table: bool = False
    absent: bool = False

    @property
    def text(self) -> str:
        """The value as YAML to type after `--name=`; empty for a table."""
        return "" if self.table else written(self.value)


def written(value: Any) -> str:
    """A value as typed on the command line: numbers to the last digit, lists in brackets."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(item) for item in value)}]"
    if isinstance(value, str):
        return value or '""'
    return json.dumps(value)


def catalogue(cfg: Any, name: str = "") -> list[Setting]:
    """All settings of a config object in their order, each table before what it holds.

    Args:
        cfg: a config, e.g. `robolearn.config.schema.TrainCfg`, or a part of one.
        name: its dotted name, empty for the whole.
    """
    return list(_of_class(cfg, name))


def meanings(cfg: Any) -> dict[str, Setting]:
    """Dotted name -> setting."""
    return {setting.name: setting for setting in catalogue(cfg)}


def _of_class(cfg: Any, name: str) -> Iterator[Setting]:
    sentences = attributes(type(cfg))
    for field in fields(type(cfg)):
        yield from _of_value(getattr(cfg, field), join(name, field), sentences.get(field, ""))


def _of_value(value: Any, name: str, sentence: str) -> Iterator[Setting]:
    if isinstance(value, RandomizationCfg):
        yield Setting(name=name, value=None, sentence=sentence, table=True)
        yield from _of_randomization(value, name)
    elif isinstance(value, Term):
        yield from _of_term(value, name)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield Setting(name=name, value=None, sentence=sentence if _says_more(sentence) else summary(type(value)), table=True)
        yield from _of_class(value, name)
    elif isinstance(value, Mapping) and value:
        yield Setting(name=name, value=None, sentence=sentence, table=True)
        for key, item in value.items():
            yield from _of_value(item, join(name, key), _about_observation(key) if isinstance(item, SensedTerm) else sentence)
    else:
        yield Setting(name=name, value=plain(value), sentence=without_unit(sentence), unit=unit(name, sentence))


def _says_more(sentence: str) -> bool:
    """Whether a sentence says more than where another docstring is."""
    return bool(sentence) and not sentence.startswith(("see their", "as of"))


def _about_observation(name: str) -> str:
    """The meaning of an observation, by its name."""
    if name not in _SENSED or name not in ABOUT:
        return "an observation that a plugin registers"
    its = ABOUT[name].unit
    return f"{_SENSED[name]} [{its}]" if any(letter.isalpha() for letter in its) else _SENSED[name]


def _of_term(term: Term, name: str) -> Iterator[Setting]:
    """An entry with a function: what the function computes, the entry's own settings, the function's parameters."""
    about = summary(term.func)
    yield Setting(name=name, value=None, sentence=about, table=True)
    own, given = attributes(type(term)), arguments(term.func)
    for key, value in plain_term(term).items():
        sentence = "the function, package.module:name" if key == FUNC else own.get(key) or given.get(key) or f"a parameter of {FUNC}"
        yield Setting(name=join(name, key), value=value, sentence=without_unit(sentence), unit=unit(key, sentence))


def plain_term(term: Term) -> dict[str, Any]:
    """A term as plain data, its function by name."""
    return to_dict(term)


def _of_randomization(table: RandomizationCfg, name: str) -> Iterator[Setting]:
    of_range = attributes(Range)
    for key, entry in table.entries.items():
        here = join(name, key)
        if isinstance(entry, Term):
            yield from _of_term(entry, here)
            continue
        what = QUANTITIES[key]
        yield Setting(name=here, value=None, sentence=without_unit(what), unit=unit(key, what), table=True)
        for field in fields(Range):
            its = unit(key, what) if field in ("low", "high") and entry.operation != "scale" else ""
            yield Setting(name=join(here, field), value=getattr(entry, field), sentence=of_range[field], unit=its)
    words = attributes(RandomizationCfg)
    for word in ("disturbance_ramp", "noise"):
        yield Setting(name=join(name, word), value=getattr(table, word), sentence=words[word])
    for key, what in QUANTITIES.items():
        if key not in table.entries:
            how = f", operation: {OPERATION[key]}" if key in OPERATION else ""
            form = f"does not vary; to vary it: {{low: ..., high: ...{how}}}"
            yield Setting(name=join(name, key), value=None, sentence=f"{without_unit(what)} ({form})", unit=unit(key, what), absent=True)
