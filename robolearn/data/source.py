"""The source of an episode, and the episode itself, as writers take and readers return it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from robolearn.data.columns import DataError
from robolearn.errors import suggestion

Kind = Literal["policy", "controller", "mocap", "video", "log", "teleoperation", "import"]
KINDS: tuple[str, ...] = get_args(Kind)
UNKNOWN = "unknown"


def check_kind(kind: str) -> None:
    """Refuse an unknown kind of source.

    Raises:
        DataError: lists the valid kinds.
    """
    if kind not in KINDS:
        raise DataError(f"there is no kind of source {kind!r}{suggestion(kind, KINDS)}; valid: {', '.join(KINDS)}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What made episodes, and how they may be used; a dataset keeps each distinct source once.

    Attributes:
        kind: what it is: `policy` for rollouts of a policy, `controller` for a model-based one, `mocap` for human motion capture, `video`
            for human motion from video, `log` for a robot's own log, `teleoperation`, and `import` for others' datasets.
        robot: its name, for example `go1`.
        joint_names: J names in the order of the columns.
        fps: rate at which the source was recorded [Hz], before it was resampled to the dataset's.
        control_mode: what an action means, an action mode of the policy's contract, for example `position`; empty without actions.
        licence: an identifier of SPDX, for example `CC-BY-4.0`, or `unknown`.
        attribution: whom to credit under the licence.
        file_hash: SHA-256 of the policy file or of the imported file.
        config: the resolved configuration that made it, as text.
        seed: seed of its random numbers.
        engine: name of the engine that simulated it.
        commit: commit of the code that made it.
        note: any further text.
    """

    kind: Kind
    robot: str
    joint_names: tuple[str, ...] = ()
    fps: float = 0.0
    control_mode: str = ""
    licence: str = UNKNOWN
    attribution: str = ""
    file_hash: str = ""
    config: str = ""
    seed: int | None = None
    engine: str = ""
    commit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        check_kind(self.kind)
        object.__setattr__(self, "joint_names", tuple(self.joint_names))

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Source:
        """Read what `dataclasses.asdict` gave.

        Raises:
            TypeError: an unknown key.
        """
        return Source(**raw)

    @property
    def group(self) -> str:
        """Key of the statistics: `robot/control_mode`."""
        return f"{self.robot}/{self.control_mode or 'none'}"


@dataclass(kw_only=True)
class Episode:
    """One episode of T control steps.

    Attributes:
        columns: the known columns, (T, ...); see `robolearn.data.columns`. A column that is known only in part has its mark, (T,) bool,
            beside it; without a mark it is known throughout.
        task: the task in words, for example `walk as commanded`.
        source: its source.
        success: whether the task was done; None if unknown.
    """

    columns: Mapping[str, np.ndarray]
    task: str
    source: Source
    success: bool | None = field(default=None)

    def __len__(self) -> int:
        """T."""
        return 0 if not self.columns else len(next(iter(self.columns.values())))
