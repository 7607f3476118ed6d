"""Domain randomization: what may vary from world to world, declared as a table and applied to the physics.

Every entry is a `Range`; `None` switches it off. Model fields go through `Engine.set_field`, so all engines take them. What is no model
field is applied elsewhere: sensing noise and delay, actuation delay and encoder offsets by `envs.vec_env`, pushes, forces and throws by
`envs.terms.disturbance`. What a task needs beside the table is an event of its own, see `envs.terms.events`.
Ranges start from Radosavovic et al. 2024 (arXiv 2303.03381, table of randomizations).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import mujoco
import torch

from envs.engines.face import Engine
from envs.robots.robot import Robot
from envs.terms.ids import actuator_ids


@dataclass(frozen=True, kw_only=True)
class Range:
    """How one quantity varies.

    Attributes:
        low, high: bounds, in the unit of the entry, or factors.
        operation: `scale` multiplies the nominal value, `add` adds to it, `set` replaces it.
        distribution: `uniform`, or `log_uniform` for factors over decades.
        when: `startup` (once a world), `reset` (each episode).
    """

    low: float
    high: float
    operation: Literal["scale", "add", "set"] = "scale"
    distribution: Literal["uniform", "log_uniform"] = "uniform"
    when: Literal["startup", "reset"] = "reset"

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f"randomization range is empty: low {self.low} > high {self.high}")
        if self.distribution == "log_uniform" and self.low <= 0:
            raise ValueError(f"a log-uniform range needs a positive low, not {self.low}")

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        """Draw values."""
        unit = torch.rand(shape, generator=generator, device=generator.device)
        if self.distribution == "log_uniform":
            return torch.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        return self.low + unit * (self.high - self.low)

    def apply(self, nominal: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Combine a drawn value with the nominal one."""
        if self.operation == "scale":
            return nominal * value
        return nominal + value if self.operation == "add" else torch.zeros_like(nominal) + value


OPERATION = {
    "mass": "scale", "payload": "add", "center_of_mass": "add", "motor_strength": "scale", "kp": "scale", "kd": "scale",
    "joint_offset": "set", "observation_delay_s": "set", "action_delay_s": "set", "push_velocity": "add", "push_interval_s": "set",
    "link_size": "scale", "restitution": "set", "external_force": "set", "external_force_interval_s": "set",
    "thrown_mass": "set", "thrown_speed": "set", "throw_interval_s": "set",
}  # fmt: skip
"""Entries that know one operation only; the others take any."""

WHEN_DUE = ("push_velocity", "push_interval_s", "external_force", "external_force_interval_s", "thrown_speed", "throw_interval_s")
"""Entries that are drawn each time that something is due, whatever the episode does."""


