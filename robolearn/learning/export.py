"""Makes a checked policy file from a student's checkpoint: golden run, export, evaluation on two engines, provenance."""

from __future__ import annotations

import dataclasses
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch

from envs.sensing.camera import CameraTerm
from envs.tasks.registry import make_env
from envs.vec_env import VecEnv
from policies.contract.file import ONNX_RUNTIME, PolicyFile
from policies.contract.observation import Sensors, observe
from policies.encoders.contents import weights_sha256
from policies.encoders.reading import read
from policies.export.encoder import weights_of
from policies.export.onnx_graph import annotate, export_student
from policies.networks.protocol import Network
from policies.networks.vision import Seeing
from policies.networks.vit import VitEncoder
from robolearn import __version__
from robolearn.config import loading as config
from robolearn.config.schema import TrainCfg
from robolearn.evaluation.actors import StudentActor
from robolearn.evaluation.evaluate import evaluate_file
from robolearn.evaluation.gate import deployable
from robolearn.evaluation.result import EvaluationResult
from robolearn.evaluation.rollout import Rollout

GOLDEN_STEPS = 100


def export(
    student: Network,
    cfg: TrainCfg,
    path: Path,
    iteration: int,
    command: str,
    history: list[dict[str, Any]] | None = None,
    datasets: list[dict[str, Any]] | None = None,
) -> PolicyFile:
    """Write a policy file from a trained student.

    Args:
        student: the network.
        cfg: the config of its training, which goes into the provenance.
        path: the file to write.
        iteration: iteration of the training.
        command: the command lines that make it again.
        history: the trainings before the student's, oldest first: config, iterations, minutes.
        datasets: the datasets that it was pretrained on: path, episodes, licences.
    """
    names = set(student.groups)  # a file says what its policy sees, and no more
    kept = {name: term for name, term in cfg.env.observations.items() if name in names or not isinstance(term, CameraTerm)}
    worlds = dataclasses.replace(cfg.env, observations=kept)
    env = make_env(cfg.task, cfg.robot, worlds, num_worlds=1, engine="mujoco", device="cpu", seed=cfg.seed + 77)
    sensors, images = record(env, student, GOLDEN_STEPS)
    provenance = {
        "robolearn": __version__,
        "commit": source_commit(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": command,
        "config": config.dump(cfg),
        "seed": cfg.seed,
        "iteration": iteration,
        "history": history or [],
        "engine": {"name": cfg.env.engine, "mujoco": mujoco.__version__},
        "torch": torch.__version__,
        "onnxruntime": ONNX_RUNTIME,
        "python": platform.python_version(),
        "datasets": datasets or [],
        **encoder_of(student, cfg),
    }
    return export_student(student, env.spec, sensors, provenance, path, images)


def encoder_of(student: Network, cfg: TrainCfg) -> dict[str, Any]:
    """What a policy file says of the encoder from a file that is inside it: where it came from, by hash, and under which licence."""
    vision = cfg.student.vision
    if not isinstance(student, Seeing) or vision is None or not vision.from_file:
        return {}
    (encoder,) = student.encoders
    assert isinstance(encoder, VitEncoder)
    origin = read(vision.encoder).origin
    told = {"path": vision.encoder, "weights_sha256": weights_sha256(weights_of(encoder)), "frozen": encoder.frozen}
    return {"encoder": told | {"licence": origin.get("licence", "unknown")}}


def record_sensors(env: VecEnv, student: Network, steps: int) -> dict[str, np.ndarray]:
    """Sensor readings of one robot while the student acts, until its episode ends: `Sensors` field -> (T, n) float32."""
    return record(env, student, steps)[0]


def record(env: VecEnv, student: Network, steps: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Sensor readings and images of one robot while the student acts, until its episode ends.

    Returns: `Sensors` field -> (T, n) float32, and observation group -> images, one for each `every` steps.
    """
    every = {group.name: group.every for group in env.spec.observation if group.image is not None}
    images: dict[str, list[np.ndarray]] = {name: [] for name in every}
    rollout = Rollout(env, StudentActor(student, 1))
    rollout.start()
    readings: dict[str, list[np.ndarray]] = {}
    for step in range(steps):
        now = env.sensors()
        for name in every:
            if step % every[name] == 0:
                images[name].append(env.images[name][0].cpu().numpy().copy())
        for field in dataclasses.fields(Sensors):
            value = getattr(now, field.name)
            if value is not None:
                readings.setdefault(field.name, []).append(value[0].numpy().astype(np.float32).copy())
        rollout.policy = observe(now, env.spec, env.default_pose)  # without delay, as in the file's arithmetic
        rollout.step()
        if not bool(rollout.alive.any()):
            break
    return {name: np.stack(values) for name, values in readings.items()}, {name: np.stack(shots) for name, shots in images.items()}


def gate(path: Path, seeds: int = 2, seconds: float = 10.0) -> tuple[PolicyFile, EvaluationResult, EvaluationResult, bool]:
    """Evaluate a policy file on the training and the precise engine and write the results into its provenance.

    Returns: The file, both evaluations, and whether it is deployable.
    """
    file = PolicyFile(path)
    training = evaluate_file(file, "mujoco", seeds, seconds)
    precise = evaluate_file(file, "precise", seeds, seconds)
    passed = deployable(training, precise)
    results = [told.to_dict() | {"policy": path.name, "model": Path(told.model or "").name} for told in (training, precise)]
    return annotate(path, evaluation=results, deployable=passed), training, precise, passed


def source_commit() -> str:
    """The commit of the source, with a mark where files have changed since; `unknown` outside a checkout."""
    root = Path(__file__).resolve().parent.parent.parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("-dirty" if dirty.strip() else "")
