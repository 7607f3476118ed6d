"""Run a policy, or a model-based controller, in simulation and keep its episodes as a dataset (docs/bring-your-data.md).

Worlds are set up as in the policy's training, with its randomization; the task draws the commands. --resume continues a collection that was
stopped, --append adds to a dataset that holds something else.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from envs.robots.robot import Robot
    from envs.vec_env import VecEnv
    from robolearn.config.schema import TrainCfg
    from robolearn.data.collect import Collected, Plan
    from robolearn.data.source import Source
    from robolearn.data.writer import DatasetWriter
    from robolearn.evaluation.actors import Actor

ACCEPTS_OVERRIDES = True
KEEPS_ITS_WORK = True
WORLDS = re.compile(r"(\d+) worlds (?:a|per) batch")
MOST_WORLDS = 64
MATTERS = ("env.command.hold_s", "env.rewards.*", "env.num_worlds")
"""Settings that an evaluation ignores, but a collection reads or sets in another way."""
INSTEAD = {"env.num_worlds": "see --worlds"}
LONGEST_S = 3600.0
MOST_EPISODES = 10_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "file", metavar="POLICY", help="policy file, run folder, name of a shipped policy, or a model-based controller: controller:trot"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DATASET", help="folder of the dataset")
    parser.add_argument("--episodes", type=int, default=100, help="how many episodes to keep (default: 100)")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest episode (default: 10)")
    parser.add_argument(
        "--engine", metavar="NAME", default="mujoco", help="physics engine: mujoco (default), precise, drake, warp, or a plugin's"
    )
    parser.add_argument("--robot", metavar="ROBOT", help="name or robot.yaml of the robot (default: the one that POLICY was trained with)")
    parser.add_argument(
        "--no-randomization", action="store_true", help="nominal physics and clean sensors in place of training's randomization"
    )
    parser.add_argument("--command", type=float, nargs="+", action="append", default=[], metavar="X",
                        help="command to hold for whole episodes: vx vy wz, or x y z, as the task takes it; if repeated, they take "
                             "turns")  # fmt: skip
    parser.add_argument("--grid", action="store_true", help="use the commands of the task's evaluation in turn")
    parser.add_argument("--keep", choices=("all", "successes", "failures"), default="all", help="which episodes to keep (default: all)")
    parser.add_argument("--best-of", type=int, default=1, metavar="N", help="try each command N times and keep the best (default: 1)")
    parser.add_argument(
        "--sensed", action="store_true", help="also keep what the policy was shown, with noise and delay: a pretraining learns from it"
    )
    parser.add_argument("--worlds", type=int, default=MOST_WORLDS, help=f"worlds of a batch (default: {MOST_WORLDS})")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the first batch, plus one for each further batch (default: 0); --append takes a later one if it is used already",
    )
    parser.add_argument("--licence", default="unknown", metavar="SPDX", help="licence of the episodes, e.g. Apache-2.0 (default: unknown)")
    parser.add_argument("--attribution", default="", metavar="TEXT", help="attribution of the episodes")
    on = parser.add_mutually_exclusive_group()
    on.add_argument("--resume", action="store_true", help="continue the same collection until there are --episodes")
    on.add_argument("--append", action="store_true", help="add --episodes to a dataset of the same robot and rate")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Collect."""
    from envs.engines.registry import ENGINES
    from robolearn.data.collect import Plan, collect, commands_of, difference, of_source, unused_seed, worlds_of
    from robolearn.data.shots import unkept
    from robolearn.errors import UsageError, UserError
    from robolearn.evaluation.rollout import Rollout
    from robolearn.policy_path import is_controller

    _check(args)
    ENGINES.get(args.engine)
    if args.grid and args.command:
        raise UsageError("--grid and --command both set the commands: leave one of them out")
    who = _controller(args, overrides) if is_controller(args.file) else _policy(args, overrides)
    plan = Plan(
        episodes=args.episodes,
        steps=max(2, round(args.seconds / who.cfg.env.control_dt)),
        keep=args.keep,
        best_of=args.best_of,
        seed=args.seed,
    )
    env = _worlds(who, (_worlds_before(args.out, who) if args.resume else None) or worlds_of(plan, args.worlds))
    plan = dataclasses.replace(plan, commands=_grid(env) if args.grid else commands_of(args.command, env.spec))
    source = _source(who, env, args, plan)
    if left_out := unkept(env.spec):
        print(f"note: datasets hold colour only; left out: {', '.join(left_out)}", file=sys.stderr)
    with _writer(args, env) as writer:
        before = sum(of_source(writer, source).values())
        if args.append:
            plan = dataclasses.replace(plan, episodes=plan.episodes + before, seed=args.seed if before else unused_seed(writer, source))
        elif len(writer) and not before:
            raise UserError(f"{args.out} holds another collection: {difference(writer, source)}; --append adds to it even so")
        rollout = Rollout(env, who.actor(env.num_worlds))
        try:
            done = _with_progress(lambda tell: collect(rollout, plan, source, writer, tell), plan, env.num_worlds, args.engine)
        except KeyboardInterrupt:  # and other signals that ask the process to end
            print(f"{len(writer)} episodes are in {args.out}; continue with the same command and --resume", file=sys.stderr)
            raise
    print(_summary(done, plan, args.out))
    return 0


