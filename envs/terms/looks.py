"""How the worlds look: textures, colours, light, cameras a little off their place, sky and things that are in the way.

Entries of the table of randomization, each with a function, drawn at each reset unless they say `when: startup`:

    randomization:
      textures: {func: "envs.terms.looks:Textures", on: [ground], folder: ~/pictures, count: 20}
      sun: {func: "envs.terms.looks:Light", turn: 0.6, brightness: [0.5, 1.3]}

They change what cameras see and nothing that physics or the vectors of an observation know; without a camera they are left out.
"""

from __future__ import annotations

import math

import mujoco
import torch

from envs.seeds import uniform
from envs.sensing import assets
from envs.sensing.cameras import Cameras
from envs.sensing.stage import Stage
from envs.terms.about import about
from envs.terms.face import Env

Pair = tuple[float, float]
Box = tuple[Pair, Pair, Pair]
SHAPES = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE,
          mujoco.mjtGeom.mjGEOM_ELLIPSOID)  # fmt: skip


def cameras_of(env: Env) -> Cameras:
    """The environment's cameras; these terms are left out where there are none."""
    assert env.cameras is not None
    return env.cameras


def _stage(env: Env) -> Stage:
    return cameras_of(env).stage


def _rows(stage: Stage, name: str, ids: torch.Tensor) -> torch.Tensor:
    """A field as it was compiled, a row a world, (n, ...)."""
    value = stage.nominal(name)
    return value.expand(len(ids), *value.shape).clone()


