"""Draws model fields for each world and writes them to the physics: the quantities of the table `envs.terms.randomization` that are model
fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import mujoco
import torch

from envs.engines.face import Engine
from envs.robots.robot import Robot
from envs.terms.conditions import Conditions, due, given
from envs.terms.ids import actuator_ids, dof_ids, run
from envs.terms.randomization import OPERATION, RandomizationCfg, Range

_INERTIA = ("body_mass", "body_inertia", "body_ipos", "body_gravcomp")
_MOTORS = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange")
WRITES: dict[str, tuple[str, ...]] = {
    "friction": ("geom_friction",), "restitution": ("geom_solref",), "gravity": ("opt.gravity",),
    "mass": _INERTIA, "payload": _INERTIA, "center_of_mass": _INERTIA, "thrown_mass": _INERTIA,
    "link_size": (*_INERTIA, "body_pos", "geom_pos", "geom_size", "geom_rbound", "geom_aabb", "site_pos"),
    "motor_strength": _MOTORS, "kp": _MOTORS, "kd": _MOTORS,
    "joint_damping": ("dof_damping",), "joint_friction": ("dof_frictionloss",), "joint_armature": ("dof_armature",),
}  # fmt: skip
"""Quantity -> the fields of the model that it may be written to."""


def nominal(engine: Engine, name: str, worlds: int) -> torch.Tensor:
    """A field of the model as in its file, one row per world, (worlds, ...): the start for your own function.

    Args:
        engine: the physics.
        name: name of the field, e.g. `geom_friction` or `opt.gravity`.
        worlds: n.
    """
    value = torch.tensor(reduce(getattr, name.split("."), engine.model), dtype=torch.float32, device=engine.device)
    return value.expand(worlds, *value.shape).clone()


class FieldRandomizer:
    """Draws the model-field entries of the table and writes them to the engine.

    Attributes:
        drawn: entry -> drawn value of each world, (N, k): privileged knowledge.
        conditions: values of worlds at a reset in place of drawn ones; None for none.
    """

    WIDTHS = ("friction", "mass", "payload", "center_of_mass", "motor_strength", "kp", "kd", "joint_damping", "joint_friction",
              "joint_armature", "gravity", "restitution", "link_size", "thrown_mass")  # fmt: skip
    NEEDS_SET_CONST = ("mass", "payload", "center_of_mass", "joint_armature", "link_size", "thrown_mass")

    def __init__(self, cfg: RandomizationCfg, robot: Robot, engine: Engine, generator: torch.Generator) -> None:
        self._ranges = {name: entry for name in self.WIDTHS if (entry := cfg.range(name)) is not None}
        self._engine, self._generator = engine, generator
        model, device = engine.model, engine.device
        joints = len(robot.joints)
        self._base = model.body(robot.base).id
        self._dofs, self._actuators = dof_ids(model, tuple(robot.joints), device), run(actuator_ids(model, tuple(robot.joints)), device)
        ball = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "thrown_object")
        self._ball = ball if ball >= 0 else None
        self._contact_geoms = run([g for g in range(model.ngeom) if model.geom_bodyid[g] != 0 and model.geom_condim[g] > 1], device)
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
        if self._how("friction").operation == "set":
            neutral["friction"] = 0.0
        self.drawn = {
            name: torch.full((engine.num_worlds, width.get(name, joints)), neutral.get(name, 1.0), device=device) for name in self.WIDTHS
        }
        self._privileged: torch.Tensor | None = None  # of `drawn`, until the next draw
        self.conditions: Conditions | None = None
        self.startup()

    def startup(self) -> None:
        """Draw the values that each world keeps."""
        self._randomize(torch.arange(self._engine.num_worlds, device=self._engine.device), "startup")

    def load_drawn(self, drawn: dict[str, torch.Tensor]) -> None:
        """Restore `drawn` without writing it to the engine, whose own state has it."""
        self.drawn = {name: value.to(self._engine.device).clone() for name, value in drawn.items()}
        self._privileged = None

    def writes(self, when: str) -> dict[str, str]:
        """Fields of the model that are written at `when` -> a quantity that writes them."""
        return {field: name for name in self._due(when) for field in WRITES[name]}

    def forget(self, fields: Iterable[str]) -> None:
        """Reset fields of the model to nominal in all worlds; values drawn once per world are written by `startup`."""
        ids, changed = torch.arange(self._engine.num_worlds, device=self._engine.device), False
        for name in fields:
            self._engine.set_field(name, ids, nominal(self._engine, name, len(ids)))
            changed = True
        if changed:
            self._engine.set_const(ids)

    def reset(self, ids: torch.Tensor) -> None:
        """Draw the per-episode entries of worlds `ids` again."""
        self._randomize(ids, "reset")

    def put(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        """Set a quantity of worlds `ids` (n,) to other values (n, k) than drawn, also during an episode.

        They have the meaning of the table's draws (a factor, an added value, or a value), and hold until the quantity is drawn again.
        """
        self.drawn[name][ids] = values
        self._write([name], ids)

    def drawn_at_resets(self, name: str) -> bool:
        """Whether a quantity is drawn for each episode."""
        return name in self._due("reset")

    def _how(self, name: str) -> Range:
        """How a drawn value is combined with the nominal one; for a quantity that is not in the table, as in `put`."""
        if name in self._ranges:
            return self._ranges[name]
        operation = "add" if name in ("gravity", "joint_friction") else "scale"
        return Range(low=0.0, high=0.0, operation=OPERATION.get(name, operation))  # pyright: ignore[reportArgumentType]

    def _due(self, when: str) -> list[str]:
        return [name for name, entry in self._ranges.items() if due(entry.when, name, when, self.conditions)]

    def _randomize(self, ids: torch.Tensor, when: str) -> None:
        changed = self._due(when)
        for name in changed:
            drawn = self._ranges[name].sample((len(ids), self.drawn[name].shape[1]), self._generator)
            self.drawn[name][ids] = given(name, ids, drawn, when, self.conditions)
        self._write(changed, ids)

    def _write(self, changed: list[str], ids: torch.Tensor) -> None:
        """Write the `drawn` values of quantities to the engine."""
        self._privileged = None
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
                values[:, self._dofs] = self._how(name).apply(values[:, self._dofs], self.drawn[name][ids])
                self._engine.set_field(target, ids, values)
        if "gravity" in changed:
            gravity = self._how("gravity").apply(self._rows("opt.gravity", ids), self.drawn["gravity"][ids])
            self._engine.set_field("opt.gravity", ids, gravity)
        if set(self.NEEDS_SET_CONST) & set(changed):
            self._engine.set_const(ids)

    def _rows(self, name: str, ids: torch.Tensor) -> torch.Tensor:
        nominal = self._nominal[name]
        return nominal.expand(len(ids), *nominal.shape).clone()

    def _write_friction(self, ids: torch.Tensor) -> None:
        friction = self._rows("geom_friction", ids)
        sliding = friction[:, self._contact_geoms, 0]
        friction[:, self._contact_geoms, 0] = self._how("friction").apply(sliding, self.drawn["friction"][ids])
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
        if self._compensated:  # the manufacturer's controller compensates the nominal masses, not the actual ones
            self._engine.set_field("body_gravcomp", ids, self._rows("body_gravcomp", ids) / factor.clamp(min=1e-6))
        center = self._rows("body_ipos", ids) * self.drawn["link_size"][ids][..., None]
        center[:, self._base] += self.drawn["center_of_mass"][ids]
        self._engine.set_field("body_ipos", ids, center)

    def _write_restitution(self, ids: torch.Tensor) -> None:
        """A contact is a damped spring: with damping ratio z it returns e = exp(-pi z / sqrt(1 - z^2)) of the speed."""
        logarithm = -torch.log(self.drawn["restitution"][ids].clamp(min=1e-6))
        solref = self._rows("geom_solref", ids)
        solref[:, self._contact_geoms, 1] = logarithm / torch.sqrt(torch.pi**2 + logarithm.square())
        self._engine.set_field("geom_solref", ids, solref)

    def _write_size(self, ids: torch.Tensor) -> None:
        """Scale each link about its own frame: its shapes, its sites and the places of its children. Masses do not change."""
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
        """The worlds' draws, (N, P), for a teacher: friction, payload, centre of mass, gravity, restitution, and means over links
        and joints.
        """
        if self._privileged is None:
            means = [self.drawn[name].mean(dim=1, keepdim=True) for name in ("mass", "motor_strength", "kp", "joint_damping")]
            whole = [self.drawn[name] for name in ("friction", "payload", "center_of_mass", "gravity", "restitution")]
            self._privileged = torch.cat(whole + means, dim=1)
        return self._privileged
