"""The whole state of an environment, so that a training can be resumed bit for bit."""

from __future__ import annotations

from typing import Any

from envs.vec_env import VecEnv


def snapshot(env: VecEnv) -> dict[str, Any]:
    """Everything that the future of an environment depends on, as tensors and plain values on the CPU."""
    return {
        "worlds": env.world_state(),
        "buffers": env.buffers.state(),
        "command": env.commander.state(),
        "drawn": {name: value.cpu().clone() for name, value in env.randomizer.drawn.items()},
        "parts": {name: part.state() for name, part in env.parts().items()},
        "generator": env.generator.get_state(),
        "engine": env.engine.state_dict(),
    }


def restore(env: VecEnv, state: dict[str, Any]) -> None:
    """Put an environment with the same config into a state from `snapshot`.

    Raises:
        ValueError: the state is from an environment with another config.
    """
    env.load_world_state(state["worlds"])
    env.engine.load_state_dict(state["engine"])
    env.buffers.load_state(state["buffers"])
    env.commander.load_state(state["command"])
    env.randomizer.load_drawn(state["drawn"])
    for name, part in env.parts().items():
        part.load_state(state["parts"][name])
    env.generator.set_state(state["generator"])
    env.moved()


def restore_progress(env: VecEnv, state: dict[str, Any]) -> None:
    """Transfer curricula and random number generators to a fresh environment whose config has changed.

    Values drawn once per world, and all episodes, start again under the new config: call `reset` afterwards.

    Raises:
        RuntimeError: the state has another number of worlds.
    """
    env.generator.set_state(state["generator"])
    env.episode_steps[:] = 0  # the coming reset does not end an episode that a curriculum could judge
    for name, part in env.parts().items():
        if name in state["parts"]:
            part.load_state(state["parts"][name])
