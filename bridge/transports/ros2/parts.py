"""Joint states that come in parts, from several controllers that each tell their own joints: put together by name.

    arm    j1 j2 j3 . .      stamp 10.000
    hand   . . . j4 j5       stamp 10.004      ->  j1 .. j5, stamp 10.000, as old as the older part

Each joint has to come from one part alone, and all parts go on coming: the oldest one's stamp and arrival are those of the whole, so a part
that falls silent is a robot whose sensors fall silent. Who sends whole messages sends no parts: a joint that is missing from one of those
is a fault at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.control.joints import FloatArray, JointError
from bridge.transports.ros2.newest import NewestFilter

KNOWN_NS = 500_000_000  # until then more parts may be on their way
WHOLE_NS = 2_000_000_000  # after a whole message
MOST_APART_NS = 200_000_000  # between the newest and the oldest part's stamps

Joints = tuple[FloatArray, FloatArray, FloatArray, int, int]
"""Position, velocity and effort (J,), stamp and arrival [ns]."""


@dataclass(slots=True)
class Part:
    """One controller's joints: their places in the policy's order, the newest of it, see `Joints`, and who sent that."""

    places: list[int]
    values: FloatArray
    stamp_ns: int
    received_ns: int
    sender: object


class Parts:
    """Puts parts together.

    Attributes:
        filters: by part, what was received and dropped.
    """

    def __init__(self, names: Sequence[str], extra: Sequence[str], now_ns: Callable[[], int]) -> None:
        """Expect the joints `names`, as the wire calls them; `extra` ones may come too; `now_ns` is the loop's clock."""
        self._names, self._extra, self._now_ns = tuple(names), frozenset(extra), now_ns
        self._parts: dict[frozenset[str], Part] = {}
        self._begin_ns: int | None = None
        self._whole_ns: int | None = None
        self._stamp_ns: int | None = None
        self._apart = ""
        self.filters: dict[frozenset[str], NewestFilter] = {}

    def key(self, message: Any) -> frozenset[str] | None:
        """The joints of a message that is a part of the robot; None for one that is whole, or that is to be judged as one."""
        own = frozenset(message.name) - self._extra
        if own >= frozenset(self._names):
            self._whole_ns = self._now_ns()
            return None
        lately = self._whole_ns is not None and self._now_ns() - self._whole_ns < WHOLE_NS
        return own if own and own < frozenset(self._names) and not lately else None

    def accepts(self, key: frozenset[str], stamp_ns: int) -> bool:
        """Whether a part with this stamp counts; see `NewestFilter`."""
        return self.filters.setdefault(key, NewestFilter()).accepts(stamp_ns, self._now_ns())

    @property
    def seen(self) -> bool:
        """Whether any part came."""
        return bool(self._parts)

    @property
    def count(self) -> int:
        """How many parts make the robot; 0 as long as they do not."""
        return len(self._parts) if self._complete else 0

    @property
    def _complete(self) -> bool:
        return bool(self._parts) and sum(len(part.places) for part in self._parts.values()) == len(self._names)

    @property
    def silent(self) -> str:
        """Which part is the oldest and how old, in words; empty where no parts come."""
        if not self._complete:
            return ""
        key, part = min(self._parts.items(), key=lambda item: item[1].received_ns)
        age_ms = (self._now_ns() - part.received_ns) * 1e-6
        return f"joint states come in {len(self._parts)} parts; that of {', '.join(sorted(key))} is {age_ms:.0f} ms old"

    def take(self, key: frozenset[str], message: Any, stamp_ns: int, sender: object = None) -> Joints | None:
        """Take a part. Returns the whole robot where it is known and has moved on.

        Args:
            key: see `key`.
            message: the JointState.
            stamp_ns: its time [ns].
            sender: whose it is; None where that is not known.

        Raises:
            JointError: parts that overlap or come from two senders, or that never make a whole.
        """
        now_ns = self._now_ns()
        self._begin_ns = now_ns if self._begin_ns is None else self._begin_ns
        for other, part in list(self._parts.items()):
            if other != key and other & key and now_ns - part.received_ns > WHOLE_NS:
                del self._parts[other]  # the controllers were divided otherwise
                self._apart = ""
            elif other != key and other & key:
                both = ", ".join(sorted(other & key))
                self._apart = f"joint states come in parts, and {both} in two of them: each joint needs one sender"
                raise JointError(self._apart)
        twin = self._parts.get(key)
        if twin is not None and twin.sender != sender and now_ns - twin.received_ns < WHOLE_NS:
            raise JointError(f"the joint states of {', '.join(sorted(key))} come from two senders: each joint needs one")
        count, own = len(message.name), [index for index, name in enumerate(message.name) if name in key]
        if len(own) != len(key):
            raise JointError(f"joint states come in parts, and one has a joint twice: {', '.join(message.name)}")
        for field in ("position", "velocity", "effort"):
            size = len(getattr(message, field))
            if size != count and (size or field != "effort"):
                raise JointError(f"a part of the joint states has {size} values of {field} for {count} joints")
        effort = np.array(message.effort)[own] if len(message.effort) else np.full(len(own), np.nan)
        values = np.stack([np.array(message.position)[own], np.array(message.velocity)[own], effort])
        self._parts[key] = Part([self._names.index(message.name[index]) for index in own], values, stamp_ns, now_ns, sender)
        if not self._complete:
            if now_ns - self._begin_ns > KNOWN_NS:
                lacks = [name for name in self._names if not any(name in part for part in self._parts)]
                raise JointError(
                    self._apart
                    or f"joint set differs: missing {lacks}, which no part of the joint states has; parts so far: "
                    + "; ".join(", ".join(sorted(part)) for part in self._parts)
                )
            return None
        return self._joined()

    def _joined(self) -> Joints | None:
        stamps = [part.stamp_ns for part in self._parts.values()]
        oldest = min(stamps)
        if oldest == self._stamp_ns:
            return None
        if max(stamps) - oldest > MOST_APART_NS and self._stamp_ns is None:
            raise JointError(
                f"joint states come in parts whose stamps are {(max(stamps) - oldest) * 1e-9:.2f} s apart: clocks differ, or one is old"
            )
        self._stamp_ns = oldest
        values = np.empty((3, len(self._names)))
        for part in self._parts.values():
            values[:, part.places] = part.values
        return values[0], values[1], values[2], oldest, min(part.received_ns for part in self._parts.values())
