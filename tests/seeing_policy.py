"""Policy files that see, for tests of the bridge: an arm with one camera, encoder apart, which moves by what it sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from envs.robots.registry import get_robot
from envs.tasks.registry import make_env
from policies.contract.file import PolicyFile
from policies.export.onnx_graph import export_student
from policies.networks.protocol import Memory, Network, NetworkCfg
from policies.networks.registry import make_network, network_cfg
from robolearn.config import loading, schema
from robolearn.learning.export import record_sensors

GROUP, CAMERA, SIDE, RATE = "view", "outside", 24, 10
GOAL = (0.45, 0.1, 0.4)


class Look(nn.Module):
    """A linear look at a picture's middle."""

    def __init__(self, channels: int = 3, width: int = 4) -> None:
        super().__init__()
        self.look = nn.Linear(channels * 64, width)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        middle = picture[:, 8:16, 8:16].float().flatten(1) / 255
        return torch.tanh(self.look(middle))


class Watching(Network):
    """Small actions of what it sees and feels, and a memory."""

    groups = ("state", GROUP)

    def __init__(self, observation_dim: int, action_dim: int, apart: bool = True) -> None:
        super().__init__()
        self.cfg = NetworkCfg(kind="watching")
        self.eye = Look()
        self._apart = apart
        self.head = nn.Linear(observation_dim + 4, action_dim)
        with torch.no_grad():
            self.head.weight *= 0.2

    @property
    def apart(self) -> dict[str, nn.Module]:
        return {GROUP: self.eye} if self._apart else {}

    def start(self, worlds: int) -> Memory:
        return {"low": torch.zeros(worlds, 4)}

    def step(self, observations: Any, memory: Memory) -> tuple[torch.Tensor, Memory]:
        seen = observations[GROUP]
        latent = seen if seen.dim() == 2 else self.eye(seen)
        low = 0.9 * memory["low"] + 0.1 * latent
        return torch.tanh(self.head(torch.cat([observations["state"], low], dim=1))), {"low": low}


def seeing_file(path: Path, apart: bool = True, renderer: str = "opengl", side: int = SIDE) -> PolicyFile:
    """A file for Panda's reach whose camera stands outside; its config is recorded, so that its scene can be made again."""
    robot = get_robot("panda")
    look = f"--env.observations.{GROUP}={{camera: {CAMERA}, height: {side}, width: {side}, rate: {RATE}, renderer: {renderer}}}"
    cfg = loading.loads(schema.schema_of("reach", robot), "{}", "the test", [look])
    env = make_env("reach", robot, cfg.env, num_worlds=1, num_threads=1, seed=0)
    blind = make_env("reach", robot, cfg.env.blind(), num_worlds=1, num_threads=1, seed=0)
    blind.reset()
    torch.manual_seed(0)
    net = Watching(env.spec.observation_dim, env.spec.action_dim, apart)
    sensors = record_sensors(blind, make_network(env.spec.observation_dim, env.spec.action_dim, network_cfg("mlp")()), 12)
    shots = np.random.default_rng(0).integers(0, 255, (3, side, side, 3), np.uint8)
    provenance = {"config": loading.dump(cfg), "deployable": True}
    assert json.dumps(provenance)
    return export_student(net, env.spec, sensors, provenance, path, {GROUP: shots})
