"""Checks that the result of a training is finite: one bad number makes a network worthless, and a checkpoint would keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

LEARNED = ("policy", "teacher", "optimizer")
"""Parts of a checkpoint that must be finite. The rest may hold meaningful infinities, such as the time of a push that never comes."""


def not_finite(tree: Any, name: str = "") -> list[str]:
    """Names of the tensors and floats of nested tables and lists that hold a number that is not finite, e.g. `policy.normalizer.mean`."""
    if isinstance(tree, torch.Tensor):
        return [] if not tree.is_floating_point() or bool(torch.isfinite(tree).all()) else [name]
    if isinstance(tree, Mapping):
        return [found for key, value in tree.items() for found in not_finite(value, f"{name}.{key}" if name else str(key))]
    if isinstance(tree, list | tuple):
        return [found for index, value in enumerate(tree) for found in not_finite(value, f"{name}[{index}]")]
    return [name] if isinstance(tree, float) and tree - tree != 0 else []


def not_finite_in(state: Mapping[str, Any]) -> list[str]:
    """The same for the learned parts of a checkpoint's state."""
    return not_finite({part: state[part] for part in LEARNED if part in state})


def listed(names: list[str], most: int = 4) -> str:
    """Names as one line of text."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
