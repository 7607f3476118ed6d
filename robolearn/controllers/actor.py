"""A controller as an actor of a rollout, so that evaluations, collecting and playback take it where they take a policy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from envs.vec_env import VecEnv
from robolearn.controllers.face import Controller, State


class ControllerActor:
    """A controller in each world of an environment. It sees the true state, as a teacher does, through the robot's own encoders.

    What it answers is the action that asks for its joint targets, so it is bound by the same limits, delays and motors as a policy.

    Attributes:
        controllers: one a world.
    """

    def __init__(self, env: VecEnv, make: Callable[[], Controller]) -> None:
        """Take one controller for each world."""
        self._env = env
        self.controllers = [make() for _ in range(env.num_worlds)]
        self._nq, self._nv = int(env.robot.compiled.nq), int(env.robot.compiled.nv)  # without a ball that is thrown
        self._scale = np.array(env.spec.action.scale, np.float32)
        self._default = np.array(env.spec.robot.default_pose, np.float32)

    def reset(self, ids: torch.Tensor) -> None:
        """Forget the past of worlds `ids`."""
        for index in ids.tolist():
            self.controllers[index].reset()

    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        """Actions (N, J), zeros for worlds that are out."""
        del privileged
        env = self._env
        qpos = env.engine.qpos[:, : self._nq].cpu().numpy().astype(np.float64)
        qvel = env.engine.qvel[:, : self._nv].cpu().numpy().astype(np.float64)
        qpos[:, env.joints.in_qpos] += env.joint_offset.cpu().numpy()
        contact, command = env.feet.contact.cpu().numpy(), env.command.cpu().numpy().astype(np.float64)
        action = np.zeros((env.num_worlds, len(self._scale)), np.float32)
        for index in alive.nonzero()[:, 0].tolist():
            state = State(qpos=qpos[index], qvel=qvel[index], contact=contact[index])
            action[index] = (self.controllers[index].step(state, command[index]) - self._default) / self._scale
        return torch.from_numpy(action).to(policy.device)