@about(needs="camera")
class Textures:
    """Things are covered with pictures, one drawn for each of them."""

    def __init__(
        self, env: Env, on: tuple[str, ...] = ("ground",), kinds: tuple[str, ...] = assets.KINDS, folder: str = "", count: int = 12,
        repeat: Pair = (1.0, 4.0), shine: Pair = (0.0, 0.5), seed: int = 0,
    ) -> None:  # fmt: skip
        """Get the pictures.

        Args:
            env: the environment.
            on: what is covered: `ground`, `robot`, `objects`, or patterns of geoms' names.
            kinds: of pictures that are made: checker, stripes, dots, gradient, noise, marble.
            folder: of pictures that are taken instead.
            count: of pictures.
            repeat: bounds of how often a picture repeats in a metre.
            shine: bounds of the share of light that is reflected as by a mirror.
            seed: of what is made or chosen.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self._on, self._shine, stage = on, shine, _stage(env)
        generator = torch.Generator().manual_seed(seed)
        stem = f"stage_texture_{len(list(stage.spec.materials))}"
        self._names = [f"{stem}_{i}" for i in range(count)]
        for name, picture in zip(self._names, assets.pictures(kinds, folder, count, seed), strict=False):
            stage.add_material(name, picture, float(uniform(*repeat, (1,), generator)))
        taken = [material.name for material in stage.spec.materials]
        self._names = [name for name in self._names if name in taken]  # a folder may have fewer
        cameras_of(env).will_vary("geom_matid", "mat_specular")

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage = _stage(env)
        geoms = stage.geoms(self._on)
        materials = torch.tensor([stage.material(name) for name in self._names], device=stage.device)
        chosen = torch.randint(len(materials), (len(ids), len(geoms)), generator=stage.generator, device=stage.device)
        matid = stage.field("geom_matid")[ids].clone()
        matid[:, geoms] = materials[chosen].to(matid.dtype)
        stage.set_field("geom_matid", ids, matid)
        specular = stage.field("mat_specular")[ids].clone()
        specular[:, materials] = uniform(*self._shine, (len(ids), len(materials)), stage.generator)
        stage.set_field("mat_specular", ids, specular)


@about(needs="camera")
def colors(env: Env, ids: torch.Tensor, on: tuple[str, ...] = ("ground", "robot"), spread: float = 0.2) -> None:
    """Things have other colours, each of its own.

    Args:
        env: the environment.
        ids: the worlds.
        on: what: `ground`, `robot`, `objects`, or patterns of geoms' names.
        spread: by how much each of red, green and blue differs at most, of 1.
    """
    stage = _stage(env)
    geoms = stage.geoms(on)
    rgba = stage.field("geom_rgba")[ids].clone()
    shift = uniform(-spread, spread, (len(ids), len(geoms), 3), stage.generator)
    rgba[:, geoms, :3] = (stage.nominal("geom_rgba")[geoms, :3] + shift).clamp(0.0, 1.0)
    stage.set_field("geom_rgba", ids, rgba)


@about(needs="camera")
class Light:
    """The sun stands elsewhere, and is stronger, weaker or of another colour; so is the light in its shadow."""

    def __init__(self, env: Env, turn: float = 0.6, brightness: Pair = (0.6, 1.3), ambient: Pair = (0.6, 1.3), tint: float = 0.1) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            turn: largest angle by which the sun's direction differs [rad].
            brightness: bounds of the factor on its light.
            ambient: bounds of the factor on the light that is everywhere.
            tint: by how much each of red, green and blue of the sun differs at most, as a share.
        """
        if not 0 <= turn < math.pi / 2:
            raise ValueError(f"turn must lie between 0 and pi/2 rad, not {turn:g}")
        self._turn, self._brightness, self._ambient, self._tint = turn, brightness, ambient, tint
        cameras_of(env).will_vary("light_dir", "light_dir0", "light_diffuse", "light_ambient")

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage = _stage(env)
        (sun, fill), n, draws = stage.lights(), len(ids), stage.generator
        direction = _rows(stage, "light_dir", ids)
        aside = torch.nn.functional.normalize(torch.randn(n, 3, generator=draws, device=stage.device), dim=1)
        turned = _turned(direction[:, sun], aside, uniform(0.0, self._turn, (n, 1), draws))
        for name in ("light_dir", "light_dir0"):
            field = stage.field(name)[ids].clone()
            field[:, sun] = turned
            stage.set_field(name, ids, field)
        factor = uniform(*self._brightness, (n, 1), draws) * (1 + uniform(-self._tint, self._tint, (n, 3), draws))
        for name, light, by in (
            ("light_diffuse", sun, factor),
            ("light_specular", sun, factor),
            ("light_ambient", fill, uniform(*self._ambient, (n, 1), draws)),
        ):
            field = stage.field(name)[ids].clone()
            field[:, light] = stage.nominal(name)[light] * by
            stage.set_field(name, ids, field)


def _turned(direction: torch.Tensor, aside: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, 3) turned by an angle (n, 1) [rad] towards what of `aside` (n, 3) is at a right angle to them."""
    across = torch.nn.functional.normalize(aside - (aside * direction).sum(1, keepdim=True) * direction, dim=1)
    return direction * torch.cos(angle) + across * torch.sin(angle)


@about(needs="camera")
class CameraPose:
    """Cameras are a little off their place, and look a little beside where they should."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), position: float = 0.01, angle: float = 0.03) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            position: by how much each of x, y and z differs at most [m].
            angle: largest angle by which the attitude differs [rad].
        """
        self._names = cameras_of(env).affected(on)
        self._position, self._angle = position, angle
        cameras_of(env).will_vary("cam_pos", "cam_quat")

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage, n = _stage(env), len(ids)
        position, attitude = stage.field("cam_pos")[ids].clone(), stage.field("cam_quat")[ids].clone()
        for camera in _ids(env, self._names):
            shift = uniform(-self._position, self._position, (n, 3), stage.generator)
            position[:, camera] = stage.nominal("cam_pos")[camera] + shift
            axis = torch.nn.functional.normalize(torch.randn(n, 3, generator=stage.generator, device=stage.device), dim=1)
            half = uniform(0.0, self._angle, (n, 1), stage.generator) / 2
            turn = torch.cat([torch.cos(half), axis * torch.sin(half)], dim=1)
            attitude[:, camera] = _product(stage.nominal("cam_quat")[camera].expand(n, 4), turn)
        stage.set_field("cam_pos", ids, position)
        stage.set_field("cam_quat", ids, attitude)


@about(needs="camera")
class FieldOfView:
    """Cameras see a wider or a narrower angle than the contract says."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), factor: Pair = (0.95, 1.05)) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            factor: bounds of the factor on the angle of view.
        """
        self._names, self._factor = cameras_of(env).affected(on), factor
        cameras_of(env).will_vary("cam_fovy")

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage = _stage(env)
        fovy = stage.field("cam_fovy")[ids].clone()
        for camera in _ids(env, self._names):
            fovy[:, camera] = (stage.nominal("cam_fovy")[camera] * uniform(*self._factor, (len(ids),), stage.generator)).clamp(1.0, 170.0)
        stage.set_field("cam_fovy", ids, fovy)


def _ids(env: Env, names: list[str]) -> list[int]:
    """Ids of the cameras of some entries, each once, in order."""
    cameras = cameras_of(env)
    return sorted({cameras.stage.camera(cameras.terms[name].camera) for name in names})


def _product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Quaternions wxyz (n, 4), multiplied."""
    w, v = first[:, :1], first[:, 1:]
    u, r = second[:, :1], second[:, 1:]
    return torch.cat([w * u - (v * r).sum(1, keepdim=True), w * r + u * v + torch.linalg.cross(v, r)], dim=1)


