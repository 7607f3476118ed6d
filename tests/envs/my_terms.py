"""Terms that a user could have written, for the tests about tables."""

from __future__ import annotations

import torch

from envs.seeds import uniform
from envs.terms.about import about
from envs.terms.commands import Command, Worlds
from envs.terms.face import Env
from envs.terms.fields import nominal
from envs.terms.randomization import Range
from policies.contract.observation import Array, Sensors


def spin(env: Env, sigma: float, power: int = 2) -> torch.Tensor:
    """exp(-|w_z|^power / sigma)."""
    return torch.exp(-(env.base.angular_velocity_b[:, 2].abs() ** power) / sigma)


def column(env: Env) -> torch.Tensor:
    """A mistake: (N, 1), which would be broadcast to (N, N)."""
    return env.base.height[:, None]


class Restless:
    """How long the base has moved faster than `speed` [m/s] by now [s]."""

    def __init__(self, env: Env, speed: float = 0.1) -> None:
        self._speed, self._step = speed, env.cfg.control_dt
        self.moved_s = env.buffer("restless.moved_s")

    def update(self, env: Env) -> None:
        self.moved_s += self._step * (env.base.velocity_b.norm(dim=1) > self._speed)

    def reset(self, ids: torch.Tensor) -> None:
        self.moved_s[ids] = 0.0

    def __call__(self, env: Env) -> torch.Tensor:
        return self.moved_s


@about(mirror="spin")
def turning(env: Env) -> torch.Tensor:
    """Angular velocity [rad/s]."""
    return env.base.angular_velocity_b


def sideways(env: Env) -> torch.Tensor:
    """Something that does not say how it looks in a mirror."""
    return env.base.velocity_b[:, 1]


def heavier(env: Env, ids: torch.Tensor, factor: float = 2.0) -> None:
    """The base weighs more than it does."""
    mass = env.engine.field("body_mass")[ids]
    mass[:, 1] *= factor
    env.engine.set_field("body_mass", ids, mass)


def slippery(env: Env, ids: torch.Tensor, by: Range) -> None:
    """Friction of every geom, one value a world."""
    friction = nominal(env.engine, "geom_friction", len(ids))
    friction[..., 0] = by.apply(friction[..., 0], by.sample((len(ids), 1), env.generator))
    env.engine.set_field("geom_friction", ids, friction)


class Wind:
    """A force on the base that is drawn each episode [N], and turns by `turn` [rad] each step; none on rough ground."""

    def __init__(self, env: Env, most: float, turn: float = 0.1) -> None:
        self._env, self._most, self._turn = env, most, turn
        self.direction = env.buffer("wind.direction")
        self.force = env.buffer("wind.force")
        self.base = env.engine.model.body(env.robot.base).id

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        self.force[ids] = uniform(0.0, self._most, (len(ids),), env.generator)

    def reset(self, ids: torch.Tensor) -> None:
        self.direction[ids] = 0.0

    def update(self, env: Env) -> None:
        self.direction += self._turn
        wrench = torch.zeros(env.num_worlds, env.engine.model.nbody, 6)
        wrench[:, self.base, 0] = self.force * torch.cos(self.direction)
        wrench[:, self.base, 1] = self.force * torch.sin(self.direction)
        env.engine.set_external_force(wrench)


@about(needs="terrain")
def on_rough_ground(env: Env, ids: torch.Tensor) -> None:
    """Something that asks for terrain."""
    assert env.terrain is not None


def kick(env: Env, ids: torch.Tensor, speed: float = 1.0) -> None:
    """Upwards."""
    velocity = env.engine.qvel[ids].clone()
    velocity[:, 2] += speed
    env.engine.set_velocity(ids, velocity)


def joint_energy(sensors: Sensors, default_pose: Array) -> Array:
    """An observation for the robot, too."""
    return (sensors.joint_position - default_pose) * sensors.joint_velocity


class Heading(Command):
    """A direction to look in [rad]."""

    kind, labels, units, mirror = "motion", ("heading",), "rad", (-1.0,)

    def __init__(self, env: Worlds, limit: float, hold_s: tuple[float, float] = (1.0, 2.0)) -> None:
        super().__init__(env, (-limit,), (limit,), hold_s)
