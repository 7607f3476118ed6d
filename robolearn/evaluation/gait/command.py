"""`robolearn evaluate PATH --gait`: figures, targets and strips of a policy file, or of a training as it stands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from robolearn.evaluation.gait import report
from robolearn.evaluation.gait.study import Gait, study
from robolearn.evaluation.gait.subject import Subject
from robolearn.writing import write_json

SEEDS, QUICK_SEEDS = 8, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """What was written.

    Attributes:
        gait: the figures.
        data: what the JSON holds.
        picture: strips; None where nothing could be drawn, or nobody wanted it.
        failure: why there is no picture.
    """

    gait: Gait
    data: dict[str, Any]
    picture: Path | None
    failure: str = ""


def look(subject: Subject, folder: Path, seeds: int | None = None, quick: bool = False, pictures: bool = True) -> Shown:
    """Study a gait and write `gait.json` and `strips.png`; e.g. of a training that runs: `look(of_checkpoint(run), folder, quick=True)`.

    Args:
        subject: whose, see `subject.of_checkpoint` and `subject.of_setup`.
        folder: where to; made if it is not there.
        seeds: episodes a condition.
        quick: fewer conditions, shorter, fewer episodes.
        pictures: draw the strips.
    """
    found = study(subject.make_env, subject.make_actor, seeds or (QUICK_SEEDS if quick else SEEDS), quick)
    data = report.to_dict(found, subject.told)
    write_json(folder / report.DATA, data)
    picture, failure = report.draw(found, folder) if pictures else (None, "left out")
    return Shown(gait=found, data=data, picture=picture, failure=failure)
