"""Where an episode comes from, and the episode itself: what a writer takes and a reader gives."""

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
    """Refuse what is no kind of source.

    Raises:
        DataError: says what is valid.
    """
    if kind not in KINDS:
        raise DataError(f"there is no kind of source {kind!r}{suggestion(kind, KINDS)}; valid: {', '.join(KINDS)}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What made episodes, and what may be done with them; a dataset keeps each distinct source once.

    Attributes:
        kind: what it is: `policy` for rollouts of a policy, `controller` for a model-based one, `mocap` for a person's motion, measured,
            `video` for one seen in video, `log` for a robot's own log, `teleoperation`, and `import` for others' datasets.
        robot: its name, for example `go1`.
        joint_names: J names in the order of the columns.
        fps: rate at which the source was recorded [Hz], before it was resampled to the dataset's.
        control_mode: what an action means, an action mode of the policy's contract, for example `position`; empty without actions.
        licence: an identifier of SPDX, for example `CC-BY-4.0`, or `unknown`.
        attribution: whom the licence asks to be named.
        file_hash: SHA-256 of the policy file or of the file that was imported.
        config: the resolved configuration that made it, as text.
        seed: of its random numbers.
        engine: name of the engine that simulated it.
        commit: of the code that made it.
        note: anything else, for people.
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
            TypeError: a key that is not known.
        """
        return Source(**raw)

    @property
    def group(self) -> str:
        """What statistics are kept apart by: `robot/control_mode`."""
        return f"{self.robot}/{self.control_mode or 'none'}"


@dataclass(kw_only=True)
class Episode:
    """One episode of T control steps.

    Attributes:
        columns: of each column that is known, (T, ...); see `robolearn.data.columns`. Beside a column there may be its mark, (T,) bool,
            where it is known in part; without a mark it is known throughout.
        task: what was asked, in words, for example `walk as commanded`.
        source: where it comes from.
        success: whether the task was done; None where nobody said.
    """

    columns: Mapping[str, np.ndarray]
    task: str
    source: Source
    success: bool | None = field(default=None)

    def __len__(self) -> int:
        """T."""
        return 0 if not self.columns else len(next(iter(self.columns.values())))
