"""An operator over ROS 2: makes the robot stand up, walk for ten seconds, and stop. Start the policy node first: docs/ros2.md."""

import sys
import time

import rclpy
from geometry_msgs.msg import Twist
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

if len(sys.argv) > 1 and sys.argv[1] != "--ros-args":  # whoever asks for help wants no robot to walk
    sys.exit(f"{__doc__} It takes no arguments but ROS's own, after --ros-args.")
rclpy.init()
node = rclpy.create_node("operator")
cmd_vel = node.create_publisher(Twist, "cmd_vel", 1)
twist = Twist()
twist.linear.x = 0.4  # [m/s]
node.create_timer(0.1, lambda: cmd_vel.publish(twist))  # published before `start`: without commands the policy does not start, or ends

said = {"state": "", "why": ""}  # the newest of the policy node
late = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # whoever comes late gets the newest message too


def listen(topic: str) -> None:
    """Keep the newest message of a topic of the policy node."""
    node.create_subscription(String, f"policy/{topic}", lambda message: said.update({topic: message.data}), late)


def ask(request: str) -> bool:
    """Call a service of the policy node; returns whether it was accepted."""
    client = node.create_client(Trigger, f"policy/{request}")
    while not client.wait_for_service(5.0):
        print(f"waiting for the policy node's service {client.srv_name} (same ROS_DOMAIN_ID?)", flush=True)
    future = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, future)
    print(f"{request}: {future.result().message}", flush=True)
    return future.result().success


def wait(seconds: float, state: str = "") -> bool:
    """Let the timer publish the command. Returns False as soon as the node reports another state than `state`, if one is given."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
        if state and said["state"] not in ("", state):
            return False
    return True


def leave() -> None:
    """Exit, and say what the node reports."""
    wait(0.5)  # the reason may come after the state
    sys.exit(f"the robot is in the state {said['state']!r}: {said['why'] or 'the node gives no reason'}")


listen("state")
listen("why")
for _ in range(30):
    if ask("start"):  # refused, with a reason, until the robot stands
        wait(1.0)  # until the node has reported the new state
        if not wait(9.0, "policy"):
            leave()
        sys.exit(0 if ask("stop") else 1)
    if said["state"] == "fault":
        print("only `reset` leaves a fault: look at the robot, then type: python examples/ros2/ask.py reset", flush=True)
        leave()
    ask("stand")
    wait(1.0)
print("gave up: the policy did not start", flush=True)
leave()
