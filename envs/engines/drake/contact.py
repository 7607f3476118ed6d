"""Which shapes of a MuJoCo model can touch, and their contact parameters: the rules of `mj_collision` in Drake's terms.

Drake gives each surface a friction coefficient and combines two of them as 2 a b / (a + b); MuJoCo takes the coefficient of the surface
with priority, or the larger one. So one of two touching surfaces gets an unbounded coefficient, and the other half of the desired one,
which gives the desired result. Static shapes get the unbounded one, and so does one of two moving shapes. A shape with several kinds of
partners has a `Surface` for each. Frictionless contacts need no partner of their own: zero stays zero.

Restitution: MuJoCo's damped spring with damping ratio z has the coefficient of restitution e = exp(-pi z / sqrt(1 - z^2)). Hunt and
Crossley's law f = k x (1 + d v), Drake's, has the e that solves u - ln(1 + u) = -e u - ln(1 - e u), u = d v (its equation of motion
integrated from touch to release), less for faster impacts; it is matched at 1 m/s.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import mujoco
import numpy as np

from envs.engines.face import EngineError

GROUND, SLICK, HUB = -1, -2, -3
UNBOUNDED = 1e9
"""The unbounded friction coefficient, with which the other surface decides."""
MAX_DISSIPATION = 20.0  # s/m: for contacts without bounce; 5 % of 1 m/s is left, and friction is accurate to 2 % at 1 ms
_PLANE = int(mujoco.mjtGeom.mjGEOM_PLANE)


class Surface(NamedTuple):
    """A geom in contact with one kind of partner.

    Attributes:
        geom: its id.
        partner: `GROUND` (static geoms), `SLICK` (others without friction), a geom that is a hub, or `HUB` for the hub itself.
    """

    geom: int
    partner: int


@dataclass(frozen=True)
class Material:
    """Drake's coefficients of one surface.

    Attributes:
        friction: coefficient.
        dissipation: d of f = k x (1 + d v) [s/m].
    """

    friction: float
    dissipation: float


@dataclass(frozen=True)
class Contacts:
    """The pairs that may touch.

    Attributes:
        static: ids of static geoms.
        ground: moving geom -> the static geoms that it may touch.
        between: two moving geoms and the explicit pair that defines it, or -1.
        hubs: moving geoms whose partners decide the friction.
    """

    static: tuple[int, ...]
    ground: dict[int, tuple[int, ...]]
    between: tuple[tuple[int, int, int], ...]
    hubs: frozenset[int]

    def surfaces_between(self, model: mujoco.MjModel, first: int, second: int, pair: int) -> tuple[Surface, Surface]:
        """The surfaces with which two moving geoms meet."""
        if law(model, first, second, pair)[0] == 1:
            return Surface(first, SLICK), Surface(second, SLICK)
        hub, other = (first, second) if first in self.hubs else (second, first)
        return Surface(hub, HUB), Surface(other, hub)

    def materials(self, model: mujoco.MjModel) -> dict[Surface, Material]:
        """Each surface's coefficients for the current fields of a world's model.

        Raises:
            EngineError: a surface would need different ones for different partners.
        """
        wanted: dict[Surface, set[tuple[float, float]]] = defaultdict(set)
        for geom, grounds in self.ground.items():
            columns = (model.geom_priority, model.geom_condim, model.geom_solmix)
            alike = {(*(c[g] for c in columns), *model.geom_friction[g], *model.geom_solref[g]): g for g in grounds}
            for ground in alike.values():
                condim, friction, bounce = law(model, geom, ground)
                wanted[Surface(geom, GROUND)].add((0.0 if condim == 1 else friction / 2, bounce))
        for first, second, pair in self.between:
            condim, friction, bounce = law(model, first, second, pair)
            one, other = self.surfaces_between(model, first, second, pair)
            wanted[one].add((0.0 if condim == 1 else UNBOUNDED, bounce if condim == 1 else 0.0))
            wanted[other].add((0.0 if condim == 1 else friction / 2, bounce))
        for surface, laws in wanted.items():
            if len(laws) > 1:
                raise EngineError(
                    f"engine 'drake' needs one friction and restitution for everything that {_name(model, surface.geom)} touches"
                )
        return {surface: Material(friction, dissipation(bounce)) for surface, ((friction, bounce),) in wanted.items()}


def contacts(model: mujoco.MjModel) -> Contacts:
    """The geoms that may touch by MuJoCo's filters.

    Raises:
        EngineError: a contact that Drake cannot represent.
    """
    weld = model.body_weldid[model.geom_bodyid]
    parent = model.body_weldid[model.body_parentid[model.body_weldid]][model.geom_bodyid]
    excluded = {int(signature) for signature in model.exclude_signature}
    explicit = {tuple(sorted((int(a), int(b)))): i for i, (a, b) in enumerate(zip(model.pair_geom1, model.pair_geom2, strict=True))}
    static = tuple(int(geom) for geom in np.flatnonzero(weld == 0))
    moving = [int(geom) for geom in np.flatnonzero(weld)]

    def filtered(a: int, b: int) -> bool:
        bodies = sorted(int(model.geom_bodyid[geom]) for geom in (a, b))
        if weld[a] == weld[b] or (bodies[0] << 16) + bodies[1] in excluded:
            return True
        if weld[a] and weld[b] and (weld[a] == parent[b] or weld[b] == parent[a]):
            return True
        return not ((model.geom_contype[a] & model.geom_conaffinity[b]) or (model.geom_contype[b] & model.geom_conaffinity[a]))

    if any(weld[a] == 0 or weld[b] == 0 for a, b in explicit):
        raise EngineError("engine 'drake' only takes explicit contact pairs of moving geoms")
    ground = {geom: tuple(other for other in static if not filtered(geom, other)) for geom in moving}
    ground = {geom: others for geom, others in ground.items() if others}
    between = [(a, b, -1) for a, b in itertools.combinations(moving, 2) if (a, b) not in explicit and not filtered(a, b)]
    between += [(a, b, pair) for (a, b), pair in explicit.items()]
    rough = [(a, b) for a, b, pair in between if law(model, a, b, pair)[0] > 1]
    count = Counter(geom for pair in rough for geom in pair)
    hubs = frozenset(max(pair, key=lambda geom: (count[geom], geom)) for pair in rough)
    for a, b in rough:
        if a in hubs and b in hubs:
            raise EngineError(f"engine 'drake' cannot give {_name(model, a)} and {_name(model, b)} their own friction")
    used = {*ground, *(geom for others in ground.values() for geom in others), *(geom for a, b, _ in between for geom in (a, b))}
    for geom in used:
        _check(model, geom)
    return Contacts(tuple(g for g in static if g in used), ground, tuple(between), hubs)


def law(model: mujoco.MjModel, first: int, second: int, pair: int = -1) -> tuple[int, float, float]:
    """MuJoCo's contact of two geoms: its dimension, its sliding friction and its restitution."""
    if pair >= 0:
        condim, friction, solref = int(model.pair_dim[pair]), model.pair_friction[pair], model.pair_solref[pair]
        if friction[0] != friction[1] and condim > 1:
            raise EngineError("engine 'drake' has no anisotropic friction")
        return condim, float(friction[0]), _restitution(solref[1])
    priority = model.geom_priority[first], model.geom_priority[second]
    if priority[0] != priority[1]:
        prior = first if priority[0] > priority[1] else second
        return int(model.geom_condim[prior]), float(model.geom_friction[prior, 0]), _restitution(model.geom_solref[prior, 1])
    both = [first, second]
    share = model.geom_solmix[both] / model.geom_solmix[both].sum()
    return int(model.geom_condim[both].max()), float(model.geom_friction[both, 0].max()), _restitution(share @ model.geom_solref[both, 1])


