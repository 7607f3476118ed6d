"""An operator over ROS 2: makes the robot stand up, walk for ten seconds, and stop. Start the policy node first: docs/ros2.md."""

import sys
import time

import rclpy
from geometry_msgs.msg import Twist
from std_srvs.srv import Trigger

rclpy.init()
node = rclpy.create_node("operator")
cmd_vel = node.create_publisher(Twist, "cmd_vel", 1)
twist = Twist()
twist.linear.x = 0.4  # [m/s]
node.create_timer(0.1, lambda: cmd_vel.publish(twist))  # published before `start`: without commands the policy does not start, or ends


def ask(request: str) -> bool:
    """Call a service of the policy node; returns whether it was accepted."""
    client = node.create_client(Trigger, f"policy/{request}")
    while not client.wait_for_service(5.0):
        print(f"waiting for the policy node's service {client.srv_name} (same ROS_DOMAIN_ID?)", flush=True)
    future = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, future)
    print(f"{request}: {future.result().message}", flush=True)
    return future.result().success


def walk(seconds: float) -> None:
    """Wait, while the timer publishes the command."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)


for _ in range(30):
    if ask("start"):  # refused, with a reason, until the robot stands
        walk(10.0)
        sys.exit(0 if ask("stop") else 1)
    ask("stand")
    walk(1.0)
sys.exit("gave up: the policy did not start")
