"""Other nodes that are taken for this one: who asks one of them asks all, and hears one answer."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.transports.ros2.graph import full_name


def find_twins(node: Any, state: str, services: Iterable[str]) -> str:
    """Who is called as this node is, publishes its state, or answers one of its services too, in words; empty for nobody.

    Args:
        node: this rclpy node.
        state: the resolved name of the topic of its state.
        services: their names, without the node's.
    """
    me = node.get_fully_qualified_name()
    publishers = [full_name(end) for end in node.get_publishers_info_by_topic(state)]
    if publishers.count(me) > 1 or node.get_fully_qualified_node_names().count(me) > 1:
        found = f"another node of the name {me} is on this graph"
    elif others := sorted({name for name in publishers if name != me}):
        found = f"{', '.join(others)} publishes {state} too"
    elif answered := next((name for name in (f"{me}/{service}" for service in services) if _servers(node, name) > 1), ""):
        who = ", ".join(_who_answers(node, answered, me)) or "another node"
        found = f"{who} answers {answered} too"
    else:
        return ""
    return (
        f"{found}: what is asked of one is asked of both. Stop one of them, or call this one otherwise (--ros-args -r __node:=NAME);"
        " one that was killed counts for up to 20 s"
    )


def _servers(node: Any, service: str) -> int:
    count = getattr(node, "count_services", None)  # Humble has none
    return 1 if count is None else int(count(service))


def _who_answers(node: Any, service: str, me: str) -> list[str]:
    """The full names of the other nodes that answer a service."""
    found: list[str] = []
    for name, namespace in node.get_node_names_and_namespaces():
        full = f"{namespace.rstrip('/')}/{name}"
        if full == me:
            continue
        try:
            answers = node.get_service_names_and_types_by_node(name, namespace)
        except Exception:  # it has left the graph meanwhile
            continue
        if any(one == service for one, _ in answers):
            found.append(full)
    return sorted(found)
