"""A two-joint arm that sees: its contract, its network, its policy file, and its robot and scene without MuJoCo."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bridge.control.command import JointCommand
from bridge.simulated.physics import Sample
from policies.contract.file import PolicyFile
from policies.contract.spec import ImageSpec, ObservationGroup, PolicySpec
from policies.export.onnx_graph import export_student
from policies.networks.protocol import Memory, Network, NetworkCfg
from tests.make_policy import arm_spec, make_policy

CAMERAS = ("left", "right")
PIXELS = (6, 8, 3)


def seeing(spec: PolicySpec) -> PolicySpec:
    """The spec with two cameras of one kind, ten pictures a second."""
    image = ImageSpec(kind="rgb", width=8, height=6, frame="", fx=5.0, fy=5.0, cx=3.5, cy=2.5)
    groups = [ObservationGroup(name=name, image=dataclasses.replace(image, frame=name), dtype="uint8", every=5) for name in CAMERAS]
    return dataclasses.replace(spec, observation=(*spec.observation, *groups), history_steps=0)


class Small(nn.Module):
    """A linear look at a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Linear(6 * 8 * 3, 4)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.look(picture.float().flatten(1) / 255))


class Seeing(Network):
    """Two cameras; `apart`: their encoders are models of their own."""

    groups = ("state", *CAMERAS)

    def __init__(self, spec: PolicySpec, encoders: dict[str, nn.Module], apart: bool) -> None:
        super().__init__()
        self.cfg = NetworkCfg(kind="seeing")
        self.eyes = nn.ModuleDict(encoders)
        self._apart = apart
        self.head = nn.Linear(spec.observation_dim + 8, spec.action_dim)
        with torch.no_grad():
            self.head.weight *= 0.01
            self.head.bias[:] = torch.tensor([0.12, -0.12])[: spec.action_dim]

    @property
    def apart(self) -> dict[str, nn.Module]:
        return {name: self.eyes[name] for name in CAMERAS} if self._apart else {}

    def start(self, worlds: int) -> Memory:
        return {"low": torch.zeros(worlds, 1)}

    def step(self, observations: Any, memory: Memory) -> tuple[torch.Tensor, Memory]:
        seen = [value if value.dim() == 2 else self.eyes[name](value) for name in CAMERAS for value in [observations[name]]]
        low = 0.5 * memory["low"] + 0.01 * seen[0].mean(dim=1, keepdim=True)
        return self.head(torch.cat([observations["state"], *seen], dim=1)) + low, {"low": low}


def exported(path: Path, apart: bool, shared: bool = False, spec: PolicySpec | None = None) -> PolicyFile:
    """A file of the arm that sees, with a golden run of 12 steps; it moves slowly whatever it sees, and a little by what it sees."""
    spec = spec or seeing(arm_spec())
    torch.manual_seed(0)
    left = Small()
    net = Seeing(spec, {"left": left, "right": left if shared else Small()}, apart)
    sensors = {name: value[:12] for name, value in PolicyFile(make_policy(path.with_name("plain.onnx"), arm_spec())).golden.sensors.items()}
    rng = np.random.default_rng(1)
    pictures = {name: rng.integers(0, 256, (3, *PIXELS), np.uint8) for name in CAMERAS}
    return export_student(net, spec, sensors, {}, path, pictures)


class StubArm:
    """Joints that follow their targets with a time constant of 50 ms; a `bridge.transports.sim.Robot` with what its cameras need."""

    def __init__(self, spec: PolicySpec) -> None:
        self.names = self.joints = spec.robot.joint_names
        self.dt, self.time_s = 0.005, 0.0
        self.qpos = np.array(spec.robot.default_pose)
        self._velocity = np.zeros_like(self.qpos)
        self._command: JointCommand | None = None

    def step(self) -> None:
        drives = self._command is not None and self._command.drives
        self._velocity = 20.0 * (self._command.position - self.qpos) if drives and self._command else np.zeros_like(self.qpos)
        self.qpos = self.qpos + self.dt * self._velocity
        self.time_s += self.dt

    def sample(self) -> Sample:
        return Sample(self.qpos.copy(), self._velocity.copy(), np.zeros_like(self.qpos), None, None, round(self.time_s * 1e9) + 1)

    def apply(self, command: JointCommand) -> None:
        self._command = command


class Noise:
    """A scene of noise, new at each look."""

    key = None

    def __init__(self, spec: PolicySpec, seed: int = 0) -> None:
        self._spec, self._rng = spec, np.random.default_rng(seed)

    def draw(self, groups: Sequence[str], joints: tuple[str, ...], qpos: Any, command: Any) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for name in groups:
            group = self._spec.group(name)
            depth = group.dtype == "float32"
            found[name] = (
                self._rng.uniform(0.5, 2, group.shape).astype("f4") if depth else self._rng.integers(0, 256, group.shape, np.uint8)
            )
        return found
