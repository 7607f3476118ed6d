"""The policy node as a ROS 2 lifecycle node.

    unconfigured --configure--> inactive --activate--> active --deactivate--> inactive --cleanup--> unconfigured
    any --shutdown--> finalized

| transition | what happens |
|---|---|
| configure | the policy file reproduces its golden run, the endpoints are made; the robot stays damped and is sent nothing |
| activate | from now on an operator's `stand` and `start` are accepted; nothing moves |
| deactivate | damping, on the wire before the answer; `stand` and `start` are refused |
| cleanup, shutdown | the same, then the endpoints go |
| an error in any of these | the same, then unconfigured |

The lifecycle says whether requests are accepted; the safety states (`bridge.control.safety`) say what the robot does. The lifecycle never
moves the robot: activating again after a stop leaves it in damping until a person asks for `stand` and `start`. A fault of the safety
states does not change the lifecycle state, and an emergency stop works in every one of them.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from bridge.transports.ros2.compat import answer_bad_transitions, release_state_machine


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the transport does at the transitions.

    Attributes:
        configure: verify the file and make the endpoints; raises what speaks against it.
        halt: damp the robot now; never raises.
        release: take the endpoints down again.
        finish: the node was shut down; end the program.
    """

    configure: Callable[[], None]
    halt: Callable[[], None]
    release: Callable[[], None]
    finish: Callable[[], None]


class PolicyNode(LifecycleNode):
    """The node `policy`.

    Attributes:
        active: whether the robot may be driven.
        failure: why the newest transition failed; None if it did not.
    """

    def __init__(self, context: Any, hooks: Hooks) -> None:
        """Create the node, unconfigured, in an rclpy context."""
        self._hooks, self.active = hooks, False
        self.failure: Exception | None = None
        super().__init__("policy", context=context)
        answer_bad_transitions(self)

    def on_configure(self, state: Any) -> Any:
        self.failure = None
        try:
            self._hooks.configure()
        except Exception as error:  # told to the log and to the caller as "failed"; rclpy itself would swallow it
            self.failure = error
            self.get_logger().error(f"not configured: {type(error).__name__}: {error}")
            self._hooks.release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: Any) -> Any:
        result = super().on_activate(state)
        self.active = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_deactivate(self, state: Any) -> Any:
        self._damp()
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> Any:
        self._damp()
        self._hooks.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> Any:
        self._damp()
        self._hooks.release()
        self._hooks.finish()
        return super().on_shutdown(state)

    def on_error(self, state: Any) -> Any:
        self.get_logger().error(f"a lifecycle transition failed in {state.label}: damping")
        self._damp()
        self._hooks.release()
        return TransitionCallbackReturn.SUCCESS  # to unconfigured, from where a person may try again

    def destroy_node(self) -> None:
        """Leave the graph at once: rclpy's state machine keeps the name there until it is collected."""
        super().destroy_node()
        release_state_machine(self)

    def _damp(self) -> None:
        self.active = False
        self._hooks.halt()
