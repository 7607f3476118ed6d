"""What a term sees of the environment: `Env`, which `envs.vec_env.VecEnv` is.

A term reads state that is derived once a step: `env.joints`, `env.base`, `env.feet`, `env.tool`. What it has to remember from step to step
it keeps in tensors that it asks for by name, so that they are saved and resumed with the training:

    class Stillness:
        def __init__(self, env: Env, patience_s: float) -> None:
            self._moved_s = env.buffer("stillness.moved_s")     # (N,), zero at first

        def __call__(self, env: Env) -> torch.Tensor:
            ...

        def reset(self, ids: torch.Tensor) -> None:             # optional: the worlds `ids` begin anew
            self._moved_s[ids] = 0.0
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

import torch

from envs.engines.face import Engine
from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.scene.places import Places
from envs.scene.terrain import Terrain
from envs.sensing.cameras import Cameras
from envs.terms.commands import Command
from envs.terms.disturbance import Disturbances
from envs.terms.fields import FieldRandomizer
from envs.terms.state import BaseState, FeetState, JointState, ToolState, TrunkState


class Env(Protocol):
    """N worlds, as terms see them.

    Attributes:
        cfg: the whole config.
        robot: what moves.
        engine: the physics.
        generator: of everything random.
        num_worlds: N.
        device: of all tensors.
        command: what is asked, (N, C).
        action, previous_action: raw network output of this step and the one before, (N, J).
        asked: joint targets that the last action asks for [rad], (N, J).
        target: the same inside the joint range, which is where they go.
        terminated: worlds whose task this step ended, failed ones included, (N,) bool.
        episode_steps: steps of each world's episode so far, (N,).
        max_steps: steps after which an episode is cut off.
        phase: of the gait's clock [rad], (N,).
        joint_offset: what each encoder reads too much [rad], (N, J).
        terrain: ground that is not a plane, or None.
        places: which tile of it each world starts on, or None.
        rest: state in which the robot stands, or an arm is at its default pose, (nq,).
        randomizer: what each world's physics is.
        disturbances: pushes, forces and throws.
        commander: what draws the commands, of the class that the config names.
        cameras: what the policy sees, and what it looks at; None where its observations have no camera.
    """

    cfg: EnvCfg
    robot: Robot
    engine: Engine
    generator: torch.Generator
    num_worlds: int
    device: torch.device
    action: torch.Tensor
    previous_action: torch.Tensor
    asked: torch.Tensor
    target: torch.Tensor
    terminated: torch.Tensor
    episode_steps: torch.Tensor
    max_steps: int
    joint_offset: torch.Tensor
    terrain: Terrain | None
    places: Places | None
    rest: torch.Tensor
    randomizer: FieldRandomizer
    disturbances: Disturbances
    commander: Command
    cameras: Cameras | None

    @property
    def command(self) -> torch.Tensor: ...

    @property
    def phase(self) -> torch.Tensor: ...

    @property
    def joints(self) -> JointState:
        """State of the joints."""
        ...

    @property
    def base(self) -> BaseState:
        """State of the base; ValueError for a robot whose base is fixed."""
        ...

    @property
    def trunk(self) -> TrunkState:
        """State of the trunk, which is the base where a robot has no other; ValueError for a robot whose base is fixed."""
        ...

    @property
    def feet(self) -> FeetState:
        """State of the feet; ValueError for a robot without."""
        ...

    @property
    def tool(self) -> ToolState:
        """State of the tool; ValueError for a robot without."""
        ...

    def unwritten(self) -> dict[str, tuple[torch.Tensor, float]]:
        """Quantities of the table that are no model field: what each world has of them (N, k), in a unit."""
        ...

    def once(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A value that is computed at its first use in a step and shared by who asks for the same key."""
        ...

    def buffer(self, name: str, shape: tuple[int, ...] = (), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor (N, *shape) of zeros that is saved and resumed with the training; change it in place."""
        ...

    def tensor(self, values: object) -> torch.Tensor:
        """A float32 tensor on the environment's device."""
        ...
