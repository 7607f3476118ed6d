"""The whole state of an environment, so that a training can stop and go on exactly where it was."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from envs.vec_env import VecEnv
from policies.observation import Sensors


def snapshot(env: VecEnv) -> dict[str, Any]:
    """Everything that the future of an environment depends on, as tensors and plain values on the CPU."""
    tensors = {name: value.cpu().clone() for name, value in vars(env).items() if isinstance(value, torch.Tensor)}
    previous = env._previous
    before = None if previous is None else {f.name: _cpu(getattr(previous, f.name)) for f in dataclasses.fields(Sensors)}
    return {
        "tensors": tensors,
        "previous": before,
        "drawn": {name: value.cpu().clone() for name, value in env.randomizer.drawn.items()},
        "generator": env.generator.get_state(),
        "engine": env.engine.state_dict(),
    }


def restore(env: VecEnv, state: dict[str, Any]) -> None:
    """Put an environment of the same config into a state that `snapshot` gave.

    Raises:
        ValueError: the state is of an environment of another shape.
    """
    for name, value in state["tensors"].items():
        here = getattr(env, name, None)
        if isinstance(here, torch.Tensor) and here.shape != value.shape:
            raise ValueError(f"the state's {name} has shape {tuple(value.shape)}, this environment's {tuple(here.shape)}: another config")
    for name, value in state["tensors"].items():
        setattr(env, name, value.to(env.device).clone())
    env._previous = None if state["previous"] is None else Sensors(**{k: _to(v, env.device) for k, v in state["previous"].items()})
    for name, value in state["drawn"].items():
        env.randomizer.drawn[name] = value.to(env.device).clone()
    env.generator.set_state(state["generator"])
    env.engine.load_state_dict(state["engine"])
    env.update_state()


def _cpu(value: torch.Tensor | None) -> torch.Tensor | None:
    return None if value is None else value.cpu().clone()


def _to(value: torch.Tensor | None, device: torch.device) -> torch.Tensor | None:
    return None if value is None else value.to(device).clone()
