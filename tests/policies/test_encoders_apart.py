"""Image encoders apart from the step, inside one policy file: the same actions as in one graph, and each fault refused with its reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from policies.contract.encoders import ENCODER_KEY
from policies.contract.file import PolicyFile, PolicyFileError
from policies.export.onnx_graph import EXPORT_TOLERANCE
from tests.seeing_arm import CAMERAS, PIXELS, exported


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
