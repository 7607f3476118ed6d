"""What a training costs another one on the same computer: its rate alone and beside a second, with threads that wait asleep and that spin.

python -m benchmarks.beside --seconds 20 --json beside.json

Prints one line of JSON: control steps a second of one training in each case, as set by robolearn (OMP_WAIT_POLICY=passive) and with a pool
that spins for some milliseconds, as torch has it otherwise.
"""

import argparse
import json
import os
import subprocess
import sys
import time

PRESET = "go1-velocity-flat"
POLICIES = {"asleep": "passive", "spinning": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement (default: 20)")
    parser.add_argument("--json", metavar="PATH", help="write the result there as well")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(steps_per_s(args.seconds))
        return
    result: dict[str, float] = {}
    for name, policy in POLICIES.items():
        alone = together(1, policy, args.seconds)[0]
        beside = together(2, policy, args.seconds)
        result |= {f"{name}_alone": alone, f"{name}_beside": sum(beside) / 2, f"{name}_ratio": sum(beside) / 2 / alone}
    result = {key: float(f"{value:.4g}") for key, value in result.items()}
    print(json.dumps(result))
    if args.json:
        from robolearn.writing import write_json

        write_json(args.json, result)


def together(count: int, policy: str | None, seconds: float) -> list[float]:
    """Rates of `count` trainings at the same time [control steps/s]."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {"GOMP_SPINCOUNT": "300000"}  # libgomp's own default
    command = [sys.executable, "-m", "benchmarks.beside", "--worker", "--seconds", str(seconds)]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [float(process.communicate()[0]) for process in running]


def steps_per_s(seconds: float) -> float:
    """Control steps a second of whole iterations of a teacher's training, after one to warm up."""
    from robolearn.config import schema
    from robolearn.learning.teacher import TeacherTrainer

    trainer = TeacherTrainer(schema.load(PRESET))
    trainer.iterate()
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        trainer.iterate()
    return (trainer.iteration - 1) * trainer.steps_per_iteration / (time.monotonic() - begin)


if __name__ == "__main__":
    main()
