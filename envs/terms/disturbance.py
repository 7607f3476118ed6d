"""Disturbances of a robot: pushes, lasting forces, and thrown objects.

A push is a jump of the base's planar velocity. A force acts on the base until the next draw. A thrown object is a real body, a ball without
gravity that waits high above the robot and is launched at it from a random side; it flies straight, hits, and drifts away.

With `disturbance_ramp` a world begins without them, and they grow by a quarter of their strength with every successful episode; at full
strength from the start, standing still would survive best and the robot would not start to step.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import torch

from envs.engines.face import Engine
from envs.robots.robot import Robot
from envs.terms.conditions import Conditions
from envs.terms.randomization import RandomizationCfg, Range

BALL = "thrown_object"
BALL_RADIUS = 0.1  # m
BALL_MASS = 5.0  # kg, if the table does not set it
BALL_INERTIA = 0.02  # kg m2, of a solid ball
PARKED_HEIGHT = 50.0  # m above the robot's world
DISTANCE = 1.0  # m from the base, at which a throw begins
RAMP_STEP = 0.25  # share of the full strength by which a world changes after an episode
AIM = 0.3  # share of the standing height by which a throw may pass above or below the base's origin


def add_ball(spec: mujoco.MjSpec) -> None:
    """Add the thrown object to a scene: it only collides with robots. The robot's bodies and joints stay before it."""
    body = spec.worldbody.add_body(name=BALL, pos=[0, 0, PARKED_HEIGHT], gravcomp=1.0)
    body.mass, body.ipos, body.inertia = BALL_MASS, [0, 0, 0], [BALL_INERTIA] * 3
    body.explicitinertial = True  # a model may forbid computing inertia from shapes
    body.add_freejoint(name=BALL)
    size, kind = [BALL_RADIUS, 0, 0], mujoco.mjtGeom.mjGEOM_SPHERE
    body.add_geom(name=BALL, type=kind, size=size, mass=BALL_MASS, contype=1, conaffinity=0, condim=1, rgba=[0.9, 0.45, 0.1, 1])
    for key in spec.keys:
        key.qpos = [*key.qpos, 0, 0, PARKED_HEIGHT, 1, 0, 0, 0]


