"""Pictures as messages of a log: how they are compressed, and where they lie.

A picture is logged as the policy took it, in the contract's size: colours and labels as PNG, which keeps every bit, or as JPEG by choice;
depth uncompressed, as 32FC1 (the log's chunks are compressed as a whole). It lies in the log at the time of its arrival, which no other
picture of that camera shares, and a tick names the picture that it had by that time.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from bridge.cameras.compressed import encode_jpeg, encode_png
from policies.contract.spec import ObservationGroup

PictureKind = Literal["png", "jpeg"]
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def picture_topic(name: str) -> str:
    """The topic of a camera's pictures, by its observation group."""
    return f"/sensors/{name}/image"


def message_type(group: ObservationGroup) -> str:
    """The message type of a camera's pictures."""
    return RAW if group.dtype == "float32" else COMPRESSED


def message_fields(group: ObservationGroup, picture: Any, kind: PictureKind) -> tuple[Any, ...]:
    """The fields after the header of a picture's message.

    Args:
        group: the policy's input.
        picture: as the policy took it, (height, width, channels).
        kind: of compression; labels are never JPEG, which would mix them.
    """
    height, width, channels = picture.shape
    if message_type(group) == RAW:
        pixels = np.ascontiguousarray(picture, "<f4")
        return height, width, f"32FC{channels}", 0, 4 * width * channels, pixels.view(np.uint8).reshape(-1)
    jpeg = kind == "jpeg" and group.image is not None and group.image.kind == "rgb"
    data = encode_jpeg(picture) if jpeg else encode_png(picture)
    return "jpeg" if jpeg else "png", np.frombuffer(data, np.uint8)
