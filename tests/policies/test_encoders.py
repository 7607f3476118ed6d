"""Image encoders apart from the step, inside one policy file: the same actions as in one graph, and each fault refused with its reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from policies.contract.encoders import ENCODER_KEY
from policies.contract.file import PolicyFile, PolicyFileError
from policies.contract.spec import ImageSpec, ObservationGroup, PolicySpec
from policies.export.onnx_graph import EXPORT_TOLERANCE, export_student
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
        self.encoders = self.eyes if apart else {}
        self.head = nn.Linear(spec.observation_dim + 8, spec.action_dim)

    def start(self, worlds: int) -> Memory:
        return {"low": torch.zeros(worlds, 1)}

    def step(self, observations: Any, memory: Memory) -> tuple[torch.Tensor, Memory]:
        seen = [value if value.dim() == 2 else self.eyes[name](value) for name in CAMERAS for value in [observations[name]]]
        low = 0.5 * memory["low"] + seen[0].mean(dim=1, keepdim=True)
        return self.head(torch.cat([observations["state"], *seen], dim=1)) + low, {"low": low}


def exported(path: Path, apart: bool, shared: bool = False) -> PolicyFile:
    spec = seeing(arm_spec())
    torch.manual_seed(0)
    left = Small()
    net = Seeing(spec, {"left": left, "right": left if shared else Small()}, apart)
    sensors = {name: value[:12] for name, value in PolicyFile(make_policy(path.with_name("plain.onnx"), arm_spec())).golden.sensors.items()}
    rng = np.random.default_rng(1)
    pictures = {name: rng.integers(0, 256, (3, *PIXELS), np.uint8) for name in CAMERAS}
    return export_student(net, spec, sensors, {}, path, pictures)


def test_a_file_with_encoders_apart_acts_as_one_graph(tmp_path: Path) -> None:
    one, two = exported(tmp_path / "one.onnx", apart=False), exported(tmp_path / "two.onnx", apart=True)
    assert (one.latents, two.latents) == ({}, {"left": 4, "right": 4})
    assert two.verify() <= EXPORT_TOLERANCE
    np.testing.assert_allclose(two.golden.action, one.golden.action, rtol=0, atol=1e-6)
    inside = {tensor.name for tensor in onnx.load(two.path).graph.initializer}
    assert not any("look" in name for name in inside), "the step's graph carries the encoders' weights a second time"


def test_a_latent_given_is_the_picture_encoded(tmp_path: Path) -> None:
    file = exported(tmp_path / "two.onnx", apart=True)
    rng = np.random.default_rng(2)
    row = file.golden.observation[0]
    pictures = {name: rng.integers(0, 256, PIXELS, np.uint8) for name in CAMERAS}
    seen = file.act(row, pictures).copy()
    held = file.fork()
    latents = {name: held.encode(name, value) for name, value in pictures.items()}
    np.testing.assert_array_equal(held.act(row, latents=latents), seen)
    np.testing.assert_array_equal(held.act(row), file.act(row))  # no new picture: the last latent stays
    held.reset()
    file.reset()
    np.testing.assert_array_equal(held.act(row), file.act(row))  # a reset forgets it


def test_cameras_may_share_an_encoder(tmp_path: Path) -> None:
    file = exported(tmp_path / "shared.onnx", apart=True, shared=True)
    meta = {item.key: item.value for item in onnx.load(file.path).metadata_props}
    assert meta[ENCODER_KEY + "right"] == "=left"
    picture = np.random.default_rng(3).integers(0, 256, PIXELS, np.uint8)
    np.testing.assert_array_equal(file.encode("left", picture), file.encode("right", picture))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("left", "=left", "left shares the encoder of 'left', which has none of its own; valid: right"),
        ("left", "no!", "the encoder of left is not base64"),
        ("left", "bm8=", "the encoder of left cannot be loaded"),
        ("nose", "bm8=", "an encoder of nose, which is no image; its images: left, right"),
        ("left", None, r"graph input left is float32 of shape \[1, 4\], but the metadata say uint8 of shape \[1, 6, 8, 3\]"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(tmp_path: Path, key: str, value: str | None, said: str) -> None:
    model = onnx.load(exported(tmp_path / "two.onnx", apart=True).path)
    meta = {item.key: item.value for item in model.metadata_props}
    meta[ENCODER_KEY + key] = value or ""
    if value is None:
        del meta[ENCODER_KEY + key]
    onnx.helper.set_model_props(model, meta)
    onnx.save(model, tmp_path / "broken.onnx")
    with pytest.raises(PolicyFileError, match=said):
        PolicyFile(tmp_path / "broken.onnx")


def test_an_encoder_of_another_shape_is_refused(tmp_path: Path) -> None:
    model = onnx.load(exported(tmp_path / "two.onnx", apart=True).path)
    text = next(item.value for item in model.metadata_props if item.key == ENCODER_KEY + "left")
    spec = PolicyFile(tmp_path / "two.onnx").spec
    wide = tuple(
        group if group.image is None else dataclasses.replace(group, image=dataclasses.replace(group.image, width=9))
        for group in spec.observation
    )
    meta = {item.key: item.value for item in model.metadata_props}
    meta["robolearn.spec"] = dataclasses.replace(spec, observation=wide).to_json()
    assert text
    onnx.helper.set_model_props(model, meta)
    onnx.save(model, tmp_path / "broken.onnx")
    with pytest.raises(PolicyFileError, match=r"the encoder of left takes .*, not image of shape \[1, 6, 9, 3\]"):
        PolicyFile(tmp_path / "broken.onnx")
