"""Simulated time for the control loop: it follows `/clock`, never goes back, and goes on by itself when `/clock` is dead.

    /clock       0 1 2 3 4 5 (stands still) .......... 5 6 7
    loop's time  0 1 2 3 4 5 5 5 5 | 6 7 8 9 ......... 9 10 11
                         clock_timeout_s of wall time

A clock that stands still would stop every watchdog that uses it. So after `clock_timeout_s` of wall time the steady clock
takes over: deadlines pass, sensors grow old, and the robot is damped. A `/clock` that jumps back (the simulation was reset) does not change
the loop's time; the robot's own stamps jump back with it, and their guard trips.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from typing import Any


class SimulatedClock:
    """The loop's time [ns] from `/clock` and a steady clock.

    Attributes:
        jumps_back: how often `/clock` went back.
        lost_ns: how far the loop's time got ahead of `/clock` while that stood still [ns]; stamps of the robot lag by this much.
    """

    def __init__(self, timeout_s: float, steady_ns: int) -> None:
        """Begin at `steady_ns` [ns] of the steady clock, before the first `/clock`."""
        self._timeout_ns = round(timeout_s * 1e9)
        self._base_ns = self._advanced_ns = steady_ns
        self._clock_ns = 0
        self.jumps_back = self.lost_ns = 0

    def update(self, clock_ns: int, steady_ns: int) -> None:
        """Take the newest `/clock` [ns], 0 before the first, as of `steady_ns`."""
        before = self._clock_ns
        if clock_ns == before:
            return
        dead = before == 0 or self.dead(steady_ns)
        now_ns = self.now_ns(steady_ns)
        step_ns = clock_ns - before
        self.jumps_back += step_ns < 0
        if dead and before != 0 and step_ns > 0:
            self.lost_ns += now_ns - (self._base_ns + step_ns)
        self._base_ns = now_ns if dead else now_ns + max(0, step_ns)  # what passed while it was dead, the steady clock has counted
        self._clock_ns, self._advanced_ns = clock_ns, steady_ns

    def dead(self, steady_ns: int) -> bool:
        """Whether `/clock` stands still for longer than allowed, or has not come yet."""
        return self._clock_ns == 0 or steady_ns - self._advanced_ns > self._timeout_ns

    def now_ns(self, steady_ns: int) -> int:
        """The loop's time [ns]; it never goes back."""
        free_ns = steady_ns - self._advanced_ns - (0 if self._clock_ns == 0 else self._timeout_ns)
        return self._base_ns + max(0, free_ns)


class ClockPublisher:
    """Publishes `/clock` for a simulated robot; best effort, depth 1, as every ROS node subscribes to it."""

    def __init__(self, node: Any) -> None:
        """Open the topic on an rclpy node."""
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from rosgraph_msgs.msg import Clock

        self._type: Any = Clock
        self._publisher: Any = node.create_publisher(Clock, "/clock", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))

    def publish(self, time_ns: int) -> None:
        """Say what time it is [ns]; the same time that stamps the robot's sensors."""
        message = self._type()
        message.clock.sec, message.clock.nanosec = divmod(int(time_ns), 1_000_000_000)
        self._publisher.publish(message)
