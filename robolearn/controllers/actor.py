"""A controller as an actor of a rollout, so that evaluations and collecting can use it in place of a policy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from envs.vec_env import VecEnv
from robolearn.controllers.body import Body
from robolearn.controllers.face import Controller, State, Timing

Make = Callable[[Body, Timing], Controller]
"""Makes a controller from a robot's model, which many share, and the timing of its actions."""


class ControllerActor:
    """A controller in each world of an environment. It sees the true state, as a teacher does, through the robot's own encoders.

    It returns the actions that ask for its joint targets, so it is bound by the same limits, delays and motors as a policy.

    Attributes:
        controllers: one per world; empty before `watch`.
    """

    def __init__(self, make: Make) -> None:
        """Make no controllers before the worlds are known."""
        self._make = make
        self.controllers: list[Controller] = []

    def watch(self, env: VecEnv) -> None:
        """Make one controller for each world."""
        body = Body(env.robot)
        delay = env.cfg.randomization.range("action_delay_s")
        timing = Timing(control_dt=env.cfg.control_dt, delay_s=0.0 if delay is None else (delay.low + delay.high) / 2)
        self.controllers = [self._make(body, timing) for _ in range(env.num_worlds)]
        self._env = env
        self._nq, self._nv = int(body.model.nq), int(body.model.nv)  # without any thrown ball
        self._scale = np.array(env.spec.action.scale)
        self._default = np.array(env.spec.robot.default_pose)

    def reset(self, ids: torch.Tensor) -> None:
        """Forget the past of worlds `ids`."""
        for index in ids.tolist():
            self.controllers[index].reset()

    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        """Actions (N, J), zeros for worlds whose episode has ended."""
        del privileged
        env = self._env
        qpos, qvel = _array(env.engine.qpos)[:, : self._nq], _array(env.engine.qvel)[:, : self._nv]
        qpos[:, env.joints.in_qpos] += _array(env.joint_offset)
        contact, command = env.feet.contact.cpu().numpy(), _array(env.command)
        action = np.zeros((env.num_worlds, len(self._scale)), np.float32)
        for index in alive.nonzero()[:, 0].tolist():
            state = State(qpos=qpos[index], qvel=qvel[index], contact=contact[index])
            action[index] = (self.controllers[index].step(state, command[index]) - self._default) / self._scale
        return torch.from_numpy(action).to(policy.device)


def _array(values: torch.Tensor) -> np.ndarray:
    """A copy in double precision on the CPU."""
    return values.detach().cpu().numpy().astype(np.float64)
