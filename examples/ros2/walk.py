"""An operator over ROS 2: stands the robot up, walks it for ten seconds, stops it. Start the policy node first: docs/ros2.md."""

import time

import rclpy
from geometry_msgs.msg import Twist
from std_srvs.srv import Trigger

rclpy.init()
node = rclpy.create_node("operator")
cmd_vel = node.create_publisher(Twist, "cmd_vel", 1)
twist = Twist()
twist.linear.x = 0.4  # [m/s]
node.create_timer(0.1, lambda: cmd_vel.publish(twist))  # before `start`, and on and on: without commands the policy ends


def walk(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)


for request, pause_s in (("stand", 1.0), ("start", 10.0), ("stop", 0.0)):
    client = node.create_client(Trigger, f"policy/{request}")
    client.wait_for_service()
    while True:
        future = client.call_async(Trigger.Request())
        rclpy.spin_until_future_complete(node, future)
        answer = future.result()
        print(f"{request}: {answer.message}", flush=True)
        if answer.success:
            break
        walk(0.5)  # refused, with the reason: the robot is not seen yet, or has not finished standing up
    walk(pause_s)
