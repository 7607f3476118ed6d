"""Our inverse kinematics beside mink's, on what the same clips ask of a robot: `python -m benchmarks.retarget_mink FILE...`.

mink (Apache-2.0) solves a frame at a time by a quadratic program with limits of joints and speeds, from the frame before; ours solves a
clip at once. Both get the same positions and attitudes and both are judged alike; time is that of the
process, reading and judging left out.
It is not installed with robolearn: `pip install mink`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.common import say
from envs.robots.registry import get_robot
from robolearn.errors import UserError
from robolearn.motions.inverse import solve
from robolearn.motions.judge import figures_of
from robolearn.motions.retarget import Clip, Retargeter
from robolearn.motions.targets import Targets

SHOWN = ("slip", "penetration", "speed_share", "acceleration")
FEET, HIPS, TRUNK, LIMBS, POSTURE = 100.0, 10.0, 1.0, 1.0, 0.01
"""mink's costs of a metre or a radian."""


class Mink:
    """mink on one robot: feet, hips, attitudes of pelvis and chest, knees, elbows and wrists, and the default pose."""

    def __init__(self, retargeter: Retargeter, steps: int) -> None:
        """`steps` of its solver a frame.

        Raises:
            UserError: mink is not installed.
        """
        try:
            import mink  # pyright: ignore[reportMissingImports] (nobody else needs it)
        except ImportError as error:
            raise UserError("mink is not installed: pip install mink") from error
        self._mink, self.steps, self._rig, self._kinematics = mink, steps, retargeter.rig, retargeter.kinematics
        rig, model = self._rig, self._rig.anatomy.model

        def task(body: int, position: float, turn: float) -> object:
            return mink.FrameTask(model.body(body).name, "body", position_cost=position, orientation_cost=turn)

        self._feet = [task(sole.body, FEET, FEET / 10) for sole in rig.soles]
        self._pelvis, self._chest = task(rig.pelvis, HIPS, TRUNK), task(rig.chest, 0.0, TRUNK)
        self._limbs = [(limb, [task(point.body, LIMBS, 0.0) for point in limb.points[1:]]) for limb in (*rig.legs, *rig.arms)]
        self._posture = mink.PostureTask(model, cost=POSTURE)
        joints = {model.joint(i).name: float(s) for i, s in zip(range(1, model.njnt), self._kinematics.speed, strict=False)}
        self._limits = [mink.ConfigurationLimit(model), mink.VelocityLimit(model, joints)]

    def solve(self, targets: Targets, begin: np.ndarray) -> np.ndarray:
        """Poses (T, nq) from the first of them."""
        mink, rig = self._mink, self._rig
        configuration = mink.Configuration(rig.anatomy.model, begin)
        self._posture.set_target(begin)
        every = [*self._feet, self._pelvis, self._chest, self._posture, *(task for _, tasks in self._limbs for task in tasks)]
        poses = np.empty((len(targets.hips), len(begin)))
        for frame in range(len(poses)):
            trunk = targets.trunk[frame] @ rig.level
            self._ask(self._pelvis, trunk[0], targets.hips[frame] - trunk[0] @ rig.hips.local)
            self._ask(self._chest, trunk[1], np.zeros(3))
            for foot, attitude, place in zip(self._feet, targets.sole[frame] @ rig.upright, targets.foot[frame], strict=True):
                self._ask(foot, attitude, place)
            for _ in range(self.steps):
                data, part = configuration.data, iter(targets.parts[frame])
                for limb, tasks in self._limbs:
                    first = limb.points[0]
                    at = data.xpos[first.body] + data.xmat[first.body].reshape(3, 3) @ first.local
                    for task, point in zip(tasks, limb.points[1:], strict=True):
                        at = at + next(part)
                        attitude = data.xmat[point.body].reshape(3, 3)
                        self._ask(task, attitude, at - attitude @ point.local)
                velocity = mink.solve_ik(configuration, every, targets.dt, "daqp", damping=1e-3, limits=self._limits)
                configuration.integrate_inplace(velocity, targets.dt / self.steps if self.steps > 1 else targets.dt)
            poses[frame] = configuration.q
        return poses

    def _ask(self, task: object, attitude: np.ndarray, place: np.ndarray) -> None:
        so3 = self._mink.SO3.from_matrix(attitude)
        task.set_target(self._mink.SE3.from_rotation_and_translation(so3, place))  # pyright: ignore[reportAttributeAccessIssue]


def measure(paths: list[Path], robot: str, steps: int) -> dict[str, dict[str, float]]:
    """Figures of both, means over clips, and frames a second of one core."""
    retargeter = Retargeter(get_robot(robot))
    mink, rows, frames, spent = Mink(retargeter, steps), {"ours": [], "mink": []}, 0, {"ours": 0.0, "mink": 0.0}
    for path in paths:
        for clip in retargeter.clips(path):
            if not isinstance(clip, Clip):
                continue
            frames += len(clip.qpos)
            ways = {
                "ours": lambda targets=clip.targets: solve(retargeter.rig, retargeter.kinematics, targets, retargeter.wanted.effort),
                "mink": lambda targets=clip.targets, begin=clip.qpos[0]: mink.solve(targets, begin),
            }
            for who, way in ways.items():
                begin = time.process_time()
                qpos = way()
                spent[who] += time.process_time() - begin
                rows[who].append(figures_of(retargeter.rig, retargeter.kinematics, qpos, clip.targets.dt, clip.targets.contact))
            say(f"{clip.name}: slip {rows['ours'][-1]['slip']:.3f}, mink's {rows['mink'][-1]['slip']:.3f} m/s")
    means = {who: {name: float(np.mean([row[name] for row in found])) for name in SHOWN} for who, found in rows.items() if found}
    return {who: mean | {"frames_per_s": frames / spent[who], "clips": len(rows[who])} for who, mean in means.items()}


def main() -> int:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--robot", default="g1")
    parser.add_argument("--steps", type=int, default=3, help="of mink's solver a frame (default: 3)")
    args = parser.parse_args()
    print(json.dumps({"robot": args.robot, "steps": args.steps} | measure(args.files, args.robot, args.steps), indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
