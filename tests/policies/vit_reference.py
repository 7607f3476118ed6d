"""A vision transformer written a second time, by the names that others give its weights, to compare ours with."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

State = dict[str, torch.Tensor]
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def timm_state(dim: int, layers: int, patch: int, side: int, seed: int = 0, hidden: int = 0) -> State:
    """Random weights by timm's names, as MAE, MVP and DINO publish theirs."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return 0.2 * torch.randn(*shape, generator=generator)

    hidden = hidden or 4 * dim
    state = {"cls_token": draw(1, 1, dim), "pos_embed": draw(1, 1 + (side // patch) ** 2, dim)}
    state |= {"patch_embed.proj.weight": draw(dim, 3, patch, patch), "patch_embed.proj.bias": draw(dim)}
    for i in range(layers):
        for name, shape in (
            ("attn.qkv", (3 * dim, dim)),
            ("attn.proj", (dim, dim)),
            ("mlp.fc1", (hidden, dim)),
            ("mlp.fc2", (dim, hidden)),
        ):
            state |= {f"blocks.{i}.{name}.weight": draw(*shape), f"blocks.{i}.{name}.bias": draw(shape[0])}
        for name in ("norm1", "norm2"):
            state |= {f"blocks.{i}.{name}.weight": 1 + draw(dim), f"blocks.{i}.{name}.bias": draw(dim)}
    return state | {"norm.weight": 1 + draw(dim), "norm.bias": draw(dim)}


def transformers_state(timm: State, prefix: str = "vit.") -> State:
    """The same weights by transformers' names."""
    found: State = {}
    parts = {
        "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.output.dense", "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }  # fmt: skip
    whole = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings", "norm.weight": "layernorm.weight",
             "norm.bias": "layernorm.bias", "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
             "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias"}  # fmt: skip
    for name, value in timm.items():
        if name in whole:
            found[prefix + whole[name]] = value
            continue
        _, index, rest = name.split(".", 2)
        part, _, kind = rest.rpartition(".")
        if part == "attn.qkv":
            for word, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"{prefix}encoder.layer.{index}.attention.attention.{word}.{kind}"] = third.clone()
        else:
            found[f"{prefix}encoder.layer.{index}.{parts[part]}.{kind}"] = value
    return found


def tokens(
    state: State, images: torch.Tensor, heads: int, eps: float = 1e-6, mean: torch.Tensor = MEAN, std: torch.Tensor = STD
) -> torch.Tensor:
    """All tokens (N, 1 + P, E) after the last normalisation, of images (N, h, w, 3) uint8."""
    pixels = ((images.double() / 255 - mean) / std).permute(0, 3, 1, 2)
    s = {name: value.double() for name, value in state.items()}
    weight = s["patch_embed.proj.weight"]
    x = F.conv2d(pixels, weight, s["patch_embed.proj.bias"], stride=weight.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([s["cls_token"].expand(len(x), -1, -1), x], 1) + s["pos_embed"]
    n, count, dim = x.shape
    layers = 1 + max(int(name.split(".")[1]) for name in s if name.startswith("blocks."))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * s[f"{name}.weight"] + s[f"{name}.bias"]

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ s[f"{name}.weight"].T + s[f"{name}.bias"]

    for i in range(layers):
        q, k, v = (
            part.reshape(n, count, heads, dim // heads).transpose(1, 2)
            for part in linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv").chunk(3, -1)
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(dim // heads)).softmax(-1)
        x = x + linear((weights @ v).transpose(1, 2).reshape(n, count, dim), f"blocks.{i}.attn.proj")
        inner = linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1")
        x = x + linear(inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2))), f"blocks.{i}.mlp.fc2")
    return norm(x, "norm").float()