def _restitution(damping_ratio: float) -> float:
    return 0.0 if damping_ratio >= 1 else math.exp(-math.pi * damping_ratio / math.sqrt(1 - damping_ratio**2))


def dissipation(restitution: float) -> float:
    """Hunt and Crossley's d [s/m] for this restitution at 1 m/s, at most `MAX_DISSIPATION`."""
    low, high = 0.0, min(MAX_DISSIPATION, (1 - 1e-12) / max(restitution, 1e-12))
    for _ in range(60):
        middle = (low + high) / 2
        spent = middle - math.log1p(middle) + restitution * middle + math.log1p(-restitution * middle)
        low, high = (middle, high) if spent > 0 else (low, middle)
    return high


def _check(model: mujoco.MjModel, geom: int) -> None:
    kind = mujoco.mjtGeom(model.geom_type[geom])
    name = _name(model, geom)
    shapes = ("PLANE", "SPHERE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX")
    if kind.name.removeprefix("mjGEOM_") not in shapes:
        raise EngineError(f"engine 'drake' has no shape for {name}, a {kind.name}; valid: {', '.join(shapes).lower()}")
    if model.geom_type[geom] == _PLANE and model.body_weldid[model.geom_bodyid[geom]]:
        raise EngineError(f"engine 'drake' only takes planes that do not move, not {name}")
    if model.geom_condim[geom] > 3:
        raise EngineError(f"engine 'drake' has no torsional or rolling friction: {name} has condim {model.geom_condim[geom]}; valid: 1, 3")
    if model.geom_margin[geom] or model.geom_gap[geom]:
        raise EngineError(f"engine 'drake' has no contact margin or gap, but {name} has one")
    if model.geom_solref[geom, 0] <= 0:
        raise EngineError(f"engine 'drake' takes solref as time constant and damping ratio, not as stiffness and damping: {name}")


def _name(model: mujoco.MjModel, geom: int) -> str:
    return f"geom {model.geom(geom).name or geom!r}"
