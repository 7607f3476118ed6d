"""An operator on the ROS graph: publishes a schedule of velocity commands and records the robot's true motion.

    python -m bridge.operator.scheduled --schedule 0.6 0 0 4  0.4 0.3 0 4 --out tracking.json

Waits until the policy node reports the state `policy`, then publishes each command (vx, vy, yaw rate) for its duration at 20 Hz and writes
time, command and the simulated robot's ground truth as JSON. For demonstrations and tests; a real robot has no ground truth topic.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from bridge import ending

if __name__ == "__main__":
    ending.quietly()  # before imports that take a while

import argparse
import json
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from bridge.isolation import isolate, ros_arguments
from bridge.operator.events import plain
from policies.files import WriteError, write_text

COMMAND_PERIOD_S = 0.05
START_TIMEOUT_S = 30.0


def record(schedule: list[tuple[float, float, float, float]]) -> dict[str, Any]:
    """Play a schedule of (vx [m/s], vy [m/s], yaw rate [rad/s], duration [s]); a signal ends it early, with what was recorded so far.

    Returns:
        `time_s`, `command` and `measured` (three numbers each), `height_m`, and `states` that the policy node went through.

    Raises:
        TimeoutError: the policy did not start.
    """
    isolate()
    import rclpy
    from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rclpy.signals import SignalHandlerOptions
    from std_msgs.msg import String

    rclpy.init(args=ros_arguments([]), signal_handler_options=SignalHandlerOptions.NO)
    node: Any = rclpy.create_node("operator")
    executor: Any = SingleThreadedExecutor()
    executor.add_node(node)
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    states: list[str] = []
    why = deque([""], maxlen=1)
    log: dict[str, Any] = {"time_s": [], "command": [], "measured": [], "height_m": [], "states": states}
    now: dict[str, Any] = {"command": (0.0, 0.0, 0.0), "height": float("nan"), "sent": 0.0, "begin": None}

    def on_state(message: Any) -> None:
        if not states or states[-1] != message.data:
            states.append(str(message.data))

    def on_pose(message: Any) -> None:
        now["height"] = float(message.pose.position.z)

    def on_twist(message: Any) -> None:
        if now["begin"] is not None:
            twist = message.twist
            log["time_s"].append(time.monotonic() - now["begin"])
            log["command"].append(now["command"])
            log["measured"].append((float(twist.linear.x), float(twist.linear.y), float(twist.angular.z)))
            log["height_m"].append(now["height"])

    node.create_subscription(String, "policy/state", on_state, reliable)
    node.create_subscription(String, "policy/why", lambda message: why.append(str(message.data)), reliable)
    node.create_subscription(PoseStamped, "ground_truth/pose", on_pose, newest)
    node.create_subscription(TwistStamped, "ground_truth/twist", on_twist, newest)
    publisher: Any = node.create_publisher(Twist, "cmd_vel", newest)

    asked: list[int] = []
    for number in ending.SIGNALS:
        signal.signal(number, lambda number, frame: asked.append(number))

    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not asked:
            if time.monotonic() - now["sent"] >= COMMAND_PERIOD_S:
                twist = Twist()
                twist.linear.x, twist.linear.y, twist.angular.z = (float(value) for value in now["command"])
                publisher.publish(twist)
                now["sent"] = time.monotonic()
            executor.spin_once(timeout_sec=0.01)

    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "policy" not in states and not asked:
            if time.monotonic() > deadline:
                told = f"; it says: {why[-1]}" if why[-1] else ""
                raise TimeoutError(
                    f"the policy node did not start within {START_TIMEOUT_S:g} s; it went through: {', '.join(states) or 'nothing'}{told}"
                )
            spin(0.1)
        now["begin"] = time.monotonic()
        for vx, vy, yaw_rate, seconds in schedule:
            now["command"] = (vx, vy, yaw_rate)
            spin(seconds)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return log


def main(arguments: list[str] | None = None) -> int:
    """Record a schedule from the command line; 1 if the policy did not start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedule", type=float, nargs="+", required=True, metavar="N", help="vx vy yaw_rate seconds, repeated")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="where the record goes, JSON")
    options = parser.parse_args(arguments)
    numbers = options.schedule
    if len(numbers) % 4:
        parser.error("--schedule needs four numbers per command: vx vy yaw_rate seconds")
    try:
        log = record([tuple(numbers[i : i + 4]) for i in range(0, len(numbers), 4)])  # type: ignore[misc]
    except TimeoutError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        write_text(options.out, json.dumps(plain(log), allow_nan=False))
    except WriteError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(ending.run("operator", main))
