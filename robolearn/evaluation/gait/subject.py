"""The policy whose gait is studied: a policy file, or the teacher or student of a training that may still be running."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.evaluation.locomotion.training import setup_of_training
from robolearn.policy_path import POLICY_FILE


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A policy that walks.

    Attributes:
        name: its name.
        told: its description in the JSON.
        make_env: makes a number of worlds of its task, on a plane, without pushes and time limit.
        make_actor: makes the actor for a number of worlds.
    """

    name: str
    told: dict[str, Any]
    make_env: Callable[[int], VecEnv]
    make_actor: Callable[[int], Actor | PolicyFile]


def of_setup(setup: Setup) -> Subject:
    """The subject of a suite's setup."""
    return Subject(name=setup.name, told=dict(setup.told), make_env=setup.env, make_actor=setup.make_actor)


def is_training(path: str | Path) -> bool:
    """Whether a path means a checkpoint: the file, or a folder without a policy file."""
    path = Path(path)
    return path.suffix == ".pt" or (path.is_dir() and not (path / POLICY_FILE).is_file() and not any(path.glob(f"*/{POLICY_FILE}")))


def of_checkpoint(path: str | Path, engine: str = "mujoco", seed: int = 1000, robot: str | None = None) -> Subject:
    """The teacher or the student of a checkpoint, a run folder or a folder of runs; as `locomotion.training.setup_of_training`."""
    return of_setup(setup_of_training(path, robot, engine=engine, seed=seed))
