"""Functions that your own package calls to register its robots, tasks, networks, transports and engines (docs/bring-your-task.md).

    # my_robot_package/plugin.py, named by an entry point in the group `robolearn.plugins` or by --import
    from robolearn.plugins import register_robot, register_task, register_transport

    register_robot("kitten", Path(__file__).parent / "robot.yaml")
    register_task("hop", "my_robot_package.hop:HOP")
    register_transport("udp", "my_robot_package.udp:UDP")

An object is given as itself, or as the text `package.module:name` of it or of a function that makes it, which is imported on first use. So
a robot's computer, which has no torch, can load the same plugin for its transport. Importing this module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.plugins import PluginError, load
from policies.registry import declare

if TYPE_CHECKING:
    from bridge.transports.registry import TransportKind
    from envs.engines.registry import EngineKind
    from envs.robots.robot import Robot
    from envs.tasks.registry import Task
    from policies.contract.observation import Sensors
    from policies.networks.registry import NetworkKind
    from robolearn.controllers.registry import ControllerKind

__all__ = [
    "PluginError",
    "load",
    "register_controller",
    "register_engine",
    "register_network",
    "register_observation",
    "register_preset",
    "register_robot",
    "register_task",
    "register_transport",
]


def register_robot(name: str, robot: Robot | Path | str) -> None:
    """Add a robot for `--robot NAME`.

    Args:
        name: the robot's name.
        robot: the robot, its `robot.yaml`, or `package.module:name`.

    Raises:
        PluginError: the name is taken.
    """
    declare("robot", name, _robot_of(robot) if isinstance(robot, Path) else _given(robot))


def register_task(name: str, task: Task | str) -> None:
    """Add a task for presets and `robolearn train NAME`; see `register_robot`."""
    declare("task", name, _given(task))


def register_preset(path: Path) -> None:
    """Add a preset, `robolearn train NAME`, where NAME is the file's without `.yaml`."""
    declare("preset", path.stem, lambda: path)


def register_observation(
    name: str, func: Callable[[Sensors, Any], Any], unit: str = "", frame: str = "", mirror: str | tuple[str, ...] | None = None
) -> None:
    """Add a term that a robot can sense, in training and on the robot alike; see `policies.contract.observation.register_term`.

    Give the function itself, since the robot needs it.

    Raises:
        ValueError: a term of that name exists already.
    """
    from policies.contract.observation import register_term

    register_term(name, func, unit, frame, mirror)


def register_network(name: str, kind: NetworkKind | str) -> None:
    """Add a kind of network for students, `--student.network.kind=NAME`; see `policies.networks.registry.NetworkKind`."""
    declare("network", name, _given(kind))


def register_transport(name: str, kind: TransportKind | str) -> None:
    """Add a transport, `robolearn deploy --transport NAME`; see `bridge.transports.registry.TransportKind`."""
    declare("transport", name, _given(kind))


def register_engine(name: str, kind: EngineKind | str) -> None:
    """Add a physics engine, `--engine=NAME`; see `envs.engines.registry.EngineKind`."""
    declare("engine", name, _given(kind))


def register_controller(name: str, kind: ControllerKind | str) -> None:
    """Add a model-based controller, `robolearn evaluate controller:NAME`; see `robolearn.controllers.registry.ControllerKind`."""
    declare("controller", name, _given(kind))


def _given(thing: Any) -> Any:
    """An object in the form that `declare` takes."""
    return thing if isinstance(thing, str) else lambda: thing


def _robot_of(path: Path) -> Any:
    def read() -> Robot:
        from envs.robots.registry import get_robot

        return get_robot(str(path))

    return read
