"""Episodes of shipped policies, run once for all tests of a process."""

from __future__ import annotations

import dataclasses
import functools

import torch

from envs.tasks.registry import make_env
from envs.terms.randomization import without_randomization
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.data.harvest import take
from robolearn.data.source import Episode, Source
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.rollout import Rollout
from robolearn.evaluation.worlds import env_of
from robolearn.policy_path import zoo
from robolearn.policy_robot import robot_of


def worlds(policy: str, count: int, seconds: float, seed: int = 0, calm: bool = False) -> tuple[PolicyFile, VecEnv]:
    """A shipped policy and worlds of its training; `calm`: with nominal physics and clean sensors."""
    torch.set_num_threads(1)
    file = PolicyFile(zoo()[policy])
    robot = robot_of(file)
    cfg = dataclasses.replace(env_of(file, robot), num_worlds=count, episode_s=seconds, seed=seed, curriculum={}, num_threads=1)
    cfg = dataclasses.replace(cfg, randomization=without_randomization()) if calm else cfg
    return file, make_env(file.spec.task, robot, cfg)


@functools.cache
def rollouts(policy: str, count: int, seconds: float) -> tuple[Episode, ...]:
    """Episodes of a shipped policy under its randomization."""
    file, env = worlds(policy, count, seconds)
    rollout = Rollout(env, FileActor(file, count))
    rollout.start()
    source = Source(
        kind="policy",
        robot=env.robot.name,
        joint_names=env.robot.joint_names,
        fps=1 / env.cfg.control_dt,
        control_mode=file.spec.action.mode,
        licence="Apache-2.0",
        seed=0,
    )
    taken = take(rollout, round(seconds / env.cfg.control_dt))
    return tuple(Episode(columns=item.columns, task=env.task_name, source=source) for item in taken if item is not None)
