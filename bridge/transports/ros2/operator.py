"""The operator's command over ROS 2, by the policy's kind of command:

    velocity        cmd_vel     Twist or TwistStamped        m/s and rad/s in the base frame
    goal_position   goal        PointStamped                 in `--base-frame`
    goal_pose       goal_pose   PoseStamped                  likewise; the quaternion becomes wxyz and of unit length
    motion          motion      Float64- or Float32MultiArray   what the task says; by name where the layout has the labels

Invalid commands (another frame, no attitude, another size) are refused with a line, and the previous command stays.

One node can have one type on a topic, so the graph decides: the subscription is of the type that somebody publishes. If both are published,
both senders are named (`ros2_graph`), and the active one is used: the subscription changes when nothing came for a second.

A stamped command ages by its stamp, so that one that lay in a queue is not taken for new:

    stamp        |------ age ------> now          counts as given `age` ago
    0            no stamp                         counts from its arrival, as Twist does
    far off      another clock                    counts from its arrival, and a line says so

"Far off" is a stamp of the future, or one older than `MOST_AGE_S` from a sender whose clock has never agreed with this computer's.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped, Twist, TwistStamped
from std_msgs.msg import Float32MultiArray, Float64MultiArray

from bridge.control import asked
from bridge.control.joints import FloatArray
from bridge.transports.ros2.messages import stamp_ns, type_name
from bridge.transports.ros2.options import OPERATOR_TOPICS
from bridge.transports.ros2.qos import SENSOR, QosWatch
from policies.contract.spec import CommandSpec

COMMAND_TYPES: dict[str, tuple[Any, ...]] = {
    "velocity": (Twist, TwistStamped),
    "goal_position": (PointStamped,),
    "goal_pose": (PoseStamped,),
    "motion": (Float64MultiArray, Float32MultiArray),
}
"""Each kind of command, and the messages that may bring it."""
AGREES_S, MOST_AGE_S = 0.5, 10.0
SILENT_NS = 1_000_000_000
OLD_S = 0.25  # from here on a person should know why


class OperatorTopic:
    """Subscribes to the topic of the policy's kind of command.

    Attributes:
        topic: its name, not resolved.
        command: the newest command (C,) and when it was given [ns of the loop's clock]; None before the first.
        hint: why the newest command is old; empty where it is not.
        odd: what is odd about the newest message beyond its age; empty for nothing.
    """

    def __init__(self, watch: QosWatch, spec: CommandSpec, frame: str, now_ns: Callable[[], int], ros_now_ns: Callable[[], int]) -> None:
        """Subscribe.

        Args:
            watch: makes the subscription.
            spec: what the policy takes.
            frame: of goals; others are refused.
            now_ns: the loop's clock.
            ros_now_ns: the node's clock, which stamps are of; 0 before the first `/clock`.
        """
        self._watch, self._spec, self._frame, self._now_ns, self._ros_now_ns = watch, spec, frame, now_ns, ros_now_ns
        self.topic = OPERATOR_TOPICS[spec.kind]
        self.command: tuple[FloatArray, int] | None = None
        self.hint = self.odd = ""
        self._agreed = False
        self._take = {Twist: self._twist, TwistStamped: self._twist_stamped, PointStamped: self._goal, PoseStamped: self._goal_pose}
        self._take |= dict.fromkeys(COMMAND_TYPES["motion"], self._motion)
        self._kinds = COMMAND_TYPES[spec.kind]
        self._subscribe(self._kinds[0])

    def _subscribe(self, kind: Any) -> None:
        take = self._take[kind]

        def call(message: Any) -> None:
            self._heard_ns = self._now_ns()
            self.odd = ""
            take(message)

        self._kind, self._heard_ns = kind, self._now_ns()
        self._subscription = self._watch.subscription(kind, self.topic, call, SENSOR)

    def follow(self, published: Collection[str]) -> None:
        """Take the type that somebody publishes, `published` being the names of all types on the topic."""
        others = [kind for kind in self._kinds if kind is not self._kind and type_name(kind) in published]
        if others and (type_name(self._kind) not in published or self._now_ns() - self._heard_ns > SILENT_NS):
            self.close()
            self._subscribe(others[0])

    def _twist(self, message: Any) -> None:
        self._set(message, self._now_ns())

    def _twist_stamped(self, message: Any) -> None:
        given_ns = self._given_ns(stamp_ns(message.header.stamp))
        if self.command is None or given_ns >= self.command[1]:  # else it was overtaken on its way
            self._set(message.twist, given_ns)

    def _set(self, twist: Any, given_ns: int) -> None:
        self.command = np.array([twist.linear.x, twist.linear.y, twist.angular.z]), given_ns

    def _goal(self, message: Any) -> None:
        point = message.point
        self._set_goal(message.header, np.array([point.x, point.y, point.z]))

    def _goal_pose(self, message: Any) -> None:
        p, o = message.pose.position, message.pose.orientation
        self._set_goal(message.header, np.array([p.x, p.y, p.z, o.w, o.x, o.y, o.z]))

    def _set_goal(self, header: Any, goal: FloatArray) -> None:
        if header.frame_id not in ("", self._frame):
            self._warn("frame", f"goal in frame {header.frame_id!r} refused; give it in {self._frame!r}")
        elif (fault := asked.fault(goal, self._spec)) is not None:
            self._warn("goal", f"goal refused: it {fault}")
        else:
            self.command = asked.upright(goal, self._spec), self._given_ns(stamp_ns(header.stamp))

    def _motion(self, message: Any) -> None:
        values = np.asarray(message.data, np.float64)
        if values.shape != (self._spec.dimension,):
            self._warn("motion", f"a command on motion refused: it {asked.fault(values, self._spec)}")
            return
        names = message.layout.dim[0].label.split(",") if message.layout.dim and message.layout.dim[0].label else list(self._spec.labels)
        if sorted(names) != sorted(self._spec.labels):
            said = f"its layout names {', '.join(names)}; the policy takes {', '.join(self._spec.labels)}"
            self._warn("motion", f"a command on motion refused: {said}")
            return
        self.command = values[[names.index(label) for label in self._spec.labels]], self._now_ns()

    def _given_ns(self, stamp: int) -> int:
        """When a command with this stamp [ns] was given, on the loop's clock [ns]."""
        now_ns, ros_ns = self._now_ns(), self._ros_now_ns()
        age_s = (ros_ns - stamp) * 1e-9
        self.hint = ""
        if stamp == 0 or ros_ns == 0:
            return now_ns
        self._agreed |= abs(age_s) <= AGREES_S
        if age_s < -AGREES_S or (age_s > MOST_AGE_S and not self._agreed):
            off = f"stamps of another clock, {abs(age_s):.3g} s {'ahead of' if age_s < 0 else 'behind'} this one"
            advice = "set the clocks, or use_sim_time on both sides or on none"
            self._warn("clock", f"{self.topic}: {off}: commands count from their arrival, however old they are ({advice})")
            return now_ns
        if age_s > OLD_S:
            self.hint = f"the newest on {self.topic} was {age_s:.2f} s old by its stamp when it came: a slow network, or clocks that differ"
        return now_ns - max(0, ros_ns - stamp)

    def _warn(self, kind: str, line: str) -> None:
        self.odd = line
        self._watch.warn_once(line, kind)

    def close(self) -> None:
        """Unsubscribe."""
        self._watch.destroy(self._subscription)
