"""Weights of vision transformers in the forms in which others publish them, by our names.

Two layouts of names are known. timm's, which MAE, MVP, DINO and DeiT have (`blocks.0.attn.qkv.weight`), as a plain table of tensors or
under `model`, `state_dict`, `teacher` or `student`; and transformers' (`encoder.layer.0.attention.attention.query.weight`), of its ViT,
ViTMAE and DINO. What belongs to a decoder or a classifier is left out; anything else that is not understood is an error, since leaving it
out would change the latent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from policies.encoders.contents import Contents
from policies.encoders.errors import EncoderError
from policies.encoders.shape import Readout, VitCfg

Tensors = Mapping[str, torch.Tensor]
WRAPPERS = ("model", "state_dict", "teacher", "student", "module")
"""Keys under which files keep their weights."""
TIMM, TRANSFORMERS = "patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight"
_UNUSED = re.compile(r"(decoder|head|fc_norm|classifier|pooler|mask_token|embeddings\.mask_token|pre_logits|lm_head|norm_pre\.none)")
_OF_TIMM = {
    "norm1": "norm1", "norm2": "norm2", "attn.qkv": "qkv", "attn.proj": "project", "mlp.fc1": "up", "mlp.fc2": "down",
}  # fmt: skip
_OF_TRANSFORMERS = {
    "layernorm_before": "norm1", "layernorm_after": "norm2", "attention.output.dense": "project", "intermediate.dense": "up",
    "output.dense": "down",
}  # fmt: skip
_PARTS = ("query", "key", "value")
WIDE_HEADS = {1280: 16}
"""Width of a token -> heads, where they are not of 64 numbers each."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the user, or a file beside the weights, says of them; None where nobody does.

    Attributes:
        heads: number of attention heads.
        readout: what the latent is.
        norm_eps: of the layer normalisation.
        mean, std: of the images' channels.
    """

    heads: int | None = None
    readout: Readout | None = None
    norm_eps: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def of_others(state: Any, told: Told, where: str) -> Contents:
    """An encoder from what a file of others holds.

    Args:
        state: what `torch.load` gave, or a table of tensors.
        told: what is known besides.
        where: path of the file, for messages.

    Raises:
        EncoderError: it is no vision transformer that this can run; says what was found.
    """
    tensors, wrapped = _unwrapped(state, where)
    for mark, layout, rename in ((TIMM, "timm", _timm), (TRANSFORMERS, "transformers", _transformers)):
        key = next((name for name in tensors if name == mark or name.endswith(f".{mark}")), None)
        if key is not None:
            prefix = key[: -len(mark)]
            own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            weights = rename(own, where)
            cfg, assumed = _numbers(weights, own, told, layout, wrapped, where)
            return Contents(cfg=cfg, weights=weights, origin={"licence": "unknown", "layout": layout}, assumed=assumed)
    raise EncoderError(
        f"{where} holds {len(tensors)} tensors, but no vision transformer in timm's or transformers' layout: there is no {TIMM} "
        f"and no {TRANSFORMERS}; it begins with {', '.join(list(tensors)[:3]) or 'nothing'}"
    )


def _unwrapped(state: Any, where: str) -> tuple[dict[str, torch.Tensor], str]:
    """The table of tensors in a file, and the key that it was under."""
    if not isinstance(state, Mapping):
        raise EncoderError(f"{where} holds a {type(state).__name__}, not a table of weights")
    under = next((name for name in WRAPPERS if isinstance(state.get(name), Mapping)), "")
    inner: Mapping[Any, Any] = state[under] if under else state
    return {str(name): value for name, value in inner.items() if isinstance(value, torch.Tensor)}, under


def _timm(own: Tensors, where: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, value in own.items():
        if made := re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", name):
            if part := _OF_TIMM.get(made[2]):
                found[f"blocks.{made[1]}.{part}.{made[3]}"] = value.float()
                continue
        elif name in ("cls_token", "pos_embed"):
            found["first" if name == "cls_token" else "position"] = value.float()
            continue
        elif name in ("norm.weight", "norm.bias"):
            found[name] = value.float()
            continue
        elif name in (TIMM, "patch_embed.proj.bias"):
            found[f"patch.{name.rpartition('.')[2]}"] = value.float()
            continue
        _check_unused(name, where)
    return _finished(found, where)


def _transformers(own: Tensors, where: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    plain = {
        "embeddings.cls_token": "first", "embeddings.position_embeddings": "position", TRANSFORMERS: "patch.weight",
        TRANSFORMERS.replace("weight", "bias"): "patch.bias", "layernorm.weight": "norm.weight", "layernorm.bias": "norm.bias",
    }  # fmt: skip
    attention: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in own.items():
        made = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
        if name in plain:
            found[plain[name]] = value.float()
        elif made and (part := _OF_TRANSFORMERS.get(made[2])):
            found[f"blocks.{made[1]}.{part}.{made[3]}"] = value.float()
        elif made and made[2].startswith("attention.attention.") and (part := made[2].rpartition(".")[2]) in _PARTS:
            attention.setdefault(f"blocks.{made[1]}.qkv.{made[3]}", {})[part] = value.float()
        else:
            _check_unused(name, where)
    for name, parts in attention.items():
        if lacking := [part for part in _PARTS if part not in parts]:
            raise EncoderError(f"{where} is not whole: {name} lacks {', '.join(lacking)}")
        found[name] = torch.cat([parts[part] for part in _PARTS])
    return _finished(found, where)


def _check_unused(name: str, where: str) -> None:
    """Refuse a weight that is neither known nor part of a decoder or a classifier."""
    if not _UNUSED.match(name):
        raise EncoderError(
            f"{where} has the weight {name}, which a plain vision transformer lacks (as DINOv2's, BEiT's and CLIP's have); without it the "
            "latent would be another, so it is not loaded"
        )


def _finished(found: dict[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
    """Shapes as ours, and zeros for the biases of attention where a network has none."""
    if lacking := [name for name in ("first", "position", "patch.weight", "patch.bias", "norm.weight") if name not in found]:
        raise EncoderError(f"{where} is not whole: it lacks what is called {', '.join(lacking)} here")
    weight = found["patch.weight"]
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise EncoderError(f"{where}: patches of shape {tuple(weight.shape)}; valid: (E, c, p, p)")
    found["patch.weight"] = weight.permute(0, 2, 3, 1).flatten(1)
    found["first"], found["position"] = found["first"].flatten(), found["position"].flatten(0, -2)
    for name in [key for key in found if key.endswith("qkv.weight")]:
        found.setdefault(name.replace("weight", "bias"), torch.zeros(len(found[name])))
    return found


def _numbers(weights: Tensors, own: Tensors, told: Told, layout: str, wrapped: str, where: str) -> tuple[VitCfg, tuple[str, ...]]:
    """The network's numbers from the shapes of its weights, and what had to be assumed."""
    dim, layers = len(weights["first"]), 1 + max((int(name.split(".")[1]) for name in weights if name.startswith("blocks.")), default=-1)
    channels = next(value for name, value in own.items() if name in (TIMM, TRANSFORMERS)).shape[1]
    patch = math.isqrt(weights["patch.weight"].shape[1] // channels)
    side = math.isqrt(len(weights["position"]) - 1)
    if not layers or side * side != len(weights["position"]) - 1:
        raise EncoderError(
            f"{where} has {layers} blocks and {len(weights['position'])} positions; valid: one of the class and a square of patches"
        )
    assumed: list[str] = []
    heads = told.heads
    if heads is None:
        heads = WIDE_HEADS.get(dim, max(1, dim // 64))
        if dim == 384 and wrapped == "model" and "head.weight" not in own:
            heads = 12  # MVP's vit_s16
        assumed.append(f"{heads} attention heads, which the weights do not tell")
    if told.mean is None:
        assumed.append("images normalised by ImageNet's mean and deviation")
    hidden = weights["blocks.0.up.weight"].shape[0] if "blocks.0.up.weight" in weights else 4 * dim
    eps = told.norm_eps if told.norm_eps is not None else 1e-6 if layout == "timm" else 1e-12
    usual = VitCfg() if channels == 3 else VitCfg(channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    try:
        cfg = VitCfg(
            height=side * patch, width=side * patch, channels=channels, patch=patch, dim=dim, layers=layers, heads=heads,
            mlp_ratio=hidden / dim, readout=told.readout or "class", norm_eps=eps, mean=told.mean or usual.mean, std=told.std or usual.std,
        )  # fmt: skip
    except ValueError as error:
        raise EncoderError(f"{where} is no vision transformer that this can run: {error}") from error
    return cfg, tuple(assumed)
