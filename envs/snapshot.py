"""The whole state of an environment, so that a training can stop and go on exactly where it was."""

from __future__ import annotations

from typing import Any

import torch

from envs.vec_env import VecEnv


def snapshot(env: VecEnv) -> dict[str, Any]:
    """Everything that the future of an environment depends on, as tensors and plain values on the CPU."""
    n = env.num_worlds  # what has no row a world comes from the config, which may change when a training is resumed
    tensors = {
        name: value.cpu().clone() for name, value in vars(env).items() if isinstance(value, torch.Tensor) and value.shape[:1] == (n,)
    }
    return {
        "tensors": tensors,
        "drawn": {name: value.cpu().clone() for name, value in env.randomizer.drawn.items()},
        "parts": {name: part.state() for name, part in env.parts().items()},
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
    env.randomizer.load_drawn(state["drawn"])
    for name, part in env.parts().items():
        part.load_state(state["parts"][name])
    env.generator.set_state(state["generator"])
    env.engine.load_state_dict(state["engine"])
    env.update_state()


def restore_progress(env: VecEnv, state: dict[str, Any]) -> None:
    """Give a fresh environment what another's worlds had come to (curricula, random numbers), for one whose config has changed.

    What is drawn once a world, and every episode, begins anew under the new config: call `reset` afterwards.

    Raises:
        RuntimeError: the state is of another number of worlds.
    """
    env.generator.set_state(state["generator"])
    env.episode_steps[:] = 0  # the coming reset is no end of an episode that a curriculum could judge
    for name, part in env.parts().items():
        if name in state["parts"]:
            part.load_state(state["parts"][name])
