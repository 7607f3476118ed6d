"""What the object of a scene is like in each world: an entry of the table of randomization.

    randomization:
      object: {func: "envs.terms.shapes:ObjectShapes", kinds: [box, cylinder], mass: [0.05, 0.3]}

Shapes are those of `envs.scene.objects.catalogue`, at a drawn size; `held_out: true` draws from those that training never sees.
"""

from __future__ import annotations

import mujoco
import torch

from envs.scene.objects import CYLINDER, KINDS, OBJECT, PARTS, catalogue
from envs.seeds import uniform
from envs.terms.face import Env
from envs.terms.objects import half_extents

Pair = tuple[float, float]
CLEAR = 0.35
"""Least opacity of a clear object."""


class ObjectShapes:
    """Shape, size, mass, friction and colour of each world's object."""

    def __init__(
        self, env: Env, kinds: tuple[str, ...] = KINDS, held_out: bool = False, size: Pair = (0.8, 1.1), mass: Pair = (0.05, 0.3),
        friction: Pair = (0.6, 1.2), clear: float = 0.1, shine: Pair = (0.0, 0.8),
    ) -> None:  # fmt: skip
        """Collect the shapes.

        Args:
            env: the environment.
            kinds: of shapes: box, ball, cylinder, tee, cross, dumbbell, steps.
            held_out: whether shapes are those that are held out of training.
            size: bounds of the factor on a shape's size.
            mass: bounds of the mass [kg].
            friction: bounds of the sliding friction.
            clear: share of worlds whose object can be seen through.
            shine: bounds of the share of light that is reflected as by a mirror; for cameras.
        """
        shapes = catalogue(kinds, held_out)
        model = env.engine.model
        self._geoms = [model.geom(name).id for name in PARTS]
        self._body = model.body(OBJECT).id
        self._types = [int(model.geom_type[geom]) for geom in self._geoms]
        self._sizes, self._places, self._half, self._inertia = (
            env.tensor([getattr(shape, name).tolist() for shape in shapes]) for name in ("sizes", "places", "half", "inertia")
        )
        self._size, self._mass, self._friction, self._clear, self._shine = size, mass, friction, clear, shine
        self._extents = half_extents(env)
        if env.cameras is not None:
            env.cameras.will_vary("geom_pos", "geom_size", "geom_rgba", "geom_matid", "mat_specular", "mat_shininess")

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        n, draws, engine = len(ids), env.generator, env.engine
        kind = torch.randint(len(self._sizes), (n,), generator=draws, device=env.device)
        factor = uniform(*self._size, (n, 1, 1), draws)
        sizes, places = self._sizes[kind] * factor, self._places[kind] * factor
        mass = uniform(*self._mass, (n, 1), draws)
        self._extents[ids] = self._half[kind] * factor[:, :, 0]
        box, radius = self._bounds(sizes)
        aabb = engine.field("geom_aabb")[ids].reshape(n, -1, 6)
        aabb[:, self._geoms] = torch.cat([torch.zeros_like(box), box], dim=2)
        engine.set_field("geom_aabb", ids, aabb)
        rows = {"geom_size": sizes, "geom_pos": places, "geom_rbound": radius, "geom_rgba": self._colors(n, draws)}
        for name, values in rows.items():
            field = engine.field(name)[ids]
            field[:, self._geoms] = values
            engine.set_field(name, ids, field)
        friction = engine.field("geom_friction")[ids]
        friction[:, self._geoms, 0] = uniform(*self._friction, (n, 1), draws)
        engine.set_field("geom_friction", ids, friction)
        for name, values in (("body_mass", mass[:, 0]), ("body_inertia", mass * self._inertia[kind] * factor[:, :, 0] ** 2)):
            field = engine.field(name)[ids]
            field[:, self._body] = values
            engine.set_field(name, ids, field)
        if env.cameras is not None:
            self._polish(env, ids)

    def _bounds(self, sizes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Half sides (n, 5, 3) of the box around each part, and radius (n, 5) of the ball around it."""
        box, radius = sizes.clone(), torch.empty(sizes.shape[:2], device=sizes.device)
        for part, kind in enumerate(self._types):
            if kind == int(mujoco.mjtGeom.mjGEOM_BOX):
                radius[:, part] = sizes[:, part].norm(dim=1)
            elif part == CYLINDER:
                box[:, part] = sizes[:, part][:, [0, 0, 1]]
                radius[:, part] = sizes[:, part, :2].norm(dim=1)
            else:
                box[:, part] = sizes[:, part, :1]
                radius[:, part] = sizes[:, part, 0]
        return box, radius

    def _colors(self, n: int, draws: torch.Generator) -> torch.Tensor:
        """Colours (n, 1, 4); some can be seen through."""
        seen = torch.rand(n, 1, 1, generator=draws, device=draws.device) < self._clear
        alpha = torch.where(seen, uniform(CLEAR, 0.6, (n, 1, 1), draws), 1.0)
        return torch.cat([uniform(0.05, 1.0, (n, 1, 3), draws), alpha], dim=2)

    def _polish(self, env: Env, ids: torch.Tensor) -> None:
        """How much the object of each world shines."""
        assert env.cameras is not None
        stage = env.cameras.stage
        material = stage.material(OBJECT)
        for name, bounds in (("mat_specular", self._shine), ("mat_shininess", (0.2, 0.9))):
            field = stage.field(name)[ids].clone()
            field[:, material] = uniform(*bounds, (len(ids),), stage.generator)
            stage.set_field(name, ids, field)
