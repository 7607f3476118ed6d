"""Image encoders inside a policy file: one small ONNX model for each camera, apart from the step, so that a picture is encoded once.

A policy that sees pictures has two clocks: pictures come at the camera's rate and take long to encode, the step runs at the control rate
and must not wait. The file therefore holds each encoder as a model of its own in its metadata, and the step's graph takes the latent in
place of the picture. The contract does not change: it describes the pictures.

    robolearn.encoder.<group>    ONNX in base64: input `image` (1, height, width, channels), output `latent` (1, D) float32;
                                 or `=<other group>`, for a camera that shares another one's encoder

A file without encoders takes its pictures in the step's graph itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from policies.contract.golden import Array, FloatArray
from policies.contract.parts import ObservationGroup

ENCODER_KEY = "robolearn.encoder."
"""What the metadata keys of encoders begin with; the group's name follows."""
SAME = "="
IMAGE, LATENT = "image", "latent"


class EncoderError(ValueError):
    """An encoder in a policy file's metadata that cannot be loaded, or does not fit its camera."""


class Encoder:
    """One camera's encoder. `__call__` may be called from any thread.

    Attributes:
        width: number of entries D of the latent.
    """

    def __init__(self, group: ObservationGroup, data: bytes, options: ort.SessionOptions) -> None:
        """Load an encoder.

        Args:
            group: the observation group that it encodes.
            data: its ONNX model.
            options: of ONNX Runtime.

        Raises:
            EncoderError: it cannot be loaded, or its input or output does not fit the group.
        """
        where = f"the encoder of {group.name}"
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common public base class
            raise EncoderError(f"{where} cannot be loaded: {' '.join(str(error).split())}") from error
        element = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[group.dtype]
        inputs = [(node.name, node.shape, node.type) for node in self._session.get_inputs()]
        if inputs != [(IMAGE, [1, *group.shape], element)]:
            raise EncoderError(f"{where} takes {inputs}, not {IMAGE} of shape {[1, *group.shape]}, {element}")
        outputs: Sequence[Any] = self._session.get_outputs()
        shape = outputs[0].shape
        if [node.name for node in outputs] != [LATENT] or outputs[0].type != "tensor(float)" or len(shape) != 2 or shape[0] != 1:
            raise EncoderError(f"{where} gives {[(node.name, node.shape) for node in outputs]}, not {LATENT} of shape [1, D], float32")
        self.width = int(shape[1])

    def __call__(self, picture: Array) -> FloatArray:
        """The latent (D,) of a picture (height, width, channels)."""
        (latent,) = self._session.run([LATENT], {IMAGE: picture[None]})
        return np.asarray(latent, np.float32)[0]


def read_encoders(meta: Mapping[str, str], images: Sequence[ObservationGroup], options: ort.SessionOptions) -> dict[str, Encoder]:
    """The encoders of a policy file by group; empty for a file without any.

    Args:
        meta: the file's metadata.
        images: its observation groups that are images.
        options: of ONNX Runtime.

    Raises:
        EncoderError: one that is broken, of no group, or of a group that shares that of another one without.
    """
    texts = {key.removeprefix(ENCODER_KEY): text for key, text in meta.items() if key.startswith(ENCODER_KEY)}
    groups = {group.name: group for group in images}
    if strange := sorted(texts.keys() - groups.keys()):
        raise EncoderError(f"it has an encoder of {', '.join(strange)}, which is no image; its images: {', '.join(groups) or 'none'}")
    found: dict[str, Encoder] = {}
    for name, text in texts.items():
        if text.startswith(SAME):
            continue
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise EncoderError(f"the encoder of {name} is not base64: {error}") from error
        found[name] = Encoder(groups[name], data, options)
    for name, text in texts.items():
        if not text.startswith(SAME):
            continue
        other = text.removeprefix(SAME)
        if other not in found:
            raise EncoderError(f"{name} shares the encoder of {other!r}, which has none of its own; valid: {', '.join(found) or 'none'}")
        if (groups[name].shape, groups[name].dtype) != (groups[other].shape, groups[other].dtype):
            raise EncoderError(f"{name} shares the encoder of {other}, whose pictures have another shape")
        found[name] = found[other]
    return found


def encoder_text(data: bytes) -> str:
    """An ONNX model as the metadata hold it."""
    return base64.b64encode(data).decode("ascii")
