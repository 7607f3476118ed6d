"""The cameras of a simulated robot on ROS 2: a process of their own, so that the robot's physics keeps time.

    python -m robolearn.simulated_cameras --policy FILE --pose PATH [--command X Y Z] [--ros-args ...]

The robot's process writes its pose into a file that this one maps (`bridge.simulated.shared`); here it is drawn and published at each
camera's own rate, with the robot's time. `robolearn deploy FILE --simulate` starts both.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from bridge import ending

if __name__ == "__main__":
    ending.quietly()  # before imports that take a while

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bridge.control.sight import eyes_of
from bridge.isolation import isolate, ros_arguments
from bridge.simulated.shared import SharedPose
from bridge.transports.ros2.camera_topics import camera_topics
from bridge.transports.ros2.cameras import node_arguments
from policies.contract.file import PolicyFile
from robolearn.scenery import TrainingScenery


def publish(file: PolicyFile, scenery: TrainingScenery, pose: SharedPose, command: np.ndarray | None, options: argparse.Namespace) -> None:
    """Draw and publish until a signal."""
    import rclpy
    from rclpy.context import Context
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image

    from bridge.transports.ros2.camera_messages import encode_compressed, encode_image, encode_info
    from bridge.transports.ros2.qos import SENSOR

    stop: list[int] = []
    for number in ending.SIGNALS:
        signal.signal(number, lambda number, frame: stop.append(number))
    context = Context()
    arguments = ros_arguments(node_arguments(options.ros_args))
    rclpy.init(args=arguments, context=context, signal_handler_options=SignalHandlerOptions.NO)
    node: Any = rclpy.create_node("simulated_cameras", context=context, start_parameter_services=False)
    topics = camera_topics(file.spec, options.camera_topics, options.camera_compressed)
    senders = {
        topic.group.name: node.create_publisher(CompressedImage if topic.compressed else Image, topic.image, SENSOR) for topic in topics
    }
    lenses = {topic.group.name: node.create_publisher(CameraInfo, topic.info, SENSOR) for topic in topics}
    squeezed = {topic.group.name: topic.compressed for topic in topics}
    groups = {group.name: group for group in eyes_of(file.spec)}
    tick_ns = round(file.spec.control_dt * 1e9)
    drawn = dict.fromkeys(groups, -1)
    print(f"simulated cameras: {', '.join(f'{name} at {1e9 / (tick_ns * groups[name].every):g} Hz' for name in groups)}", flush=True)
    parent = os.getppid()
    while not stop and os.getppid() == parent:
        qpos, stamp_ns = pose.get()
        due = [name for name, group in groups.items() if stamp_ns // (tick_ns * group.every) != drawn[name]]
        if not due or not stamp_ns:
            time.sleep(min(0.001, file.spec.control_dt / 8))
            continue
        pictures = scenery.draw(due, pose.joints, qpos, command)
        for name in due:
            image = groups[name].image
            assert image is not None
            encode = encode_compressed if squeezed[name] else encode_image
            senders[name].publish(encode(pictures[name], image, stamp_ns))
            lenses[name].publish(encode_info(image, stamp_ns))
            drawn[name] = stamp_ns // (tick_ns * groups[name].every)
    node.destroy_node()
    context.try_shutdown()


def main(argv: list[str] | None = None) -> int:
    """Run until a signal, or until the process that started this one has ended. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--ros-args") if "--ros-args" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="simulated_cameras", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--pose", type=Path, required=True, help="file that the robot's process writes")
    parser.add_argument("--robot", help="as in robolearn deploy")
    parser.add_argument("--command", type=float, nargs="*", help="the operator's command, which the scene may show")
    parser.add_argument("--camera-topics", nargs="*", default=[])
    parser.add_argument("--camera-compressed", action="store_true")
    options = parser.parse_args(arguments[:cut])
    options.ros_args = arguments[cut:]
    isolate()
    file = PolicyFile(options.policy)
    command = np.array(options.command) if options.command else None
    scenery = TrainingScenery(file, options.robot)
    try:
        publish(file, scenery, SharedPose.read_from(options.pose), command, options)
    finally:
        scenery.close()
    return 0


if __name__ == "__main__":
    sys.exit(ending.run("simulated_cameras", main))
