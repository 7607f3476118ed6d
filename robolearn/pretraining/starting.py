"""A pretrained network as the start of something else: of another pretraining, or of a student."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from policies.networks.protocol import Network
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.learning.run import find_checkpoint, load_checkpoint, readable
from robolearn.learning.student import load_student


def load_pretrained(path: str | Path) -> dict[str, Any]:
    """The checkpoint of a pretraining.

    Raises:
        UserError: there is none, or it is of another kind.
    """
    found = find_checkpoint(path)
    state = load_checkpoint(found)
    if state["kind"] != "pretrain":
        raise UserError(
            f"{found} is a checkpoint of a {state['kind']}, not of a pretraining; make one: robolearn pretrain PRESET --data DATASET"
        )
    return state


def as_start(path: str | Path, cfg: TrainCfg) -> tuple[TrainCfg, Network, dict[str, Any]]:
    """What a student starts from.

    Args:
        path: of the pretraining.
        cfg: the student's.

    Returns:
        The student's config with the pretrained network's size, the network, and the checkpoint.

    Raises:
        UserError: no pretraining, or of another task's observations, or behind a fold where the student is not.
    """
    state, found = load_pretrained(path), find_checkpoint(path)
    before = schema.loads(state["config"], str(found))
    for name, old, new in (
        ("robot", before.robot, cfg.robot),
        ("student.ppo.symmetry", before.student.ppo.symmetry == "fold", cfg.student.ppo.symmetry == "fold"),
        ("env.observations", list(before.env.observations), list(cfg.env.observations)),
    ):
        if old != new:
            raise UserError(f"{found} was pretrained with another {name} than the student's; pretrain with the student's own settings")
    with readable(found):
        network = load_student(state, before)
    return dataclasses.replace(cfg, student=dataclasses.replace(cfg.student, network=before.student.network)), network, state


def summary(state: dict[str, Any]) -> dict[str, Any]:
    """What a student's checkpoint and policy file keep of the pretraining that it started from."""
    return {
        "config": state["config"],
        "iterations": state["iteration"],
        "minutes": state.get("minutes", 0.0),
        "datasets": state["datasets"],
    }