@dataclass(frozen=True, kw_only=True)
class RandomizationCfg:
    """The table. Fields of the model:

    Attributes:
        friction: sliding friction of the contact geoms, one value a world.
        restitution: of the contact geoms, the share of the speed that a bounce keeps, one value a world.
        link_size: factor on the extent of every link and on where its children are attached, one a link.
        mass: mass and inertia of every link, one factor a link.
        payload: mass added to the base body [kg].
        center_of_mass: shift of the base body's centre of mass, each axis [m].
        motor_strength: factor on the torque that each motor gives for the same command (gains and limit), one a joint.
        kp, kd: factors on the PD gains, one a joint.
        joint_damping: factor on passive damping, one a joint.
        joint_friction: dry friction added to each joint [N m]. Off by default: it adds a constraint row a joint (20 % of the step).
        joint_armature: factor on reflected inertia, one a joint.
        gravity: added to each axis of the gravity vector [m/s2].
        joint_offset: encoder offset [rad], one a joint; the PD acts on the offset reading.
        observation_delay_s: age of the sensor readings [s], at most one control step.
        action_delay_s: time until a new target reaches the motors [s], at most one control step.
        push_velocity: planar velocity added to the base at a push, each axis [m/s].
        push_interval_s: time between pushes [s].
        external_force: force on the base, each axis of the world [N], held until the next is drawn.
        external_force_interval_s: how long it is held [s].
        thrown_mass: of a ball that is thrown at the robot [kg]. It is a body of its own: six more degrees of freedom.
        thrown_speed: of the ball relative to the robot [m/s].
        throw_interval_s: time between throws [s].
        disturbance_ramp: pushes, forces and throws begin at nothing in each world and grow with its success.
        noise: factor on the observation noise of every term; 0 for none.
    """

    friction: Range | None = None
    mass: Range | None = None
    payload: Range | None = None
    center_of_mass: Range | None = None
    motor_strength: Range | None = None
    kp: Range | None = None
    kd: Range | None = None
    joint_damping: Range | None = None
    joint_friction: Range | None = None
    joint_armature: Range | None = None
    gravity: Range | None = None
    joint_offset: Range | None = None
    observation_delay_s: Range | None = None
    action_delay_s: Range | None = None
    push_velocity: Range | None = None
    push_interval_s: Range | None = None
    link_size: Range | None = None
    restitution: Range | None = None
    external_force: Range | None = None
    external_force_interval_s: Range | None = None
    thrown_mass: Range | None = None
    thrown_speed: Range | None = None
    throw_interval_s: Range | None = None
    disturbance_ramp: bool = False
    noise: float = 1.0

    def __post_init__(self) -> None:
        for name, operation in OPERATION.items():
            entry: Range | None = getattr(self, name)
            if entry is not None and entry.operation != operation:
                raise ValueError(f"{name} has operation {operation!r}, not {entry.operation!r}")
        for name in WHEN_DUE:
            entry = getattr(self, name)
            if entry is not None and entry.when != "reset":
                raise ValueError(f"{name} is drawn each time that it is due, so its `when` has no effect; leave it out")
        for parts in (
            ("push_velocity", "push_interval_s"),
            ("external_force", "external_force_interval_s"),
            ("thrown_mass", "thrown_speed", "throw_interval_s"),
        ):
            given = [name for name in parts if getattr(self, name) is not None]
            if given and len(given) < len(parts):
                raise ValueError(f"{', '.join(given)} without {', '.join(set(parts) - set(given))}: these go together")
        if self.restitution is not None and not 0 <= self.restitution.low <= self.restitution.high < 1:
            raise ValueError(f"restitution must lie between 0 and 1, not {self.restitution.low:g} to {self.restitution.high:g}")
        if self.noise < 0:
            raise ValueError(f"noise must not be negative, is {self.noise:g}")


def without_randomization() -> RandomizationCfg:
    """Nominal physics, clean sensors."""
    return RandomizationCfg(noise=0.0)


