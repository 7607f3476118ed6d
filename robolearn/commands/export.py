"""Write the policy file of a student, or of a pretrained network, and put it through the gate: both engines, golden run, provenance."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from robolearn.commands import add_robot, with_robot
from robolearn.commands.ending import after_export


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("student", help="the student: a run folder, a folder of runs (its newest) or a checkpoint")
    parser.add_argument("--out", metavar="FILE", help="file to write (default: policy.onnx in the run folder)")
    add_robot(parser, "the student's robot, if it has moved: name or robot.yaml")
    parser.add_argument("--no-gate", action="store_true", help="skip the evaluation; the file records that it was not evaluated")
    parser.add_argument("--seeds", type=int, help="episodes per command in the gate (default: 2)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Export."""
    from envs.robots.registry import get_robot
    from policies.files import check_writable
    from robolearn.commands.evaluate import MOST
    from robolearn.config import schema
    from robolearn.errors import UsageError, UserError
    from robolearn.evaluation.gate import shortcomings
    from robolearn.evaluation.table import show
    from robolearn.learning.export import export, gate
    from robolearn.learning.run import find_checkpoint, load_checkpoint, other_model, readable
    from robolearn.learning.student import load_student
    from robolearn.pretraining.starting import can_act

    if args.no_gate and args.seeds is not None:
        raise UsageError("--seeds is for the gate, which --no-gate skips")
    seeds = 2 if args.seeds is None else args.seeds
    if not 1 <= seeds <= MOST:
        raise UsageError(f"--seeds must be at least 1 and at most {MOST}, not {seeds}")
    path = find_checkpoint(args.student)
    state = load_checkpoint(path)
    if state["kind"] == "encoder":
        raise UserError(
            f"{path} is an image encoder's checkpoint, whose file is written at the end of its training: {path.parent}/encoder.onnx"
        )
    if state["kind"] not in ("student", "pretrain"):
        raise UserError(f"{path} is a checkpoint of a {state['kind']}; distill it first: robolearn distill {path.parent}")
    cfg = schema.loads(state["config"], str(path), with_robot(args, []))
    if state["kind"] == "pretrain" and cfg.pretrain.objective == "masked":
        raise UserError(
            f"{path} was pretrained to use past and future, and a robot has only the past; continue with: robolearn pretrain PRESET "
            f"--init {path.parent}"
        )
    if not can_act(state):
        raise UserError(
            f"{path} has learned from data without actions, so its head for them is random, and it cannot act; go on with data that has"
            f" some: robolearn pretrain PRESET --data DATASET --init {path.parent}"
        )
    if changed := other_model(state, get_robot(cfg.robot)):
        if not args.robot:
            raise UserError(f"{changed}; restore the original, or accept this one with --robot {cfg.robot}")
        print(f"warning: {changed}", file=sys.stderr)
    out = Path(args.out) if args.out else path.parent / "policy.onnx"
    check_writable(out)
    history = state.get("history", [])
    with readable(path):
        student = load_student(state, cfg)
    pretrained = state.get("pretrained") or {}
    datasets = state.get("datasets") or pretrained.get("datasets", [])
    how = how_pretrained(cfg.task) if state["kind"] == "pretrain" else how_it_was_made(cfg.task, history, bool(pretrained))
    file = export(student, cfg, out, state["iteration"], how, history, datasets)
    print(f"wrote {file.path} (differs from torch by {file.verify():.1e} on its golden run)")
    if args.no_gate:
        print("not evaluated: --no-gate")
        print("\n".join(after_export(file.path, None, (), path.parent)))
        return 0
    _, training, precise, passed = gate(out, seeds)
    show([training, precise])
    why = shortcomings(training, precise)
    print("deployable: yes" if passed else f"deployable: no: {'; '.join(why)}")
    print("\n".join(after_export(file.path, passed, why, path.parent)))
    return 0 if passed else 1


def how_pretrained(task: str) -> str:
    """The command lines that train this pretrained network again, from the same datasets."""
    return f"save `config` as {task}.yaml; robolearn pretrain {task}.yaml, with the `datasets` at the paths it names"


def how_it_was_made(task: str, history: list[dict[str, Any]], pretrained: bool = False) -> str:
    """The command lines that train this student again: each teacher of the history from the one before it, then the student."""
    stages = max(1, len(history))
    told = ["save each `history[i].config` as stage<i>.yaml"]
    for stage in range(stages):
        init = f" --init runs/stage{stage - 1}" if stage else ""
        told.append(f"robolearn train stage{stage}.yaml{init}")
    start = " --init PRETRAINING" if pretrained else ""
    told.append(f"save `config` as {task}.yaml and give its settings as overrides to: robolearn distill runs/stage{stages - 1}{start}")
    return "; ".join(told)
