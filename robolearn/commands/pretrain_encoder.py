"""Train an image encoder by masked autoencoding: a vision transformer that turns images into latents, for policies that see.

Images come from folders, videos, datasets with cameras, or are rendered as it goes from a preset's cameras, with looks that differ;
several sources are mixed. Writes to runs/encoder-<size>/<time>/: config.yaml, checkpoint.pt, metrics.jsonl, and at the end encoder.onnx
(the frozen encoder with its hash, licence and origin), reconstructions.html and reconstructions.png. Ctrl-C saves; --resume goes on
exactly. docs/encoder.md explains the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ACCEPTS_OVERRIDES = True
KEEPS_ITS_WORK = True
SOURCES = ("images", "videos", "data", "render")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("config", nargs="?", metavar="YAML", help="a file with settings, such as a run's config.yaml")
    parser.add_argument("--images", nargs="+", metavar="FOLDER", help="folders of images, searched with all that is below them")
    parser.add_argument("--videos", nargs="+", metavar="PATH", help="videos, or folders of them")
    parser.add_argument("--data", nargs="+", metavar="DATASET", help="datasets with cameras, ours or LeRobot's")
    parser.add_argument(
        "--render", nargs="+", metavar="PRESET", help="presets whose cameras are rendered; one without cameras gets all of its robot's"
    )
    parser.add_argument("--policy", metavar="FILE", help="policy file that half of the rendered robots follow; the others move at random")
    parser.add_argument("--licence", metavar="SPDX", help="licence of the images in --images and --videos")
    parser.add_argument("--init", metavar="PATH", help="encoder that this one starts from: encoder.onnx, checkpoint, or published weights")
    parser.add_argument("--resume", metavar="PATH", help="checkpoint, run folder or folder of runs (its newest) to continue from")
    parser.add_argument(
        "--allow-licence", action="append", default=[], metavar="NAME", help="also learn from data with this licence (repeatable)"
    )
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--runs", metavar="DIR", help="where runs go (default: runs)")
    parser.add_argument("--print-config", action="store_true", help="print all settings as YAML and exit")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Train an encoder."""
    from robolearn.commands.ending import next_lines, quoted
    from robolearn.config import loading
    from robolearn.config.commented import commented
    from robolearn.errors import UsageError, UserError
    from robolearn.learning import distributed
    from robolearn.learning.interruption import Interrupted
    from robolearn.learning.run import Run, find_checkpoint, load_checkpoint
    from robolearn.pretraining.encoder.config import EncoderTraining
    from robolearn.pretraining.encoder.finishing import finish
    from robolearn.pretraining.encoder.loop import resumed, train
    from robolearn.pretraining.encoder.making import make_sources
    from robolearn.pretraining.encoder.page import PAGE
    from robolearn.pretraining.encoder.trainer import EncoderTrainer

    state: dict[str, Any] | None = None
    if args.resume:
        given = [f"--{name}" for name in ("init", "policy", "licence", "runs", "allow_licence", *SOURCES) if getattr(args, name)]
        if given or args.config:
            raise UsageError(f"--resume continues the same training: leave out {', '.join(given) or args.config}")
        path = find_checkpoint(args.resume)
        state = load_checkpoint(path)
        if state["kind"] != "encoder":
            raise UserError(f"{path} is a checkpoint of a {state['kind']}, not of an encoder; continue it with the command that began it")
        cfg, folder = resumed(state, str(path), [*overrides, *_device(args)]), path.parent
    else:
        cfg = loading.load(EncoderTraining, args.config, [*overrides, *_short(args)])
        folder = Run.new_folder(f"encoder-{cfg.encoder.size}", Path(args.runs or "runs"))
    if args.print_config:
        print(commented(cfg), end="")
        return 0
    distributed.start(cfg.device)
    trainer = EncoderTrainer(cfg, make_sources(cfg, distributed.rank()))
    if state is not None:
        trainer.load_state_dict(state)
    first = distributed.rank() == 0
    if first:
        for source in trainer.mixture.sources:
            about = source.about()
            print(f"{about['kind']}: {source.name} ({about['licence']})", file=sys.stderr)
    job = Run(folder if first else Path(tempfile.mkdtemp(prefix="robolearn-")), cfg)
    if state is not None and first:
        job.truncate_metrics(trainer.iteration)
    print(f"run: {folder}")
    try:
        metrics = train(trainer, job)
    except Interrupted as stopped:
        print(f"saved at iteration {trainer.iteration}; continue with: robolearn pretrain encoder --resume {quoted(folder)}")
        return stopped.code
    finally:
        job.close()
    if not first:
        return 0
    loss = (metrics or trainer.check()).get("held_out/loss")
    file = finish(trainer, folder, loss)
    told = "" if loss is None else f", held-out loss {loss:.4f}"
    print(f"done: {trainer.iteration} iterations, {trainer.minutes:.1f} min{told}")
    print(f"wrote {file.path} (differs from torch by {file.verify():.1e} on its golden images; licence {file.licence})")
    print("\n".join(next_lines([("look at it", f"open {quoted(folder / PAGE)}"), *_next(quoted(file.path))])))
    return 0


def _next(file: str) -> list[tuple[str, str]]:
    return [("learn from other images", f"robolearn pretrain encoder --images FOLDER --init {file}")]


def _device(args: argparse.Namespace) -> list[str]:
    return [f"--device={args.device}"] if args.device else []


def _short(args: argparse.Namespace) -> list[str]:
    """The overrides that the options stand for."""
    found = _device(args)
    for name in SOURCES:
        if given := getattr(args, name):
            as_path = name != "render"
            found.append(f"--encoder.{name}={json.dumps([str(Path(one).expanduser().resolve()) if as_path else one for one in given])}")
    if args.policy:
        found.append(f"--encoder.policy={json.dumps(str(Path(args.policy).expanduser().resolve()))}")
    if args.allow_licence:
        found.append(f"--encoder.allow={json.dumps(args.allow_licence)}")
    if args.licence:
        found.append(f"--licence={args.licence}")
    if args.init:
        found.append(f"--init={json.dumps(str(Path(args.init).expanduser().resolve()))}")
    return found