class FieldRandomizer:
    """Draws the model-field entries of the table and writes them to the engine.

    Attributes:
        drawn: entry -> what each world got, (N, k): privileged knowledge.
    """

    WIDTHS = ("friction", "mass", "payload", "center_of_mass", "motor_strength", "kp", "kd", "joint_damping", "joint_friction",
              "joint_armature", "gravity", "restitution", "link_size", "thrown_mass")  # fmt: skip
    NEEDS_SET_CONST = ("mass", "payload", "center_of_mass", "joint_armature", "link_size", "thrown_mass")

    def __init__(self, cfg: RandomizationCfg, robot: Robot, engine: Engine, generator: torch.Generator) -> None:
        self._cfg, self._engine, self._generator = cfg, engine, generator
        model, device = engine.model, engine.device
        joints = len(robot.joints)
        self._base = model.body(robot.base).id
        self._dofs = torch.tensor([int(model.joint(name).dofadr[0]) for name in robot.joints], device=device)
        self._actuators = torch.tensor(actuator_ids(model, tuple(robot.joints)), device=device)
        ball = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "thrown_object")
        self._ball = ball if ball >= 0 else None
        self._contact_geoms = torch.tensor(
            [g for g in range(model.ngeom) if model.geom_bodyid[g] != 0 and model.geom_condim[g] > 1], dtype=torch.long, device=device
        )
        self._nominal = {
            name: torch.tensor(getattr(model, name), dtype=torch.float32, device=device)
            for name in ("geom_friction", "body_mass", "body_inertia", "body_ipos", "body_gravcomp", "actuator_gainprm", "actuator_biasprm",
                         "actuator_forcerange", "dof_damping", "dof_frictionloss", "dof_armature", "geom_solref", "body_pos", "geom_pos",
                         "geom_size", "geom_rbound", "geom_aabb", "site_pos")
        }  # fmt: skip
        self._nominal["opt.gravity"] = torch.tensor(model.opt.gravity, dtype=torch.float32, device=device)
        self._compensated = bool(model.body_gravcomp[: self._ball].any())
        self._geom_body, self._site_body, self._parent = (
            torch.tensor(ids, dtype=torch.long, device=device) for ids in (model.geom_bodyid, model.site_bodyid, model.body_parentid)
        )
        width = {"friction": 1, "mass": model.nbody, "payload": 1, "center_of_mass": 3, "gravity": 3, "restitution": 1,
                 "link_size": model.nbody, "thrown_mass": 1}  # fmt: skip
        neutral = {"payload": 0.0, "center_of_mass": 0.0, "gravity": 0.0, "joint_friction": 0.0, "restitution": 0.0}
        if self._ball is not None:
            neutral["thrown_mass"] = float(model.body_mass[self._ball])
        if cfg.friction is not None and cfg.friction.operation == "set":
            neutral["friction"] = 0.0
        self.drawn = {
            name: torch.full((engine.num_worlds, width.get(name, joints)), neutral.get(name, 1.0), device=device) for name in self.WIDTHS
        }
        self._privileged: torch.Tensor | None = None  # of `drawn`, until something is drawn anew
        self.startup()

    def startup(self) -> None:
        """Draw what each world keeps."""
        self._randomize(torch.arange(self._engine.num_worlds, device=self._engine.device), "startup")

    def load_drawn(self, drawn: dict[str, torch.Tensor]) -> None:
        """Take over what `drawn` was, without writing it to the engine, whose own state has it."""
        self.drawn = {name: value.to(self._engine.device).clone() for name, value in drawn.items()}
        self._privileged = None

    def reset(self, ids: torch.Tensor) -> None:
        """Draw the per-episode entries of worlds `ids` anew."""
        self._randomize(ids, "reset")

    def _randomize(self, ids: torch.Tensor, when: str) -> None:
        changed = []
        self._privileged = None
        for name in self.WIDTHS:
            entry: Range | None = getattr(self._cfg, name)
            if entry is not None and entry.when == when:
                self.drawn[name][ids] = entry.sample((len(ids), self.drawn[name].shape[1]), self._generator)
                changed.append(name)
        if {"friction"} & set(changed):
            self._write_friction(ids)
        if {"restitution"} & set(changed):
            self._write_restitution(ids)
        if {"link_size"} & set(changed):
            self._write_size(ids)
        if {"mass", "payload", "center_of_mass", "link_size", "thrown_mass"} & set(changed):
            self._write_inertia(ids)
        if {"motor_strength", "kp", "kd"} & set(changed):
            self._write_motors(ids)
        for name, target in (("joint_damping", "dof_damping"), ("joint_friction", "dof_frictionloss"), ("joint_armature", "dof_armature")):
            if name in changed:
                values = self._rows(target, ids)
                values[:, self._dofs] = getattr(self._cfg, name).apply(values[:, self._dofs], self.drawn[name][ids])
                self._engine.set_field(target, ids, values)
        if "gravity" in changed:
            gravity = self._cfg.gravity.apply(self._rows("opt.gravity", ids), self.drawn["gravity"][ids])  # pyright: ignore
            self._engine.set_field("opt.gravity", ids, gravity)
        if set(self.NEEDS_SET_CONST) & set(changed):
            self._engine.set_const(ids)

    def _rows(self, name: str, ids: torch.Tensor) -> torch.Tensor:
        nominal = self._nominal[name]
        return nominal.expand(len(ids), *nominal.shape).clone()

    def _write_friction(self, ids: torch.Tensor) -> None:
        friction = self._rows("geom_friction", ids)
        sliding = friction[:, self._contact_geoms, 0]
        friction[:, self._contact_geoms, 0] = self._cfg.friction.apply(sliding, self.drawn["friction"][ids])  # pyright: ignore
        self._engine.set_field("geom_friction", ids, friction)

    def _write_inertia(self, ids: torch.Tensor) -> None:
        mass, inertia = self._rows("body_mass", ids), self._rows("body_inertia", ids)
        factor = self.drawn["mass"][ids].clone()
        mass *= factor
        loaded = mass[:, self._base] + self.drawn["payload"][ids, 0]
        factor[:, self._base] *= loaded / mass[:, self._base]
        mass[:, self._base] = loaded
        if self._ball is not None:
            factor[:, self._ball] = self.drawn["thrown_mass"][ids, 0] / self._nominal["body_mass"][self._ball]
            mass[:, self._ball] = self.drawn["thrown_mass"][ids, 0]
        self._engine.set_field("body_mass", ids, mass)
        self._engine.set_field("body_inertia", ids, inertia * factor[..., None])
        if self._compensated:  # the maker's controller compensates the nominal masses, not the ones that are there
            self._engine.set_field("body_gravcomp", ids, self._rows("body_gravcomp", ids) / factor.clamp(min=1e-6))
        center = self._rows("body_ipos", ids) * self.drawn["link_size"][ids][..., None]
        center[:, self._base] += self.drawn["center_of_mass"][ids]
        self._engine.set_field("body_ipos", ids, center)

    def _write_restitution(self, ids: torch.Tensor) -> None:
        """A contact is a damped spring: of damping ratio z it gives back e = exp(-pi z / sqrt(1 - z^2)) of the speed."""
        logarithm = -torch.log(self.drawn["restitution"][ids].clamp(min=1e-6))
        solref = self._rows("geom_solref", ids)
        solref[:, self._contact_geoms, 1] = logarithm / torch.sqrt(torch.pi**2 + logarithm.square())
        self._engine.set_field("geom_solref", ids, solref)

    def _write_size(self, ids: torch.Tensor) -> None:
        """Scale each link about its own frame: its shapes, its sites and where its children hang. Masses stay."""
        factor = self.drawn["link_size"][ids].clone()
        factor[:, 0] = 1.0  # the world
        if self._ball is not None:
            factor[:, self._ball] = 1.0
        self.drawn["link_size"][ids] = factor
        for name, owner in (("body_pos", self._parent), ("geom_pos", self._geom_body), ("geom_size", self._geom_body),
                            ("geom_rbound", self._geom_body), ("geom_aabb", self._geom_body), ("site_pos", self._site_body)):  # fmt: skip
            of_owner = factor[:, owner]
            rows = self._rows(name, ids)
            self._engine.set_field(name, ids, rows * (of_owner if rows.dim() == 2 else of_owner[..., None]))

    def _write_motors(self, ids: torch.Tensor) -> None:
        strength = self.drawn["motor_strength"][ids]
        kp, kd = strength * self.drawn["kp"][ids], strength * self.drawn["kd"][ids]
        gain, bias = self._rows("actuator_gainprm", ids), self._rows("actuator_biasprm", ids)
        gain[:, self._actuators, 0] *= kp
        bias[:, self._actuators, 1] *= kp
        bias[:, self._actuators, 2] *= kd
        self._engine.set_field("actuator_gainprm", ids, gain)
        self._engine.set_field("actuator_biasprm", ids, bias)
        limits = self._rows("actuator_forcerange", ids)
        limits[:, self._actuators] *= strength[..., None]
        self._engine.set_field("actuator_forcerange", ids, limits)

    def privileged(self) -> torch.Tensor:
        """What the worlds drew, (N, P), for a teacher: friction, payload, centre of mass, gravity, restitution, and means over links
        and joints.
        """
        if self._privileged is None:
            means = [self.drawn[name].mean(dim=1, keepdim=True) for name in ("mass", "motor_strength", "kp", "joint_damping")]
            whole = [self.drawn[name] for name in ("friction", "payload", "center_of_mass", "gravity", "restitution")]
            self._privileged = torch.cat(whole + means, dim=1)
        return self._privileged
