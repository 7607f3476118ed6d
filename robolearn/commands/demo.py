"""Train a teacher, distill it into a transformer, export and check the policy file, run it over ROS 2, and write a report.

Everything goes into runs/demo/<time>/. Ctrl-C saves, and so does every other signal that ends a process; --resume continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robolearn.commands import add_robot, with_robot

ACCEPTS_OVERRIDES = True
DEFAULT = "go1-velocity-flat"
KEEPS_ITS_WORK = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("preset", nargs="?", help=f"preset to demonstrate (default: {DEFAULT})")
    add_robot(parser, "the preset's")
    parser.add_argument("--resume", metavar="DIR", help="continue an interrupted demo in its folder")
    parser.add_argument("--seeds", type=int, default=1, help="episodes per command in evaluations (default: 1)")
    parser.add_argument("--runs", metavar="DIR", help="where runs go (default: runs)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Run the demo; 1 if a training missed its targets, or the policy is not deployable or failed over ROS 2."""
    from robolearn.commands.ending import quoted
    from robolearn.commands.evaluate import MOST
    from robolearn.config import schema, settings
    from robolearn.demo import check_resume, run_demo
    from robolearn.errors import UsageError, UserError
    from robolearn.learning.run import Run
    from robolearn.learning.trainer import Interrupted

    if not 1 <= args.seeds <= MOST:
        raise UsageError(f"--seeds must be at least 1 and at most {MOST}, not {args.seeds}")
    overrides = with_robot(args, overrides)
    if args.resume:
        if args.preset or args.runs:
            raise UsageError("--resume takes preset and folder from the demo that it continues: leave out the preset and --runs")
        folder = Path(args.resume)
        stage = "student" if (folder / "student" / "config.yaml").is_file() else "teacher"
        written = folder / stage / "config.yaml"
        if not written.is_file():
            raise UserError(f"no demo to continue at {folder}: {written} is missing")
        cfg = schema.load(str(written), overrides)
        check_resume(cfg, folder)
    else:
        preset = args.preset or DEFAULT
        cfg, folder = schema.load(preset, overrides), Run.new_folder("demo", Path(args.runs or "runs"))
        settings.refuse(schema.load(preset, with_robot(args, [])), cfg, settings.TRAIN, "this training")
    if cfg.algorithm != "ppo":
        raise UsageError(f"the demo needs robolearn's own algorithm, not {cfg.algorithm}; give another preset (see robolearn list)")
    try:
        result = run_demo(cfg, folder, args.seeds)
    except Interrupted as stopped:
        print(f"saved; continue with: robolearn demo --resume {quoted(folder)}")
        return stopped.code
    except KeyboardInterrupt:
        print(f"what was trained is kept; continue with: robolearn demo --resume {quoted(folder)}")
        raise
    return 0 if result.deployable and result.ros_error is None and not result.missed else 1
