"""The interface of the environment for terms: `Env`, which `envs.vec_env.VecEnv` implements.

A term reads state that is derived once per step: `env.joints`, `env.base`, `env.feet`, `env.tool`. Its memory between steps is in tensors
that it requests by name, so that they are saved and restored with the training:

    class Stillness:
        def __init__(self, env: Env, patience_s: float) -> None:
            self._moved_s = env.buffer("stillness.moved_s")     # (N,), zero at first

        def __call__(self, env: Env) -> torch.Tensor:
            ...

        def reset(self, ids: torch.Tensor) -> None:             # optional: new episodes begin in the worlds `ids`
            self._moved_s[ids] = 0.0
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

import torch

from envs.engines.face import Engine
from envs.env_cfg import EnvCfg
from envs.parts import Buffers
from envs.robots.robot import Robot
from envs.scene.places import Places
from envs.scene.terrain import Terrain
from envs.sensing.cameras import Cameras
from envs.terms.commands import Command
from envs.terms.disturbance import Disturbances
from envs.terms.fields import FieldRandomizer
from envs.terms.state import BaseState, FeetState, JointState, ToolState, TrunkState


class Env(Protocol):
    """N worlds, as seen by terms.

    Attributes:
        cfg: the whole config.
        robot: the robot.
        engine: the physics.
        generator: random number generator.
        num_worlds: N.
        device: of all tensors.
        command: the commands, (N, C).
        action, previous_action: raw network output of this step and the previous one, (N, J).
        asked: joint targets from the last action, before limiting [rad], (N, J).
        target: the same limited to the joint ranges, as sent to the motors.
        terminated: worlds whose task ended in this step, including failed ones, (N,) bool.
        episode_steps: steps of each world's episode so far, (N,).
        max_steps: steps after which an episode is truncated.
        phase: of the gait's clock [rad], (N,).
        joint_offset: offset of each encoder's reading [rad], (N, J).
        terrain: ground that is not a plane, or None.
        places: the tile that each world starts on, or None.
        rest: state of the standing robot, or of an arm in its default pose, (nq,).
        randomizer: the physics of each world.
        disturbances: pushes, forces and throws.
        commander: draws the commands; of the class named in the config.
        cameras: the cameras; None if the observations have none.
        buffers: tensors that are saved and restored with the training, see `buffer`.
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
    buffers: Buffers

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
        """State of the trunk, which is the base if a robot has no other; ValueError for a robot whose base is fixed."""
        ...

    @property
    def feet(self) -> FeetState:
        """State of the feet; ValueError for a robot without one."""
        ...

    @property
    def tool(self) -> ToolState:
        """State of the tool; ValueError for a robot without one."""
        ...

    def unwritten(self) -> dict[str, tuple[torch.Tensor, float]]:
        """Quantities of the table that are not model fields: values of each world (N, k), in a unit."""
        ...

    def once(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A value that is computed at its first use in a step and then shared under its key."""
        ...

    def buffer(self, name: str, shape: tuple[int, ...] = (), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor (N, *shape) of zeros that is saved and restored with the training; change it in place."""
        ...

    def tensor(self, values: object) -> torch.Tensor:
        """A float32 tensor on the environment's device."""
        ...
