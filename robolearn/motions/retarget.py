"""From a file of motions to poses of a robot: read, cut, ask, solve, judge."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from envs.robots.robot import Robot
from robolearn.data.source import Episode, Kind, Source
from robolearn.motions.episodes import episode_of
from robolearn.motions.footing import smooth
from robolearn.motions.gaps import SHORTEST_S, leaps, pieces
from robolearn.motions.inverse import Effort, solve
from robolearn.motions.judge import Bars, Report, judge
from robolearn.motions.kinematics import Kinematics
from robolearn.motions.licences import Licence
from robolearn.motions.person import Person
from robolearn.motions.reading import read, text_beside
from robolearn.motions.recorded import targets_of_recording
from robolearn.motions.rig import Rig
from robolearn.motions.targets import Targets, targets_of

SUNK, RAISED_S = 0.002, 0.1
"""How far a sole may be below the ground [m]; the whole robot is raised over so long before and after where it is further [s]."""
RATE = 50.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How motions are brought onto a robot.

    Attributes:
        rate: of the result [Hz].
        fps: of the files, where they do not say it.
        froude: time by Froude's number; otherwise it is the person's.
        solved: take a robot's own motion where a file has it beside a person's.
        kind: of the source; None for `video` where the name of the file or of its folder says so, else `mocap`.
        effort: of the inverse kinematics.
        bars: what a clip must not exceed.
    """

    rate: float = RATE
    fps: float | None = None
    froude: bool = True
    solved: bool = False
    kind: Kind | None = None
    effort: Effort = field(default_factory=Effort)
    bars: Bars = field(default_factory=Bars)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A motion on a robot.

    Attributes:
        name: of the clip.
        path: of the file that it came from.
        fps: of the recording [Hz].
        targets: what was asked.
        qpos: poses, (T, nq).
        contact: feet that stand, in the robot's order, (T, F).
        report: its figures, and whether it is kept.
    """

    name: str
    path: Path
    fps: float
    targets: Targets
    qpos: np.ndarray
    contact: np.ndarray
    report: Report


class Retargeter:
    """Brings motions onto one robot.

    Attributes:
        robot: whom.
        rig: its limbs.
        kinematics: its points and their Jacobians.
    """

    def __init__(self, robot: Robot, wanted: Wanted | None = None) -> None:
        """Find the robot's limbs.

        Raises:
            UserError: it is no humanoid.
        """
        self.robot, self.wanted = robot, wanted or Wanted()
        self.rig, self.kinematics = Rig.of(robot), Kinematics(robot)

    def clips(self, path: Path) -> Iterator[Clip | Report]:
        """The motions of a file on the robot; a report alone of those of which nothing can be made.

        Raises:
            UserError: the file cannot be read.
        """
        wanted = self.wanted
        for motion in read(path, self.robot, wanted.fps, wanted.solved):
            if not isinstance(motion, Person):
                if len(motion.qpos) * motion.dt < SHORTEST_S:
                    yield Report(name=motion.name, figures={}, faults=(f"shorter than {SHORTEST_S:g} s",))
                    continue
                begin = time.process_time()
                targets = targets_of_recording(motion, self.rig, self.kinematics, wanted.rate)
                yield self._solved(motion.name, path, 1.0 / motion.dt, targets, begin)
                continue
            found = pieces(motion)
            if not found:
                fault = "no stretch of it shows hips, knees, ankles and shoulders long enough"
                yield Report(name=motion.name, figures={}, remarks=motion.remarks, faults=(fault,))
            for piece in found:
                begin = time.process_time()
                targets = targets_of(piece, self.rig, wanted.rate, wanted.froude)
                yield self._solved(piece.name, path, piece.fps, targets, begin, leaps(piece))

    def _solved(self, name: str, path: Path, fps: float, targets: Targets, begin: float, leaping: int = 0) -> Clip:
        qpos = self._raised(solve(self.rig, self.kinematics, targets, self.wanted.effort), targets.dt)
        spent = time.process_time() - begin
        report = judge(name, self.rig, self.kinematics, targets, qpos, leaping, spent, self.wanted.bars)
        order = np.argsort(self.rig.feet)
        return Clip(name=name, path=path, fps=fps, targets=targets, qpos=qpos, contact=targets.contact[:, order], report=report)

    def _raised(self, qpos: np.ndarray, dt: float) -> np.ndarray:
        """Poses raised where a sole is still below the ground, smoothly."""
        placed = self.kinematics.place(qpos)
        heights = [sole.height(sole.places(placed.position[:, sole.body], placed.attitude[:, sole.body])) for sole in self.rig.soles]
        below = np.maximum(-np.min(heights, axis=0) - SUNK, 0.0)
        if below.max() == 0.0:
            return qpos
        reach = round(RAISED_S / dt)
        padded = np.pad(below, reach)
        most = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
        raised = qpos.copy()
        raised[:, 2] += smooth(most, reach)
        return raised

    def episode(self, clip: Clip, licence: Licence) -> Episode:
        """The episode of a clip."""
        wanted, targets = self.wanted, clip.targets
        source = Source(
            kind=wanted.kind or ("video" if any("video" in part.lower() for part in clip.path.absolute().parts[-2:]) else "mocap"),
            robot=self.robot.name,
            joint_names=self.robot.joint_names,
            fps=clip.fps,
            licence=licence.name,
            attribution=licence.attribution,
            file_hash=hashlib.sha256(clip.path.read_bytes()).hexdigest(),
            config=f"lengths times {targets.scale:.4f}, time times {targets.pace:.4f}",
            note="; ".join([clip.path.name, *targets.remarks]),
        )
        task = text_beside(clip.path) or clip.name.replace("_", " ")
        return episode_of(self.kinematics, clip.qpos, clip.contact, targets.dt, source, task)
