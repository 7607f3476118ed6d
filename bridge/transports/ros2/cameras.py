"""Cameras over ROS 2: a node and a thread of their own, so that the control loop never waits for a picture.

A picture of a megabyte takes longer to receive than a tick lasts, and its encoder still longer. This thread receives, decodes and encodes;
the loop only takes the newest result. The node has a context and an executor of its own (one executor with several threads loses messages)
and ends before the process does (a thread that spins at exit aborts it).
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from bridge.cameras.compressed import decompress
from bridge.cameras.decode import PictureError, Raw, measured
from bridge.cameras.eyes import Eyes
from bridge.cameras.lens import distortion, lens_fault
from bridge.control.priority import lower_priority
from bridge.isolation import ros_arguments
from bridge.transports.ros2.camera_topics import CameraTopic

LOOK_NS = 1_000_000_000  # between two looks at the graph
PATIENCE_NS = 3_000_000_000  # after which a missing lens is remarked on
SPIN_S = 0.05
MOST_NEAR = 3


def node_arguments(given: Sequence[str]) -> list[str]:
    """The user's ROS arguments for a second node: all but a node's name, which is the policy node's."""
    kept: list[str] = []
    for argument in given:
        if argument.startswith(("__node:=", "__name:=")):
            if kept and kept[-1] in ("-r", "--remap"):
                kept.pop()
            continue
        kept.append(argument)
    return kept


