"""Quality of service of every endpoint, and one clear line when somebody's does not fit.

| endpoint | reliability | depth | also offered |
|---|---|---|---|
| sensors, operator's commands: in | best effort: takes reliable and best-effort publishers | 1 | nothing is asked for |
| emergency stop: in | one subscription of each reliability | 1, 10 | nothing is asked for |
| joint commands: out | reliable: reaches reliable and best-effort drivers | 1 | deadline 100 ms |
| state, diagnostics: out | reliable | 1, 10 | state: deadline 0.5 s, transient local |

No subscription asks for a deadline or a liveliness: where the other side offers none, asking means no data at all. Offering one
excludes nobody, and lets a driver watch this node with DDS's own means. The watchdogs here are the bridge's, on the steady clock.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

from bridge.transports.ros2_compat import event_callbacks

MOST_LINES = 100  # of a node's life; a person has stopped reading by then
SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
STOP = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, deadline=Duration(nanoseconds=100_000_000))
DIAGNOSTICS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
STATE = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    deadline=Duration(nanoseconds=500_000_000),
)


class QosWatch:
    """Makes endpoints that say once, in one line, that the other side's QoS does not fit.

    Attributes:
        said: the lines so far, for diagnostics.
    """

    def __init__(self, node: Any, on_line: Callable[[str], None] | None = None) -> None:
        """Make endpoints on this node; lines go to `on_line`, or to the node's log, which blocks where a terminal is paused."""
        self._node, self._on_line = node, on_line
        self.said: list[str] = []

    def publisher(self, kind: Any, topic: str, profile: QoSProfile) -> Any:
        """Create a publisher."""
        said = self._say(topic, "a subscriber asks for more than is offered here, so it gets nothing")
        return self._node.create_publisher(kind, topic, profile, event_callbacks=event_callbacks(True, said))

    def subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], profile: QoSProfile) -> Any:
        """Create a subscription."""
        said = self._say(topic, "a publisher offers less than is asked for here, so nothing of it is received")
        return self._node.create_subscription(kind, topic, callback, profile, event_callbacks=event_callbacks(False, said))

    def _say(self, topic: str, what: str) -> Callable[[Any], None]:
        full = self._node.resolve_topic_name(topic)

        def report(info: Any) -> None:
            line = f"{full}: incompatible QoS, {qos_policy_name_from_kind(info.last_policy_kind)}: {what}"
            self.warn_once(line)

        return report

    def warn_once(self, line: str) -> None:
        """Warn, and show it in diagnostics, unless this line was said before."""
        if line not in self.said and len(self.said) < MOST_LINES:
            self.said.append(line)
            self.warn(line)

    def warn(self, line: str) -> None:
        """Warn."""
        if self._on_line is not None:
            self._on_line(f"warning: {line}")
        else:
            self._node.get_logger().warning(line)

    def destroy(self, subscription: Any) -> None:
        """Take a subscription down."""
        self._node.destroy_subscription(subscription)
