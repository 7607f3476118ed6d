"""Train a student's network on datasets: to predict what comes next, or what is masked. The result can act, and a student can start from
it.

Data is what `robolearn collect`, `retarget` and `data import` write; sources without actions (people, controllers, others' data) count too.
Settings are under `pretrain` in the preset; the network is `student.network`. To follow a masked pretraining, or to fine-tune on a few
episodes of your own: --init RUN --pretrain.objective=next. Then: robolearn export RUN, or robolearn distill TEACHER --init RUN.
docs/pretraining.md explains the steps.

robolearn pretrain encoder --help tells of the other pretraining, that of an image encoder from pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from robolearn.commands import add_allow_licence, add_robot, with_robot

ACCEPTS_OVERRIDES = True
KEEPS_ITS_WORK = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("preset", nargs="?", help="name of a preset in configs/, path of a YAML, or name of a task (see robolearn list)")
    parser.add_argument("--data", nargs="+", metavar="DATASET", help="folders of datasets; short for --pretrain.data=[...]")
    parser.add_argument("--init", metavar="PATH", help="run of another pretraining, whose network this one starts from")
    parser.add_argument("--resume", metavar="PATH", help="checkpoint, run folder or folder of runs (its newest) to continue from")
    add_allow_licence(parser, "also train on data with this licence (repeatable); `unknown` for data without one")
    add_robot(parser, "the preset's; required for presets such as velocity-flat, which name none")
    parser.add_argument("--device", help="short for --env.device: cpu or cuda")
    parser.add_argument("--runs", metavar="DIR", help="where runs go (default: runs)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Pretrain."""
    from robolearn.commands.train import go, prepare, quoted
    from robolearn.config import loading as config
    from robolearn.config import schema, settings
    from robolearn.errors import UsageError
    from robolearn.learning import distributed
    from robolearn.learning.run import Run
    from robolearn.pretraining.starting import load_pretrained
    from robolearn.pretraining.trainer import PretrainTrainer

    given = [*overrides, *_short(args)]
    state, init = None, None
    if args.resume:
        if args.init or args.data:
            raise UsageError("--resume continues the same training and data: leave out --init and --data")
        cfg, folder, state = prepare(args, given, "pretrain")
        init = state  # it may have more sources than its data, if it had an --init
    else:
        if not args.preset:
            raise UsageError(f"give a preset or --resume PATH; presets: {', '.join(config.preset_names())}")
        named = with_robot(args, given)
        cfg = schema.load(args.preset, named)
        settings.refuse(schema.load(args.preset, with_robot(args, [])), cfg, settings.PRETRAIN, "a pretraining")
        if args.init:
            init = load_pretrained(args.init)
        folder = Run.new_folder(f"{schema.name_of_runs(args.preset, named)}-pretrain", Path(args.runs or "runs"))
    trainer = PretrainTrainer(cfg, init)
    if not distributed.rank():
        for line in trainer.about():
            print(line, file=sys.stderr)
    here = quoted(folder)
    act = ("make it a policy", f"robolearn pretrain {args.preset or 'PRESET'} --data ... --init {here}")
    start = ("start a student", f"robolearn distill TEACHER --init {here}")
    if not any(trainer.statistics.rows):  # no actions in the data: the action head is untrained
        steps = [act]
    elif cfg.pretrain.objective == "masked":
        steps = [act, start]
    else:
        steps = [("export it", f"robolearn export {here}"), start]
    return go(trainer, folder, state, settings.named(given), steps)


def _short(args: argparse.Namespace) -> list[str]:
    """The overrides that the options stand for."""
    found = [f"--env.device={args.device}"] if args.device else []
    args.device = None
    if args.data:
        found.append(f"--pretrain.data={json.dumps([str(Path(name).expanduser().resolve()) for name in args.data])}")
    if args.allow_licence:
        found.append(f"--pretrain.allow={json.dumps(args.allow_licence)}")
    return found
