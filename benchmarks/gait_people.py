"""Write `robolearn/evaluation/gait/people.json`: the gait figures of recorded people on G1, which the suite shows beside a robot's.

python -m benchmarks.gait_people FOLDER    recordings as TWIST2 has them (assets/example_motions/walk_*.pkl)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from envs.robots.registry import get_robot
from robolearn.evaluation.gait.people import PROVENANCE, kept_path, people_of, to_dict
from robolearn.evaluation.gait.recordings import find, read
from robolearn.writing import write_json


def main() -> None:
    """Read, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the recordings")
    robot = get_robot("g1")
    people = people_of([read(path, robot) for path in find(parser.parse_args().folder)], robot)
    write_json(kept_path(), to_dict(people, PROVENANCE))
    for row in people:
        print(f"{row.kind} {row.speed:.2f} m/s: {row.figures['speed'].count} stretches")
    print(f"wrote {kept_path()}")


if __name__ == "__main__":
    main()
