"""Finds out what kind of file an encoder is in, and reads its weights out of it."""

from __future__ import annotations

from pathlib import Path

import torch

from policies.encoders.contents import Contents, weights_sha256
from policies.encoders.errors import EncoderError
from policies.encoders.file import EncoderFile


def read(path: str | Path) -> Contents:
    """The encoder in a file.

    Raises:
        EncoderError: there is none, or no encoder in it.
    """
    path = Path(path)
    if not path.exists():
        raise EncoderError(f"no encoder at {path}")
    return _of_onnx(path)


def _of_onnx(path: Path) -> Contents:
    """Of a file of ours: weights are the graph's own tensors, found by the names in its metadata."""
    import onnx
    from onnx import numpy_helper

    file = EncoderFile(path)
    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    weights: dict[str, torch.Tensor] = {}
    for name, (stored, transposed) in file.names.items():
        if stored not in tensors:
            raise EncoderError(f"{path} has broken metadata: its graph has no tensor {stored} for the weight {name}")
        value = torch.from_numpy(numpy_helper.to_array(tensors[stored]).copy())
        weights[name] = value.T.contiguous() if transposed else value
    if (found := weights_sha256(weights)) != file.origin.get("weights_sha256"):
        raise EncoderError(
            f"{path} is not as it was written: its weights have the hash {found[:12]}, not {str(file.origin.get('weights_sha256'))[:12]}"
        )
    return Contents(cfg=file.cfg, weights=weights, origin=file.origin)
