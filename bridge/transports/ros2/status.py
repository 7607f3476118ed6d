"""The policy node's status: the safety state on `~/state`, the reason on `~/why`, and everything else on `/diagnostics`."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from bridge.transports.ros2.diagnostics import LimitCounter, diagnosis, why
from bridge.transports.ros2.newest import NewestFilter
from bridge.transports.ros2.qos import DIAGNOSTICS, STATE, QosWatch
from policies.contract.spec import PolicySpec

STATE_PERIOD_NS, DIAGNOSTICS_PERIOD_NS = 100_000_000, 500_000_000


class StatusTopics:
    """The state at 10 Hz and on change, diagnostics at 2 Hz.

    Attributes:
        mode: the state that was told last; empty before the first.
        limits: counts what the limiter does, for the diagnostics.
    """

    def __init__(self, spec: PolicySpec) -> None:
        """Prepare; nothing is published before `open`."""
        self._task = spec.task
        self.limits = LimitCounter(spec.robot.joint_names)
        self.mode, self._state_ns, self._diagnostics_ns = "", 0, 0

    def open(self, node: Any, watch: QosWatch) -> None:
        """Make the publishers of an rclpy node."""
        self._node = node
        self._state: Any = watch.publisher(String, "~/state", STATE)
        self._why: Any = watch.publisher(String, "~/why", STATE)
        self._diagnostics: Any = watch.publisher(DiagnosticArray, "/diagnostics", DIAGNOSTICS)

    def publish(
        self,
        status: Mapping[str, Any],
        now_ns: int,
        *,
        lifecycle: str,
        filters: Mapping[str, NewestFilter],
        odd: Sequence[str],
        clock_dead: bool,
    ) -> None:
        """Publish what is due.

        Args:
            status: `ControlLoop.status()`.
            now_ns: steady clock [ns].
            lifecycle: label of the lifecycle state.
            filters: by topic, what was received and dropped.
            odd: what does not fit on the topics now.
            clock_dead: whether `/clock` stands still.
        """
        mode = str(status["mode"])
        if mode != self.mode or now_ns - self._state_ns >= STATE_PERIOD_NS:
            self.mode, self._state_ns = mode, now_ns
            self._state.publish(String(data=mode))
            self._why.publish(String(data=why(status)))
        if now_ns - self._diagnostics_ns >= DIAGNOSTICS_PERIOD_NS:
            self._diagnostics_ns = now_ns
            array = diagnosis(
                self._node.get_fully_qualified_name(),
                self._task,
                status,
                lifecycle=lifecycle,
                filters=filters,
                odd=odd,
                clock="/clock stands still: the steady clock has taken over" if clock_dead else None,
                limits=self.limits,
            )
            array.header.stamp = self._node.get_clock().now().to_msg()
            self._diagnostics.publish(array)
