"""Run a policy file on a robot, over ROS 2 or on a robot simulated in this process.

    python -m bridge.deploy walk.onnx --transport ros2
    python -m bridge.deploy walk.onnx --transport sim --mjcf go1.xml --auto-start --command 0.5 0 0 --duration 10

The file must reproduce its golden run first. Nothing moves before the operator asks for `stand` and `start` (or `--auto-start` does).
SIGINT and SIGTERM end in damping.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from bridge.controller import Controller
from bridge.joints import JointError
from bridge.loop import ControlLoop
from bridge.physics_robot import ModelError
from bridge.priority import raise_priority
from bridge.safety import Mode, SafetyLimitError, SafetyLimits
from bridge.transports.base import Transport
from policies.file import PolicyFile, PolicyFileError
from policies.spec import PolicySpec


class DeployError(ValueError):
    """Options that contradict the policy file or each other."""


USER_ERRORS = (DeployError, JointError, SafetyLimitError, PolicyFileError)
"""What the person at the keyboard can put right: one line, exit code 2."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add("policy", type=Path, metavar="FILE", help="policy file")
    add("--transport", choices=("ros2", "sim"), default="ros2", help="where the robot is (default ros2)")
    add("--ungated", action="store_true", help="run a file that did not pass the gate of robolearn export, or never saw it, over ROS 2")
    add("--dry-run", action="store_true", help="read sensors and infer, send nothing")
    add("--auto-start", action="store_true", help="stand and start the policy as soon as the guards allow, once")
    add("--duration", type=float, metavar="S", help="end after so many seconds")
    add("--command", type=float, nargs="+", metavar="V", help="fixed operator command instead of the topic's, e.g. vx vy yaw_rate")
    add("--rate", type=float, metavar="HZ", help="refused unless it is the policy's own rate: a policy runs at the rate it was trained at")
    add("--limit", action="append", default=[], metavar="NAME=VALUE", help="override a safety limit (bridge/safety.py: SafetyLimits)")
    add("--events", type=Path, metavar="PATH", help="write transitions, refusals and timing as JSON lines")
    add("--mjcf", type=Path, help="model of the robot, for --transport sim")
    add("--permute-joints", type=int, metavar="SEED", help="wire order of the robot in --transport sim")
    add("--command-interface", choices=("impedance", "trajectory", "forward"), default="impedance", help="what the robot listens to")
    add("--command-topic", help="where commands go (default: the interface's own topic)")
    add("--joint-order", nargs="+", metavar="JOINT", help="the controller's joint order, for --command-interface forward")
    add("--extra-joints", nargs="+", default=[], metavar="JOINT", help="joints on the wire that are not the policy's, e.g. a gripper")
    add("--base-frame", default="base", help="frame of goal positions (default base)")
    add("--discovery", choices=("LOCALHOST", "SUBNET"), help="ROS 2 discovery range (default LOCALHOST, or what the environment says)")


def check_gate(policy: PolicyFile, options: argparse.Namespace) -> None:
    """Refuse a file that was not found deployable where it may meet a robot; in process, say so.

    Raises:
        DeployError: not found deployable, `ros2` and not `--ungated`.
    """
    verdict = policy.provenance.get("deployable")
    if verdict is True:
        return
    found = "failed its gate" if verdict is False else "never saw the gate"
    if options.transport == "ros2" and not options.ungated:
        raise DeployError(f"{options.policy} {found} (robolearn export evaluates on the precise engine); --ungated runs it all the same")
    print(f"warning: {options.policy} {found}", flush=True)


