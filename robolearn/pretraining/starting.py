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


def can_act(state: dict[str, Any]) -> bool:
    """Whether a pretraining's data had actions at all, so that its head for them has learned something.

    Args:
        state: its checkpoint; one of a student can act.
    """
    return state["kind"] != "pretrain" or any(state["statistics"]["rows"])


def check_same(before: TrainCfg, cfg: TrainCfg, path: str, whose: str) -> None:
    """Refuse to go on where a network would see, or do, something else than it has learned.

    Args:
        before: of the pretraining that was done.
        cfg: of what begins.
        path: of its checkpoint.
        whose: config that is.

    Raises:
        UserError: names the first setting that differs, and both values.
    """
    for (name, old), (_, new) in zip(_contract(before).items(), _contract(cfg).items(), strict=True):
        if old != new:
            raise UserError(
                f"{path} was pretrained with another {name} than {whose}: {_only(old, new)}, not {_only(new, old)};"
                " a network goes on with what it has learned to see and to do: set the same, or pretrain anew"
            )


def _contract(cfg: TrainCfg) -> dict[str, Any]:
    """What an observation and an action mean; noise and delays may change, as the task may."""
    env = cfg.env
    return {
        "robot": cfg.robot,
        "student.ppo.symmetry": "fold" if cfg.student.ppo.symmetry == "fold" else "none or another",
        "env.control_dt": env.control_dt,
        "env.observations": {name: {"scale": term.scale, "func": term.func} for name, term in env.sensed().items()},
        "env.clock_hz": env.clock_hz if "clock" in env.observations else 0.0,
        "env.action.mode": env.action.mode,
        "env.action.scale": env.action.scale,
    }


def _only(one: Any, other: Any) -> str:
    """A value for people; of a table of terms the names alone, unless these are the same."""
    if not isinstance(one, dict):
        return "the robot's own" if one is None else str(one)
    if list(one) != list(other):
        return ", ".join(one)
    return ", ".join(f"{name} {values}" for name, values in one.items() if values != other[name])


def as_start(path: str | Path, cfg: TrainCfg) -> tuple[TrainCfg, Network, dict[str, Any]]:
    """What a student starts from.

    Args:
        path: of the pretraining.
        cfg: the student's.

    Returns:
        The student's config with the pretrained network's size, the network, and the checkpoint.

    Raises:
        UserError: no pretraining, or of other observations or actions, or behind a fold where the student is not.
    """
    state, found = load_pretrained(path), find_checkpoint(path)
    before = schema.loads(state["config"], str(found))
    if not can_act(state):
        raise UserError(
            f"{found} has seen no actions, so its head for them is random: it cannot start a student; go on with data that has some:"
            f" robolearn pretrain PRESET --data DATASET --init {found.parent}"
        )
    check_same(before, cfg, str(found), "the student's")
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
