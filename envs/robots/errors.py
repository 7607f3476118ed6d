"""The error for everything about robots, in a separate module so that reading a model does not depend on `Robot`."""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import UserError


class RobotError(UserError, ValueError):
    """A robot that cannot be used as described; the message lists all faults, each with what to do."""


def raise_faults(where: str, faults: Sequence[str]) -> None:
    """Raise one `RobotError` with all `faults`, if there are any."""
    if len(faults) == 1:
        raise RobotError(f"{where}: {faults[0]}")
    if faults:
        raise RobotError(f"{where}: {len(faults)} things are wrong:" + "".join(f"\n  - {fault}" for fault in faults))