@about(needs="camera")
class Background:
    """What is seen where there is nothing: a picture all around."""

    def __init__(self, env: Env, kinds: tuple[str, ...] = assets.KINDS, folder: str = "", count: int = 8, seed: int = 0) -> None:
        """Get the pictures.

        Args:
            env: the environment.
            kinds: of pictures that are made: checker, stripes, dots, gradient, noise, marble.
            folder: of pictures that are taken instead.
            count: of pictures; a plain sky is one more.
            seed: of what is made or chosen.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        for picture in assets.pictures(kinds, folder, count, seed, square=True):
            _stage(env).add_sky(picture)

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage = _stage(env)
        stage.sky[ids] = torch.randint(stage.skies, (len(ids),), generator=stage.generator, device=stage.device)


@about(needs="camera")
class Distractors:
    """Things lie about that nothing touches: boxes, balls, cylinders of any size and colour."""

    def __init__(self, env: Env, count: int = 4, size: Pair = (0.01, 0.05), region: Box = ((0.2, 0.9), (-0.6, 0.6), (0.0, 0.2))) -> None:
        """Put them on the stage.

        Args:
            env: the environment.
            count: the most that there are; each world has any number up to it.
            size: bounds of their half sides [m].
            region: where their middles are, in the world [m].
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self._names = [_stage(env).add_distractor(SHAPES[i % len(SHAPES)]) for i in range(count)]
        self._size, self._region = size, region
        cameras_of(env).will_vary("geom_pos", "geom_quat", "geom_size", "geom_rgba")

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage, n, count = _stage(env), len(ids), len(self._names)
        geoms = torch.tensor([int(stage.model.geom(name).id) for name in self._names], device=stage.device)
        draws = stage.generator
        shown = torch.rand(n, count, generator=draws, device=stage.device) < torch.rand(n, 1, generator=draws, device=stage.device)
        place = torch.stack([uniform(*bounds, (n, count), draws) for bounds in self._region], dim=2)
        attitude = torch.nn.functional.normalize(torch.randn(n, count, 4, generator=draws, device=stage.device), dim=2)
        color = torch.cat([uniform(0.0, 1.0, (n, count, 3), draws), shown.float()[..., None]], dim=2)
        drawn = {"geom_pos": place, "geom_quat": attitude, "geom_size": uniform(*self._size, (n, count, 3), draws), "geom_rgba": color}
        for name, values in drawn.items():
            field = stage.field(name)[ids].clone()
            field[:, geoms] = values
            stage.set_field(name, ids, field)
