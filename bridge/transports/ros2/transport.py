"""The ROS 2 transport: a lifecycle node with standard messages over rclpy, one thread, one executor that spins between the ticks.

The watchdog is the bridge's own (`stale_sensor`), on the steady clock: a DDS deadline that a driver does not offer would block all data.
rclpy's signal handlers stay off, because they would invalidate the context before the last damping command is out. A multi-threaded
executor loses messages that are spun one by one, and a thread that spins at exit aborts the process, so there is none.

The command publisher is made with the first command that drives the robot (or with a fault). Until then nothing is sent to the robot, so a
node that is only started, or in a dry run, disturbs nothing; any other publisher of commands is a rival that prevents standing up.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.cameras.eyes import Eyes
from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.joints import FloatArray
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import ACTIVE, Event, Mode, SafetyLimits
from bridge.isolation import isolate, ros_arguments
from bridge.operator.notices import Notice, charge
from bridge.transports.ros2.camera_topics import camera_topics
from bridge.transports.ros2.clock import SimulatedClock
from bridge.transports.ros2.gripper import parts_of
from bridge.transports.ros2.options import COMMAND_TOPICS, WARNINGS, Ros2OptionError, Ros2Options, wire_names
from policies.contract.spec import PolicySpec

__all__ = ["COMMAND_TOPICS", "Ros2OptionError", "Ros2Options", "Ros2Transport"]

DISCOVERY_NS = 3_000_000_000  # the graph is not complete before; seen to take up to 2.7 s
SERVICES = (Event.STAND, Event.START, Event.STOP, Event.ESTOP, Event.RESET)
DRIVING = (Event.STAND, Event.START)
MOST_LATE_MESSAGES = 8  # taken where a deadline has passed already
Motion = tuple[FloatArray | None, FloatArray | None]
SILENT_NS = 40_000_000  # a reading that is older needs a reason
PATIENCE_NS = 3_000_000_000  # from here on whoever waits is told all that is known of the inputs
LONGEST_WAIT_S = 0.01  # in simulated time, where no message says that the steady clock has to take over


class Ros2Transport:
    """Implements `bridge.transports.base.Transport`.

    Attributes:
        on_reading: called with every complete reading that arrives, also those between the ticks; None for nobody.
        on_shutdown: called when a lifecycle manager shuts the node down; to end the program.
    """

    def __init__(
        self,
        spec: PolicySpec,
        options: Ros2Options | None = None,
        fixed_command: Sequence[float] | None = None,
        controller: Controller | None = None,
        eyes: Eyes | None = None,
    ) -> None:
        """Prepare; nothing is connected before `open`.

        Args:
            spec: the contract.
            options: names, interface and joints.
            fixed_command: operator's command (C,) that never ages; None to listen on the topic.
            controller: what decides; needed for thresholds as parameters, for damping at once when deactivated, and for a managed node,
                whose `configure` arms it. None for none of these.
            eyes: where pictures go; None for a policy that sees nothing.

        Raises:
            JointError: joint names or a joint order that are missing or wrong.
            Ros2OptionError: a managed node without a controller.
        """
        isolate()
        from bridge.transports.ros2.cameras import CameraNode
        from bridge.transports.ros2.messages import CommandEncoder
        from bridge.transports.ros2.mounting import Mounting
        from bridge.transports.ros2.status import StatusTopics
        from bridge.transports.ros2.urdf import read_urdf

        self._spec, self._options, self._controller = spec, options or Ros2Options(), controller
        if spec.command.kind == "none" and fixed_command is None:
            fixed_command = ()
        if self._options.managed and controller is None:
            raise Ros2OptionError("a managed node needs the controller that it arms when it is configured")
        self._names = wire_names(spec.robot.joint_names, self._options.joint_names, self._options.joint_prefix)
        urdf = None if self._options.urdf is None else read_urdf(self._options.urdf)
        self._mounting = Mounting(spec.robot.imu_frame, self._options.imu_rotation, urdf)
        for part in parts_of(spec, self._options, self._names):  # a wrong joint order is refused here
            CommandEncoder(part, part.interface, part.order, part.names)
        self._eyes, self._cameras = eyes, None
        if eyes is not None:
            topics = camera_topics(spec, self._options.camera_topics, self._options.camera_compressed)
            say = lambda line: None if self.on_line is None else self.on_line(line)  # noqa: E731
            self._cameras = CameraNode(eyes, topics, self._steady_ns, self._options.ros_args, self._options.lens_tolerance, say)
        self._fixed = None if fixed_command is None else np.array(fixed_command, np.float64)
        self._silent = {f"/{name.lstrip('/')}" for name in self._options.silent_nodes}
        self._status = StatusTopics(spec)
        self.on_reading: Callable[[Reading], None] | None = None
        self.on_shutdown: Callable[[], None] | None = None
        self.on_line: Callable[[str], None] | None = None
        self.temperature: FloatArray | None = None  # no standard message tells it
        self._context: Any = None
        self._node: Any = None
        self._executor: Any = None
        self._inbox: Any = None
        self._operator: Any = None
        self._outbox: Any = None
        self._sim: SimulatedClock | None = None
        self._read_ns = self._received_ns = 0
        self._requests: list[Event] = []
        self._rivals: int | None = None
        self._twins = ""
        self._dead = Notice()
        self._rival_names: tuple[str, ...] = ()
        self._configured = False

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Create context, node, services and parameters; unless it is managed, configure and activate it.

        Raises:
            Ros2OptionError: parameters that contradict the policy file or the options.
            GoldenMismatchError: the file does not give the actions that it recorded.
        """
        try:
            self._open(refusal)
        except BaseException:
            self.close()
            raise

    def _open(self, refusal: Callable[[Event], str | None]) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        from bridge.transports.ros2.compat import Spinner
        from bridge.transports.ros2.graph import GraphWatch
        from bridge.transports.ros2.lifecycle import Hooks, PolicyNode
        from bridge.transports.ros2.outbox import Outbox
        from bridge.transports.ros2.qos import QosWatch
        from bridge.transports.ros2.topics import watched_topics

        self._refusal, self._opened_ns = refusal, time.monotonic_ns()
        self._context = Context()
        rclpy.init(args=ros_arguments(self._options.ros_args), context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        hooks = Hooks(configure=self._configure, halt=self._halt, release=self._release, finish=self._finish)
        self._node = PolicyNode(self._context, hooks)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._spin = Spinner(self._executor)
        self._watch = QosWatch(self._node, self.on_line)
        self._outbox = Outbox(self._node, self._watch, self._spec, self._options, self._names)
        self._declare_parameters()
        if self._node.get_parameter("use_sim_time").value:
            self._sim = SimulatedClock(self._options.clock_timeout_s, self._opened_ns)
        self._serve()
        self._topics = watched_topics(self._watch.resolve, self._spec, self._options, self._fixed is None, self._sim is not None)
        self._graph = GraphWatch(self._node, list(self._topics.values()), self._opened_ns, self._watch.warn_once)
        if self._options.interface in WARNINGS:
            self._watch.warn(f"{self._options.interface}: {WARNINGS[self._options.interface]}")
        if self._cameras is not None:
            self._cameras.open()
        if not self._options.managed:
            self._node.trigger_configure()
            if self._node.failure is not None:
                raise self._node.failure
            self._node.trigger_activate()

    def _finish(self) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()

    def _declare_parameters(self) -> None:
        from bridge.transports.ros2.parameters import Parameters, fixed_parameters

        controller = self._controller
        fixed = fixed_parameters(self._spec, self._options, self._names, None if controller is None else controller.policy)

        def take(limits: SafetyLimits) -> None:
            assert controller is not None  # without one no threshold is declared
            controller.set_limits(limits)

        mode = (lambda: Mode.ZERO_TORQUE) if controller is None else lambda: controller.mode
        self._parameters = Parameters(self._node, fixed, None if controller is None else controller.limits, mode, take)

    def _serve(self) -> None:
        from std_msgs.msg import Bool
        from std_srvs.srv import Trigger

        from bridge.transports.ros2.qos import SENSOR, STOP

        self._status.open(self._node, self._watch)
        for event in SERVICES:
            self._node.create_service(Trigger, f"~/{event}", self._service(event))
        for profile in (STOP, SENSOR):  # one takes reliable publishers without loss, the other best-effort ones at all
            self._node.create_subscription(Bool, "estop", self._on_estop, profile)

    def _configure(self) -> None:
        """Verify the file, unless that was done just before, and subscribe."""
        from bridge.transports.ros2.inbox import Inbox
        from bridge.transports.ros2.operator import OperatorTopic

        if self._controller is not None and (self._configured or not self._controller.armed):
            self._controller.arm()
        self._configured = True
        spec, options = self._spec, self._options
        self._inbox = Inbox(
            self._watch, spec, options, self._names, self.now_ns, self._lost_ns, self._mounting, on_sensors=self._on_sensors
        )
        if self._fixed is None:
            self._operator = OperatorTopic(
                self._watch,
                spec.command,
                options.base_frame,
                self.now_ns,
                lambda: self._node.get_clock().now().nanoseconds,
            )

    def _halt(self) -> None:
        """Damp now: nothing that was asked for before counts any more, and the command is on the wire before the caller hears of it."""
        self._requests = [*(event for event in self._requests if event not in DRIVING), Event.STOP]
        if self._controller is None:
            return
        command = self._controller.stop("the node was deactivated")
        try:
            if self._outbox.opened:
                self.write(command)
        except Exception as error:  # the next tick writes damping too
            self._watch.warn(f"damping command not sent: {type(error).__name__}: {error}")

    def _release(self) -> None:
        if self._inbox is not None:
            self._inbox.close()
        if self._operator is not None:
            self._operator.close()
        self._inbox = self._operator = None
        self._outbox.close()

    def _on_estop(self, message: Any) -> None:
        if message.data:  # latched: false releases nothing, only `reset` does
            self._requests.append(Event.ESTOP)

    def _refuse(self, event: Event) -> str | None:
        if event in DRIVING and not self._node.active:
            return f"the node is {self._lifecycle()}: a lifecycle manager has to activate it first"
        if event in DRIVING and self._twins:
            return self._twins
        return self._refusal(event)

    def _lifecycle(self) -> str:
        return "active" if self._node.active else "unconfigured" if self._inbox is None else "inactive"

    def _service(self, event: Event) -> Callable[[Any, Any], Any]:
        def answer(request: Any, response: Any) -> Any:
            reason = self._refuse(event)
            if reason is not None and self._twins and event not in DRIVING:  # the other one's answer may be lost to the caller
                response.success, response.message = True, f"nothing to do for this node ({reason}); {self._twins}"
                return response
            response.success, response.message = reason is None, reason or "accepted"
            if reason is None:
                self._requests.append(event)
            return response

        return answer

    def now_ns(self) -> int:
        """Steady clock [ns], common to all processes of this computer; with `use_sim_time`, simulated time as `SimulatedClock` has it."""
        steady_ns = time.monotonic_ns()
        if self._sim is None:
            return steady_ns
        if self._node is not None:  # still asked for after `close`, to stamp the last event
            self._sim.update(self._node.get_clock().now().nanoseconds, steady_ns)
        return self._sim.now_ns(steady_ns)

    def _steady_ns(self) -> int:
        """`now_ns` for the cameras' thread, which must not move the simulated clock."""
        return time.monotonic_ns() if self._sim is None else self._sim.now_ns(time.monotonic_ns())

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Receive messages until the deadline, or until sensors and IMU have come after `fresh_ns`."""
        for _ in range(MOST_LATE_MESSAGES if self.now_ns() >= deadline_ns else 0):  # who is late must hear of a stop all the same
            self._spin(0.0)
        while (left_ns := deadline_ns - self.now_ns()) > 0:
            if fresh_ns is not None and self._inbox is not None and self._inbox.received_ns >= fresh_ns:
                return
            left_s = left_ns * 1e-9
            self._spin(left_s if self._sim is None else min(left_s, LONGEST_WAIT_S))

    def read(self) -> Inputs:
        """The newest inputs."""
        requests, self._requests = tuple(self._requests), []
        fault = (None if self._inbox is None else self._inbox.fault) or self._deaf()
        if not self._node.active:
            fault = f"the node is {self._lifecycle()}, not active"  # keeps an automatic start waiting, whatever the robot says
        inputs = Inputs(requests=requests, wire_fault=fault, rivals=self._rivals, rival_names=self._rival_names, remarks=self._remarks())
        if self._eyes is not None:
            self._eyes.give(inputs, self.now_ns())
        if self._inbox is None:
            return inputs
        command = (self._fixed, self.now_ns()) if self._operator is None else self._operator.command
        inputs.command, inputs.command_ns = command or (None, 0)
        self._inbox.tend()
        inputs.battery = self._inbox.battery
        reading = self._reading()
        self._read_ns = time.monotonic_ns() if reading is not None and self._arrived(reading) else self._read_ns
        inputs.reading, inputs.sensor_hint, inputs.command_hint = reading, self._sensor_hint(), self._command_hint()
        return inputs

    def _arrived(self, reading: Reading) -> bool:
        """Whether a reading is another than the one before."""
        before, self._received_ns = self._received_ns, reading.received_ns
        return before != reading.received_ns

    @property
    def _driven(self) -> bool:
        return (self._status.mode if self._controller is None else self._controller.mode) in ACTIVE

    def _deaf(self) -> str | None:
        """Who would not hear a command, whose stop would not be heard here, or whose axes are unknown; None once the robot is driven.

        One that fits beside it proves nothing: that may be a recorder, and the one that does not may be the robot's driver.
        """
        mounted = [self._inbox.mounting.fault] if self._inbox is not None and self._inbox.mounting.fault else []
        deaf = [line for name in ("command", "gripper", "estop") if name in self._topics for line in self._topics[name].misfits]
        return None if self._driven else "; ".join([*deaf, *mounted]) or None

    def _remarks(self) -> tuple[str, ...]:
        """What is odd about commands and the emergency stop, and no reason to refuse or to end anything."""
        command, stop = self._topics["command"], self._topics["estop"]
        lines = [*command.odd, *stop.odd, *([self._twins] if self._twins and self._driven else [])]
        if self._inbox is not None:
            lines += [line for line in (self._inbox.mounting.said, charge(self._inbox.battery)) if line]
        if not self._driven:  # until then they are a reason to refuse
            lines = [line for line in lines if line not in (*command.misfits, *stop.misfits)]
        unheard = command.absent and not command.odd and self._outbox.opened and self._rivals is not None
        return (command.absent, *lines) if unheard else tuple(lines)

    def _odd(self) -> list[str]:
        """What diagnostics say of the topics as long as it lasts."""
        found = [line for topic in self._topics.values() for line in topic.odd]
        found += [] if self._inbox is None else self._inbox.absent
        return found + ([self._operator.odd] if self._operator is not None and self._operator.odd else [])

    def _sensor_hint(self) -> str:
        if (told := self._inventory()) is not None:
            return told
        silent = [
            topic.absent for name in ("clock", "joint_states", "imu") if (topic := self._topics.get(name)) is not None and topic.absent
        ]
        if not silent and self._clock_dead():
            silent = ["/clock stands still, and use_sim_time is true"]
        return "; ".join([*self._inbox.absent, *silent, *self._silent_part()])

    def _silent_part(self) -> list[str]:
        """Which part of the joint states is the oldest, where they come in parts and one falls silent."""
        silent = self._inbox.parts.silent if self._inbox.received_ns < self.now_ns() - SILENT_NS else ""
        return [silent] if silent else []

    def _inventory(self) -> str | None:
        """All inputs, what arrives of them and who sends it, where no reading has come for some seconds; else None."""
        now_ns = time.monotonic_ns()
        arrived_ns = max(self._opened_ns, self._read_ns)
        if now_ns - arrived_ns < PATIENCE_NS:
            return None
        lines = [*self._inbox.absent, *self._silent_part()]
        for name in ("clock", "joint_states", "imu"):
            topic = self._topics.get(name)
            if topic is None:
                continue
            hz = self._inbox.hz(name, now_ns) if name != "clock" else None if self._clock_dead() else 0.0
            who = f"{topic.fits} publisher{'s' * (topic.fits != 1)} of {topic.types}"
            if hz is not None:
                lines.append(f"{topic.name} arrives" + (f" at {hz:.0f} Hz" if hz else ""))
            elif topic.fits:
                lines.append(f"{topic.name} has {who}, and nothing arrives" + (": it stands still" if name == "clock" else ""))
            else:
                lines.append(topic.absent or f"nobody publishes {topic.name} ({topic.types})")
        if self._sim is not None and self._clock_dead():
            lines.append(
                "use_sim_time is true, so without /clock no message counts: start the simulator's /clock, or leave use_sim_time out"
            )
        return "; ".join(dict.fromkeys(lines))

    def _command_hint(self) -> str:
        return "" if self._operator is None else str(self._operator.hint) or self._topics[self._operator.topic].absent

    def _reading(self) -> Reading | None:
        return None if self._clock_dead() else self._inbox.reading()  # without a clock nothing is known to be fresh

    def _lost_ns(self) -> int:
        return 0 if self._sim is None else self._sim.lost_ns

    def _clock_dead(self) -> bool:
        return self._sim is not None and self._sim.dead(time.monotonic_ns())

    def write(self, command: JointCommand) -> None:
        """Publish a command, from the first one on that drives the robot or follows a fault."""
        if self._controller is not None:
            self._status.limits.add(self._controller.limiter.acted)
        if self._inbox is not None:
            self._outbox.write(command, self._motion(), self._status.mode == Mode.FAULT)

    def _motion(self) -> Motion:
        """The measurement for the impedance law, never an old one, since damping from a stale velocity could push the joint."""
        timeout_s = SafetyLimits().sensor_timeout_s if self._controller is None else self._controller.limits.sensor_timeout_s
        return self._inbox.motion(self.now_ns() - round(timeout_s * 1e9))

    def _on_sensors(self, complete: bool) -> None:
        self._outbox.resend(self._motion())
        if complete and self.on_reading is not None and (reading := self._reading()) is not None:
            self.on_reading(reading)

    def rehearse(self) -> None:
        """Turn specimens of the messages to and from bytes, which costs ten times as much after a pause as without."""
        if self._inbox is not None:
            self._inbox.rehearse()
            self._outbox.rehearse()

    def report(self, status: Mapping[str, Any]) -> None:
        """Publish the state at 10 Hz and on change, diagnostics at 2 Hz."""
        now_ns = time.monotonic_ns()
        try:
            self._look_around(now_ns)
        except Exception as error:  # no robot that walks is stopped for it: who was known before counts on
            self._watch.warn_once(f"cannot look at the ROS graph, and so not see who joins it: {type(error).__name__}: {error}", "graph")
        filters, dead = {} if self._inbox is None else self._inbox.filters, self._clock_dead()
        if self._dead.update("no /clock" if dead else None, now_ns):
            self._watch.warn("/clock stands still: the steady clock has taken over, and no sensor message counts as fresh")
        self._status.publish(status, now_ns, lifecycle=self._lifecycle(), filters=filters, odd=self._odd(), clock_dead=dead)

    def _look_around(self, now_ns: int) -> None:
        """Look at the graph: who else commands the robot or sends in its name, and what type the operator's command is of."""
        looked = self._graph.poll(now_ns)  # 50 us, every 50 ms
        if looked is not None and self._operator is not None and looked is self._topics[self._operator.topic]:
            self._operator.follow(looked.published)
        if looked is self._topics["state"]:
            self._look_for_twins()
        known = now_ns - self._opened_ns >= DISCOVERY_NS
        rivals = self._outbox.rivals() if known else 0  # 10 us
        names = [self._outbox.rival_names()] if rivals else []
        for topic in self._topics.values():
            senders = [sender for sender in topic.senders if sender not in self._silent]
            more = 0 if self._inbox is None or not topic.apart else self._inbox.apart + max(0, self._inbox.parts.count - 1)
            surplus = len(senders) - 1 - more if topic.alone else 0
            if surplus > 0:
                rivals += surplus
                said = f"{topic.name} has {len(senders)} publishers: {', '.join(senders)}; one alone may send it"
                names.append(f"{said} (--silent-nodes NODE excepts one that is known to be silent)")
        if self._twins and not self._driven:  # who is driven goes on: the one that came later does nothing
            rivals += 1
            names.append(self._twins)
        self._rivals, self._rival_names = rivals if known or rivals else None, tuple(names)

    def _look_for_twins(self) -> None:
        """Others that are called as this node is, publish its state or answer in its place."""
        from bridge.transports.ros2.twins import find_twins

        self._twins = find_twins(self._node, self._topics["state"].name, SERVICES)

    def close(self) -> None:
        """Let the last commands arrive, then take everything down in order; safe to call twice."""
        if self._outbox is not None:
            self._outbox.close()
        if self._cameras is not None:
            self._cameras.close()
        if self._executor is not None:
            self._executor.shutdown()
        if self._node is not None:
            self._node.destroy_node()
        if self._context is not None:
            self._context.try_shutdown()
        self._inbox = self._operator = self._outbox = self._executor = self._node = self._context = None