def parse_limits(pairs: list[str]) -> dict[str, float]:
    """`NAME=VALUE` strings as numbers.

    Raises:
        DeployError: not of that form.
    """
    limits: dict[str, float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            limits[name] = float(value)
        except ValueError as error:
            raise DeployError(f"--limit needs NAME=NUMBER, not {pair!r}") from error
    return limits


def check_options(spec: PolicySpec, options: argparse.Namespace) -> None:
    """Refuse what contradicts the policy file.

    Raises:
        DeployError: says what and what is valid.
    """
    rate_hz = 1 / spec.control_dt
    if options.rate is not None and abs(options.rate - rate_hz) > 1e-6 * rate_hz:
        raise DeployError(f"--rate {options.rate:g} refused: this policy was trained at {rate_hz:g} Hz and runs at no other rate")
    count = len(spec.command.labels)
    if options.command is not None and (len(options.command) != count or not np.isfinite(options.command).all()):
        raise DeployError(f"--command needs {count} finite numbers ({', '.join(spec.command.labels)}), not {options.command}")
    if options.transport == "sim" and options.mjcf is None:
        raise DeployError("--transport sim needs --mjcf, the robot's MuJoCo model")
    if options.duration is not None and not options.duration > 0:
        raise DeployError(f"--duration must be above zero, not {options.duration:g}")


def make_transport(spec: PolicySpec, options: argparse.Namespace, ros_args: list[str]) -> Transport:
    """The transport that the options ask for.

    Raises:
        DeployError: rclpy or MuJoCo is not installed, or the model is missing.
        JointError: joints that do not match.
    """
    try:
        if options.transport == "sim":
            from bridge.physics_robot import PhysicsRobot, physics_dt
            from bridge.transports.sim import SimTransport

            robot = PhysicsRobot(spec.robot, options.mjcf, physics_dt(spec, 500.0), options.permute_joints)
            return SimTransport(robot, spec.robot.joint_names, None if options.command is None else np.array(options.command))
        from bridge.isolation import isolate

        isolate(options.discovery)
        from bridge.transports.ros2 import Ros2Options, Ros2Transport

        order = None if options.joint_order is None else tuple(options.joint_order)
        ros2 = Ros2Options(
            interface=options.command_interface,
            command_topic=options.command_topic,
            joint_order=order,
            extra_joints=tuple(options.extra_joints),
            base_frame=options.base_frame,
            ros_args=tuple(ros_args),
        )
        return Ros2Transport(spec, ros2, options.command)
    except ModuleNotFoundError as error:
        extra = "ros" if options.transport == "ros2" else "train"
        raise DeployError(f"--transport {options.transport} needs {error.name}; run: pip install 'robolearn[{extra}]'") from error
    except (FileNotFoundError, ModelError) as error:
        raise DeployError(str(error)) from error


class EventLog:
    """Says each event on standard output, and writes it as a JSON line where asked for."""

    def __init__(self, path: Path | None) -> None:
        """Open `path`, None for none.

        Raises:
            DeployError: it cannot be written.
        """
        try:
            self._file: IO[str] | None = None if path is None else path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise DeployError(f"--events: cannot write {path}: {error.strerror}") from error

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; `t_ns` is the loop's steady clock."""
        if event["event"] == "transition":
            print(f"{event['t_ns'] * 1e-9:.3f} s  {event['from']} -> {event['to']}: {event['cause']}", flush=True)
        elif event["event"] == "refused":
            print(f"{event['t_ns'] * 1e-9:.3f} s  {event['request']} refused: {event['cause']}", flush=True)
        if self._file is not None:
            self._file.write(json.dumps(event) + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def run_deploy(options: argparse.Namespace, ros_args: list[str] | None = None, transport: Transport | None = None) -> int:
    """Verify, arm, run, end in damping.

    Args:
        options: as `configure` parses them.
        ros_args: arguments from `--ros-args` on.
        transport: None to make the one that the options ask for.

    Returns:
        0, or 1 if the robot ended in `fault`.

    Raises:
        ValueError: a bad policy file, golden mismatch or bad option; nothing has been sent.
    """
    policy = PolicyFile(options.policy)
    check_options(policy.spec, options)
    check_gate(policy, options)
    log = EventLog(options.events)
    controller = Controller(policy, SafetyLimits.of(policy.spec, parse_limits(options.limit)), shadow=options.dry_run, on_event=log)
    print(f"{options.policy}: {policy.spec.task} at {1 / policy.spec.control_dt:g} Hz, sha256 {policy.sha256[:12]}", flush=True)
    print(f"golden run reproduced to {controller.arm():.1e}", flush=True)
    if options.auto_start:
        controller.auto_start()
    if options.transport == "ros2":
        print(raise_priority(), flush=True)
    wire = transport or make_transport(policy.spec, options, ros_args or [])
    loop = ControlLoop(controller, Silent(wire, controller) if options.dry_run else wire)
    before = {number: signal.signal(number, lambda number, frame: loop.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    wire.open(controller.refusal)
    try:
        loop.run(options.duration)
    finally:
        wire.close()
        for number, handler in before.items():
            signal.signal(number, handler)
        timing = loop.timing.summary()
        log({"event": "timing", "t_ns": wire.now_ns(), **timing, "late_us": loop.timing.late_us()})
        log.close()
        print("timing: " + ", ".join(f"{name} {value:.3g}" for name, value in timing.items()), flush=True)
    return 1 if controller.mode is Mode.FAULT else 0


class Silent:
    """A transport that listens and never writes; once a second it says what would have been sent."""

    def __init__(self, wire: Transport, controller: Controller) -> None:
        self._wire, self._controller, self._said_ns = wire, controller, 0
        self.open, self.now_ns, self.wait_until = wire.open, wire.now_ns, wire.wait_until
        self.read, self.close = wire.read, wire.close

    def write(self, command: Any) -> None:
        """Send nothing."""

    def report(self, status: Mapping[str, Any]) -> None:
        """Publish the status; print the shadow command."""
        self._wire.report(status)
        if self._wire.now_ns() - self._said_ns < 1_000_000_000:
            return
        self._said_ns = self._wire.now_ns()
        shadow = self._controller.shadow_command
        said = "; ".join(status["problems"]) or "no guard speaks up"
        target = "nothing yet" if shadow is None else np.array2string(shadow.position, precision=2, max_line_width=200)
        print(f"dry run: {said}; would send targets {target} rad", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Command line of `python -m bridge.deploy`. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--ros-args") if "--ros-args" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="deploy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configure(parser)
    options = parser.parse_args(arguments[:cut])
    try:
        return run_deploy(options, arguments[cut:])
    except USER_ERRORS as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
