"""How often the truth lies in the 95 % interval, and how far estimates are off, over hidden robots and noise of many seeds.

python -m benchmarks.identify go1 --seeds 10 --seconds 8
python -m benchmarks.identify panda --seeds 10 --json panda.json

Prints one line of JSON a robot, and one for all of them in the end. `precise` parameters have an interval of at most +- 5 % (or one that is
negligible), `weak` ones a wider one.
"""

import argparse
import json
import time

import numpy as np

from envs.robots.registry import get_robot
from robolearn.evaluation.statistics import wilson
from robolearn.identify.demo import Demonstration, demonstrate
from robolearn.identify.fit import FitCfg
from robolearn.identify.parameters import parse_kinds
from robolearn.writing import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("robot")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=16.0)
    parser.add_argument("--parameters", default=None)
    parser.add_argument("--by", default="group")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", metavar="PATH", help="write the summary there as well")
    args = parser.parse_args()
    cfg = FitCfg(kinds=parse_kinds(args.parameters) if args.parameters else None, by=args.by, threads=args.threads)
    shown: list[Demonstration] = []
    took: list[float] = []
    for seed in range(args.first, args.first + args.seeds):
        begun = time.monotonic()
        shown.append(demonstrate(get_robot(args.robot), seed, args.seconds, cfg))
        took.append(time.monotonic() - begun)
        print(json.dumps({"seed": seed, **summary(shown[-1:], took[-1:])}), flush=True)
    total = {"robot": args.robot, "seconds": args.seconds, "robots": args.seeds, **summary(shown, took)}
    print(json.dumps(total))
    if args.json:
        write_json(args.json, total)


def summary(shown: list[Demonstration], took: list[float]) -> dict[str, object]:
    """Of all parameters of some robots; errors in percent of the true value."""
    found = [(e, h) for one in shown for e, h in zip(one.fit.estimates, one.hidden, strict=True)]
    told = [(e, float(h), 100 * abs(e.value / float(h) - 1)) for e, h in found if e.identifiable]
    sized = [(e, error) for e, _, error in told if e.parameter.kind != "tilt"]  # which may be zero
    precise = [(error, e.parameter.name) for e, error in sized if e.precise]
    weak = [(error, e.parameter.name) for e, error in sized if not e.precise]
    tilt = [1e3 * abs(e.value - h) for e, h, _ in told if e.parameter.kind == "tilt"]
    outside = [e.parameter.name for e, h, _ in told if not e.low <= h <= e.high]
    inside = len(told) - len(outside)
    return {
        "parameters": len(found),
        "precise": len(precise),
        "weak": len(weak),
        "not_identifiable": len(found) - len(told),
        "inside": inside,
        "inside_share": [round(share, 3) for share in (inside / len(told), *wilson(inside, len(told)))] if told else None,
        "precise_median_error": round(float(np.median([error for error, _ in precise])), 3) if precise else None,
        "precise_largest_error": [round(max(precise)[0], 2), max(precise)[1]] if precise else None,
        "weak_largest_error": [round(max(weak)[0], 2), max(weak)[1]] if weak else None,
        "tilt_largest_error_mrad": round(max(tilt), 3) if tilt else None,
        "outside": outside,
        "residual_to_noise": round(float(np.mean([one.fit.unexplained for one in shown])), 3),
        "took_s": round(float(np.median(took)), 1),
    }


if __name__ == "__main__":
    main()
