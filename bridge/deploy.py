"""Run a policy file on a robot, over ROS 2 or Unitree's DDS, or on a robot simulated in this process.

    python -m bridge.deploy walk.onnx --transport ros2
    python -m bridge.deploy walk.onnx --transport unitree --network-interface eth0
    python -m bridge.deploy walk.onnx --transport sim --mjcf go1.xml --auto-start --command 0.5 0 0 --duration 10

The file must reproduce its golden run first. Nothing moves before the operator asks for `stand` and `start` (or `--auto-start` does).
SIGINT, SIGTERM and a lost terminal end in damping. Every run is logged.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import signal
import sys
import time
from pathlib import Path

from bridge.attended import Attended
from bridge.connect import make_transport
from bridge.controller import Controller
from bridge.controls import Device, Gamepad, Keyboard
from bridge.dashboard import Screen
from bridge.events import Events, EventsError
from bridge.joints import JointError
from bridge.log_writer import LogError, LogWriter
from bridge.loop import ControlLoop
from bridge.motion import MotionController
from bridge.options import DeployError, check_gate, check_options, configure, on_terminal, parse_limits, said_of, wants_screen
from bridge.phase_lock import PhaseLock
from bridge.priority import lock_memory, pin, raise_priority
from bridge.safety import Mode, SafetyLimitError, SafetyLimits
from bridge.stream import quick_switches
from bridge.transports.base import Transport
from bridge.transports.ros2_options import Ros2OptionError
from policies.file import PolicyFile, PolicyFileError
from policies.spec import PolicySpec

LOGS = Path("runs/logs")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
"""All end in damping: Ctrl-C, a service manager, a lost terminal, Ctrl-\\, and Ctrl-Z, since who is suspended damps nobody."""

USER_ERRORS = (DeployError, JointError, SafetyLimitError, PolicyFileError, LogError, EventsError, Ros2OptionError)
"""What the person at the keyboard can put right: one line, exit code 2."""


def run_deploy(options: argparse.Namespace, ros_args: list[str] | None = None, transport: Transport | None = None) -> int:
    """Verify, arm, run, end in damping.

    Args:
        options: as `configure` parses them.
        ros_args: arguments from `--ros-args` on.
        transport: None to make the one that the options ask for.

    Returns:
        0, or 1 if the robot ended in `fault`, or never did what `--auto-start` or a motion was to do.

    Raises:
        ValueError: a bad policy file, golden mismatch or bad option; nothing has been sent.
    """
    policy = PolicyFile(options.policy)
    check_options(policy.spec, options)
    check_gate(policy, options)
    events = Events(options.events)
    limits, motion = SafetyLimits.of(policy.spec, parse_limits(options.limit)), getattr(options, "motion", None)
    controller = (
        Controller(policy, limits, shadow=options.dry_run, on_event=events)
        if motion is None
        else MotionController(policy, motion, limits, on_event=events)
    )
    print(f"{options.policy}: {policy.spec.task} at {1 / policy.spec.control_dt:g} Hz, sha256 {policy.sha256[:12]}", flush=True)
    if not options.managed:  # then `configure` does it
        print(f"golden run reproduced to {controller.arm():.1e}", flush=True)
    for line in said_of(policy.spec, options):
        print(f"warning: {line}", flush=True)
    if options.auto_start:
        controller.auto_start()
    if options.transport != "sim":
        print(raise_priority(), flush=True)
        quick_switches()
    if options.lock_memory:
        print(lock_memory(), flush=True)
    with contextlib.ExitStack() as stack:
        for number in SIGNALS:  # given back last of all: who asks twice must not tear the log off
            stack.callback(signal.signal, number, signal.getsignal(number))
        stack.callback(events.close)
        wire = transport or make_transport(policy.spec, options, ros_args or [], controller)
        devices = open_devices(policy.spec, options, stack)
        recorder = events.recorder = make_recorder(controller, options)
        if recorder is not None:
            stack.callback(finish, recorder, events)
        attended = attend(wire, devices, options, recorder)
        attended.tell = events.say
        if options.cpu is not None:  # the recorder's thread and the screen's process, which exist by now, stay free
            print(pin(options.cpu), flush=True)
        lock = None if options.align_hz is None else PhaseLock(round(1e9 / options.align_hz))
        loop = attended.loop = ControlLoop(controller, attended, recorder, lock)
        stack.callback(tell_end, loop, events, options)
        stack.callback(attended.close)  # the robot and the terminal first: printing may block
        events.screen = attended.says if attended.has_screen else None
        wire.on_shutdown, wire.on_line = loop.stop, events.say
        if isinstance(controller, MotionController):
            controller.on_end = loop.stop
        for number in SIGNALS:
            signal.signal(number, lambda number, frame: loop.stop())
        try:
            attended.open(controller.refusal)
        except DeployError:
            raise
        except ValueError as error:
            raise error if isinstance(error, USER_ERRORS) else DeployError(str(error)) from error
        events.begin_ns = wire.now_ns()
        loop.run(options.duration)
    return exit_code(controller, options)


def exit_code(controller: Controller, options: argparse.Namespace) -> int:
    """0, or 1 where the robot ended in `fault`, or did not do what it was to do by itself."""
    ended = controller.mode is not Mode.FAULT
    played = controller.over if isinstance(controller, MotionController) else True
    return 0 if ended and played and (controller.ran or options.dry_run or not options.auto_start) else 1


def tell_end(loop: ControlLoop, events: Events, options: argparse.Namespace) -> None:
    """Say how it ended, and print and record how punctual the loop was."""
    events.screen = None
    controller, timing = loop.controller, loop.timing.summary()
    if controller.mode is Mode.FAULT:
        events.say(f"ended in fault: {controller.cause}")
    elif not controller.ran and not options.dry_run:
        why = "nobody asked for it" if not options.auto_start else "; ".join(str(p.guard.name) + ": " + p.text for p in controller.problems)
        events.say(f"the policy never ran: {why or controller.cause}")
    events({"event": "timing", "t_ns": loop.transport.now_ns(), **timing, "late_us": loop.timing.late_us()})
    if options.transport != "sim":
        events.say("timing: " + ", ".join(f"{name} {value:.3g}" for name, value in timing.items()))
    else:
        events.say(f"timing: {timing['ticks']:.0f} ticks of simulated time")


def finish(recorder: LogWriter, events: Events) -> None:
    """Write the log's end and say where it is."""
    recorder.close()
    events.screen = None
    events.say(f"log: {recorder.path}" + ("" if recorder.failure is None else f" is incomplete: {recorder.failure}"))


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
    return LogWriter(
        path,
        controller,
        transport=options.transport,
        auto_start=options.auto_start,
        sensors=options.log_sensors,
        motion=motion_of(controller),
    )


