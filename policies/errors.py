"""Errors that the user can fix, for every package: the command line prints their message in one line and exits with 2, without a
traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Base of errors whose message alone tells the user what is wrong, where, and what is valid."""


class ConfigError(UserError, ValueError):
    """A preset, YAML file or override does not fit its schema."""


def nearest(given: str, valid: Iterable[str]) -> str | None:
    """The valid name most similar to the given one; None if none is near."""
    close = difflib.get_close_matches(given, list(valid), n=1, cutoff=0.6)
    return close[0] if close else None


def suggestion(given: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest valid name, or an empty string if none is near."""
    close = nearest(given, valid)
    return "" if close is None else f"; did you mean {close!r}?"
