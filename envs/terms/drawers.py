"""The drawer of a cabinet (`envs.scene.cabinet`): state, rewards, success, and where the cabinet stands in each world."""

from __future__ import annotations

from typing import Any

import mujoco
import torch

from envs.robots.robot import Box
from envs.scene.cabinet import BAR_HEIGHT, CABINET, DRAWER, GAP, PLACE, TRAVEL
from envs.seeds import uniform
from envs.terms.face import Env
from envs.terms.fields import nominal
from envs.terms.resets import around_default
from envs.terms.starts import fingers

SHIFT = "cabinet.shift"
"""Buffer of each cabinet's distance from its nominal place [m], (N, 3)."""


def _joint(env: Env) -> Any:
    """The drawer's slide joint in the model."""
    model = env.engine.model
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, DRAWER) < 0:
        raise ValueError("this needs a drawer in the scene: add one, e.g. scene: {cabinet: {func: 'envs.scene.cabinet:add_cabinet'}}")
    return model.joint(DRAWER)


def drawer_opening(env: Env) -> torch.Tensor:
    """How far the drawer is open [m], (N,)."""
    return env.engine.qpos[:, int(_joint(env).qposadr[0])]


def drawer_speed(env: Env) -> torch.Tensor:
    """Speed at which the drawer opens [m/s], (N,)."""
    return env.engine.qvel[:, int(_joint(env).dofadr[0])]


def handle_position(env: Env) -> torch.Tensor:
    """Middle of the handle's bar in the base frame [m], (N, 3)."""

    def compute() -> torch.Tensor:
        closed = env.tensor([PLACE[0] - GAP, PLACE[1], PLACE[2] + BAR_HEIGHT])
        return closed + env.buffers.shared(SHIFT, (3,)) - drawer_opening(env)[:, None] * env.tensor([1.0, 0.0, 0.0])

    return env.once("handle_position", compute)


def tool_to_handle(env: Env) -> torch.Tensor:
    """Vector from the tool to the middle of the handle's bar [m], (N, 3)."""
    return handle_position(env) - env.tool.position


def approach_handle(env: Env, behind: float = 0.025, over: float = 0.045, sigma: float = 0.2) -> torch.Tensor:
    """1 - tanh(d / sigma) of the distance d from the tool to a point behind the bar, where fingers hook it.

    A hand that is still before the bar is led over it: the point is `over` higher for it, and sinks as it passes.

    Args:
        env: the environment.
        behind: distance of that point from the bar, towards the cabinet [m].
        over: how much higher fingers must be to pass the bar [m].
        sigma: distance at which it has fallen to 0.24 [m].
    """
    to = tool_to_handle(env) + env.tensor([behind, 0.0, 0.0])
    before = (to[:, :1] / (1.2 * behind)).clamp(0.0, 1.0)
    return 1.0 - torch.tanh((to + over * before * env.tensor([0.0, 0.0, 1.0])).norm(dim=1) / sigma)


def opening(env: Env, wanted: float) -> torch.Tensor:
    """How far the drawer is open, as a share of what is wanted, at most one.

    Args:
        env: the environment.
        wanted: opening [m].
    """
    return (drawer_opening(env) / wanted).clamp(0.0, 1.0)


def opened(env: Env, wanted: float) -> torch.Tensor:
    """Worlds (N,) bool whose drawer is open as far as is wanted.

    Args:
        env: the environment.
        wanted: opening [m].
    """
    return drawer_opening(env) >= wanted


def arm_before_cabinet(env: Env, ids: torch.Tensor, joint_spread: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """An arm near its default pose, its gripper open, the drawer closed.

    Args:
        env: the environment.
        ids: worlds, (n,).
        joint_spread: largest deviation of a joint of the arm from the default pose [rad].
    """
    qpos, qvel = around_default(env, ids, joint_spread)
    open_fingers = fingers(env)
    qpos[:, open_fingers] = env.rest[open_fingers]
    return qpos, qvel


class Cabinet:
    """Where the cabinet stands, and how its drawer slides."""

    def __init__(
        self,
        env: Env,
        shift: Box = ((-0.04, 0.04), (-0.1, 0.1), (-0.03, 0.03)),
        damping: tuple[float, float] = (2.0, 10.0),
        friction: tuple[float, float] = (0.2, 2.0),
    ) -> None:
        """Find it.

        Args:
            env: the environment.
            shift: bounds of its distance from its nominal place [m].
            damping: bounds of the damping of the drawer's slide [N s / m].
            friction: bounds of the dry friction of the drawer's slide [N].
        """
        self._body, self._dof = env.engine.model.body(CABINET).id, int(_joint(env).dofadr[0])
        self._shift, self._damping, self._friction = shift, damping, friction
        self._shifts = env.buffers.shared(SHIFT, (3,))
        if env.cameras is not None:
            env.cameras.will_vary("body_pos")

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        n, draws, engine = len(ids), env.generator, env.engine
        self._shifts[ids] = torch.stack([uniform(*bounds, (n,), draws) for bounds in self._shift], dim=1)
        place = nominal(engine, "body_pos", n)
        place[:, self._body] += self._shifts[ids]
        engine.set_field("body_pos", ids, place)
        for name, bounds in (("dof_damping", self._damping), ("dof_frictionloss", self._friction)):
            field = engine.field(name)[ids]
            field[:, self._dof] = uniform(*bounds, (n,), draws)
            engine.set_field(name, ids, field)


FULLY = TRAVEL
"""How far a drawer opens [m]."""
