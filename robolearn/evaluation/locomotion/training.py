"""A suite for the teacher or the student of a training, which may still be running."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from envs.robots.registry import get_robot
from envs.tasks.registry import make_env
from envs.tasks.scaling import scale_of
from envs.tasks.velocity import terrain
from robolearn.config import schema
from robolearn.errors import UserError
from robolearn.evaluation.actors import Actor, StudentActor, TeacherActor
from robolearn.evaluation.locomotion.setup import Setup, calm, ready
from robolearn.evaluation.worlds import FLAT
from robolearn.learning.run import find_checkpoint, load_checkpoint, other_model, readable
from robolearn.learning.student import load_student
from robolearn.learning.teacher import load_teacher

WIDE = dataclasses.replace(FLAT, border=100.0)
"""Flat ground for policies that observe the ground, too large to walk off in an episode."""


def setup_of_training(path: str | Path, robot: str | None = None, **settings: Any) -> Setup:
    """The setup for the newest checkpoint of a training.

    Args:
        path: a checkpoint, a run folder or a folder of runs.
        robot: a robot to use in place of the config's.
        settings: fields of `Setup`.

    Raises:
        UserError: there is no checkpoint, or its policy does not walk.
    """
    found = find_checkpoint(path)
    state = load_checkpoint(found)
    cfg = schema.loads(state["config"], str(found), [f"--robot={robot}"] if robot else [])
    who = get_robot(cfg.robot)
    if not who.floating_base or not who.feet:
        raise UserError(f"--gait and --suite are for walking robots; {found} is of {cfg.task} with {who.name}")
    if changed := other_model(state, who):
        print(f"warning: {changed}", file=sys.stderr)
    kind = str(state["kind"])
    with readable(found):
        policy: Any = load_teacher(state, cfg) if kind == "teacher" else load_student(state, cfg)

    def make_actor(worlds: int) -> Actor:
        return TeacherActor(policy) if kind == "teacher" else StudentActor(policy, worlds)

    world = calm(cfg.env.at_full_strength())
    if kind == "teacher" and cfg.env.terrain is not None:  # it observes the ground
        world = dataclasses.replace(world, terrain=WIDE)
    spec = make_env(cfg.task, who, world, num_worlds=1, device="cpu", engine="mujoco").spec
    if spec.command.kind != "velocity":
        raise UserError(f"the suite locomotion is for velocity policies; {found} is of {cfg.task}")
    return ready(
        Setup(
            name=f"{found.parent.parent.name}-{found.parent.name}" if found.parent.parent.name else found.parent.name,
            told={"checkpoint": str(found), "kind": kind, "iteration": int(state["iteration"]), "robot": who.name, "task": cfg.task},
            spec=spec,
            make_actor=make_actor,
            file=None,
            robot=who,
            cfg=world,
            table=cfg.env.at_full_strength().randomization,
            trained=cfg.env,
            terrain=cfg.env.terrain or terrain(scale_of(who)),
            **settings,
        )
    )
