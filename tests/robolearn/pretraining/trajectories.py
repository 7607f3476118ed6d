"""Datasets of a walking robot that need no simulation: smooth random motions, and what a policy, a controller or a person would leave."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch

from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from policies.networks.transformer import Transformer, TransformerCfg
from robolearn.data.columns import ACTION, COMMAND, DONE, STATE, Column, robot_columns
from robolearn.data.source import Episode, Source
from robolearn.data.writer import DatasetWriter
from robolearn.policy_path import zoo
from robolearn.pretraining.model import SequenceModel
from robolearn.pretraining.sources import Statistics
from robolearn.pretraining.tokens import MODALITIES, Layout, Tokens
from tests.learning_helpers import randomize


@functools.cache
def spec() -> PolicySpec:
    """The contract of Go1's flat walking."""
    return PolicyFile(zoo()["go1-velocity-flat"]).spec


def source(kind: str = "policy", **changes: object) -> Source:
    """Of Go1; its clock runs as the contract's."""
    own = Source(
        kind="policy",
        robot="go1",
        joint_names=spec().robot.joint_names,
        fps=50.0,
        control_mode="position_offset" if kind == "policy" else "",
        licence="Apache-2.0",
        config=f"env:\n  clock_hz: {spec().clock_hz}\n",
    )
    return dataclasses.replace(own, kind=kind, **changes)  # pyright: ignore[reportArgumentType]


def columns(joints: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """Of Go1's datasets, or of those of a robot with other joints."""
    return robot_columns(joints or spec().robot.joint_names, (), spec().command.labels)


def episode(index: int, steps: int = 60, of: Source | None = None) -> Episode:
    """Number `index`: joints swing, and the action is a fixed function of what was seen, so that it can be learned."""
    of = of or source()
    rng, joints = np.random.default_rng(index), len(spec().robot.joint_names)
    phase, pace = rng.uniform(0, 6, joints), rng.uniform(0.1, 0.3, joints)
    t = np.arange(steps)[:, None]
    pose = np.array(spec().robot.default_pose) + 0.3 * np.sin(pace * t + phase)
    speed = 0.3 * pace * 50 * np.cos(pace * t + phase)
    base = np.concatenate([0.05 * rng.standard_normal((steps, 2)), np.full((steps, 1), -1.0), 0.1 * rng.standard_normal((steps, 3))], 1)
    found = {STATE: np.concatenate([pose, speed, base], 1), COMMAND: np.tile(rng.uniform(-1, 1, 3), (steps, 1))}
    if of.kind == "policy":
        found[ACTION] = 2.0 * (pose - np.array(spec().robot.default_pose)) - 0.1 * speed
    rows = {name: value.astype(np.float32) for name, value in found.items()}
    return Episode(columns=rows | {DONE: np.arange(steps) == steps - 1}, task="walk", source=of)


def write(path: Path, *episodes: Episode) -> str:
    """A dataset. Returns its path."""
    with DatasetWriter(path, columns(episodes[0].source.joint_names), 50) as writer:
        writer.add(*episodes)
    return str(path)


def tokens(b: int = 3, t: int = 9, seed: int = 0) -> Tokens:
    """Random windows, some modalities missing here and there, the last window half outside its episode."""
    g = torch.Generator().manual_seed(seed)
    known = torch.rand(b, t + 1, len(MODALITIES), generator=g) < 0.6
    known[..., 0] = True
    known[-1, t // 2 :] = False
    inside = known[..., 0]
    return Tokens(
        observation=torch.randn(b, t + 1, spec().observation_dim, generator=g),
        known=known & inside[..., None],
        action=torch.randn(b, t, spec().action_dim, generator=g),
        acted=(torch.rand(b, t, generator=g) < 0.6) & inside[:, :-1],
        source=torch.zeros(b, dtype=torch.long),
    )


def model(aligned: bool = True, **cfg: int) -> SequenceModel:
    """A small network with random weights everywhere."""
    o, j = spec().observation_dim, spec().action_dim
    net = Transformer(o, j, TransformerCfg(**{"width": 16, "layers": 2, "heads": 2, "window": 4, **cfg}))  # pyright: ignore
    flat = Statistics(names=["go1"], mean=torch.zeros(1, o), std=torch.ones(1, o), action_std=torch.ones(1, j), rows=[1])
    return randomize(SequenceModel(net, Layout(spec()), flat, aligned=aligned))
