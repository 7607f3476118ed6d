"""What differs between ROS 2 releases from Humble to Kilted, all in one place; everything else uses what they share.

| | Humble | Iron and later |
|---|---|---|
| event callbacks | `rclpy.qos_event` | `rclpy.event_handler` (the old name warns) |
| local discovery | `ROS_LOCALHOST_ONLY`, see `bridge.isolation` | `ROS_AUTOMATIC_DISCOVERY_RANGE` |
| a timeout that changes between two spins | a float | `rclpy.executors.TimeoutObject`, where there is one |
| `publisher_gid` of a message | not told, up to Jazzy | told |
| a lifecycle transition that is not possible now | raises out of the executor, up to Jazzy, and the caller gets no answer | answered "no" |

Kept out, because Humble has none: `add_post_set_parameters_callback`, the logger service, the events executor, service introspection.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def no_event_callbacks(publisher: bool) -> Any:
    """Event callbacks of a publisher or a subscription that report nothing: the graph tells more, and in time (`ros2_graph`)."""
    try:
        module = importlib.import_module("rclpy.event_handler")
    except ModuleNotFoundError:
        module = importlib.import_module("rclpy.qos_event")
    kind = module.PublisherEventCallbacks if publisher else module.SubscriptionEventCallbacks
    return kind(use_default_callbacks=False)


def sender(info: Any) -> object:
    """Which publisher a message came from, by what a subscription's callback is told of it; None where that is not told."""
    gid = info.get("publisher_gid") if isinstance(info, dict) else None
    return bytes(gid["data"]) if isinstance(gid, dict) and "data" in gid else None


class Spinner:
    """Spins an executor, one callback a call.

    Where the timeout differs from that of the call before, rclpy forgets what else its wait found ready and builds a new wait, a quarter of
    a millisecond each time. It compares the objects, so one object whose value changes lets joints and IMU come out of one wait.
    """

    def __init__(self, executor: Any) -> None:
        """Prepare for an executor."""
        kind = getattr(importlib.import_module("rclpy.executors"), "TimeoutObject", None)
        self._executor, self._timeout = executor, None if kind is None else kind(0.0)

    def __call__(self, timeout_s: float) -> None:
        """Do one callback that is ready, or wait for one up to `timeout_s`."""
        if self._timeout is not None:
            self._timeout.timeout = timeout_s
        self._executor.spin_once(timeout_sec=timeout_s if self._timeout is None else self._timeout)


def answer_bad_transitions(node: Any) -> None:
    """Make a lifecycle node answer "no" to a transition that is not possible, instead of raising into whoever spins it.

    Without this anybody on the graph could fault a walking robot up to Jazzy, by asking an active node to activate.
    """
    for service in node.services:
        if not str(service.srv_name).endswith("/change_state"):
            continue
        change: Callable[[Any, Any], Any] = service.callback

        def answer(request: Any, response: Any, change: Callable[[Any, Any], Any] = change) -> Any:
            try:
                return change(request, response)
            except Exception as error:
                node.get_logger().warning(f"lifecycle transition refused: {error}")
                response.success = False
                return response

        service.callback = answer


def release_state_machine(node: Any) -> None:
    """Let go of what a lifecycle node that was destroyed still has of the graph."""
    destroy = getattr(getattr(node, "_state_machine", None), "destroy_when_not_in_use", None)
    if destroy is not None:
        destroy()
