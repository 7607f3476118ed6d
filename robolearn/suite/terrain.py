"""Item `terrain`: each kind of ground, harder and harder."""

from __future__ import annotations

from robolearn.suite.result import ItemResult
from robolearn.suite.setup import Setup


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    del setup
    return ItemResult(status="not available", reason="this version has no terrain")
