"""Finds out what kind of file an encoder is in, and reads its weights out of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from policies.encoders.contents import Contents, weights_sha256
from policies.encoders.errors import EncoderError
from policies.encoders.file import EncoderFile, read_cfg
from policies.encoders.foreign import Told, of_others
from policies.encoders.safetensors import read_safetensors
from policies.encoders.shape import Readout
from policies.files import reason

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Of a folder as transformers writes it."""
CHECKPOINT = "checkpoint.pt"
FILE = "encoder.onnx"


def read(path: str | Path, heads: int | None = None, readout: Readout | None = None) -> Contents:
    """The encoder in a file.

    Args:
        path: an ONNX file of ours, a checkpoint or run of `robolearn pretrain encoder`, weights of others (.pth, .pt, .bin, .safetensors),
            or a folder as transformers writes it.
        heads: attention heads, for weights of others that do not tell.
        readout: what the latent is; None for the file's own, or the class token.

    Raises:
        EncoderError: there is none, or no encoder in it.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        found = [path / name for name in (FILE, CHECKPOINT, *WEIGHTS) if (path / name).is_file()]
        if not found:
            raise EncoderError(f"no encoder in the folder {path}: there is no {FILE}, {CHECKPOINT} or {' or '.join(WEIGHTS)}")
        path = found[0]
    if not path.is_file():
        raise EncoderError(f"no encoder at {path}")
    contents = _of_onnx(path) if path.suffix == ".onnx" else _of_weights(path, heads, readout)
    if readout is not None and contents.cfg.readout != readout:
        contents = dataclasses.replace(contents, cfg=dataclasses.replace(contents.cfg, readout=readout))
    return contents


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
    said = str(file.origin.get("weights_sha256"))
    if (found := weights_sha256(weights)) != said:
        raise EncoderError(f"{path} is not as it was written: its weights have the hash {found[:12]}, not {said[:12]}")
    return Contents(cfg=file.cfg, weights=weights, origin=file.origin)


def _of_weights(path: Path, heads: int | None, readout: Readout | None) -> Contents:
    """Of a checkpoint of ours, or of others' weights."""
    state = read_safetensors(path) if path.suffix == ".safetensors" else _load(path)
    if isinstance(state, dict) and state.get("kind") == "encoder":
        return _of_checkpoint(path, state)
    told = _beside(path, Told(heads=heads, readout=readout))
    found = of_others(state, told, str(path))
    origin = {
        **found.origin,
        "file": path.name,
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "assumed": list(found.assumed),
    }
    return dataclasses.replace(found, origin=origin)


def _load(path: Path) -> Any:
    """What torch reads, without running what a file may hold."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its text advises a kind of loading that could run any code
        raise EncoderError(
            f"{path} holds more than weights, and reading that could run its code: save its table of tensors alone, with torch.save"
        ) from error
    except Exception as error:  # torch raises many kinds for a broken file
        raise EncoderError(f"{path} is not a file of weights that torch can read: {reason(error)}") from error


def _of_checkpoint(path: Path, state: dict[str, Any]) -> Contents:
    try:
        cfg = read_cfg(state["vit"])
        weights = {name.removeprefix("encoder."): value for name, value in state["policy"].items() if name.startswith("encoder.")}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EncoderError(f"{path} is not a checkpoint that this version can read: {reason(error)}") from error
    weights = {name: value.float() for name, value in weights.items() if name not in ("scale", "shift")}
    about = [str(source.get("licence", "unknown")) for source in state.get("sources", [])]
    return Contents(cfg=cfg, weights=weights, origin={"licence": " AND ".join(sorted(set(about))), "data": state.get("sources", [])})


def _beside(path: Path, told: Told) -> Told:
    """What config.json and preprocessor_config.json in the same folder say, as transformers writes them."""
    try:
        config, pictures = (
            json.loads(file.read_text(encoding="utf-8")) if (file := path.parent / name).is_file() else {}
            for name in ("config.json", "preprocessor_config.json")
        )
        heads = told.heads or config.get("num_attention_heads")
        mean, std = (tuple(map(float, pictures[key])) if pictures.get(key) else None for key in ("image_mean", "image_std"))
        eps = config.get("layer_norm_eps")
        return dataclasses.replace(told, heads=heads, norm_eps=None if eps is None else float(eps), mean=mean, std=std)
    except (AttributeError, TypeError, ValueError) as error:
        raise EncoderError(f"config.json or preprocessor_config.json beside {path} cannot be read: {reason(error)}") from error
