"""Train a teacher on privileged state (or Stable-Baselines3's PPO, if the preset says so).

Writes to runs/<preset>/<time>/, or runs/<preset>-<robot>/<time>/ if --robot names the robot: config.yaml, checkpoint.pt,
metrics.jsonl and TensorBoard events. Ctrl-C saves, and so does every other signal that ends a process (SIGTERM, a closed terminal, a
scheduler's warning); --resume continues bit for bit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robolearn.commands import add_print_config, add_robot, with_robot
from robolearn.commands.ending import next_lines, of_training, quoted

if TYPE_CHECKING:
    from robolearn.learning.teacher import TeacherTrainer

ACCEPTS_OVERRIDES = True
KEEPS_ITS_WORK = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("preset", nargs="?", help="name of a preset in configs/, path of a YAML, or name of a task (see robolearn list)")
    parser.add_argument("--resume", metavar="PATH", help="checkpoint, run folder or folder of runs (its newest) to continue from")
    parser.add_argument(
        "--init",
        metavar="PATH",
        help="another training, whose teacher this one starts from, e.g. one on flat ground; its config may differ",
    )
    add_robot(parser, "the preset's; required for presets such as velocity-flat, which name none")
    parser.add_argument("--engine", metavar="NAME", help="short for --env.engine: mujoco, or warp on a GPU, or a plugin's")
    parser.add_argument("--device", help="short for --env.device: cpu or cuda")
    parser.add_argument("--runs", metavar="DIR", help="where runs go (default: runs)")
    add_print_config(parser)


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Train."""
    from robolearn.config import settings
    from robolearn.config.commented import commented
    from robolearn.config.doubts import doubts, other_kind
    from robolearn.errors import UsageError
    from robolearn.learning.interruption import Interrupted
    from robolearn.learning.run import find_checkpoint
    from robolearn.learning.teacher import TeacherTrainer

    if args.init and args.resume:
        raise UsageError("--resume continues the same training, --init begins a new one: give one of them")
    cfg, folder, state = prepare(args, overrides, "teacher")
    if args.print_config:
        print(commented(cfg), end="")
        return 0
    for doubt in [*([] if args.resume else other_kind(args.preset, cfg)), *doubts(cfg)]:
        print(f"robolearn: warning: {doubt}", file=sys.stderr)
    if args.init and cfg.algorithm == "sb3":
        raise UsageError("--init is for robolearn's own algorithm; Stable-Baselines3's training starts from scratch")
    first = find_checkpoint(args.init) if args.init else None
    if cfg.algorithm == "sb3":
        from robolearn.learning.run import Run
        from robolearn.learning.sb3 import train_sb3

        job = Run(folder, cfg)
        try:
            train_sb3(cfg, job)
        except Interrupted as stopped:
            print(f"saved what it learned so far: {folder}; a training by Stable-Baselines3 cannot be continued")
            return stopped.code
        finally:
            job.close()
        print(f"run: {folder}\nstable_baselines3.PPO.load reads its model.zip")
        print("\n".join(next_lines([("look at its curves", f"tensorboard --logdir {quoted(folder.parent.parent)}")])))
        return 0
    trainer = TeacherTrainer(cfg)
    for remark in trainer.env.robot.remarks():
        print(f"note: {remark}")
    if first is not None:
        start_from(trainer, first)
    return go(trainer, folder, state, settings.named(overrides))


def start_from(trainer: TeacherTrainer, path: Path) -> None:
    """Load the teacher of a checkpoint into a fresh trainer.

    Raises:
        UserError: not a teacher's checkpoint, or it does not fit.
    """
    from policies.files import reason
    from robolearn.errors import UserError
    from robolearn.learning.run import load_checkpoint

    source = load_checkpoint(path)
    if source["kind"] != "teacher":
        raise UserError(f"{path} is a checkpoint of a {source['kind']}, not of a teacher")
    try:
        trainer.start_from(source)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"the teacher in {path} does not fit this training: {reason(error)}") from error


