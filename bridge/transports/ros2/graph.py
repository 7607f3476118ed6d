"""Finds other endpoints on this node's topics: one too many that fits, or one that does not fit and would stay silent.

DDS does not connect endpoints that do not fit (another type, a quality of service that requests more than is offered, a name in another
namespace), without any message. So the graph is checked, one topic at a time, all within half a second, and each mismatch becomes a line
that names the node, and the reason in a guard's message.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from rclpy.qos import QoSProfile

from bridge.transports.ros2.messages import type_name
from bridge.transports.ros2.qos import asks_too_much

ROUND_NS = 400_000_000  # in which each topic is looked at once
ABSENT_NS = 1_000_000_000  # the graph is not complete before, and a robot that is there should not be called absent
NAMELESS, NAME_NS = "_NODE_NAME_UNKNOWN", 1_000_000_000  # an endpoint is discovered before the node that it belongs to
MOST_NEAR = 3


@dataclass(slots=True)
class Topic:
    """A topic of this node, and what was found on it last.

    Attributes:
        name: resolved.
        kinds: message types that fit.
        profile: this node's.
        reads: whether this node listens; else it publishes.
        alone: whether two publishers would be one too many.
        apart: whether a second publisher may send for another part of the robot.
        needed: whether nothing works without it, so that silence needs a reason.
        typical: whether its type alone says what it is for, so that one of another name may be meant.
        remap: what `--ros-args -r` calls it.
        aka: other names of the same use, for a topic that nobody has to publish but that must not be missed.
        published: names of the types that others publish, where this node listens.
        misfits: lines about endpoints that do not fit.
        senders: full names of the nodes that publish what fits.
        absent: why nothing comes; empty while something may, and where nothing has to, unless another name may be meant.
        odd: what a person should know of the topic now: misfits, two types at once, a topic of another name.
        fits: how many endpoints of others fit.
    """

    name: str
    kinds: tuple[Any, ...]
    profile: QoSProfile
    reads: bool = True
    alone: bool = False
    apart: bool = False
    needed: bool = False
    typical: bool = False
    remap: str = ""
    aka: tuple[str, ...] = ()
    published: set[str] = field(default_factory=set)
    misfits: list[str] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    absent: str = ""
    odd: list[str] = field(default_factory=list)
    fits: int = 0

    @property
    def types(self) -> str:
        """The names of the types that fit."""
        return " or ".join(type_name(kind) for kind in self.kinds)

    @property
    def told(self) -> bool:
        """Whether a guard's reason or a remark tells what is odd, so that no line has to say it too."""
        return bool(self.aka) or (self.needed and not (self.reads and self.fits))


def full_name(endpoint: Any) -> str:
    """Name of the node that an endpoint belongs to, with its namespace."""
    if endpoint.node_name.startswith(NAMELESS):
        return "<a program without a node name>"
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


class GraphWatch:
    """Looks at the graph around some topics."""

    def __init__(self, node: Any, topics: list[Topic], opened_ns: int, say: Callable[[str, str], None]) -> None:
        """Watch `topics` of an rclpy node; each line goes to `say`, with its topic."""
        self._node, self._topics, self._opened_ns, self._say = node, topics, opened_ns, say
        self._me = node.get_fully_qualified_name()
        self._next, self._looked_ns = 0, opened_ns
        self._period_ns = ROUND_NS // max(1, len(topics))
        self._nameless_ns: dict[tuple[int, ...], int] = {}

    def poll(self, now_ns: int) -> Topic | None:
        """Look at the topic whose turn it is, if it is time [ns of the steady clock]. Returns it, or None."""
        if now_ns - self._looked_ns < self._period_ns:
            return None
        self._looked_ns = now_ns
        topic = self._topics[self._next]
        self._next = (self._next + 1) % len(self._topics)
        self._look(topic, now_ns)
        return topic

    def _look(self, topic: Topic, now_ns: int) -> None:
        ends = self._node.get_publishers_info_by_topic if topic.reads else self._node.get_subscriptions_info_by_topic
        others = [end for end in ends(topic.name) if (topic.reads or full_name(end) != self._me) and self._is_named(end, now_ns)]
        wanted = {type_name(kind) for kind in topic.kinds}
        topic.published = {end.topic_type for end in others}
        topic.misfits = sorted({line for end in others if (line := self._misfit(topic, end, wanted)) is not None})
        fits = [end for end in others if self._misfit(topic, end, wanted) is None]
        topic.fits, topic.senders = len(fits), sorted(full_name(end) for end in fits)
        topic.odd = list(topic.misfits)
        if topic.reads and len({end.topic_type for end in fits}) > 1:
            said = ", ".join(f"{full_name(end)} sends {end.topic_type}" for end in fits)
            topic.odd.append(f"{topic.name}: {said}; one type at a time is heard, so let one of them stop")
        topic.absent = ""
        if (topic.needed or topic.aka) and not fits and now_ns - self._opened_ns >= ABSENT_NS:
            topic.absent = "; ".join(topic.misfits) or self._missing(topic, wanted)
        for line in () if topic.told else topic.odd:
            self._say(line, topic.name)

    def _is_named(self, end: Any, now_ns: int) -> bool:
        """Whether the node of an endpoint is known, or has been unknown for so long that it will stay so."""
        if not end.node_name.startswith(NAMELESS):
            return True
        return now_ns - self._nameless_ns.setdefault(tuple(end.endpoint_gid), now_ns) >= NAME_NS

    def _misfit(self, topic: Topic, end: Any, wanted: set[str]) -> str | None:
        """Why an endpoint of somebody else's does not fit; None if it does."""
        does, own = ("publishes", "reads") if topic.reads else ("expects", "publishes")
        if end.topic_type not in wanted:
            return f"{topic.name}: node {full_name(end)} {does} {end.topic_type}, this node {own} {topic.types}; nothing gets through"
        pair = (end.qos_profile, topic.profile) if topic.reads else (topic.profile, end.qos_profile)
        asked = asks_too_much(*pair)
        return None if asked is None else f"{topic.name}: incompatible QoS, {asked}; nothing gets through, the other is {full_name(end)}"

    def _missing(self, topic: Topic, wanted: set[str]) -> str:
        """That nobody is there, and who may be meant."""
        nobody = f"nobody publishes {topic.name}" if topic.reads else f"nobody listens on {topic.name}"
        near = self._near(topic, wanted)
        if not near:
            return f"{nobody} ({topic.types})" if topic.needed else ""
        topic.odd.append(f"{nobody}, but there is {', '.join(near)}: --ros-args -r {topic.remap}:={near[0]}")
        return topic.odd[-1]

    def _near(self, topic: Topic, wanted: set[str]) -> list[str]:
        """Topics of a type that fits which somebody publishes (or listens on), those of the same last name first.

        For a topic that must not be missed, those of its names with any type: which type does not fit is said once they are one.
        """
        count = self._node.count_publishers if topic.reads else self._node.count_subscribers
        found = [
            name
            for name, types in self._node.get_topic_names_and_types()
            if name != topic.name and (topic.aka or wanted & set(types)) and count(name) and not self._own(name, topic.reads)
        ]
        meant = (topic.name.rpartition("/")[2], *topic.aka)
        close = {name for name in found if any(get_close_matches(one, name.lower().split("/"), cutoff=0.7) for one in meant)}
        return sorted(found if topic.typical else close, key=lambda name: (name not in close, name))[:MOST_NEAR]

    def _own(self, name: str, published: bool) -> bool:
        ends = self._node.get_publishers_info_by_topic if published else self._node.get_subscriptions_info_by_topic
        return all(full_name(end) == self._me for end in ends(name))
