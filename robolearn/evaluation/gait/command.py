"""`robolearn evaluate PATH --gait`: figures, targets and strips of a policy file, or of a training's present state."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from envs.robots.robot import Robot
from robolearn.evaluation.gait import report
from robolearn.evaluation.gait.people import People, kept, people_of
from robolearn.evaluation.gait.recordings import find, read
from robolearn.evaluation.gait.study import Gait, study
from robolearn.evaluation.gait.subject import Subject
from robolearn.writing import write_json

SEEDS, QUICK_SEEDS = 8, 2
FOLDER = "ROBOLEARN_MOTIONS"  # environment variable: folder of recordings of people on G1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """The result that was written.

    Attributes:
        gait: the figures.
        data: what the JSON holds.
        people: the people compared with.
        picture: strips; None if nothing could be drawn or pictures were off.
        failure: why there is no picture.
    """

    gait: Gait
    data: dict[str, Any]
    people: list[People]
    picture: Path | None
    failure: str = ""


def look(subject: Subject, folder: Path, seeds: int | None = None, quick: bool = False, pictures: bool = True) -> Shown:
    """Study a gait and write `gait.json` and `strips.png`; e.g. of a training that runs: `look(of_checkpoint(run), folder, quick=True)`.

    Args:
        subject: the policy, see `subject.of_checkpoint` and `subject.of_setup`.
        folder: output folder; created if missing.
        seeds: episodes per condition.
        quick: fewer conditions, shorter, fewer episodes.
        pictures: draw the strips.
    """
    found = study(subject.make_env, subject.make_actor, seeds or (QUICK_SEEDS if quick else SEEDS), quick)
    compared = compared_with(found.robot)
    data = report.to_dict(found, subject.told, compared)
    write_json(folder / report.DATA, data)
    picture, failure = report.draw(found, folder, compared) if pictures else (None, "left out")
    return Shown(gait=found, data=data, people=compared, picture=picture, failure=failure)


def compared_with(robot: Robot) -> list[People]:
    """Recorded people to compare a robot with: those in the folder `ROBOLEARN_MOTIONS`, with pictures, or else the stored figures.

    Raises:
        UserError: there are no recordings in that folder.
    """
    if robot.name != report.ON:
        return []
    folder = os.environ.get(FOLDER, "")
    return people_of([read(path, robot) for path in find(Path(folder))], robot) if folder else kept()