class Disturbances:
    """Draws and applies them for all worlds of an environment.

    Attributes:
        push_in_s, force_in_s, throw_in_s: time until the next one [s], (N,); infinite if there is none.
        force: force on the base, world frame [N], (N, 3).
        strength: share of the table's pushes, forces and speeds of throws, (N,).
        aim: largest height of a throw above or below the base's origin [m].
        conditions: disturbances of worlds in place of drawn ones; None for none.
    """

    def __init__(self, table: RandomizationCfg, robot: Robot, engine: Engine, generator: torch.Generator) -> None:
        self._engine, self._generator = engine, generator
        self._ramps = table.disturbance_ramp
        self.conditions: Conditions | None = None
        self._push_velocity, self._push_interval = table.range("push_velocity"), table.range("push_interval_s")
        self._external_force, self._force_interval = table.range("external_force"), table.range("external_force_interval_s")
        self._thrown_speed, self._throw_interval = table.range("thrown_speed"), table.range("throw_interval_s")
        n, device, model = engine.num_worlds, engine.device, engine.model
        self.push_in_s, self.force_in_s, self.throw_in_s = (torch.full((n,), float("inf"), device=device) for _ in range(3))
        self.force = torch.zeros(n, 3, device=device)
        self.strength = torch.zeros(n, device=device)
        self.restart()
        self._base = model.body(robot.base).id
        self._wrench = torch.zeros(n, model.nbody, 6, device=device)
        self._on = robot.floating_base
        self.aim = AIM * (robot.stand_height or 0.0)
        if self._thrown_speed is not None:
            ball = model.joint(BALL)
            self._ball_qpos, self._ball_dof = int(ball.qposadr[0]), int(ball.dofadr[0])

    def restart(self) -> None:
        """Start again, see `envs.parts.Stateful`."""
        self.strength[:] = 0.0 if self._ramps else 1.0

    def reset(self, ids: torch.Tensor) -> None:
        """Draw new waiting times for worlds `ids` and remove their forces."""
        for name, entry, left in (
            ("push", self._push_interval, self.push_in_s),
            ("force", self._force_interval, self.force_in_s),
            ("throw", self._throw_interval, self.throw_in_s),
        ):
            if entry is not None:
                drawn = entry.sample((len(ids),), self._generator)
                left[ids] = drawn if self.conditions is None else self.conditions.over(f"{name}.at_s", ids, drawn)
        if bool(self.force[ids].any()):
            self._set_force(ids, torch.zeros(len(ids), 3, device=self.force.device))

    def ramp(self, ids: torch.Tensor, succeeded: torch.Tensor) -> None:
        """Increase the strength in worlds `ids` (n,) whose episode `succeeded` (n,) bool, and decrease it in the others."""
        if self._ramps:
            step = torch.where(succeeded, RAMP_STEP, -RAMP_STEP)
            self.strength[ids] = (self.strength[ids] + step).clamp(0.0, 1.0)

    def advance(self, seconds: float) -> None:
        """Advance time; disturbances that are due happen now."""
        if not self._on:
            return
        self._each_due(self.push_in_s, self._push_velocity, self._push_interval, seconds, self._push)
        self._each_due(self.force_in_s, self._external_force, self._force_interval, seconds, self._change_force)
        self._each_due(self.throw_in_s, self._thrown_speed, self._throw_interval, seconds, self._throw)

    def _each_due(
        self,
        left: torch.Tensor,
        strength: Range | None,
        interval: Range | None,
        seconds: float,
        happen: Callable[[torch.Tensor, Range], None],
    ) -> None:
        if strength is None or interval is None:
            return
        left -= seconds
        ids = (left <= 0).nonzero()[:, 0]
        if len(ids):
            happen(ids, strength)
            left[ids] = interval.sample((len(ids),), self._generator)

    def _push(self, ids: torch.Tensor, by: Range) -> None:
        velocity = self._engine.qvel[ids].clone()
        push = self._given("push", ids, by.sample((len(ids), 2), self._generator))
        velocity[:, :2] += self.strength[ids, None] * push
        self._engine.set_velocity(ids, velocity)

    def _change_force(self, ids: torch.Tensor, by: Range) -> None:
        force = self._given("force", ids, by.sample((len(ids), 3), self._generator))
        self._set_force(ids, self.strength[ids, None] * force)

    def _given(self, name: str, ids: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        return drawn if self.conditions is None else self.conditions.planar(name, ids, drawn, self._heading(ids))

    def _heading(self, ids: torch.Tensor) -> torch.Tensor:
        """Heading of the bases of worlds `ids` [rad], (n,)."""
        w, x, y, z = self._engine.qpos[ids, 3:7].unbind(1)
        return torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    def _set_force(self, ids: torch.Tensor, force: torch.Tensor) -> None:
        self.force[ids] = force
        self._wrench[:, self._base, :3] = self.force
        self._engine.set_external_force(self._wrench)

    def _throw(self, ids: torch.Tensor, at: Range) -> None:
        speed = at.sample((len(ids),), self._generator)
        angle, lift = (torch.rand(len(ids), generator=self._generator, device=self.force.device) for _ in range(2))
        speed, angle, height = speed * self.strength[ids], angle * 2 * torch.pi, (2 * lift - 1) * self.aim
        if self.conditions is not None:
            heading = self._heading(ids)
            speed, angle = (
                self.conditions.over("throw.speed", ids, speed),
                self.conditions.over("throw.angle", ids, angle - heading) + heading,
            )
        thrown = speed > 0
        if thrown.any():
            self.throw(ids[thrown], angle[thrown], speed[thrown], height[thrown])

    def throw(self, ids: torch.Tensor, angle: torch.Tensor, speed: torch.Tensor, height: torch.Tensor | float = 0.0) -> None:
        """Launch the ball at the bases of worlds `ids`.

        Args:
            ids: (n,).
            angle: direction it comes from, seen from the base, in the world [rad], (n,).
            speed: relative to the base [m/s], (n,).
            height: height of its path above the base [m], (n,).
        """
        engine = self._engine
        qpos, qvel = engine.qpos[ids].clone(), engine.qvel[ids].clone()
        side = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        at, dof = self._ball_qpos, self._ball_dof
        qpos[:, at : at + 2] = qpos[:, :2] + DISTANCE * side
        qpos[:, at + 2] = qpos[:, 2] + height
        qvel[:, dof : dof + 6] = 0.0
        qvel[:, dof : dof + 3] = qvel[:, :3]
        qvel[:, dof : dof + 2] -= speed[:, None] * side
        engine.set_position(ids, qpos)
        engine.set_velocity(ids, qvel)

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the future depends on, besides the engine's own state."""
        return {name: getattr(self, name).cpu().clone() for name in ("push_in_s", "force_in_s", "throw_in_s", "force", "strength")}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the result of `state`."""
        for name, value in state.items():
            getattr(self, name).copy_(value)
        if not self._ramps:
            self.strength[:] = 1.0
        if self._external_force is None:
            self.force[:] = 0.0
        self._wrench[:, self._base, :3] = self.force
