"""The cameras of an environment, made from its config, and what of its physics they have to follow."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from envs.engines.cores import available_cores
from envs.seeds import torch_seed
from envs.sensing.camera import cameras_of
from envs.sensing.cameras import ASIDE, Cameras
from envs.sensing.stage import FOLLOWED, Stage
from envs.terms.fields import WRITES
from policies.contract.spec import PolicySpec

if TYPE_CHECKING:
    from envs.vec_env import VecEnv


def make_cameras(env: VecEnv) -> Cameras | None:
    """The cameras that the observations name; None where there are none, and nothing of a renderer is loaded."""
    terms = cameras_of(env.cfg.observations)
    if not terms:
        return None
    generator = torch.Generator(device=env.device)
    generator.manual_seed(torch_seed(env.cfg.seed + ASIDE))
    stage = Stage(env.scene(), env.robot, env.engine, generator)
    return Cameras(terms, stage, env.engine, env.cfg.control_dt, env.cfg.num_threads or available_cores())


def opened(cameras: Cameras | None, spec: PolicySpec) -> PolicySpec:
    """Start the renderers. Returns the contract with the cameras' groups."""
    if cameras is None:
        return spec
    cameras.open()
    return dataclasses.replace(spec, observation=(*spec.observation, *cameras.groups()))


def look(env: VecEnv, ids: torch.Tensor) -> None:
    """Let the cameras of the worlds `ids` (n,) look again where it is time."""
    if env.cameras is not None:
        env.cameras.look(ids, env.episode_steps, varied_fields(env))


def varied_fields(env: VecEnv) -> set[str]:
    """Fields of the physics' model that differ between worlds and can be seen."""
    named = set(env.cfg.randomization.entries) if env.conditions is None else set(WRITES)
    written = {field for name in named & set(WRITES) for field in WRITES[name]}
    return {field for fields in (written, *env.events.fields.values()) for field in fields} & set(FOLLOWED)
