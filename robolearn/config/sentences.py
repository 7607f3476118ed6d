"""The meaning of each setting, read from the docstring where it is defined, so that there is no second text to keep up to date.

A field is explained under `Attributes:` of its class, a parameter of a term under `Args:` of its function; a function without `Args:`
explains its parameters in its first sentence.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

_ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<text>.*)$")
_UNIT = re.compile(r"\[([^\[\]]*[A-Za-z/][^\[\]]*)\]")
_SHAPE = re.compile(r",? \((?:N|n|F|k|S|J)(?:, \w+)*,?\)(?: bool)?(?: or \(\))?")
_OF_SUFFIX = {"_s": "s", "_hz": "Hz", "_dt": "s"}
_REPLACED = (("``", ""), ("`", ""))


def attributes(cls: type) -> dict[str, str]:
    """Field -> its sentence, from `Attributes:` of a class and of its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _section(base.__doc__ or "", "Attributes:")
    return found


def arguments(func: Callable[..., Any]) -> dict[str, str]:
    """Parameter -> its sentence, from `Args:` of a function, or of a class's `__init__`."""
    docs = [func.__init__.__doc__, func.__doc__] if inspect.isclass(func) else [func.__doc__]
    return {name: text for doc in docs for name, text in _section(doc or "", "Args:").items()}


def summary(thing: Any) -> str:
    """The first sentence of a docstring, or its first paragraph if that is no longer than a line or two."""
    paragraph = " ".join(inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].split())
    return _plain(_SHAPE.sub("", paragraph))


def unit(name: str, sentence: str) -> str:
    """The unit of a setting, from the brackets in its sentence or the ending of its name; empty for a pure number or a word."""
    found = _UNIT.search(sentence)
    if found is not None:
        return found[1]
    return next((unit for suffix, unit in _OF_SUFFIX.items() if name.endswith(suffix)), "")


def without_unit(sentence: str) -> str:
    """A sentence without the unit in brackets that ends it."""
    return re.sub(r"\s*\[[^\[\]]*[A-Za-z/][^\[\]]*\](?=[,;.]|$)", "", sentence).strip()


def _section(doc: str, title: str) -> dict[str, str]:
    """The entries of a section of a Google-style docstring; `a, b: text` is entered under both names."""
    lines = inspect.cleandoc(doc).splitlines()
    if title not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index(title) + 1 :]:
        if line and not line.startswith(" "):
            break
        if (entry := _ENTRY.match(line[4:])) is not None:
            names = entry["names"].split(", ")
            found |= dict.fromkeys(names, entry["text"])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: _plain(text) for name, text in found.items()}


def _plain(text: str) -> str:
    for mark, instead in _REPLACED:
        text = text.replace(mark, instead)
    return text.strip().removesuffix(".")
