"""What is chosen in the page: which policy, on which ground, in which physics; and the world that comes of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from envs.engines.registry import ENGINES
from envs.robots.robot import Robot
from envs.scene.terrain import KINDS, TerrainCfg, single_terrain
from envs.tasks.registry import get_task
from policies.contract.file import PolicyFile
from robolearn.learning.run_folders import newest_last
from robolearn.policy_path import POLICY_FILE, zoo
from robolearn.viewer.playback import Playback

FLOOR = "floor"
GROUNDS = (FLOOR, *(kind for kind in KINDS if kind != "flat"))
RUNS = Path("runs")
NEWEST = 10  # runs that can be chosen


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to be seen.

    Attributes:
        policy: one of `Policies.names`.
        engine: physics engine.
        ground: one of `GROUNDS`.
        level: of the ground, 0 to 1, the hardest.
        randomize: with the randomization, noise, delays and pushes of training.
    """

    policy: str
    engine: str = "mujoco"
    ground: str = FLOOR
    level: float = 1.0
    randomize: bool = False

    @property
    def terrain(self) -> TerrainCfg | None:
        """The ground as environments take it; None for the floor."""
        return None if self.ground == FLOOR else single_terrain(f"{self.ground}:{self.level:g}")


def ground_of(text: str | None) -> tuple[str, float]:
    """Ground and level that `--terrain` names, `KIND[:LEVEL]`; the floor where it names none."""
    kind, _, level = (text or FLOOR).partition(":")
    return FLOOR if kind == "flat" else kind, float(level or 1)


def name_of(path: Path) -> str:
    """What people call a policy file: a shipped one by its name, a run by its folder, another by its file."""
    if path in zoo().values():
        return path.stem
    return path.resolve().parent.name if path.name == POLICY_FILE else path.stem


class Policies:
    """The policies that can be chosen: the one that was asked for, the shipped ones, and those of the newest runs here.

    Attributes:
        names: of all, the one that was asked for first.
    """

    def __init__(self, first: PolicyFile, robot: str | Robot | None = None, seed: int = 0) -> None:
        """Begin with a file whose golden run has been reproduced.

        Args:
            first: the one that was asked for.
            robot: its robot, as `Playback` takes it; the others have their own.
            seed: of everything random.
        """
        self._first, self._robot, self._seed = first, robot, seed
        self._paths = {name_of(first.path): first.path}
        for path in (*zoo().values(), *reversed(newest_last(RUNS, POLICY_FILE)[-NEWEST:])):
            if path.resolve() != first.path.resolve():
                name, where = name_of(path), "shipped" if path in zoo().values() else str(path.parent)
                self._paths[name if name not in self._paths else f"{name} ({where})"] = path
        self.names = tuple(self._paths)

    def file(self, name: str) -> PolicyFile:
        """The policy of a name; its golden run has been reproduced.

        Raises:
            UserError: it cannot be run here.
        """
        path = self._paths[name]
        if path == self._first.path:
            return self._first
        file = PolicyFile(path)
        file.verify()
        return file

    def play(self, file: PolicyFile, choice: Choice) -> Playback:
        """The world of a choice.

        Raises:
            UserError: the file's robot is not here, or its task has no such ground.
            EngineError: the engine is not there.
        """
        robot = self._robot if file is self._first else None
        return Playback(file, choice.engine, choice.randomize, self._seed, choice.terrain, robot)


def fitting(choice: Choice, file: PolicyFile) -> Choice:
    """The choice with the floor, where a file's task knows no other ground."""
    return choice if get_task(file.spec.task).evaluation.terrain else dataclasses.replace(choice, ground=FLOOR)


def engines() -> tuple[str, ...]:
    """The names of all engines that may be chosen on a CPU."""
    return tuple(name for name in ENGINES if "cpu" in ENGINES.get(name).devices)
