"""Whose gait is looked at: a policy file, or the teacher or student of a training that may still run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.robots.registry import get_robot
from envs.tasks.registry import make_env
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.config import schema
from robolearn.errors import UserError
from robolearn.evaluation.actors import Actor, StudentActor, TeacherActor
from robolearn.evaluation.locomotion.setup import Setup, calm
from robolearn.evaluation.worlds import FLAT, device_of
from robolearn.learning.run import find_checkpoint, load_checkpoint, other_model, readable
from robolearn.learning.student import load_student
from robolearn.learning.teacher import load_teacher
from robolearn.policy_path import POLICY_FILE


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Who walks.

    Attributes:
        name: what it is called.
        told: what the JSON says of it.
        make_env: so many worlds of its task, on a plane, without pushes and without an end.
        make_actor: who acts in so many worlds.
    """

    name: str
    told: dict[str, Any]
    make_env: Callable[[int], VecEnv]
    make_actor: Callable[[int], Actor | PolicyFile]


def of_setup(setup: Setup) -> Subject:
    """The policy file of a suite."""
    told = {"policy": str(setup.file.path), "policy_sha256": setup.file.sha256, "robot": setup.robot.name, "task": setup.file.spec.task}
    return Subject(name=setup.name, told=told, make_env=setup.env, make_actor=lambda worlds: setup.file)


def is_training(path: str | Path) -> bool:
    """Whether a path means a checkpoint: the file, or a folder that holds no policy file yet."""
    path = Path(path)
    return path.suffix == ".pt" or (path.is_dir() and not (path / POLICY_FILE).is_file() and not any(path.glob(f"*/{POLICY_FILE}")))


def of_checkpoint(path: str | Path, engine: str = "mujoco", seed: int = 1000, robot: str | None = None) -> Subject:
    """The teacher or the student of a checkpoint, a run folder or a folder of runs.

    Args:
        path: whose.
        engine: physics.
        seed: of everything random.
        robot: in place of the one that the config names.

    Raises:
        UserError: there is no checkpoint, or its policy does not walk.
    """
    found = find_checkpoint(path)
    state = load_checkpoint(found)
    cfg = schema.loads(state["config"], str(found), [f"--robot={robot}"] if robot else [])
    who = get_robot(cfg.robot)
    if not who.floating_base or not who.feet:
        raise UserError(f"--gait is for robots that walk; {found} is of {cfg.task} with {who.name}")
    if changed := other_model(state, who):
        print(f"warning: {changed}", file=sys.stderr)
    kind = str(state["kind"])
    with readable(found):
        policy: Any = load_teacher(state, cfg) if kind == "teacher" else load_student(state, cfg)
    world = calm(cfg.env.at_full_strength())
    if kind == "teacher" and cfg.env.terrain is not None:  # which looks at the ground
        world = dataclasses.replace(world, terrain=FLAT)
    world = dataclasses.replace(world, engine=engine, device=device_of(cfg.env, engine), seed=seed)

    def make_actor(worlds: int) -> Actor:
        return TeacherActor(policy) if kind == "teacher" else StudentActor(policy, worlds)

    told = {"checkpoint": str(found), "kind": kind, "iteration": int(state["iteration"]), "robot": who.name, "task": cfg.task}
    return Subject(
        name=f"{found.parent.parent.name}-{found.parent.name}" if found.parent.parent.name else found.parent.name,
        told=told,
        make_env=lambda worlds: make_env(cfg.task, who, world, num_worlds=worlds),
        make_actor=make_actor,
    )
