"""Privileged observations, which only the simulator knows, for teachers. What the robot senses is in `policies.contract.observation`.

Each function takes the environment and returns (N, k) or (N,).
"""

from __future__ import annotations

import torch

from envs.robots.symmetry import robot_image
from envs.terms.about import Image, about
from envs.terms.face import Env

SCAN_POINTS = tuple((i, j) for i in range(-4, 7) for j in range(-3, 4))
"""Points of a height scan, forward and left of the base, in multiples of its spacing; symmetric about the middle."""


@about(mirror="vector")
def base_velocity(env: Env) -> torch.Tensor:
    """Linear velocity in the base frame [m/s], (N, 3)."""
    return env.base.velocity_b


@about(mirror="keep")
def base_height(env: Env) -> torch.Tensor:
    """Height of the base above the ground [m], (N,)."""
    return env.base.height


@about(mirror="foot")
def foot_contact(env: Env) -> torch.Tensor:
    """Whether each foot is on the ground, (N, F)."""
    return env.feet.contact.float()


@about(mirror="foot")
def foot_height(env: Env) -> torch.Tensor:
    """Height of the feet above the ground [m], (N, F)."""
    return env.feet.height


@about(mirror="foot")
def foot_air_time(env: Env) -> torch.Tensor:
    """Time since each foot was on the ground [s], (N, F)."""
    return env.feet.air_time_s


@about(mirror=("keep", "keep", "vector", "vector", "keep", "keep", "keep", "keep", "keep"))
def randomization(env: Env) -> torch.Tensor:
    """The world's drawn physics, see `FieldRandomizer.privileged`, (N, k)."""
    return env.randomizer.privileged()


def _hidden_image(env: Env) -> Image:
    """Left and right motors swap; offsets of encoders change sign with their joints."""
    permutation, sign = robot_image(env.robot, env.robot.compiled).joints
    joints = len(permutation)
    places = [block * joints + index for block in range(3) for index in permutation]
    return [*places, 3 * joints, 3 * joints + 1], [1.0] * (2 * joints) + list(sign) + [1.0, 1.0]


@about(mirror=_hidden_image)
def hidden(env: Env) -> torch.Tensor:
    """Properties of each motor in this world, besides `randomization`: strengths, logarithms of damping factors, encoder offsets [rad], (N,
    J) each, and the delays of readings and actions [control steps], (N, 3 J + 2).
    """
    drawn, loose, step = env.randomizer.drawn, env.unwritten(), env.cfg.control_dt
    delays = [loose[name][0] * loose[name][1] / step for name in ("observation_delay_s", "action_delay_s")]
    damping = drawn["joint_damping"].clamp(min=1e-3).log()
    return torch.cat([drawn["motor_strength"], damping, env.joint_offset, *delays], dim=1)


@about(mirror=("flip", "flip"))
def clock(env: Env) -> torch.Tensor:
    """Sine and cosine of the gait's phase, for the teacher of a policy without a clock, (N, 2)."""
    return torch.stack([torch.sin(env.phase), torch.cos(env.phase)], dim=1)


def _scan_image(env: Env) -> Image:
    """Left and right of a height scan swap."""
    points = list(SCAN_POINTS)
    return [points.index((i, -j)) for i, j in points], [1.0] * len(points)


@about(mirror=_scan_image, needs="terrain")
class HeightScan:
    """Height of the base above the ground at points around it, minus its standing height on a plane [m], (N, S)."""

    def __init__(self, env: Env, spacing: float = 0.15, limit: float = 1.0) -> None:
        """Scan points on a grid.

        Args:
            env: the environment.
            spacing: distance between neighbouring points [m].
            limit: heights are clipped to this magnitude [m].
        """
        self._points = env.tensor([[spacing * i, spacing * j] for i, j in SCAN_POINTS])
        self._limit = limit

    def __call__(self, env: Env) -> torch.Tensor:
        terrain, base = env.terrain, env.base
        assert terrain is not None
        forward, left = self._points[:, 0], self._points[:, 1]
        position, yaw = base.position_w, base.yaw
        c, s = torch.cos(yaw)[:, None], torch.sin(yaw)[:, None]
        points = torch.stack([c * forward - s * left, s * forward + c * left], dim=-1) + position[:, None, :2]
        return (position[:, 2:3] - base.standing_height - terrain.height(points)).clamp(-self._limit, self._limit)


def goal_error(env: Env) -> torch.Tensor:
    """Vector from the tool to the goal [m], (N, 3)."""
    return env.command - env.tool.position


def tool_position(env: Env) -> torch.Tensor:
    """Position of the tool in the base frame [m], (N, 3)."""
    return env.tool.position


def tool_velocity(env: Env) -> torch.Tensor:
    """Velocity of the tool in the base frame [m/s], (N, 3)."""
    return env.tool.velocity
