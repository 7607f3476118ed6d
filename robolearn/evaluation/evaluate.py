"""Evaluation of a frozen policy over its task's commands and seeds, on any engine, with 95 % intervals.

The task defines the commands and measures (`envs.tasks.evaluation`): walking robots hold one command of a grid for a whole episode, arms
get a sequence of goals. This module makes the worlds, runs the policy and computes the figures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import torch
from tqdm import tqdm

from envs.env_cfg import EnvCfg
from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from envs.tasks.evaluation import Evaluation
from envs.tasks.registry import get_task, make_env
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.errors import UserError
from robolearn.evaluation.actors import Actor, FileActor
from robolearn.evaluation.contract import check_contract
from robolearn.evaluation.result import EvaluationResult, outcomes
from robolearn.evaluation.rollout import Rollout
from robolearn.evaluation.tally import Tally
from robolearn.evaluation.worlds import device_of, env_of, judged
from robolearn.policy_robot import robot_of


def evaluate_file(
    file: PolicyFile,
    engine: str = "mujoco",
    seeds: int = 2,
    seconds: float = 10.0,
    seed: int = 1000,
    env: EnvCfg | None = None,
    robot: str | Robot | None = None,
) -> EvaluationResult:
    """Evaluate a policy file, which is only read.

    Args:
        file: the frozen policy.
        engine: physics engine.
        seeds: episodes per command.
        seconds: length of an episode; for a sequence of goals, of the whole sequence.
        seed: of the environment.
        env: config of the task to evaluate in (e.g. another randomization); None for that of the file's training.
        robot: the value of `--robot`, or the robot that `robot_of` returned for it; None for the file's own.

    Raises:
        UserError: the task's contract is not the file's, or its robot does not exist.
    """
    who, task = robot_of(file, robot), file.spec.task
    env = env or env_of(file, who)
    result = evaluate(lambda worlds: FileActor(file, worlds), task, who, engine, seeds, seconds, seed, env, check=file)
    return dataclasses.replace(result, policy=str(file.path), policy_sha256=file.sha256)


def evaluate(
    make_actor: Callable[[int], Actor],
    task: str,
    robot: str | Robot,
    engine: str = "mujoco",
    seeds: int = 2,
    seconds: float = 10.0,
    seed: int = 1000,
    env: EnvCfg | None = None,
    check: PolicyFile | None = None,
) -> EvaluationResult:
    """Evaluate any actor; `make_actor` is given the number of worlds. Arguments as in `evaluate_file`.

    The worlds are on the device of `env` if its own engine steps them.
    """
    evaluation, who = get_task(task).evaluation, robot if isinstance(robot, Robot) else get_robot(robot)
    world = worlds_of(task, who, engine, seeds, seconds, seed, env, sees_ground=check is None)
    if check is not None:
        check_contract(check, world)
    figures = measured(world, make_actor(world.num_worlds), evaluation, seeds, seconds).figures()
    return EvaluationResult(
        policy=task,
        robot=who.name,
        task=task,
        engine=engine,
        engine_version=getattr(world.engine, "version", None),
        model=str(who.model),
        model_sha256=who.fingerprint,
        ground="plane" if evaluation.terrain else None,
        episodes=evaluation.episodes_a_seed * seeds,
        figures=outcomes(evaluation, figures, who),
        score_name=evaluation.score,
        physics_failures=world.failure_count,
        seconds=seconds,
        seed=seed,
    )


def worlds_of(task: str, robot: Robot, engine: str, seeds: int, seconds: float, seed: int, env: EnvCfg | None, sees_ground: bool) -> VecEnv:
    """The worlds of an evaluation; arguments as in `evaluate`, `sees_ground` as in `judged`."""
    evaluation = get_task(task).evaluation
    told = env or get_task(task).make(robot)
    cfg = judged(told, sees_ground, evaluation.terrain)
    if evaluation.prepare is not None:
        cfg = evaluation.prepare(cfg)
    cfg = dataclasses.replace(
        cfg,
        num_worlds=evaluation.worlds * seeds,
        engine=engine,
        device=device_of(told, engine),
        seed=seed,
        episode_s=seconds + 2 * cfg.control_dt,  # no end other than the task's
    )
    torch.set_num_threads(1)
    return make_env(task, robot, cfg)


def measured(env: VecEnv, actor: Actor, evaluation: Evaluation, seeds: int, seconds: float) -> Tally:
    """Run an evaluation in worlds that were made for it. Returns the tally.

    Args:
        env: `evaluation.worlds` worlds for each seed.
        actor: the actor.
        evaluation: the commands and measures.
        seeds: number of seeds.
        seconds: total length of a world's episodes [s].

    Raises:
        UserError: the task does not give one command per world, or a measure one value per world.
    """
    rollout, tally = Rollout(env, actor), Tally(evaluation, env)
    steps = max(1, round(seconds / evaluation.goals / env.cfg.control_dt))
    rollout.start()
    if evaluation.commands is None:
        env.hold_command(env.command)
    else:
        rollout.ask(command_grid(evaluation, env).repeat(seeds, 1))
    what = "goals" if evaluation.goals > 1 else "episodes"
    progress = _progress(range(evaluation.goals * steps), f"{env.num_worlds * evaluation.goals} {what}, {env.cfg.engine}")
    for index in progress:
        if index % steps == 0:
            if index:
                rollout.revive()
                if evaluation.commands is None:
                    rollout.draw()
            tally.begin(steps)
        rollout.step()
        tally.add(rollout.alive)
        if (index + 1) % steps == 0:
            tally.end()
    return tally


def command_grid(evaluation: Evaluation, env: VecEnv) -> torch.Tensor:
    """The commands of one seed, (worlds, C).

    Raises:
        UserError: their number is not the task's, or one of them does not have the length of the task's commands.
    """
    assert evaluation.commands is not None
    rows, labels = evaluation.commands(env.spec.command), env.spec.command.labels
    if len(rows) != evaluation.worlds or any(len(row) != len(labels) for row in rows):
        wanted = f"{evaluation.worlds} commands of {len(labels)} numbers ({', '.join(labels)})"
        raise UserError(f"the evaluation of task {env.spec.task} must give {wanted}, not {len(rows)}: {list(map(tuple, rows))[:3]} ...")
    return torch.tensor([list(row) for row in rows], dtype=torch.float32, device=env.device)


def _progress(steps: range, label: str) -> Iterable[int]:
    """A progress bar that disappears at the end; none if the output is not a terminal."""
    return tqdm(steps, desc=label, unit="step", dynamic_ncols=True, leave=False, disable=None)
