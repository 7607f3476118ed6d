"""Writes an image encoder as a file of its own: graph, numbers, origin and golden images; see `policies.encoders.file`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from policies.contract.golden import Array, pack
from policies.encoders.contents import weights_sha256
from policies.encoders.errors import EncoderError
from policies.encoders.file import CFG_KEY, GOLDEN_KEY, INPUT, NAMES_KEY, ORIGIN_KEY, OUTPUT, EncoderFile, plain_cfg
from policies.export.exporter import onnx_of
from policies.files import whole
from policies.networks.vit import VitEncoder

DERIVED = ("scale", "shift")
"""What follows from the numbers, and is no weight."""


def weights_of(encoder: VitEncoder) -> dict[str, torch.Tensor]:
    """Its weights by name, on the CPU."""
    return {name: value.detach().cpu().float() for name, value in encoder.state_dict().items() if name not in DERIVED}


def export_encoder(encoder: VitEncoder, origin: Mapping[str, Any], golden: Array, path: str | Path) -> EncoderFile:
    """Write an encoder file and read it back.

    Args:
        encoder: the encoder.
        origin: plain JSON values, `licence` among them; `weights_sha256` is added.
        golden: images to test it with, (K, h, w, c) uint8, of the kind that it was trained on.
        path: of the file; only replaced by one that passed.

    Returns:
        The file as ONNX Runtime reads it.

    Raises:
        EncoderError: ONNX Runtime and torch differ.
        policies.files.WriteError: it cannot be written.
    """
    encoder = encoder.cpu().eval()
    weights = weights_of(encoder)
    images = torch.from_numpy(golden)
    with torch.no_grad():
        latent = encoder(images).numpy()
    example = (images[:1].expand(2, *images.shape[1:]).contiguous(),)
    model = onnx_of(encoder, example, ([INPUT], [OUTPUT]), {"images": {0: torch.export.Dim("pictures", min=1)}}, optimize=False)
    meta = {
        CFG_KEY: json.dumps(plain_cfg(encoder.cfg)),
        ORIGIN_KEY: json.dumps({**origin, "weights_sha256": weights_sha256(weights)}, allow_nan=False),
        NAMES_KEY: json.dumps(_names(weights, model)),
        GOLDEN_KEY: pack({"images": golden, "latent": latent}),
    }
    onnx.helper.set_model_props(model, meta)
    with whole(path) as temporary:
        onnx.save(model, temporary)
        EncoderFile(temporary).verify()
    return EncoderFile(path)


def _names(weights: Mapping[str, torch.Tensor], model: onnx.ModelProto) -> dict[str, tuple[str, bool]]:
    """Which tensor of the graph holds each weight, and whether it is transposed there."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found: dict[str, tuple[str, bool]] = {}
    for name, value in weights.items():
        array = value.numpy()
        near = [name, *(other for other in tensors if other != name)]
        for stored in near:
            if stored in tensors and np.array_equal(tensors[stored], array):
                found[name] = (stored, False)
            elif stored in tensors and array.ndim == 2 and np.array_equal(tensors[stored], array.T):
                found[name] = (stored, True)
            if name in found:
                break
        if name not in found:
            raise EncoderError(f"torch's exporter kept no tensor for the weight {name}; install the versions of constraints.txt")
    return found
