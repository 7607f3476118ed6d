"""The one error of everything about robots, a module of its own so that reading a model need not know what a `Robot` is."""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import UserError


class RobotError(UserError, ValueError):
    """A robot that cannot be used as it is described; the message lists all that is wrong, each with what to do."""


def raise_faults(where: str, faults: Sequence[str]) -> None:
    """Raise one `RobotError` that says all of `faults`; nothing where there are none."""
    if len(faults) == 1:
        raise RobotError(f"{where}: {faults[0]}")
    if faults:
        raise RobotError(f"{where}: {len(faults)} things are wrong:" + "".join(f"\n  - {fault}" for fault in faults))
