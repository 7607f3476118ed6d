"""The physics engines by name; each is imported only when it is made."""

from __future__ import annotations

import mujoco

from envs.engines.cores import available_cores
from envs.engines.face import Engine, EngineError

ENGINES = ("mujoco", "warp", "precise", "drake")


def make_engine(name: str, model: mujoco.MjModel, num_worlds: int, device: str = "cpu", num_threads: int = 0) -> Engine:
    """Make an engine by name.

    Args:
        name: one of `ENGINES`.
        model: the nominal model.
        num_worlds: N.
        device: `cpu`, or `cuda` for warp.
        num_threads: simulation threads of the engines on the CPU; 0 means all that this process may use.

    Raises:
        EngineError: unknown name, a device that the engine does not have, or an engine that is not installed.
    """
    if name in ("mujoco", "precise", "drake") and device != "cpu":
        raise EngineError(f"engine {name!r} runs on the cpu, not on {device!r}; valid there: --engine=warp")
    num_threads = num_threads or available_cores()
    if name == "mujoco":
        from envs.engines.mujoco import MujocoEngine

        return MujocoEngine(model, num_worlds, num_threads)
    if name == "precise":
        from envs.engines.precise import PreciseEngine

        return PreciseEngine(model, num_worlds, num_threads)
    if name == "drake":
        from envs.engines.drake.engine import DrakeEngine

        return DrakeEngine(model, num_worlds, num_threads)
    if name == "warp":
        from envs.engines.warp import WarpEngine

        return WarpEngine(model, num_worlds, device)
    raise EngineError(f"unknown engine {name!r}; valid: {', '.join(ENGINES)}")