def prepare(args: argparse.Namespace, overrides: list[str], kind: str) -> tuple[Any, Path, dict[str, Any] | None]:
    """The config, the run folder and, when resuming, the checkpoint."""
    from robolearn.config import loading as config
    from robolearn.config import schema, settings
    from robolearn.errors import UsageError, UserError
    from robolearn.learning.goal import check_attainable
    from robolearn.learning.run import Run, find_checkpoint, load_checkpoint

    overrides = with_robot(args, overrides)
    for name in ("engine", "device"):
        if getattr(args, name, None):
            overrides.append(f"--env.{name}={getattr(args, name)}")
    if args.resume:
        if args.preset:
            raise UsageError("--resume takes its config from the checkpoint: leave out the preset")
        if args.runs:
            raise UsageError("--resume continues in the run's own folder: leave out --runs")
        path = find_checkpoint(args.resume)
        state = load_checkpoint(path)
        if state["kind"] != kind:
            raise UserError(f"{path} is a checkpoint of a {state['kind']}, not of a {kind}")
        before, cfg = schema.loads(state["config"], str(path)), schema.loads(state["config"], str(path), overrides)
        settings.refuse(before, cfg, settings.RESUME[kind], "--resume")
        if kind != "pretrain":
            check_attainable(cfg, kind)
        return cfg, path.parent, state
    if not args.preset:
        raise UsageError(f"give a preset or --resume PATH; presets: {', '.join(config.preset_names())}")
    cfg = schema.load(args.preset, overrides)
    idle = settings.TRAIN_SB3 if cfg.algorithm == "sb3" else settings.TRAIN_INIT if getattr(args, "init", None) else settings.TRAIN
    settings.refuse(schema.load(args.preset, with_robot(args, [])), cfg, idle, "this training")
    if cfg.algorithm != "sb3":
        check_attainable(cfg, kind)
        settings.refuse(schema.defaults(cfg.task, cfg.robot), cfg, settings.OWN, f"this training (they stand in {args.preset})")
    return cfg, Run.new_folder(schema.name_of_runs(args.preset, overrides), Path(args.runs or "runs")), None


def go(
    trainer: Any,
    folder: Path,
    state: dict[str, Any] | None,
    given: Sequence[str] = (),
    steps: Sequence[tuple[str, str]] | None = None,
) -> int:
    """Run a trainer in a folder and print its results and the next steps.

    Args:
        trainer: a fresh one.
        folder: the run's folder.
        state: the checkpoint to continue from; None for a new run.
        given: names of settings that were given when resuming.
        steps: purpose and command of each next step; None for those after a teacher or a student.

    Returns: 130 after Ctrl-C, 0 after another signal that ended it, 1 if it missed its targets.
    """
    from robolearn.learning import distributed
    from robolearn.learning.run import Run, check_ours
    from robolearn.learning.trainer import Interrupted, resume, train

    if state is not None:
        check_ours(folder)
        resume(trainer, state, given)  # before anything is written, so that a config that does not fit leaves the folder unchanged
    if distributed.rank():  # of several processes only the first writes the run
        folder = Path(tempfile.mkdtemp(prefix="robolearn-"))
    job = Run(folder, trainer.cfg)
    if state is not None and not distributed.rank():
        job.truncate_metrics(trainer.iteration)
    print(f"run: {folder}")
    before = trainer.iteration
    try:
        metrics = train(trainer, job)
    except Interrupted as stopped:
        print(f"saved at iteration {trainer.iteration}; continue with: robolearn {_verb(trainer)} --resume {quoted(folder)}")
        return stopped.code
    finally:
        job.close()
    if distributed.rank():
        return 0
    if trainer.missed:
        print(f"targets missed after {trainer.iteration} iterations: {'; '.join(trainer.missed)}", file=sys.stderr)
    print("\n".join(of_training(trainer, folder, metrics, before, steps)), flush=True)
    return 1 if trainer.missed else 0


def _verb(trainer: Any) -> str:
    return {"teacher": "train", "student": "distill"}.get(trainer.kind, str(trainer.kind))
