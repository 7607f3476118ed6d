"""What a process of its own costs an engine: control steps a second through the protocol, against the same engine in this process.

The same engine means the very class that the worker runs (`envs.engines.worker.mujoco_worlds`), called here without protocol. Both get the
same controls from the same states and run in turns, so that whatever else the computer does meets both. Also: the default engine for
comparison, and the bare round trip of a message. `--kills N` kills either side N times, and counts what is left behind.

    python -m benchmarks.apart [--worlds 1024] [--robot go1] [--rounds 9] [--python PYTHON] [--kills 0] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from envs.engines.cores import available_cores
from envs.engines.elsewhere.description import described
from envs.engines.face import EngineError
from envs.engines.registry import make_engine
from envs.engines.worker.face import Model
from envs.engines.worker.mujoco_worlds import MujocoWorlds
from envs.robots.registry import get_robot
from policies.files import write_text

DECIMATION = 4

TRAINER = """
import sys, torch
from envs.engines.registry import make_engine
from envs.robots.registry import get_robot
model = get_robot("go1").scene().compile()
engine = make_engine("mujoco@" + sys.executable, model, 8, num_threads=1)
print(engine.worker.pid, flush=True)
while True:
    engine.step(torch.zeros(8, 1, model.nu), 20)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1024)
    parser.add_argument("--robot", default="go1")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = cost(args.robot, args.worlds, args.rounds, args.python) if args.rounds else {}
    if args.kills:
        found |= kills(args.kills)
    print(json.dumps(found, indent=1))
    if args.json:
        write_text(args.json, json.dumps(found, indent=1) + "\n")


def cost(robot: str, worlds: int, rounds: int, python: str) -> dict[str, object]:
    """Control steps of a world per second of each, and the median of their ratios within a round."""
    model, threads = get_robot(robot).scene().compile(), available_cores()
    rest = torch.tensor(model.key(0).qpos, dtype=torch.float32).repeat(worlds, 1)
    still, ids = torch.zeros(worlds, model.nv), torch.arange(worlds)
    generator = torch.Generator().manual_seed(0)
    control = torch.tensor(model.key(0).ctrl, dtype=torch.float32) + 0.1 * torch.randn(worlds, 1, model.nu, generator=generator)
    names = ("qpos", "qvel", "sensordata")
    shared = {
        name: np.zeros((worlds, getattr(model, size)), np.float32) for name, size in zip(names, ("nq", "nv", "nsensordata"), strict=True)
    }
    here = MujocoWorlds(Model(*described(model)), worlds, threads, shared | {"failed": np.zeros(worlds, np.uint8)})
    there = make_engine(f"mujoco@{python}", model, worlds)
    default = make_engine("mujoco", model, worlds)
    runs: dict[str, Callable[[], None]] = {
        "in this process": lambda: here.step(control.numpy(), DECIMATION),
        "through the protocol": lambda: there.step(control, DECIMATION),
        "engine mujoco": lambda: default.step(control, DECIMATION),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        here.write_state(ids.numpy(), rest.numpy(), still.numpy())
        for engine in (there, default):
            engine.write_state(ids, rest, still)
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(3):
                run()
            rates[name].append(3 * worlds / (time.perf_counter() - start))
    ratios = [a / b for a, b in zip(rates["through the protocol"], rates["in this process"], strict=True)]
    trips = []
    for _ in range(300):
        start = time.perf_counter()
        there.worker.ask("const", ids=np.zeros(0, np.int64))
        trips.append(time.perf_counter() - start)
    return {
        "robot": robot, "worlds": worlds, "threads": threads, "python": there.worker.python, "version": there.version,
        "control_steps_per_s": {name: round(statistics.median(values)) for name, values in rates.items()},
        "ratio": round(statistics.median(ratios), 3), "ratios": [round(ratio, 3) for ratio in ratios],
        "round_trip_us": round(1e6 * statistics.median(trips), 1),
    }  # fmt: skip


def kills(times: int) -> dict[str, object]:
    """Kill the worker, then the trainer, `times` each, at any moment of their steps."""
    rng = np.random.default_rng(0)
    model, lines, before = get_robot("go1").scene().compile(), set[str](), _shared()
    orphans = 0
    for _ in range(times):
        engine = make_engine(f"mujoco@{sys.executable}", model, 8, num_threads=1)
        pid = engine.worker.pid
        for _ in range(int(rng.integers(0, 3))):
            engine.step(torch.zeros(8, 1, model.nu), 4)
        os.kill(pid, signal.SIGKILL)
        try:
            while True:
                engine.step(torch.zeros(8, 1, model.nu), 4)
        except EngineError as error:
            lines.add(re.sub(r"process \d+", "process N", str(error)))
        orphans += _alive(pid)
    for _ in range(times):
        with subprocess.Popen([sys.executable, "-c", TRAINER], stdout=subprocess.PIPE, text=True) as trainer:
            assert trainer.stdout is not None
            pid = int(trainer.stdout.readline())
            time.sleep(float(rng.uniform(0, 0.1)))
            trainer.kill()
        end = time.monotonic() + 20
        while _alive(pid) and time.monotonic() < end:
            time.sleep(0.01)
        orphans += _alive(pid)
    return {"kills_of_each": times, "orphans": orphans, "shared_memory_left": len(_shared() - before), "lines": sorted(lines)}


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _shared() -> set[str]:
    """Named blocks of ours; those of other programs come and go."""
    return {path.name for path in Path("/dev/shm").iterdir() if "robolearn" in path.name}


if __name__ == "__main__":
    main()
