"""An operator over ROS 2: makes the robot stand up, walk for ten seconds, and stop. Start the policy node first: docs/ros2.md."""

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
    client.wait_for_service()
    future = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, future)
    print(f"{request}: {future.result().message}", flush=True)
    return future.result().success


def walk(seconds: float) -> None:
    """Wait, while the timer publishes the command."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)


while not ask("start"):  # refused, with a reason, until the robot stands
    ask("stand")
    walk(1.0)
walk(10.0)
ask("stop")
