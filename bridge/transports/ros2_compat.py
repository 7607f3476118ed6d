"""What differs between ROS 2 releases from Humble to Kilted, all in one place; everything else uses what they share.

| | Humble | Iron and later |
|---|---|---|
| event callbacks | `rclpy.qos_event` | `rclpy.event_handler` (the old name warns) |
| local discovery | `ROS_LOCALHOST_ONLY`, see `bridge.isolation` | `ROS_AUTOMATIC_DISCOVERY_RANGE` |
| a lifecycle transition that is not possible now | raises out of the executor, up to Jazzy, and the caller gets no answer | answered "no" |

Kept out, because Humble has none: `add_post_set_parameters_callback`, the logger service, the events executor, service introspection.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def event_callbacks(publisher: bool, incompatible_qos: Callable[[Any], None]) -> Any:
    """Event callbacks of a publisher or a subscription that report an incompatible QoS and nothing else."""
    try:
        module = importlib.import_module("rclpy.event_handler")
    except ModuleNotFoundError:
        module = importlib.import_module("rclpy.qos_event")
    kind = module.PublisherEventCallbacks if publisher else module.SubscriptionEventCallbacks
    return kind(incompatible_qos=incompatible_qos, use_default_callbacks=False)


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