def _check(args: argparse.Namespace) -> None:
    from robolearn.commands import check_seed
    from robolearn.errors import UsageError

    check_seed(args.seed)
    for name, value, most in (
        ("episodes", args.episodes, MOST_EPISODES),
        ("worlds", args.worlds, 100_000),
        ("best-of", args.best_of, 1000),
    ):
        if not 1 <= value <= most:
            raise UsageError(f"--{name} must lie between 1 and {most}, not {value}")
    if not 0.1 <= args.seconds <= LONGEST_S:
        raise UsageError(f"--seconds must lie between 0.1 and {LONGEST_S:g}, not {args.seconds:g}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Who:
    """What acts: a policy file, or a model-based controller, whose actions are not those of a policy and are left out.

    Attributes:
        kind: kind of source.
        name: what the source's note calls it.
        robot: the robot that moves.
        cfg: config of its worlds.
        actor: makes it act in a number of worlds.
        check: refuses worlds that it was not made for.
        control_mode: what an action means; empty without actions.
        file_hash: hash of its file.
    """

    kind: Literal["policy", "controller"]
    name: str
    robot: Robot
    cfg: TrainCfg
    actor: Callable[[int], Actor]
    check: Callable[[VecEnv], None] = lambda env: None
    control_mode: str = ""
    file_hash: str = ""


def _policy(args: argparse.Namespace, overrides: list[str]) -> Who:
    from policies.contract.file import PolicyFile
    from robolearn.config import settings
    from robolearn.evaluation.actors import FileActor
    from robolearn.evaluation.contract import check_contract
    from robolearn.evaluation.worlds import config_of
    from robolearn.policy_path import find_policy
    from robolearn.policy_robot import robot_of

    file = PolicyFile(find_policy(args.file))
    file.verify()
    robot = robot_of(file, args.robot)
    cfg = config_of(file, robot, overrides)
    settings.refuse(config_of(file, robot), cfg, _idle(), "collect")
    cfg = dataclasses.replace(cfg, env=cfg.env.at_rates_of(file.spec))
    return Who(
        kind="policy",
        name=file.path.name,
        robot=robot,
        cfg=_as_asked(cfg, args, overrides),
        actor=lambda worlds: FileActor(file, worlds),
        check=lambda env: check_contract(file, env),
        control_mode=file.spec.action.mode,
        file_hash=file.sha256,
    )


def _controller(args: argparse.Namespace, overrides: list[str]) -> Who:
    from robolearn.controllers.actor import ControllerActor
    from robolearn.controllers.registry import find_controller
    from robolearn.controllers.setup import config_of, idle

    kind, robot = find_controller(args.file, args.robot)
    cfg = _as_asked(config_of(kind, robot, overrides, idle(_idle()), "collect"), args, overrides)
    return Who(kind="controller", name=args.file, robot=robot, cfg=cfg, actor=lambda worlds: ControllerActor(kind.make))


def _idle() -> dict[str, str]:
    """Settings without effect here, and why."""
    from robolearn.config import settings

    return {name: why for name, why in settings.EVALUATE.items() if name not in MATTERS} | INSTEAD


def _as_asked(cfg: TrainCfg, args: argparse.Namespace, overrides: list[str]) -> TrainCfg:
    """The config of the worlds."""
    from envs.terms.nominal import nothing_varies
    from robolearn.errors import UsageError

    if args.no_randomization and any(override.startswith("--env.randomization") for override in overrides):
        raise UsageError("--no-randomization and --env.randomization... contradict each other: leave one of them out")
    env = cfg.env.at_full_strength()
    if args.no_randomization:
        env = dataclasses.replace(env, randomization=nothing_varies(env.randomization))
    return dataclasses.replace(cfg, env=dataclasses.replace(env, engine=args.engine, episode_s=args.seconds, curriculum={}, seed=args.seed))


def _worlds_before(path: Path, who: Who) -> int | None:
    """Worlds per batch of the collection to continue, since another number gives other episodes. None if there is no collection."""
    from robolearn.data.info import INFO
    from robolearn.data.reader import Dataset

    sources = Dataset(path).sources if (path / INFO).is_file() else ()
    mine = (source for source in sources if (source.kind, source.file_hash) == (who.kind, who.file_hash))
    counts = (WORLDS.search(source.note) for source in mine if source.note.startswith(f"{who.name};"))
    return next((int(match[1]) for match in counts if match), None)


def _worlds(who: Who, worlds: int) -> VecEnv:
    import torch

    from envs.tasks.registry import make_env

    torch.set_num_threads(1)
    env = make_env(who.cfg.task, who.robot, dataclasses.replace(who.cfg.env, num_worlds=worlds))
    who.check(env)
    return env


def _grid(env: VecEnv) -> tuple[tuple[float, ...], ...]:
    """The commands of the task's evaluation."""
    from envs.tasks.registry import get_task
    from robolearn.errors import UserError

    evaluation = get_task(env.task_name).evaluation
    if evaluation.commands is None:
        raise UserError(f"the evaluation of task {env.task_name} names no commands, since the task draws them; leave --grid out")
    return tuple(tuple(map(float, row)) for row in evaluation.commands(env.spec.command))


def _source(who: Who, env: VecEnv, args: argparse.Namespace, plan: Plan) -> Source:
    from robolearn.config import loading as config
    from robolearn.data.source import Source
    from robolearn.learning.export import source_commit

    asked = f"{len(plan.commands)} commands in turn" if plan.commands else "commands drawn by the task"
    return Source(
        kind=who.kind,
        robot=env.robot.name,
        joint_names=env.robot.joint_names,
        fps=round(1.0 / env.cfg.control_dt, 6),
        control_mode=who.control_mode,
        licence=args.licence,
        attribution=args.attribution,
        file_hash=who.file_hash,
        config=config.dump(dataclasses.replace(who.cfg, env=dataclasses.replace(who.cfg.env, num_worlds=env.num_worlds))),
        seed=plan.seed,
        engine=args.engine,
        commit=source_commit(),
        note=f"{who.name}; {asked}; {plan.keep} kept, best of {plan.best_of}; {plan.steps} steps; {env.num_worlds} worlds per batch",
    )


def _writer(args: argparse.Namespace, env: VecEnv) -> DatasetWriter:
    from robolearn.data.collect import columns_of
    from robolearn.data.columns import SENSED
    from robolearn.data.writer import DatasetWriter
    from robolearn.errors import UsageError, UserError
    from robolearn.policy_path import is_controller

    fps = 1.0 / env.cfg.control_dt
    if abs(fps - round(fps)) > 1e-6:
        raise UserError(f"the policy acts {fps:.3f} times per second; a dataset needs a whole number of frames per second")
    if args.sensed and is_controller(args.file):
        raise UsageError("--sensed records what a policy observes; a controller sees the robot's true state: leave --sensed away")
    there = (args.out / "meta" / "info.json").is_file()
    if there and not (args.resume or args.append):
        raise UserError(f"there is a dataset at {args.out}; --resume continues the same collection, --append adds to it")
    if not there:
        return DatasetWriter(args.out, columns_of(env.robot, env.spec, args.sensed), round(fps))
    writer = DatasetWriter.append(args.out)
    if args.sensed and SENSED not in writer.info.features:
        writer.close()
        raise UserError(f"{args.out} was begun without --sensed and has no column for it; leave --sensed away, or give another --out")
    if writer.info.fps != round(fps):
        writer.close()
        raise UserError(f"{args.out} has {writer.info.fps} frames per second, the policy acts {fps:g} times per second; give another --out")
    return writer


def _with_progress(work, plan: Plan, worlds: int, engine: str) -> Collected:
    """Run with a progress bar of episodes, which moves on within a batch."""
    from tqdm import tqdm

    bar_format = "{l_bar}{bar}| {n:.0f}/{total} [{elapsed}<{remaining}{postfix}]"
    with tqdm(total=plan.episodes, desc=f"episodes, {engine}", dynamic_ncols=True, disable=None, bar_format=bar_format) as bar:
        steps = 0

        def tell(kept: int, step: int) -> None:
            nonlocal steps
            steps += 1
            expected = worlds / plan.best_of * step / plan.steps
            bar.n = min(kept + expected, plan.episodes)
            if steps % 5 == 0:
                bar.set_postfix_str(f"{worlds * steps / max(bar.format_dict['elapsed'], 1e-9):.0f} frames/s")

        done = work(tell)
        bar.n = plan.episodes
        bar.refresh()
    return done


def _summary(done: Collected, plan: Plan, out: Path) -> str:
    if not done.attempts:
        return f"{out} has {done.before} episodes already; --episodes N collects more"
    share = 100 * done.successes / done.attempts
    unsound = f", {done.unsound} failed in the simulator" if done.unsound else ""
    return (
        f"{done.episodes} episodes, {done.frames} frames, of {done.attempts} episodes that were run ({share:.0f} % successes{unsound}): "
        f"{out}\n"
        f"next: robolearn data check {out}"
    )