def motion_of(controller: Controller) -> str:
    """Name of the motion that runs in place of the policy; empty for none."""
    return controller.motion.name if isinstance(controller, MotionController) else ""


def open_devices(spec: PolicySpec, options: argparse.Namespace, stack: contextlib.ExitStack) -> list[Device]:
    """What the operator holds: a gamepad where asked for, and the keys of the terminal, with a screen or without.

    Raises:
        DeployError: no such gamepad, or a screen asked for where there is no terminal.
    """
    if wants_screen(options) and not on_terminal():
        raise DeployError("--dashboard needs a terminal")
    devices: list[Device] = []
    if options.gamepad is not None:
        try:
            devices.append(Gamepad(spec, options.gamepad, steers=options.command is None))
        except OSError as error:
            raise DeployError(f"--gamepad: cannot open {options.gamepad}: {error.strerror}") from error
    if on_terminal():
        devices.append(Keyboard(spec, steers=options.command is None and options.gamepad is None))
    for device in devices:
        stack.callback(device.close)
    return devices


def attend(wire: Transport, devices: list[Device], options: argparse.Namespace, recorder: LogWriter | None) -> Attended:
    """The transport with the operator's devices and screen around it."""
    screen = Screen() if wants_screen(options) else None
    attended = Attended(wire, devices, screen, options.dry_run)
    keys = [device.help for device in devices if isinstance(device, Keyboard)]
    if keys and screen is None:
        print(f"keys: {keys[0]}", flush=True)
    log = "off" if recorder is None else str(recorder.path)
    attended.shown |= {"name": f"{options.policy.name} on {options.transport}", "log": log, "simulated": options.transport == "sim"}
    attended.shown |= {"keys": keys[0]} if keys else {}
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
