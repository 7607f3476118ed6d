"""Pictures and lenses as ROS 2 messages, as a simulated robot's cameras publish them."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bridge.cameras.compressed import encode_png
from bridge.transports.ros2.messages import to_stamp
from policies.contract.spec import ImageSpec

ENCODINGS = {"rgb": "rgb8", "depth": "32FC1", "segmentation": "mono8"}


def encode_image(picture: NDArray[Any], image: ImageSpec, stamp_ns: int) -> Any:
    """A picture (height, width, channels) as `sensor_msgs/Image`; `stamp_ns` [ns] is when it was taken."""
    message = Image()
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), image.frame
    message.height, message.width, message.encoding = int(picture.shape[0]), int(picture.shape[1]), ENCODINGS[image.kind]
    pixels = np.ascontiguousarray(picture, "<f4" if image.kind == "depth" else np.uint8)
    message.is_bigendian, message.step = 0, int(pixels[0].nbytes)
    message.data = array("B", pixels.tobytes())
    return message


def encode_compressed(picture: NDArray[Any], image: ImageSpec, stamp_ns: int) -> Any:
    """Colours or labels as `sensor_msgs/CompressedImage`, PNG; depth as 16 bits in millimetres."""
    message = CompressedImage()
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), image.frame
    depth = image.kind == "depth"
    pixels = np.rint(picture * 1000).clip(0, 65535).astype(np.uint16) if depth else picture
    message.format, message.data = "png", array("B", encode_png(pixels))
    return message


def encode_info(image: ImageSpec, stamp_ns: int) -> Any:
    """The lens of a camera without distortion."""
    message = CameraInfo()
    message.header.stamp, message.header.frame_id = to_stamp(stamp_ns), image.frame
    message.height, message.width, message.distortion_model = image.height, image.width, "plumb_bob"
    message.d = [0.0] * 5
    message.k = [float(image.fx), 0.0, float(image.cx), 0.0, float(image.fy), float(image.cy), 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [float(image.fx), 0.0, float(image.cx), 0.0, 0.0, float(image.fy), float(image.cy), 0.0, 0.0, 0.0, 1.0, 0.0]
    return message
