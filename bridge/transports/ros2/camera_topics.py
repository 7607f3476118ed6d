"""Names of cameras on the ROS graph: which topic brings the pictures of each of the policy's inputs. Needs no ROS.

    rgb           <camera>/image_raw            compressed: <camera>/image_raw/compressed
    depth         <camera>/depth/image_raw
    segmentation  <camera>/labels/image_raw
    lens          camera_info beside image_raw

`<camera>` is the camera's name in the policy file (`ImageSpec.frame`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.control.sight import eyes_of
from bridge.transports.ros2.options import Ros2OptionError
from policies.contract.spec import ObservationGroup, PolicySpec

FOLDERS = {"rgb": "", "depth": "depth/", "segmentation": "labels/"}


@dataclass(frozen=True, kw_only=True)
class CameraTopic:
    """Where the pictures of one of the policy's inputs come from.

    Attributes:
        group: the policy's input.
        image: topic of the pictures.
        compressed: whether they are `sensor_msgs/CompressedImage`.
    """

    group: ObservationGroup
    image: str
    compressed: bool

    @property
    def info(self) -> str:
        """Topic of the lens, beside that of the pictures."""
        base = self.image.removesuffix("/compressed").removesuffix("/compressedDepth")
        return f"{base.rpartition('/')[0]}/camera_info".lstrip("/" if not base.startswith("/") else "")


def camera_topics(spec: PolicySpec, given: Sequence[str] = (), compressed: bool = False) -> tuple[CameraTopic, ...]:
    """The topics of a policy's cameras.

    Args:
        spec: the contract.
        given: `NAME=TOPIC`, the name that of an input or of its camera.
        compressed: whether pictures come compressed where no topic is given; a given topic tells by its end.

    Raises:
        Ros2OptionError: a name that is no camera's, or twice, or an empty topic.
    """
    groups = eyes_of(spec)
    names = {group.name for group in groups} | {group.image.frame for group in groups if group.image is not None}
    table: dict[str, str] = {}
    for pair in given:
        name, _, topic = pair.partition("=")
        if not name or not topic:
            raise Ros2OptionError(f"--camera-topics needs NAME=TOPIC, not {pair!r}")
        if name not in names:
            raise Ros2OptionError(f"--camera-topics: the policy has no camera {name!r}; valid: {', '.join(sorted(names)) or 'none'}")
        if name in table:
            raise Ros2OptionError(f"--camera-topics: {name!r} is given twice, as {table[name]!r} and as {topic!r}")
        table[name] = topic
    found: list[CameraTopic] = []
    for group in groups:
        assert group.image is not None
        chosen = table.get(group.name, table.get(group.image.frame))
        if chosen is None:
            chosen = f"{group.image.frame}/{FOLDERS[group.image.kind]}image_raw" + ("/compressed" if compressed else "")
        told = chosen.endswith(("/compressed", "/compressedDepth"))
        found.append(CameraTopic(group=group, image=chosen, compressed=told))
    return tuple(found)