class CameraNode:
    """Puts the pictures of topics into a policy's eyes, on a thread of its own."""

    def __init__(
        self,
        eyes: Eyes,
        topics: Sequence[CameraTopic],
        now_ns: Callable[[], int],
        ros_args: Sequence[str] = (),
        tolerance: float = 0.05,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; nothing is received before `open`.

        Args:
            eyes: where pictures go.
            topics: of the policy's cameras.
            now_ns: the loop's clock; called on this node's thread.
            ros_args: the user's ROS arguments.
            tolerance: of lenses, see `bridge.cameras.lens`.
            say: takes lines for the operator; None for nobody.
        """
        self._eyes, self._topics, self._now_ns, self._tolerance = eyes, tuple(topics), now_ns, tolerance
        self._args, self._say = node_arguments(ros_args), say or (lambda line: None)
        self._lens: dict[str, str | None] = {}
        self._bent: dict[str, str | None] = {}
        self._hints: dict[str, str] = {}
        self._first_ns: dict[str, int] = {}  # by when a camera had given pictures
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._context: Any = None
        self.failure: BaseException | None = None

    def open(self) -> None:
        """Make the node and start its thread."""
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        from bridge.transports.ros2.qos import SENSOR

        self._context = Context()
        rclpy.init(args=ros_arguments(self._args), context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node: Any = rclpy.create_node("policy_eyes", context=self._context, start_parameter_services=False)
        self._executor: Any = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        for topic in self._topics:
            kind = CompressedImage if topic.compressed else Image
            self._node.create_subscription(kind, topic.image, lambda message, topic=topic: self._picture(topic, message), SENSOR)
            self._node.create_subscription(CameraInfo, topic.info, lambda message, topic=topic: self._info(topic, message), SENSOR)
        self._eyes.hint = lambda group: self._hints.get(group, "")
        self._looked_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="cameras")
        self._thread.start()

    def _run(self) -> None:
        from bridge.transports.ros2.compat import Spinner

        lower_priority()
        spin = Spinner(self._executor)
        try:
            while not self._stopping:
                spin(SPIN_S)
                now_ns = time.monotonic_ns()
                if now_ns - self._looked_ns > LOOK_NS:
                    self._looked_ns = now_ns
                    self._look_around(now_ns)
        except BaseException as error:  # the guard `stale_picture` reacts; the reason is told at once and again at the end
            self.failure = error
            self._say(f"the cameras' thread has ended: {type(error).__name__}: {error}")
            self._hints = {topic.group.name: f"the cameras' thread has ended: {error}" for topic in self._topics}

    def _picture(self, topic: CameraTopic, message: Any) -> None:
        received_ns = self._now_ns()
        name, stamp = topic.group.name, message.header.stamp
        stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
        if (fault := self._lens.get(name)) is not None:
            self._eyes.refuse(name, fault, received_ns)
            return
        if not stamp_ns:
            self._eyes.refuse(
                name, "header.stamp is 0, so old pictures cannot be told from new ones; the driver has to fill it in", received_ns
            )
            return
        try:
            picture = self._unpacked(topic, message) if topic.compressed else raw_of(message)
            self._eyes.take(name, picture, stamp_ns, received_ns, self._now_ns)
        except PictureError as error:
            self._eyes.refuse(name, str(error), received_ns)

    def _unpacked(self, topic: CameraTopic, message: Any) -> Any:
        """The array of a compressed picture: depths are 16-bit PNG in millimetres."""
        image = topic.group.image
        assert image is not None
        found = decompress(bytes(message.data))
        if image.kind != "depth":
            return found.repeat(3, axis=2) if image.kind == "rgb" and found.shape[2] == 1 else found
        if found.dtype.itemsize != 2:
            raise PictureError(
                f"a compressed depth ({message.format}) has no 16 bits, so its unit is unknown: send 16UC1, or the raw topic"
            )
        return measured(found.astype("f4") * 1e-3, image).astype("f4")

    def _info(self, topic: CameraTopic, message: Any) -> None:
        name, image = topic.group.name, topic.group.image
        assert image is not None
        k = [float(value) for value in message.k]
        fault = lens_fault(image, k, int(message.width), int(message.height), self._tolerance)
        if fault is not None and self._lens.get(name) != fault:
            self._say(f"{name}: {fault}")
        self._lens[name], self._bent[name] = fault, distortion([float(value) for value in message.d])

    def _look_around(self, now_ns: int) -> None:
        """Find out why no picture comes, and what to remark on."""
        newest = self._eyes.newest
        kinds: dict[str, list[str]] = dict(self._node.get_topic_names_and_types())
        self._hints = {topic.group.name: hint for topic in self._topics if (hint := self._missing(topic, kinds))}
        remarks = [f"{name}: {text}" for name, text in self._bent.items() if text]
        for name in newest:
            self._first_ns.setdefault(name, now_ns)
        remarks += [
            f"{topic.group.name}: nothing comes on {self._full(topic.info)}, so its lens is not compared with the one in training"
            for topic in self._topics
            if topic.group.name not in self._lens and now_ns - self._first_ns.get(topic.group.name, now_ns) > PATIENCE_NS
        ]
        self._eyes.remarks = tuple(remarks)

    def _full(self, name: str) -> str:
        return str(self._node.resolve_topic_name(name))

    def _missing(self, topic: CameraTopic, kinds: dict[str, list[str]]) -> str:
        """That nobody publishes a camera's topic, and who may be meant."""
        full = self._full(topic.image)
        if self._node.count_publishers(full):
            wanted = f"sensor_msgs/msg/{'CompressedImage' if topic.compressed else 'Image'}"
            others = {end.topic_type for end in self._node.get_publishers_info_by_topic(full)} - {wanted}
            return f"{full} is {', '.join(sorted(others))}, this node reads {wanted}" if others else ""
        pictures = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
        near = sorted(name for name, types in kinds.items() if set(types) & set(pictures) and self._node.count_publishers(name))
        there = f"; there is {', '.join(near[:MOST_NEAR])}: --camera-topics {topic.group.name}={near[0]}" if near else ""
        return f"nobody publishes {full}{there}"

    def close(self) -> None:
        """Stop the thread and take the node down; safe to call twice."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join()
            self._executor.shutdown()
            self._node.destroy_node()
        if self._context is not None:
            self._context.try_shutdown()
        self._thread = self._context = None


def raw_of(message: Any) -> Raw:
    """A `sensor_msgs/Image` as `bridge.cameras.decode` takes it."""
    size = (int(message.width), int(message.height), int(message.step))
    return Raw(str(message.encoding), *size, bool(message.is_bigendian), memoryview(message.data))
