"""Our retargeting beside others' own, on the same input: `python -m benchmarks.retarget FOLDER` with ASAP's and TWIST2's clips in it.

ASAP's files hold a person from video and its authors' solution on G1: the person is retargeted anew, in the person's own time, and both are
measured against the same person. TWIST2's hold its authors' solution alone: it is cleaned, and measured before and after. Stance is told by
height and speed for all (`slip_by_height`), since others have no labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from envs.robots.registry import get_robot
from robolearn.evaluation.gait.recordings import Recording
from robolearn.motions.judge import figures_of, limbs_off
from robolearn.motions.reading import read
from robolearn.motions.recorded import resampled
from robolearn.motions.retarget import Clip, Retargeter, Wanted

SHOWN = {
    "slip_by_height": ("slip [m/s]", 3), "penetration": ("below [mm]", 1), "float": ("float [mm]", 1), "speed_share": ("speed share", 2),
    "acceleration": ("acceleration [rad/s2]", 1), "limbs_off": ("limbs off [deg]", 1),
}  # fmt: skip

Pair = tuple[str, dict[str, float], dict[str, float]]


def pairs(folder: Path, robot: str) -> Iterator[Pair]:
    """Name of a clip, figures of the others' solution, figures of ours."""
    retargeter = Retargeter(get_robot(robot), Wanted(froude=False))
    rig, kinematics, rate = retargeter.rig, retargeter.kinematics, retargeter.wanted.rate
    for path in sorted(folder.rglob("*.pkl")):
        theirs = read(path, retargeter.robot, solved=True)[0]
        if not isinstance(theirs, Recording):
            continue
        qpos = resampled(kinematics, theirs, rate)
        for clip in retargeter.clips(path):
            if not isinstance(clip, Clip):
                continue
            other = figures_of(rig, kinematics, qpos, 1 / rate)
            count = min(len(qpos), len(clip.qpos))
            if abs(len(qpos) - len(clip.qpos)) <= 2:
                both = clip.targets
                short = type(both)(**{**both.__dict__, "parts": both.parts[:count], "trust": both.trust[:count]})
                other["limbs_off"] = limbs_off(rig, kinematics, short, qpos[:count])
            ours = figures_of(rig, kinematics, clip.qpos, 1 / rate) | {"limbs_off": clip.report.figures["limbs_off"]}
            yield f"{path.parent.name}/{clip.name}", other, ours


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--robot", default="g1")
    args = parser.parse_args()
    found: dict[str, list[Pair]] = {}
    for name, theirs, ours in pairs(args.folder, args.robot):
        print(f"{name:44}", "  ".join(f"{key} {theirs.get(key, np.nan):.3f} -> {ours[key]:.3f}" for key in SHOWN))
        found.setdefault(name.split("/")[0], []).append((name, theirs, ours))
    print("\n| clips | whose | " + " | ".join(title for title, _ in SHOWN.values()) + " |\n|---|---|" + "---|" * len(SHOWN))
    for group, rows in found.items():
        for whose, figures in (("their own", [theirs for _, theirs, _ in rows]), ("ours", [ours for _, _, ours in rows])):
            cells = [f"{np.nanmean([row.get(key, np.nan) for row in figures]):.{digits}f}" for key, (_, digits) in SHOWN.items()]
            print(f"| {group} ({len(rows)}) | {whose} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
