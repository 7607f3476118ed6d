"""The encoder file: one ONNX file with the network, its normalisation, its origin and its own test; numpy and ONNX Runtime alone.

The graph's input is `images` (N, height, width, channels) uint8, its output `latent` (N, D) float32. Metadata keys:

- `robolearn.encoder`: `VitCfg`, JSON, and the order of the channels
- `robolearn.encoder.origin`: licence, hash of the weights, data, config, seed, steps, command, JSON
- `robolearn.encoder.names`: name of each weight in torch -> of the graph's tensor, and whether that is transposed, JSON
- `robolearn.encoder.golden`: images with the latents that must result, packed arrays
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort

from policies.contract.golden import Array, FloatArray, unpack
from policies.encoders.errors import EncoderError
from policies.encoders.shape import VitCfg
from policies.files import reason

CFG_KEY, ORIGIN_KEY = "robolearn.encoder", "robolearn.encoder.origin"
NAMES_KEY, GOLDEN_KEY = "robolearn.encoder.names", "robolearn.encoder.golden"
TOLERANCE = 1e-4
"""Largest difference of a golden latent, as a share of the largest entry."""
INPUT, OUTPUT = "images", "latent"


class EncoderFile:
    """An encoder file in memory, ready to run on one thread.

    Attributes:
        path: where it was read from.
        cfg: its numbers.
        origin: plain JSON values: `licence`, `weights_sha256` and what the file was made of.
        names: see the module.
        sha256: hash of the whole file.
    """

    def __init__(self, path: str | Path) -> None:
        """Read an encoder file.

        Raises:
            EncoderError: it is missing, unreadable, or no encoder file.
        """
        self.path = Path(path)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise EncoderError(f"no encoder at {self.path}: {reason(error)}") from error
        self.sha256 = hashlib.sha256(data).hexdigest()
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common public base class
            raise EncoderError(f"{self.path} is not an ONNX file that ONNX Runtime can load: {reason(error)}") from error
        meta = self._session.get_modelmeta().custom_metadata_map
        if lacks := [key for key in (CFG_KEY, ORIGIN_KEY, NAMES_KEY, GOLDEN_KEY) if key not in meta]:
            what = "a policy file" if "robolearn.spec" in meta else "an ONNX file"
            raise EncoderError(f"{self.path} is {what}, but not an encoder's: it lacks the metadata {', '.join(lacks)}")
        try:
            self.cfg = read_cfg(json.loads(meta[CFG_KEY]))
            self.origin: dict[str, Any] = json.loads(meta[ORIGIN_KEY])
            self.names: dict[str, tuple[str, bool]] = {name: (of[0], bool(of[1])) for name, of in json.loads(meta[NAMES_KEY]).items()}
            golden = unpack(meta[GOLDEN_KEY])
            self._images, self._latent = golden["images"], golden["latent"].astype(np.float32)
            if not len(self._images) or self._images.shape[1:] != self.shape or self._latent.shape[1:] != (self.cfg.latent,):
                raise ValueError(f"golden images of shape {self._images.shape} with latents {self._latent.shape}")
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise EncoderError(f"{self.path} has broken metadata: {reason(error)}") from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: height, width, channels."""
        return self.cfg.height, self.cfg.width, self.cfg.channels

    @property
    def licence(self) -> str:
        """Under which it may be used; `unknown` where nobody said so."""
        return str(self.origin.get("licence", "unknown"))

    def encode(self, images: Array) -> FloatArray:
        """Latents (N, D) of images (N, height, width, channels) uint8."""
        return cast(FloatArray, self._session.run([OUTPUT], {INPUT: images})[0])

    def verify(self) -> float:
        """Encode the golden images.

        Returns:
            The largest difference, as a share of the largest entry of their latents.

        Raises:
            EncoderError: it is above `TOLERANCE`.
        """
        found = self.encode(self._images)
        worst = float(np.abs(found - self._latent).max() / max(1.0, float(np.abs(self._latent).max())))
        if not worst <= TOLERANCE:
            raise EncoderError(
                f"{self.path}: the latent of its golden image differs by {worst:.3g} (allowed {TOLERANCE:g}); "
                "export it again, or check the runtime"
            )
        return worst


def read_cfg(plain: dict[str, Any]) -> VitCfg:
    """`VitCfg` from JSON values.

    Raises:
        ValueError, TypeError: they are not valid.
    """
    if plain.get("kind", "vit") != "vit" or plain.get("order", "rgb") != "rgb":
        raise ValueError(f"an encoder of kind {plain.get('kind')!r} with channels {plain.get('order')!r}; this version reads vit and rgb")
    known = {field.name for field in dataclasses.fields(VitCfg)}
    if more := set(plain) - known - {"kind", "order"}:
        raise ValueError(f"unknown settings {', '.join(sorted(more))}")
    values: dict[str, Any] = {name: plain[name] for name in known & set(plain)}
    values.update({name: tuple(map(float, values[name])) for name in ("mean", "std") if name in values})
    return VitCfg(**values)


def plain_cfg(cfg: VitCfg) -> dict[str, Any]:
    """`VitCfg` as JSON values."""
    return {"kind": "vit", "order": "rgb", **dataclasses.asdict(cfg)}
