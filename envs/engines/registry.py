"""The physics engines by name, ours and plugins'; each is imported only when it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco

from envs.engines.cores import available_cores
from envs.engines.elsewhere.kinds import AT, MOVABLE, maker
from envs.engines.face import Engine, EngineError
from policies.registry import Registry, UnknownNameError


class UnknownEngineError(EngineError, UnknownNameError):
    """No engine of that name."""


@dataclass(frozen=True, kw_only=True)
class EngineKind:
    """A physics engine.

    Attributes:
        make: makes one from the nominal model, the number of worlds, the device and the number of threads (never 0; engines without threads
            ignore it). When called, it imports what only it needs, and raises `EngineError` if that is not installed.
        devices: devices that it runs on.
    """

    make: Callable[[mujoco.MjModel, int, str, int], Engine]
    devices: tuple[str, ...] = ("cpu",)


class Engines(Registry[EngineKind]):
    """The engines; those that can live elsewhere also as `NAME@PYTHON`, in the Python of that path."""

    def get(self, name: str) -> EngineKind:
        base, at, interpreter = name.partition(AT)
        if not at:
            return super().get(name)
        if base not in MOVABLE or not interpreter:
            valid = ", ".join(f"{one}{AT}/path/to/python" for one in MOVABLE)
            raise UnknownEngineError(f"unknown engine {name!r}; valid in another Python: {valid}")
        return EngineKind(make=maker(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name.partition(AT)[0] in MOVABLE if AT in name else super().__contains__(name))


ENGINES = Engines("engine", UnknownEngineError, of=EngineKind)


def register_engine(name: str, kind: EngineKind) -> EngineKind:
    """Add an engine for `--engine=NAME`.

    Raises:
        policies.plugins.PluginError: the name is taken.
    """
    return ENGINES.register(name, kind)


def make_engine(name: str, model: mujoco.MjModel, num_worlds: int, device: str = "cpu", num_threads: int = 0) -> Engine:
    """Make an engine by name.

    Args:
        name: one of `ENGINES`, or `NAME@PYTHON`.
        model: the nominal model.
        num_worlds: N.
        device: `cpu`, or `cuda` for warp.
        num_threads: simulation threads of engines on the CPU; 0 means all cores that this process may use.

    Raises:
        EngineError: unknown name, the engine does not run on the device, or it is not installed.
    """
    kind = ENGINES.get(name)
    if device.partition(":")[0] not in kind.devices:
        there = [other for other in ENGINES if device.partition(":")[0] in ENGINES.get(other).devices]
        valid = f"; valid there: {', '.join(f'--engine={other}' for other in there)}" if there else ""
        raise EngineError(f"engine {name!r} runs on the {' or '.join(kind.devices)}, not on {device!r}{valid}")
    return kind.make(model, num_worlds, device, num_threads or available_cores())


def _mujoco(model: mujoco.MjModel, num_worlds: int, device: str, num_threads: int) -> Engine:
    from envs.engines.mujoco import MujocoEngine

    return MujocoEngine(model, num_worlds, num_threads)


def _warp(model: mujoco.MjModel, num_worlds: int, device: str, num_threads: int) -> Engine:
    from envs.engines.warp import WarpEngine

    return WarpEngine(model, num_worlds, device)


def _precise(model: mujoco.MjModel, num_worlds: int, device: str, num_threads: int) -> Engine:
    from envs.engines.precise import PreciseEngine

    return PreciseEngine(model, num_worlds, num_threads)


def _drake(model: mujoco.MjModel, num_worlds: int, device: str, num_threads: int) -> Engine:
    from envs.engines.drake.engine import DrakeEngine

    return DrakeEngine(model, num_worlds, num_threads)


register_engine("mujoco", EngineKind(make=_mujoco))
register_engine("warp", EngineKind(make=_warp, devices=("cpu", "cuda")))
register_engine("precise", EngineKind(make=_precise))
register_engine("drake", EngineKind(make=_drake))
for _name in MOVABLE[2:]:
    register_engine(_name, EngineKind(make=maker(_name)))
