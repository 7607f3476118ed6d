"""What one policy did in one kind of change, for report and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from robolearn.evaluation.adaptation.figures import Curve
from robolearn.evaluation.figures import Figure


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one policy did in one kind of change.

    Attributes:
        figures: see `figures.measured`.
        curve: of its error.
        probes: source of features -> how much of the change it tells; empty where nothing was probed.
        failure: why there is nothing, where there is nothing.
    """

    figures: Mapping[str, Figure] = field(default_factory=dict)
    curve: Curve | None = None
    probes: Mapping[str, Figure] = field(default_factory=dict)
    failure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the curve at every control step."""
        told: dict[str, Any] = {"figures": {name: dataclasses.asdict(figure) for name, figure in self.figures.items()}}
        if self.curve is not None:
            told["curve"] = {name: [round(float(v), 5) for v in getattr(self.curve, name)] for name in ("time_s", "mean", "low", "high")}
        if self.probes:
            told["probes"] = {name: dataclasses.asdict(figure) for name, figure in self.probes.items()}
        return told | ({"failure": self.failure} if self.failure else {})
