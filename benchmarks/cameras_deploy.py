"""From the stamp of a camera to the robot's command, and what cameras cost the control loop, over real ROS 2 messages.

Three processes, as `robolearn deploy FILE --simulate` starts them: the policy, the robot's physics at 500 Hz, and the robot's cameras. All
times are read from the run's own log: stamp (the pose that was drawn), arrival, ready (decoded and encoded), command (the end of the first
tick that used it). The loop's jitter is how late its ticks began, against a policy without cameras in turns on the same computer.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.common import say
from bridge.control.sight import TIMES
from bridge.control.ticks import INFERRED
from bridge.logs.reader import Log, read_log
from bridge.logs.replay import replay
from envs.robots.registry import get_robot
from envs.tasks.registry import make_env
from policies.export.onnx_graph import export_student
from policies.networks.protocol import Memory, Network, NetworkCfg
from policies.networks.registry import make_network, network_cfg
from robolearn.config import loading, schema
from robolearn.learning.export import record_sensors

GROUP, CAMERA, SIDE, RATE = "view", "outside", 64, 10
PATIENCE_S = 120.0
GOAL = ("0.45", "0.1", "0.4")
BLIND = "panda-reach"
LOOSE = ("sensor_timeout_s", "frozen_s", "max_lateness_s", "picture_timeout_s", "picture_age_s", "picture_frozen_s")
"""Limits that are one second here: on a busy computer a run is measured to its end, whatever the guards would say."""


class Convolutions(nn.Module):
    """A small encoder of 64 x 64 pixels, of the size that is trained end to end."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers = [(3, 32), (32, 64), (64, 64)]
        self.body = nn.Sequential(*(part for a, b in layers for part in (nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU())))
        self.head = nn.Linear(64 * (SIDE // 8) ** 2, width)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(picture.permute(0, 3, 1, 2).float() / 255).flatten(1))


class Seeing(Network):
    """A policy with an encoder apart; its actions are small, since nobody has trained it."""

    groups = ("state", GROUP)

    def __init__(self, observation_dim: int, action_dim: int) -> None:
        super().__init__()
        self.cfg = NetworkCfg(kind="seeing")
        self.eye = Convolutions()
        self.trunk = nn.Sequential(
            nn.Linear(observation_dim + 64, 256), nn.ELU(), nn.Linear(256, 128), nn.ELU(), nn.Linear(128, action_dim)
        )

    @property
    def apart(self) -> dict[str, nn.Module]:
        return {GROUP: self.eye}

    def start(self, worlds: int) -> Memory:
        return {"none": torch.zeros(worlds, 1)}

    def step(self, observations: Any, memory: Memory) -> tuple[torch.Tensor, Memory]:
        seen = observations[GROUP]
        latent = seen if seen.dim() == 2 else self.eye(seen)
        return 0.1 * torch.tanh(self.trunk(torch.cat([observations["state"], latent], dim=1))), memory


def make_policy(path: Path, renderer: str) -> Path:
    """Write the policy; its config is recorded, so that its scene can be made again."""
    robot = get_robot("panda")
    look = f"--env.observations.{GROUP}={{camera: {CAMERA}, height: {SIDE}, width: {SIDE}, rate: {RATE}, renderer: {renderer}}}"
    cfg = loading.loads(schema.schema_of("reach", robot), "{}", "the benchmark", [look])
    env = make_env("reach", robot, cfg.env, num_worlds=1, num_threads=1)
    blind = make_env("reach", robot, cfg.env.blind(), num_worlds=1, num_threads=1)
    blind.reset()
    torch.manual_seed(0)
    net = Seeing(env.spec.observation_dim, env.spec.action_dim)
    sensors = record_sensors(blind, make_network(env.spec.observation_dim, env.spec.action_dim, network_cfg("mlp")()), 12)
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    export_student(net, env.spec, sensors, {"config": loading.dump(cfg), "deployable": True}, path, {GROUP: pictures})
    return path


def deployed(policy: str, folder: Path, seconds: float) -> tuple[Log, dict[str, Any]]:
    """Deploy on a simulated robot for a time [s] of the policy. Returns the log and the loop's timing."""
    log, events = folder / f"{time.monotonic_ns()}.mcap", folder / f"{time.monotonic_ns()}.jsonl"
    command = [sys.executable, "-m", "robolearn", "deploy", policy, "--simulate", "--auto-start", "--no-dashboard", "--log", str(log)]
    command += [f"--limit={name}=1" for name in (LOOSE if policy != BLIND else LOOSE[:3])]
    child = subprocess.Popen(
        [*command, "--events", str(events), "--command", *GOAL],
        start_new_session=True,
        stdout=sys.stderr,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ROS_DOMAIN_ID": str(os.getpid() % 100)},
    )
    end = time.monotonic() + PATIENCE_S
    while child.poll() is None and time.monotonic() < end and not _running(events):
        time.sleep(0.2)
    if not _running(events):
        child.send_signal(signal.SIGINT)
        child.wait(60)
        raise RuntimeError(f"{policy} did not run within {PATIENCE_S:g} s: {events.read_text() if events.exists() else 'no events'}")
    time.sleep(seconds)
    child.send_signal(signal.SIGINT)
    child.wait(60)
    timing = [json.loads(line) for line in events.read_text().splitlines() if '"timing"' in line][-1]
    return read_log(log), timing


def _running(events: Path) -> bool:
    return events.exists() and '"to": "policy"' in events.read_text()


def lateness_us(log: Log) -> np.ndarray[Any, Any]:
    """How late each tick with the policy began [us]."""
    rows = log.ticks[(log.ticks["flags"] & INFERRED) > 0]
    return rows["late_ns"] * 1e-3


def stages_ms(log: Log) -> dict[str, np.ndarray[Any, Any]]:
    """Times of each picture from its stamp on [ms], by stage."""
    rows = log.ticks[(log.ticks["flags"] & INFERRED) > 0]
    times = {name: rows["sight_times"][:, 0, index] for index, name in enumerate(TIMES)}
    first = np.flatnonzero(np.diff(times["number"], prepend=-1))[1:]  # the tick in which each picture was new
    epoch_ns = _epoch_ns(log)
    done = rows["now_ns"][first] + rows["busy_ns"][first]
    stamp, received, ready = (times[name][first] for name in ("stamp_ns", "received_ns", "ready_ns"))
    parts = {
        "stamp to arrival": received + epoch_ns - stamp,
        "arrival to latent": ready - received,
        "latent to command": done - ready,
        "stamp to command": done + epoch_ns - stamp,
    }
    return {name: values * 1e-6 for name, values in parts.items()}


def _epoch_ns(log: Log) -> int:
    """What turns the loop's clock into the wall's."""
    from bridge.logs.reader import records
    from bridge.logs.topics import TICK

    channels: dict[int, str] = {}
    for record in records(log.path):
        if hasattr(record, "topic"):
            channels[record.id] = record.topic
        elif channels.get(getattr(record, "channel_id", -1)) == TICK:
            return int(record.log_time) - int(log.ticks["now_ns"][0])
    raise ValueError(f"{log.path} has no ticks")


def told(values: np.ndarray[Any, Any]) -> dict[str, float]:
    """Median, 99th percentile and largest."""
    middle, high = np.percentile(values, (50, 99))
    return {"median": round(float(middle), 3), "p99": round(float(high), 3), "largest": round(float(values.max()), 3)}


def measure(seconds: float, rounds: int, renderer: str, policy: str | None) -> dict[str, Any]:
    """Deploy with and without cameras in turns. Returns all figures."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        seeing = policy or str(make_policy(folder / "seeing.onnx", renderer))
        stages: dict[str, list[Any]] = {}
        late: dict[str, list[Any]] = {"with cameras": [], "without": []}
        counts: dict[str, list[float]] = {"pictures": [], "hz": []}
        worst = 0.0
        for number in range(rounds):
            say(f"cameras over ROS 2: round {number + 1} of {rounds}, {seconds:g} s each")
            log, _ = deployed(seeing, folder, seconds)
            for name, values in stages_ms(log).items():
                stages.setdefault(name, []).append(values)
            late["with cameras"].append(lateness_us(log))
            counts["pictures"].append(float(len(log.pictures[next(iter(log.pictures))])))
            facts = log.ticks[(log.ticks["flags"] & INFERRED) > 0]["sight_facts"][:, 0, 2]
            counts["hz"].append(float(np.median(facts)))
            worst = max(worst, replay(log).worst)
            log, _ = deployed(BLIND, folder, seconds)
            late["without"].append(lateness_us(log))
        return {
            "computer": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
            "camera": f"{SIDE} x {SIDE} pixels at {RATE} Hz, drawn by {renderer}" if policy is None else policy,
            "pictures": int(sum(counts["pictures"])),
            "camera_hz": [round(value, 2) for value in counts["hz"]],
            "milliseconds": {name: told(np.concatenate(values)) for name, values in stages.items()},
            "tick_late_us": {name: told(np.concatenate(values)) for name, values in late.items()},
            "ticks": {name: int(sum(len(part) for part in values)) for name, values in late.items()},
            "replay_worst": worst,
        }
