"""Pictures over real ROS 2 messages into a policy's eyes, on a thread of their own; and what is said of cameras that do not fit."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bridge.cameras.eyes import Eyes
from bridge.transports.ros2.camera_messages import encode_compressed, encode_image, encode_info
from bridge.transports.ros2.camera_topics import camera_topics
from bridge.transports.ros2.cameras import CameraNode, node_arguments
from bridge.transports.ros2.options import Ros2OptionError, Ros2Options
from bridge.transports.ros2.qos import SENSOR
from policies.contract.file import PolicyFile
from tests.bridge_helpers import ros_environment, wait_for
from tests.make_policy import arm_spec
from tests.ros2_stage import Stage
from tests.seeing_arm import PIXELS, exported, seeing

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> PolicyFile:
    return exported(tmp_path_factory.mktemp("policy") / "seeing.onnx", apart=True)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Another node, which plays the cameras' driver."""
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("driver", context=context, start_parameter_services=False)
    yield node
    node.destroy_node()
    context.try_shutdown()


def noise(seed: int = 0, size: tuple[int, ...] = PIXELS) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def opened(policy: PolicyFile, **settings: Any) -> tuple[Eyes, CameraNode]:
    eyes = Eyes(policy, settings.pop("resize", False))
    topics = camera_topics(policy.spec, settings.pop("topics", ()))
    node = CameraNode(eyes, topics, time.monotonic_ns, **settings)
    node.open()
    return eyes, node


def send_until(condition: Callable[[], bool], *sends: Callable[[], None]) -> bool:
    """Send again and again, as cameras do, until something has come of it."""

    def step() -> None:
        for send in sends:
            send()
        time.sleep(0.02)

    return wait_for(condition, 20.0, step)


def test_pictures_arrive_raw_and_compressed_with_their_stamps(policy: PolicyFile, driver: Any) -> None:
    eyes, node = opened(policy, topics=("right=cell/eye/image_raw/compressed",))
    image = eyes.image("left")
    raw = driver.create_publisher(Image, "left/image_raw", SENSOR)
    squeezed = driver.create_publisher(CompressedImage, "cell/eye/image_raw/compressed", SENSOR)
    lens = driver.create_publisher(CameraInfo, "left/camera_info", SENSOR)
    try:
        stamps = iter(range(10**18, 10**19, 10**8))
        assert send_until(
            lambda: len(eyes.newest) == 2,
            lambda: raw.publish(encode_image(noise(1), image, next(stamps))),
            lambda: squeezed.publish(encode_compressed(noise(2), image, next(stamps))),
            lambda: lens.publish(encode_info(image, next(stamps))),
        )
        for name, seed in (("left", 1), ("right", 2)):
            sight = eyes.newest[name]
            np.testing.assert_array_equal(sight.picture, noise(seed))
            np.testing.assert_array_equal(sight.latent, policy.encode(name, noise(seed)))
            assert sight.stamp_ns >= 10**18
            assert sight.stamp_ns % 10**8 == 0
            assert 0 < sight.received_ns <= sight.ready_ns <= time.monotonic_ns()
        turned = encode_image(noise(3)[..., ::-1], image, next(stamps))
        turned.encoding = "bgr8"
        assert send_until(lambda: np.array_equal(eyes.newest["left"].picture, noise(3)), lambda: raw.publish(turned))
        assert eyes.fault(time.monotonic_ns()) is None
        assert eyes.hint("left") == ""
    finally:
        node.close()


def test_what_does_not_fit_is_refused_until_it_does(policy: PolicyFile, driver: Any) -> None:
    eyes, node = opened(policy)
    image = eyes.image("left")
    raw = driver.create_publisher(Image, "left/image_raw", SENSOR)
    lens = driver.create_publisher(CameraInfo, "left/camera_info", SENSOR)
    fault = lambda: eyes.fault(time.monotonic_ns()) or ""  # noqa: E731
    try:
        large = encode_image(noise(size=(12, 16, 3)), image, 10**18)
        assert send_until(lambda: "left: pictures are 16 x 12 pixels, the policy takes 8 x 6" in fault(), lambda: raw.publish(large))
        assert not eyes.newest
        unstamped = encode_image(noise(), image, 0)
        assert send_until(lambda: "left: header.stamp is 0" in fault(), lambda: raw.publish(unstamped))
        good = encode_image(noise(), image, 10**18)
        assert send_until(lambda: "left" in eyes.newest and not fault(), lambda: raw.publish(good))
        other = encode_info(image, 10**18)
        other.k[0] *= 1.5
        assert send_until(lambda: "fx 7.5 (trained with 5)" in fault(), lambda: lens.publish(other), lambda: raw.publish(good))
        bent = encode_info(image, 10**18)
        bent.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
        assert send_until(
            lambda: not fault() and any("use rectified pictures" in text for text in eyes.remarks),
            lambda: lens.publish(bent),
            lambda: raw.publish(good),
        )
    finally:
        node.close()


