"""Quality of service of every endpoint, and one clear line for each mismatch.

| endpoint | reliability | depth | also offered |
|---|---|---|---|
| sensors, operator's commands: in | best effort: takes reliable and best-effort publishers | 1 | nothing is asked for |
| emergency stop: in | one subscription of each reliability | 1, 10 | nothing is asked for |
| joint commands: out | reliable: reaches reliable and best-effort drivers | 1 | deadline 100 ms |
| state, diagnostics: out | reliable | 1, 10 | state: deadline 0.5 s, transient local |

No subscription requests a deadline or a liveliness: a request that the publisher does not offer blocks all data. Offering one excludes
nobody, and lets a driver monitor this node by DDS itself. The watchdogs here are the bridge's, on the steady clock.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from bridge.transports.ros2.compat import no_event_callbacks

MOST_LINES = 20  # of a kind in a node's life; a person has stopped reading by then
VALUE = re.compile(r"(?<![\w/.])[-+]?\d[\w.+-]*")  # a number, not one that is part of a name
SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
PARTS = QoSProfile(depth=8, reliability=ReliabilityPolicy.BEST_EFFORT)  # of several senders that speak at once the newest is not enough
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STOP = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, deadline=Duration(nanoseconds=100_000_000))
DIAGNOSTICS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
STATE = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    deadline=Duration(nanoseconds=500_000_000),
)


NEVER_NS = 1 << 62  # what the graph tells of a duration that nobody gave; a profile of one's own has 0 there


def asks_too_much(offered: QoSProfile, asked: QoSProfile) -> str | None:
    """What a subscription asks for that a publisher does not offer; None if they fit.

    rclpy's `qos_check_compatible` takes a duration that nobody gave for zero in a profile and for a number in what the graph tells, so it
    finds that these two differ.
    """
    if asked.reliability == ReliabilityPolicy.RELIABLE and offered.reliability == ReliabilityPolicy.BEST_EFFORT:
        return "RELIABILITY: the subscriber asks for reliable, the publisher offers best effort"
    if asked.durability == DurabilityPolicy.TRANSIENT_LOCAL and offered.durability != DurabilityPolicy.TRANSIENT_LOCAL:
        return "DURABILITY: the subscriber asks for transient local durability, the publisher offers volatile"
    if asked.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC and offered.liveliness != LivelinessPolicy.MANUAL_BY_TOPIC:
        return "LIVELINESS: the subscriber asks for liveliness that is asserted by topic, the publisher offers automatic"
    for what in ("deadline", "liveliness_lease_duration"):
        asks, offers = (_duration_ns(getattr(profile, what)) for profile in (asked, offered))
        if asks < offers:
            said = "none" if offers == NEVER_NS else f"{offers * 1e-9:g} s"
            policy = what.partition("_")[0].upper()
            return f"{policy}: the subscriber asks for a {what.replace('_', ' ')} of {asks * 1e-9:g} s, the publisher offers {said}"
    return None


def _duration_ns(duration: Duration) -> int:
    nanoseconds = int(duration.nanoseconds)
    return NEVER_NS if nanoseconds == 0 else min(nanoseconds, NEVER_NS)


class QosWatch:
    """Makes endpoints, and says once, in one line each, what does not fit; `bridge.transports.ros2.graph` finds it.

    Attributes:
        said: the lines so far.
    """

    def __init__(self, node: Any, on_line: Callable[[str], None] | None = None) -> None:
        """Make endpoints on this node; lines go to `on_line`, or to the node's log, which blocks where a terminal is paused."""
        self._node, self._on_line = node, on_line
        self.said: list[str] = []
        self._keys: set[str] = set()
        self._count: Counter[str] = Counter()

    def publisher(self, kind: Any, topic: str, profile: QoSProfile) -> Any:
        """Create a publisher."""
        return self._node.create_publisher(kind, topic, profile, event_callbacks=no_event_callbacks(True))

    def subscription(self, kind: Any, topic: str, callback: Callable[..., None], profile: QoSProfile) -> Any:
        """Create a subscription; `callback` takes the message, and its information too if it has a second argument (rclpy)."""
        return self._node.create_subscription(kind, topic, callback, profile, event_callbacks=no_event_callbacks(False))

    def resolve(self, topic: str) -> str:
        """The full name of a topic, after all remappings."""
        return self._node.resolve_topic_name(topic)

    def warn_once(self, line: str, kind: str) -> None:
        """Warn, unless this line was said before, with these or other numbers, or `MOST_LINES` of its kind were."""
        key = VALUE.sub("#", line)
        if key not in self._keys and self._count[kind] < MOST_LINES:
            self._keys.add(key)
            self._count[kind] += 1
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
