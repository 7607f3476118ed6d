"""The choices on the page: policy, ground and physics engine; and the world that they give."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from envs.engines.registry import ENGINES
from envs.robots.robot import Robot
from envs.scene.terrain import KINDS, TerrainCfg, single_terrain
from envs.tasks.registry import get_task
from policies.contract.file import PolicyFile
from robolearn.controllers.registry import CONTROLLERS
from robolearn.learning.run_folders import newest_last
from robolearn.policy_path import CONTROLLER, POLICY_FILE, zoo
from robolearn.viewer.playback import Playback
from robolearn.viewer.who import Who, controlled, task_of

FLOOR = "floor"
GROUNDS = (FLOOR, *(kind for kind in KINDS if kind != "flat"))
RUNS = Path("runs")
NEWEST = 10  # number of runs to choose from


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to show.

    Attributes:
        policy: one of `Policies.names`.
        engine: physics engine.
        ground: one of `GROUNDS`.
        level: difficulty of the ground, 0 to 1, the hardest.
        randomize: whether to use the randomization, noise, delays and pushes of training.
    """

    policy: str
    engine: str = "mujoco"
    ground: str = FLOOR
    level: float = 1.0
    randomize: bool = False

    @property
    def terrain(self) -> TerrainCfg | None:
        """The ground in the form that environments take; None for the floor."""
        return None if self.ground == FLOOR else single_terrain(f"{self.ground}:{self.level:g}")


def ground_of(text: str | None) -> tuple[str, float]:
    """Ground and level from `--terrain KIND[:LEVEL]`; the floor if it is not given."""
    kind, _, level = (text or FLOOR).partition(":")
    return FLOOR if kind == "flat" else kind, float(level or 1)


def name_of(who: Who) -> str:
    """The label of a policy or controller."""
    return _file_name(who.path) if isinstance(who, PolicyFile) else who.name


def _file_name(path: Path) -> str:
    """The label of a policy file: the name of a shipped one, the folder of a run, or the path of another."""
    if path in zoo().values():
        return path.stem
    return path.resolve().parent.name if path.name == POLICY_FILE else path.stem


class Policies:
    """The choice of policies: the given one, the shipped ones, those of the newest runs here, and the controllers.

    Attributes:
        names: all names, the given one first.
    """

    def __init__(self, first: Who, robot: str | Robot | None = None, seed: int = 0) -> None:
        """Begin with a controller, or a file whose golden run has been reproduced.

        Args:
            first: the given policy or controller.
            robot: robot of the given file, as in `Playback`; the others have their own.
            seed: of everything random.
        """
        self._first, self._robot, self._seed = first, robot, seed
        self.names = (name_of(first),)
        self._paths: dict[str, Path] = {}
        mine = first.path.resolve() if isinstance(first, PolicyFile) else None
        for path in (*zoo().values(), *reversed(newest_last(RUNS, POLICY_FILE)[-NEWEST:])):
            if path.resolve() != mine:
                name, where = _file_name(path), "shipped" if path in zoo().values() else str(path.parent)
                self._paths[name if name not in (*self.names, *self._paths) else f"{name} ({where})"] = path
        others = (f"{CONTROLLER}{name}" for name in CONTROLLERS)
        self.names = (*self.names, *self._paths, *(name for name in others if name not in self.names))

    def called(self, name: str) -> Who:
        """The policy or controller of a name, after a policy's golden run has been reproduced.

        Raises:
            UserError: it cannot be run here.
        """
        if name == self.names[0]:
            return self._first
        if name not in self._paths:
            return controlled(name)
        file = PolicyFile(self._paths[name])
        file.verify()
        return file

    def play(self, who: Who, choice: Choice) -> Playback:
        """The world of a choice.

        Raises:
            UserError: its robot does not exist here, or its task has no such ground.
            EngineError: the engine is not installed.
        """
        robot = self._robot if who is self._first else None
        return Playback(who, choice.engine, choice.randomize, self._seed, choice.terrain, robot)


def fitting(choice: Choice, who: Who) -> Choice:
    """The choice, with the floor if the task has no other ground."""
    return choice if get_task(task_of(who)).evaluation.terrain else dataclasses.replace(choice, ground=FLOOR)


def engines() -> tuple[str, ...]:
    """The names of all engines that can run on a CPU."""
    return tuple(name for name in ENGINES if "cpu" in ENGINES.get(name).devices)