def test_a_larger_picture_is_resized_if_asked(policy: PolicyFile, driver: Any) -> None:
    eyes, node = opened(policy, resize=True)
    raw = driver.create_publisher(Image, "left/image_raw", SENSOR)
    try:
        one_colour = np.full((12, 16, 3), 90, np.uint8)
        message = encode_image(one_colour, eyes.image("left"), 10**18)
        assert send_until(lambda: "left" in eyes.newest, lambda: raw.publish(message))
        np.testing.assert_array_equal(eyes.newest["left"].picture, np.full(PIXELS, 90))
    finally:
        node.close()


def test_who_waits_in_vain_is_told_why(policy: PolicyFile, driver: Any) -> None:
    eyes, node = opened(policy)
    driver.create_publisher(Image, "realsense/color/image_raw", SENSOR)
    driver.create_publisher(CompressedImage, "right/image_raw", SENSOR)
    try:
        assert wait_for(
            lambda: (
                "nobody publishes /left/image_raw; there is /realsense/color/image_raw" in eyes.hint("left")
                and "--camera-topics left=/realsense/color/image_raw" in eyes.hint("left")
                and "/right/image_raw is sensor_msgs/msg/CompressedImage, this node reads sensor_msgs/msg/Image" in eyes.hint("right")
            ),
            20.0,
        ), (eyes.hint("left"), eyes.hint("right"))
    finally:
        node.close()


def test_the_loop_goes_on_while_a_picture_is_encoded(policy: PolicyFile, driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is held up for as long as the test wants: ticks go on, and the picture counts once it is ready."""
    twin = policy.fork()
    eyes = Eyes(twin)
    entered, release = threading.Event(), threading.Event()
    encode = policy.encode

    def slowly(name: str, picture: Any) -> Any:
        entered.set()
        assert release.wait(30)
        return encode(name, picture)

    monkeypatch.setattr(twin, "encode", slowly)
    with Stage(policy.path, command=(0.1, 0.2, 0.3), eyes=eyes) as stage:
        raw = stage.operator.create_publisher(Image, "left/image_raw", SENSOR)
        message = encode_image(noise(), eyes.image("left"), 10**18)

        def send() -> bool:
            raw.publish(message)
            return entered.is_set()

        try:
            stage.until(send)
            before = stage.loop.timing.ticks
            stage.tick(20)
            assert stage.loop.timing.ticks == before + 20
            assert not stage.controller.inputs.sights
            assert "no picture of left yet" in str([problem.text for problem in stage.controller.problems])
        finally:
            release.set()
        stage.until(lambda: "left" in stage.controller.inputs.sights)
    assert not [thread for thread in threading.enumerate() if thread.name == "cameras"], "a thread that spins at exit aborts the process"


def test_names_of_topics() -> None:
    spec = seeing(arm_spec())
    told = {topic.group.name: (topic.image, topic.info, topic.compressed) for topic in camera_topics(spec)}
    assert told == {
        "left": ("left/image_raw", "left/camera_info", False),
        "right": ("right/image_raw", "right/camera_info", False),
    }
    given = camera_topics(spec, ("left=/a/b/image_rect/compressed",), compressed=True)
    assert (given[0].image, given[0].info, given[0].compressed) == ("/a/b/image_rect/compressed", "/a/b/camera_info", True)
    assert (given[1].image, given[1].info) == ("right/image_raw/compressed", "right/camera_info")
    for wrong, said in (
        (("left",), "needs NAME=TOPIC"),
        (("nose=/a",), "no camera 'nose'; valid: left, right"),
        (("left=/a", "left=/b"), "given twice"),
    ):
        with pytest.raises(Ros2OptionError, match=said):
            camera_topics(spec, wrong)


def test_the_second_node_does_not_take_the_first_ones_name() -> None:
    args = ["--ros-args", "-r", "__node:=arm_policy", "-r", "left/image_raw:=/cam", "-p", "use_sim_time:=true"]
    assert node_arguments(args) == ["--ros-args", "-r", "left/image_raw:=/cam", "-p", "use_sim_time:=true"]


def test_a_message_by_another_byte_order_and_with_padding(policy: PolicyFile) -> None:
    from bridge.cameras.decode import decode
    from bridge.transports.ros2.cameras import raw_of

    message = Image(height=6, width=8, encoding="rgb16", is_bigendian=1, step=50)
    rows = np.zeros((6, 50), np.uint8)
    rows[:, :48] = (noise().astype(">u2") << 8).astype(">u2").view(np.uint8).reshape(6, 48)
    message.data = array("B", rows.tobytes())
    np.testing.assert_array_equal(decode(raw_of(message), policy.spec.group("left")), noise())
    assert Ros2Options().lens_tolerance == 0.05
