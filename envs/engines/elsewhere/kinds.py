"""Engines that live elsewhere by name: `mujoco@/path/to/python`, `newton`, `isaacgym`, and where their Pythons are."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable

import mujoco

from envs.engines.face import Engine, EngineError

AT = "@"
"""Between an engine and the Python that it shall run in."""

INTERPRETERS = {"newton": "ROBOLEARN_NEWTON_PYTHON", "isaacgym": "ROBOLEARN_ISAACGYM_PYTHON", "mujoco": "ROBOLEARN_MUJOCO_PYTHON"}
"""Package -> the variable that names its Python; for mujoco several, with colons between, which `evaluate --engine all` adds."""

MOVABLE = ("mujoco", "precise", "newton", "newton-steel", "isaacgym")
"""Engines that can be told which Python to run in."""

Make = Callable[[mujoco.MjModel, int, str, int], Engine]


def others_of_mujoco() -> tuple[str, ...]:
    """The engines that `ROBOLEARN_MUJOCO_PYTHON` names."""
    return tuple(f"mujoco{AT}{path}" for path in os.environ.get(INTERPRETERS["mujoco"], "").split(":") if path)


def all_here() -> tuple[str, ...]:
    """The engines that `evaluate --engine all` judges by: those of other physics or options that are on this computer.

    `warp` is left out, as its equations are those of `mujoco`, and so is `isaacgym`, which starts nowhere but on its GPU.
    """
    drake = ("drake",) if importlib.util.find_spec("pydrake") else ()
    newton = ("newton", "newton-steel") if there("newton") else ()
    return ("mujoco", "precise", *drake, *newton, *others_of_mujoco())


def there(package: str) -> str | None:
    """The Python that an engine's package is to be found in: the variable's, or this one; None if neither."""
    given = os.environ.get(INTERPRETERS[package])
    if given:
        return given
    return sys.executable if importlib.util.find_spec(package) else None


def maker(name: str) -> Make:
    """What makes the engine `name`, with or without `@PYTHON`; nothing is started yet."""
    base, _, interpreter = name.partition(AT)

    def make(model: mujoco.MjModel, num_worlds: int, device: str, num_threads: int) -> Engine:
        return _make(name, base, interpreter, model, num_worlds, num_threads)

    return make


def _make(name: str, base: str, interpreter: str, model: mujoco.MjModel, num_worlds: int, num_threads: int) -> Engine:
    from envs.engines.elsewhere.engine import ElsewhereEngine
    from envs.engines.elsewhere.process import Worker

    package, _, solver = base.partition("-")
    if not interpreter:
        interpreter = there(package) or ""
        if not interpreter:
            how = f"set {INTERPRETERS[package]}=/path/to/python of an environment that has it, or give --engine={base}{AT}/path/to/python"
            raise EngineError(f"engine {name!r} needs the package {package} in a Python of its own: {how} (docs/physics.md)")
    substeps = 1
    if package == "precise":
        from envs.engines.precise import fine_timestep, make_precise

        substeps, package = fine_timestep(model.opt.timestep)[0], "mujoco"
        worker = Worker(name, package, interpreter)
        engine = ElsewhereEngine(make_precise(model), num_worlds, worker, num_threads, substeps=substeps, switches_controls=True)
        engine.model = model
        return engine
    worker = Worker(name, f"{package}:{solver}" if solver else package, interpreter)
    return ElsewhereEngine(model, num_worlds, worker, num_threads)
