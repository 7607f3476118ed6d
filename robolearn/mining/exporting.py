"""A round's student as one policy file, with all that led to it in its provenance."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from policies.export.onnx_graph import annotate
from robolearn.config import schema
from robolearn.learning.export import export
from robolearn.learning.run import load_checkpoint
from robolearn.mining.results import MINED
from robolearn.mining.rounds import Plan, identity
from robolearn.mining.subject import Subject


def export_round(subject: Subject, plan: Plan, folder: Path, number: int) -> Path:
    """Write `folder`/policy.onnx from a round of the mined arm, not yet evaluated.

    Its config is the student's own, so that it is judged in the worlds that it was made for; what the rounds did beside is in `improved`.
    """
    state = load_checkpoint(folder / MINED / f"round-{number}" / "training")
    assert subject.state is not None
    taught = schema.loads(state["config"], "the round's config")
    cfg = dataclasses.replace(subject.cfg, seed=taught.seed)
    out = folder / "policy.onnx"
    done = sum(stage["iterations"] for stage in state["history"][len(subject.state.get("history", [])) + 1 :]) + state["iteration"]
    command = f"robolearn improve RUN --rounds {plan.rounds}, of which round {number}; see `improved`, and `history` for the student's own"
    export(subject.student(state), cfg, out, subject.state["iteration"] + done, command, state["history"])
    told = {"from": identity(subject), "round": number, "plan": dataclasses.asdict(plan)}
    annotate(out, improved=told)
    return out
