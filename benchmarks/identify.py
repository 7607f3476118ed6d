"""How often the truth lies in the 95 % interval, and how far estimates are off, over hidden robots and noise of many seeds.

python benchmarks/identify.py go1 --seeds 10
python benchmarks/identify.py panda --seeds 10 --parameters kp,kd,friction,armature,delay,mass
"""

import argparse
import time

import numpy as np

from envs.robots.registry import get_robot
from robolearn.identify.demo import demonstrate
from robolearn.identify.fit import FitCfg
from robolearn.identify.parameters import parse_kinds
from robolearn.statistics import wilson


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("robot")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--parameters", default=None)
    parser.add_argument("--by", default="group")
    args = parser.parse_args()
    cfg = FitCfg(kinds=parse_kinds(args.parameters) if args.parameters else None, by=args.by)
    covered: list[float] = []
    errors: list[float] = []
    left_out = 0
    for seed in range(args.first, args.first + args.seeds):
        begun = time.monotonic()
        shown = demonstrate(get_robot(args.robot), seed, args.seconds, cfg)
        covered += shown.covered.tolist()
        errors += np.abs(shown.errors).tolist()
        left_out += len(shown.fit.estimates) - len(shown.errors)
        estimates, hidden = shown.fit.estimates, shown.hidden
        missed = [e.parameter.name for e, h in zip(estimates, hidden, strict=True) if e.identifiable and not e.low <= h <= e.high]
        worst, seconds = 100 * np.abs(shown.errors).max(), time.monotonic() - begun
        print(f"seed {seed}: worst error {worst:.2f} %, outside {missed}, {seconds:.0f} s", flush=True)
        low, high = wilson(int(sum(covered)), len(covered))
        inside = f"{int(sum(covered))} of {len(covered)} inside, {100 * low:.0f} to {100 * high:.0f} %"
        off = f"median error {100 * np.median(errors):.2f} %, largest {100 * max(errors):.2f} %"
        print(f"  so far: {inside}; {off}; {left_out} not identifiable", flush=True)


if __name__ == "__main__":
    main()
