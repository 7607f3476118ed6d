"""From a file of motions to poses of a robot: read, cut, make targets, solve, judge."""

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
"""Depth up to which a sole may be below the ground [m]; if it is deeper, the robot is raised, over this time before and after [s]."""
RATE = 50.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Settings of retargeting.

    Attributes:
        rate: rate of the result [Hz].
        fps: rate of the files, if they do not state it.
        froude: whether to scale time by Froude's number; otherwise it is the person's.
        solved: take the robot's motion if a file has both a robot's and a person's.
        kind: kind of the source; None for `video` if the name of the file or its folder says so, otherwise `mocap`.
        effort: limits of the inverse kinematics.
        bars: limits for a clip to be kept.
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
    """A retargeted motion.

    Attributes:
        name: of the clip.
        path: the file that it came from.
        fps: of the recording [Hz].
        targets: the targets.
        qpos: poses, (T, nq).
        contact: feet that are down, in the robot's order, (T, F).
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
    """Retargets motions to one robot.

    Attributes:
        robot: the robot.
        rig: its limbs.
        kinematics: its points and their Jacobians.
    """

    def __init__(self, robot: Robot, wanted: Wanted | None = None) -> None:
        """Find the robot's limbs.

        Raises:
            UserError: it is not a humanoid.
        """
        self.robot, self.wanted = robot, wanted or Wanted()
        self.rig, self.kinematics = Rig.of(robot), Kinematics(robot)

    def clips(self, path: Path) -> Iterator[Clip | Report]:
        """The motions of a file on the robot; only a report for those that cannot be used.

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
                fault = "no stretch shows hips, knees, ankles and shoulders for long enough"
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
        """Poses, raised smoothly while a sole is still below the ground."""
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
