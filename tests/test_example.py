"""A stranger's package: installed into a place of its own, its robot, task, network and transport go all the way to a simulated robot."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "my_robot_package"
SMALL = ["--threads=1", "--env.num_worlds=32", "--env.num_threads=1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with the package installed in `site` beside it; nothing comes from the network."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(folder / "site"), str(folder / "source")], check=True, timeout=300)
    shutil.rmtree(folder / "source")
    return folder


def robolearn(place: Path, *arguments: str, code: int = 0) -> str:
    """Run a command beside the package; its standard output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROBOLEARN")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(place / "site")]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "robolearn", *arguments]
    result = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=400)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_all_that_it_brings_is_listed_with_its_source(place: Path) -> None:
    lists = json.loads(robolearn(place, "list", "--json", "-"))
    brought = {
        kind: [thing["name"] for thing in things if thing.get("source") == "my_robot_package.plugin"] for kind, things in lists.items()
    }
    assert brought == {
        "presets": ["kitten-crouch"],
        "studies": [],
        "tasks": ["crouch"],
        "robots": ["kitten"],
        "networks": ["gru"],
        "engines": [],
        "transports": ["udp"],
        "policies": [],
        "controllers": [],
    }


@pytest.mark.slow
def test_from_training_to_its_own_wire(place: Path) -> None:
    """Teacher, student of its own network, policy file, evaluation by its own measures, and its transport between two processes."""
    runs, student = place / "runs" / "kitten-crouch", place / "runs" / "kitten-crouch-student"
    robolearn(place, "train", "kitten-crouch", *SMALL, "--teacher.iterations=2", "--teacher.ppo.rollout_steps=8")
    line = json.loads(next(runs.glob("*/metrics.jsonl")).read_text(encoding="utf-8").splitlines()[-1])
    assert 0 < line["height_error"] < 0.1
    network = ["--student.network.kind=gru", "--student.network.width=16"]
    robolearn(place, "distill", str(runs), *SMALL, *network, "--student.iterations=2", "--student.ppo.rollout_steps=8")
    robolearn(place, "export", str(student), "--no-gate")
    robolearn(place, "evaluate", str(student), "--seeds=1", "--seconds=2", "--json", "result.json")
    result = json.loads((place / "result.json").read_text(encoding="utf-8"))
    assert result["survival"] == 1.0  # it is put down standing
    assert 0 < result["height_error"] < 0.1
    assert (result["task"], result["robot"]) == ("crouch", "kitten")
    wire = ["--transport", "udp", "--udp-port", str(free_port()), "--command", "0.12"]
    late = ["--limit", "sensor_timeout_s=2", "--limit", "frozen_s=2", "--limit", "max_lateness_s=2"]  # of a computer that does more
    run = [*wire, *late, "--simulate", "--ungated", "--auto-start", "--duration", "6", "--log", "run.mcap"]
    shown = robolearn(place, "deploy", str(student), *run)
    assert "stand -> policy: automatic start" in shown
    assert "crouch over udp" in robolearn(place, "replay", "run.mcap")


@pytest.mark.slow
def test_its_robot_does_our_task_and_its_task_takes_our_robot(place: Path) -> None:
    few = [*SMALL, "--teacher.iterations=1", "--teacher.ppo.rollout_steps=4"]
    robolearn(place, "train", "velocity-flat", "--robot", "kitten", *few, "--teacher.until=null")
    robolearn(place, "train", "kitten-crouch", "--robot", "go1", *few)
