"""Distill a trained teacher into a student (transformer, LSTM, TCN, MLP or yours), by imitation and reinforcement learning together.

Its settings are under `student` in the preset; pure imitation is --student.imitation.rl_weight=0 --student.imitation.annealed_at=0, pure
reinforcement learning --student.imitation.weight=0. With --init the student starts from a pretrained network and has its size;
--student.imitation.pretrained_weight=0.1 keeps it near that network by a KL term.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from robolearn.commands import add_print_config, add_robot, with_robot

ACCEPTS_OVERRIDES = True
KEEPS_ITS_WORK = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("teacher", nargs="?", help="the teacher: a run folder, a folder of runs (its newest) or a checkpoint")
    parser.add_argument("--init", metavar="PATH", help="run of robolearn pretrain, whose network the student starts from")
    parser.add_argument("--resume", metavar="PATH", help="student's checkpoint or run folder to continue from")
    add_robot(parser, "the teacher's robot, if it has moved: name or robot.yaml")
    parser.add_argument("--engine", metavar="NAME", help="short for --env.engine: mujoco, or warp on a GPU, or a plugin's")
    parser.add_argument("--device", help="short for --env.device: cpu or cuda")
    parser.add_argument("--runs", metavar="DIR", help="where runs go (default: runs)")
    add_print_config(parser)


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Distill."""
    from envs.robots.registry import get_robot
    from robolearn.commands.train import go, prepare
    from robolearn.config import schema, settings
    from robolearn.config.commented import commented
    from robolearn.config.signs import doubtful
    from robolearn.errors import UsageError, UserError
    from robolearn.learning.goal import check_attainable
    from robolearn.learning.run import Run, find_checkpoint, load_checkpoint, other_model, readable
    from robolearn.learning.student import StudentTrainer
    from robolearn.learning.teacher import load_teacher
    from robolearn.pretraining.starting import as_start, summary

    start, pretrained = None, None
    if args.resume:
        if args.teacher or args.init:
            raise UsageError("--resume takes the teacher and the starting network from the checkpoint: leave out the teacher and --init")
        args.preset = None
        cfg, folder, state = prepare(args, overrides, "student")
        assert state is not None
        with readable(find_checkpoint(args.resume)):
            teacher = load_teacher({"policy": state["teacher"]}, cfg)
    else:
        if not args.teacher:
            raise UsageError("give the teacher's run folder, or --resume PATH")
        path = find_checkpoint(args.teacher)
        source = load_checkpoint(path)
        if source["kind"] != "teacher":
            raise UserError(f"{path} is a checkpoint of a {source['kind']}, not of a teacher")
        overrides = with_robot(args, overrides)
        for name in ("engine", "device"):
            if getattr(args, name):
                overrides = [*overrides, f"--env.{name}={getattr(args, name)}"]
        cfg = schema.loads(source["config"], str(path), overrides)
        idle = settings.DISTILL_INIT if args.init else settings.DISTILL_PLAIN
        settings.refuse(schema.loads(source["config"], str(path)), cfg, idle, "distill")
        check_attainable(cfg, "student")
        if args.init:
            cfg, start, pretrained = as_start(args.init, cfg)
        with readable(path):
            teacher, state = load_teacher(source, cfg), None
        if changed := other_model(source, get_robot(cfg.robot)):
            print(f"warning: {changed}", file=sys.stderr)
        if source.get("missed"):
            print(f"note: this teacher missed its targets: {'; '.join(source['missed'])}", file=sys.stderr)
        named = Path(os.path.abspath(path)).parent.parent.name or cfg.task  # `.` has no name of its own
        folder = Run.new_folder(f"{named}-student", Path(args.runs or "runs"))
    if args.print_config:
        print(commented(cfg), end="")
        return 0
    for doubt in doubtful(cfg):
        print(f"robolearn: warning: {doubt}", file=sys.stderr)
    trainer = StudentTrainer(cfg, teacher, start)
    if state is None:
        trainer.pretrained = None if pretrained is None else summary(pretrained)
        stage = {"config": source["config"], "iterations": source["iteration"], "minutes": source.get("minutes", 0.0)}
        trainer.history = [*source.get("history", []), stage]
    return go(trainer, folder, state, settings.named(overrides))
