"""Calls the policy node as the `ros2` command does, for computers without that command.

python examples/ros2/ask.py stand              # or start, stop, estop, reset: ros2 service call /policy/stand std_srvs/srv/Trigger
python examples/ros2/ask.py configure          # or activate, deactivate, cleanup: ros2 lifecycle set /policy configure
python examples/ros2/ask.py get max_tilt       # ros2 param get /policy max_tilt
python examples/ros2/ask.py set max_tilt 0.6   # ros2 param set /policy max_tilt 0.6
"""

import sys
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter, parameter_value_to_python
from std_srvs.srv import Trigger

TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}
TAKES = {"get": "one, the parameter's name", "set": "two, the parameter's name and a number"}
REQUESTS = ("stand", "start", "stop", "estop", "reset")


def call(node: Any, service: str, kind: Any, request: Any) -> Any:
    """The answer of a service; exits if there is none."""
    client = node.create_client(kind, service)
    if not client.wait_for_service(timeout_sec=10):
        sys.exit(f"no service {service}: is the policy node running, with the same ROS_DOMAIN_ID?")
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=10)
    return future.result() or sys.exit(f"{service} did not answer")


def main(words: list[str]) -> int:
    """Run the command line. Returns the exit code."""
    if words and words[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if not words or words[0] not in (*REQUESTS, *TRANSITIONS, "get", "set"):
        given = f"unknown request {words[0]!r}" if words else "no request given"
        print(f"{given}; valid: {', '.join((*REQUESTS, *TRANSITIONS))}, get NAME, set NAME VALUE", file=sys.stderr)
        return 2
    rclpy.init(args=[])
    node = rclpy.create_node("asker")
    match words:
        case ["get", name]:
            value = call(node, "policy/get_parameters", GetParameters, GetParameters.Request(names=[name])).values[0]
            print(parameter_value_to_python(value))
            return 0
        case ["set", name, value]:
            wanted = Parameter(name, value=float(value)).to_parameter_msg()
            result = call(node, "policy/set_parameters", SetParameters, SetParameters.Request(parameters=[wanted])).results[0]
            print(result.reason or "set")
            return 0 if result.successful else 1
        case [name] if name in TRANSITIONS:
            request = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
            success = call(node, "policy/change_state", ChangeState, request).success
            print("done" if success else "not possible now")
            return 0 if success else 1
        case [name] if name in REQUESTS:
            answer = call(node, f"policy/{name}", Trigger, Trigger.Request())
            print(answer.message)
            return 0 if answer.success else 1
    print(f"{words[0]} was given {len(words) - 1} words more; {words[0]} takes " + TAKES.get(words[0], "none"), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
