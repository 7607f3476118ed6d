"""Run a policy file on a robot, over ROS 2 or on a robot simulated in this process.

    python -m bridge.deploy walk.onnx --transport ros2
    python -m bridge.deploy walk.onnx --transport sim --mjcf go1.xml --auto-start --command 0.5 0 0 --duration 10

The file must reproduce its golden run first. Nothing moves before the operator asks for `stand` and `start` (or `--auto-start` does).
SIGINT, SIGTERM and a lost terminal end in damping. Every run is logged.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from bridge.attended import Attended
from bridge.controller import Controller
from bridge.dashboard import Screen
from bridge.events import Events, EventsError
from bridge.joints import JointError
from bridge.log_writer import LogError, LogWriter
from bridge.loop import ControlLoop
from bridge.physics_robot import ModelError
from bridge.priority import lock_memory, pin, raise_priority
from bridge.safety import Mode, SafetyLimitError, SafetyLimits
from bridge.transports.base import Transport
from policies.file import PolicyFile, PolicyFileError
from policies.spec import PolicySpec


class DeployError(ValueError):
    """Options that contradict the policy file or each other, or what the computer has not."""


LOGS = Path("runs/logs")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last one comes when the operator's terminal is lost

USER_ERRORS = (DeployError, JointError, SafetyLimitError, PolicyFileError, LogError, EventsError)
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
    add("--cpu", type=int, metavar="CORE", help="keep the control loop on this processor core")
    add("--lock-memory", action="store_true", help="keep the process's memory in RAM, so that no tick waits for the disk")
    add("--limit", action="append", default=[], metavar="NAME=VALUE", help="override a safety limit (bridge/safety.py: SafetyLimits)")
    add("--events", type=Path, metavar="PATH", help="write transitions, refusals and timing as JSON lines")
    add("--log", type=Path, metavar="PATH", help="the run's MCAP log (default: runs/logs/<time>_<policy>.mcap); see robolearn replay")
    add("--no-log", action="store_true", help="write no log")
    add(
        "--log-sensors",
        choices=("tick", "all"),
        default="tick",
        help="log what the policy saw, or every reading, as robolearn identify wants",
    )
    add("--dashboard", action=argparse.BooleanOptionalAction, help="screen and keys in this terminal (default: if it is one)")
    add("--gamepad", type=Path, metavar="DEVICE", nargs="?", const=Path("/dev/input/js0"), help="steer with a gamepad (/dev/input/js0)")
    add("--mjcf", type=Path, help="model of the robot, for --transport sim")
    add("--realtime", action=argparse.BooleanOptionalAction, help="pace --transport sim by the wall clock (default: with a dashboard)")
    add("--gantry", action=argparse.BooleanOptionalAction, help="hold the simulated robot until its policy runs (default: bipeds)")
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
    if options.cpu is not None and options.cpu not in os.sched_getaffinity(0):
        raise DeployError(f"--cpu {options.cpu}: this process may use the cores {sorted(os.sched_getaffinity(0))}")
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

            robot = PhysicsRobot(spec.robot, options.mjcf, physics_dt(spec, 500.0), options.permute_joints, gantry=options.gantry)
            command = None if options.command is None else np.array(options.command)
            realtime = wants_screen(options) if options.realtime is None else options.realtime
            return SimTransport(robot, spec.robot.joint_names, command, realtime)
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
    events = Events(options.events)
    controller = Controller(policy, SafetyLimits.of(policy.spec, parse_limits(options.limit)), shadow=options.dry_run, on_event=events)
    print(f"{options.policy}: {policy.spec.task} at {1 / policy.spec.control_dt:g} Hz, sha256 {policy.sha256[:12]}", flush=True)
    print(f"golden run reproduced to {controller.arm():.1e}", flush=True)
    if options.auto_start:
        controller.auto_start()
    if options.transport != "sim":
        print(raise_priority(), flush=True)
    if options.lock_memory:
        print(lock_memory(), flush=True)
    with contextlib.ExitStack() as stack:
        stack.callback(events.close)
        wire = transport or make_transport(policy.spec, options, ros_args or [])
        recorder = events.recorder = make_recorder(controller, options)
        if recorder is not None:
            stack.callback(finish, recorder)
        attended = attend(wire, policy.spec, options, recorder)
        if options.cpu is not None:  # the recorder's thread and the screen's process, which exist by now, stay free
            print(pin(options.cpu), flush=True)
        stack.callback(attended.close)
        events.screen = attended.says if attended.has_screen else None
        loop = attended.loop = ControlLoop(controller, attended, recorder)
        for number in SIGNALS:
            stack.callback(signal.signal, number, signal.signal(number, lambda number, frame: loop.stop()))
        stack.callback(tell_timing, loop, events)
        attended.open(controller.refusal)
        loop.run(options.duration)
    return 1 if controller.mode is Mode.FAULT else 0


def tell_timing(loop: ControlLoop, events: Events) -> None:
    """Print and record how punctual the loop was."""
    events.screen = None
    timing = loop.timing.summary()
    events({"event": "timing", "t_ns": loop.transport.now_ns(), **timing, "late_us": loop.timing.late_us()})
    print("timing: " + ", ".join(f"{name} {value:.3g}" for name, value in timing.items()), flush=True)


def finish(recorder: LogWriter) -> None:
    """Write the log's end and say where it is."""
    recorder.close()
    print(f"log: {recorder.path}" + ("" if recorder.failure is None else f" is incomplete: {recorder.failure}"), flush=True)


def make_recorder(controller: Controller, options: argparse.Namespace) -> LogWriter | None:
    """The flight recorder of this run; None with `--no-log`.

    Raises:
        LogError: the log cannot be written; on a robot, that is to be known before it moves.
    """
    if options.no_log:
        return None
    from bridge.log_writer import LogWriter

    path = options.log
    if path is None:
        path = LOGS / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{options.policy.stem}.mcap"
        path = next(p for n in itertools.count() if not (p := path.with_stem(f"{path.stem}-{n}" if n else path.stem)).exists())
    return LogWriter(path, controller, transport=options.transport, auto_start=options.auto_start, sensors=options.log_sensors)


def on_terminal() -> bool:
    """Whether a person can see this and type."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def wants_screen(options: argparse.Namespace) -> bool:
    """Whether the screen and the keys of this terminal are in use."""
    return on_terminal() if options.dashboard is None else bool(options.dashboard)


def attend(wire: Transport, spec: PolicySpec, options: argparse.Namespace, recorder: LogWriter | None) -> Attended:
    """The transport with the operator's devices and screen around it.

    Raises:
        DeployError: no such gamepad, or a keyboard asked for where there is no terminal.
    """
    from bridge.controls import Device, Gamepad, Keyboard

    wanted = wants_screen(options)
    if wanted and not on_terminal():
        raise DeployError("--dashboard needs a terminal")
    devices: list[Device] = []
    if options.gamepad is not None:
        try:
            devices.append(Gamepad(spec, options.gamepad))
        except OSError as error:
            raise DeployError(f"--gamepad: cannot open {options.gamepad}: {error.strerror}") from error
    if wanted:
        devices.append(Keyboard(spec, steers=options.command is None and options.gamepad is None))
    attended = Attended(wire, devices, Screen() if wanted else None, options.dry_run)
    attended.shown |= {"name": f"{options.policy.name} on {options.transport}", "log": "off" if recorder is None else str(recorder.path)}
    if options.log_sensors == "all" and recorder is not None:
        wire.on_reading = recorder.reading
    return attended


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
