"""Run a policy file on a robot, over ROS 2 or Unitree's DDS, or on a robot simulated in this process.

`python -m bridge.deploy` is `robolearn deploy` without --simulate, --motion and the names of shipped policies, and needs --mjcf with
--transport sim. The file must first reproduce its golden run. SIGINT, SIGTERM and a lost terminal end in damping.
"""

from __future__ import annotations

from bridge import ending

if __name__ == "__main__":
    ending.quietly()  # before imports that take a while

import argparse
import contextlib
import importlib.util
import itertools
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from bridge import settings
from bridge.cameras.eyes import Eyes
from bridge.control.controller import Controller
from bridge.control.joints import JointError
from bridge.control.loop import ControlLoop
from bridge.control.motion import MotionController
from bridge.control.phase_lock import PhaseLock
from bridge.control.priority import lock_memory, pin, raise_priority
from bridge.control.safety import Mode, SafetyLimitError, SafetyLimits
from bridge.control.stream import quick_switches
from bridge.fields import options_in, split_overrides
from bridge.logs.newest import STAMP
from bridge.logs.writer import LogError, LogWriter
from bridge.operator.attended import Attended
from bridge.operator.controls import Gamepad, Keyboard
from bridge.operator.dashboard import Screen
from bridge.operator.events import Events, EventsError
from bridge.operator.pads import PadError
from bridge.operator.said import Device
from bridge.operator.terminal import in_background, on_terminal
from bridge.options import check_gate, check_options, configure, in_process, limits_of, said_of, wants_screen
from bridge.program import ENDING
from bridge.transports.base import Transport
from bridge.transports.connect import make_transport
from bridge.transports.registry import DeployError, Deployment
from bridge.transports.ros2.options import Ros2OptionError
from policies import plugins
from policies.contract.file import PolicyFile, PolicyFileError
from policies.contract.spec import PolicySpec
from policies.errors import ConfigError

LOGS = Path("runs/logs")
SIGNALS = (*ENDING, signal.SIGTSTP)
"""Signals that end in damping: those that end a program, and Ctrl-Z, since a suspended program cannot damp the robot."""

USER_ERRORS = (
    ConfigError,
    DeployError,
    JointError,
    SafetyLimitError,
    PolicyFileError,
    LogError,
    EventsError,
    Ros2OptionError,
    plugins.PluginError,
)
"""Errors that the user can fix: one line, exit code 2."""
MIDDLEWARE = frozenset({"rclpy", "cyclonedds"})
"""Modules whose errors on connecting are about names, domains and interfaces, which the user gave."""

SUSPENDED = ", and the program ends, since a suspended program cannot damp the robot: start it again"
TWO_ROS = "is another ROS 2 sourced in this terminal? (docs/install.md, what goes wrong)"


def run_deploy(options: argparse.Namespace, ros_args: list[str] | None = None, transport: Transport | None = None) -> int:
    """Verify, arm, run, end in damping.

    Args:
        options: as parsed by `configure`.
        ros_args: arguments beginning with `--ros-args`.
        transport: the transport; None to make the one in the options.

    Returns: 0, or 1 if the robot ended in `fault`, or if `--auto-start` or a motion never started the policy or motion and no end was
        requested.

    Raises:
        ValueError: a bad policy file, golden mismatch or bad option; nothing has been sent.
    """
    policy = PolicyFile(options.policy)
    check_options(policy.spec, options)
    check_gate(policy, options)
    limits = SafetyLimits.of(policy.spec, limits_of(options))
    with contextlib.ExitStack() as stack:
        # under nohup the terminal may close, and the robot keeps walking
        heard = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]
        for number in heard:  # restored last, so that a second signal does not cut off the log
            stack.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, leave)
        for number in (signal.SIGTTIN, signal.SIGTTOU):  # a program moved to the background continues, and damps the robot
            stack.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
        events = Events(options.events)
        stack.callback(close_events, events, options)
        controller = make_controller(policy, limits, options, events)
        warnings = begin(controller, events, options)
        eyes = make_eyes(policy, options)
        wire = transport or make_wire(controller, options, ros_args or [], eyes)
        if not options.managed:  # otherwise `configure` does it
            events.say(f"golden run reproduced to {controller.arm():.1e}")
        if options.auto_start:
            controller.auto_start()
        if not in_process(options):
            events.tell(raise_priority(), "priority")
            events.hurry()
            quick_switches()
        if options.lock_memory:
            events.say(lock_memory())
        devices = open_devices(policy.spec, options, stack)
        recorder = events.recorder = make_recorder(controller, options)
        if recorder is not None:
            stack.callback(finish, recorder, events)
            if eyes is not None:
                eyes.on_sight = recorder.sight
        attended = attend(wire, devices, options, recorder, events)
        attended.tell = events.say
        attended.says += warnings  # the screen has overwritten these lines
        if options.cpu is not None:  # the recorder's thread and the screen's process exist already and are not pinned
            events.say(pin(options.cpu))
        lock = None if options.align_hz is None else PhaseLock(round(1e9 / options.align_hz), round(policy.spec.control_dt * 1e9))
        loop = attended.loop = ControlLoop(controller, attended, recorder, lock)
        stack.callback(tell_end, loop, events, options)
        stack.callback(attended.close)  # the robot and the terminal first: printing may block
        events.screen = attended.says if attended.has_screen else None
        attended.recent, events.clock = events.recent, wire.now_ns
        attended.on_shutdown, attended.on_line = loop.stop, events.tell
        if isinstance(controller, MotionController):
            controller.on_end = loop.end

        def end(number: int, frame: FrameType | None) -> None:
            if not loop.asked:
                events.tell(f"asked to end by {signal.Signals(number).name}: damping{SUSPENDED if number == signal.SIGTSTP else ''}", "end")
            loop.stop()

        for number in heard:
            signal.signal(number, end)
        open_wire(attended, controller, options)
        events.begin_ns = wire.now_ns()
        loop.run(options.duration)
    return exit_code(controller, options, asked_to_end=loop.asked)


def leave(number: int, frame: FrameType | None) -> None:
    """End before anything has started."""
    raise SystemExit(0)


def make_controller(policy: PolicyFile, limits: SafetyLimits, options: argparse.Namespace, events: Events) -> Controller:
    """The controller: of the policy, or of the motion that `--motion` plays in its place."""
    motion = getattr(options, "motion", None)
    if motion is None:
        return Controller(policy, limits, shadow=options.dry_run, on_event=events, image_fault=options.image_fault)
    return MotionController(policy, motion, limits, on_event=events)


def make_eyes(policy: PolicyFile, options: argparse.Namespace) -> Eyes | None:
    """Where pictures come in, warmed; None for a policy that sees nothing, and for a motion in its place."""
    if not policy.images or getattr(options, "motion", None) is not None:
        return None
    eyes = Eyes(policy, options.resize_images)
    eyes.warm()
    return eyes


def begin(controller: Controller, events: Events, options: argparse.Namespace) -> list[str]:
    """Print what will run and what to know beforehand. Returns the warnings."""
    policy = controller.policy
    events.say(f"{options.policy}: {policy.spec.task} at {1 / policy.spec.control_dt:g} Hz, sha256 {policy.sha256[:12]}")
    if events.kept is not None:
        events.say(f"the earlier {options.events} is now {events.kept}")
    warnings = [f"warning: {line}" for line in said_of(policy.spec, options)]
    for line in warnings:
        events.tell(line, "start")
    return warnings


def make_wire(controller: Controller, options: argparse.Namespace, ros_args: list[str], eyes: Eyes | None = None) -> Transport:
    """The transport in the options, not yet open.

    Raises:
        DeployError: a package, a model or a network interface is missing or does not fit.
        JointError: joints that do not match.
    """
    try:
        asked = options.command if controller.spec.command.labels else ()  # for policies without a command it is known
        fixed = None if asked is None else tuple(asked)
        scenery = getattr(options, "scenery", None)
        run = Deployment(
            command=fixed, controller=controller, ros_args=tuple(ros_args), screen=wants_screen(options), eyes=eyes, scenery=scenery
        )
        return make_transport(options.transport, controller.spec, options, run)
    except ImportError as error:  # a package that is installed but does not load
        said = str(error).partition("\n")[0]
        raise DeployError(f"--transport {options.transport}: {said}; {TWO_ROS}") from error
    except DeployError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            if str(error.__cause__.name).endswith("_pybind11"):
                python = f"{sys.version_info.major}.{sys.version_info.minor}"
                raise DeployError(f"--transport {options.transport}: the installed rclpy is not for Python {python}; {TWO_ROS}") from error
            raise
        if options.transport == "sim":
            said = " ".join(str(error).split())
            raise DeployError(f"--mjcf does not fit {controller.spec.robot.name}, the policy's robot: {said}") from error
        raise


def open_wire(attended: Attended, controller: Controller, options: argparse.Namespace) -> None:
    """Connect.

    Raises:
        DeployError: the error of the middleware or the wire, in one line.
    """
    try:
        attended.open(controller.refusal)
    except Exception as error:
        if isinstance(error, USER_ERRORS):
            raise
        theirs = type(error).__module__.partition(".")[0] in MIDDLEWARE
        if not isinstance(error, ValueError) and not theirs:
            raise
        said = f"{type(error).__name__}: {error}" if theirs else str(error)
        raise DeployError(f"--transport {options.transport}: {' '.join(said.split())}") from error


def exit_code(controller: Controller, options: argparse.Namespace, asked_to_end: bool = False) -> int:
    """0, or 1 if the robot ended in `fault`, or did not complete its automatic start or motion although no end was requested."""
    ended = controller.mode is not Mode.FAULT
    if asked_to_end:
        return 0 if ended else 1
    played = controller.over if isinstance(controller, MotionController) else True
    return 0 if ended and played and (controller.ran or options.dry_run or not options.auto_start) else 1


def tell_end(loop: ControlLoop, events: Events, options: argparse.Namespace) -> None:
    """Print how it ended, and print and record the loop's timing; nothing if it never began."""
    events.screen = None
    if events.begin_ns is None:
        return
    controller, timing = loop.controller, loop.timing.summary()
    if (end := why_it_ended(controller, options)) is not None:
        events.tell(end, "end")
    events({"event": "timing", "t_ns": loop.transport.now_ns(), **timing, "late_us": loop.timing.late_us()})
    if not in_process(options):
        events.say(
            "timing: " + ", ".join(f"{name} {value:.0f}" if value >= 100 else f"{name} {value:.3g}" for name, value in timing.items())
        )
    else:
        events.say(f"timing: {timing['ticks']:.0f} ticks of simulated time")


def why_it_ended(controller: Controller, options: argparse.Namespace) -> str | None:
    """Why the robot is not in the intended state, in one line; None if it is."""
    if controller.mode is Mode.FAULT:
        return f"ended in fault: {controller.cause}"
    waited = "" if controller.waited is None else f"waited to {controller.waited}"
    if options.dry_run:
        return f"the policy never inferred: {waited}" if controller.shadow_command is None and waited else None
    if controller.ran:
        return f"ended in damping: {controller.tripped}" if controller.tripped and controller.cause == controller.tripped else None
    nobody = "" if options.auto_start else "it was not requested"
    said = [part for part in (nobody, controller.tripped, waited) if part] or [controller.cause]
    return f"the policy never ran: {'; '.join(said)}"


def close_events(events: Events, options: argparse.Namespace) -> None:
    """Flush the last messages."""
    events.close()
    if events.failure is not None:
        print(f"warning: {options.events} is incomplete: {events.failure}", file=sys.stderr)


def finish(recorder: LogWriter, events: Events) -> None:
    """Finish the log and print where it is."""
    recorder.close()
    events.screen = None
    lacks = [f"{count} {what}" for count, what in ((recorder.lost, "ticks"), (recorder.lost_pictures, "pictures")) if count]
    lost = f" lacks {' and '.join(lacks)}: the recorder could not keep up" if lacks else ""
    events.say(f"log: {recorder.path}" + (lost if recorder.failure is None else f" is incomplete: {recorder.failure}"))


def label(policy: Path) -> str:
    """What a log is called after: the policy file, or for `runs/NAME/TIME/policy.onnx` its run, since all runs' files have that name."""
    run = policy.resolve().parent
    return run.parent.name if policy.stem == "policy" and run.name[:2].isdecimal() and run.parent.name else policy.stem


def make_recorder(controller: Controller, options: argparse.Namespace) -> LogWriter | None:
    """The flight recorder of this run; None with `--no-log`.

    Raises:
        LogError: the log cannot be written, which should be known before a robot moves.
        DeployError: a package that writes it is not installed.
    """
    if options.no_log:
        return None
    path = options.log
    if path is None:
        path = LOGS / f"{time.strftime(STAMP)}_{label(options.policy)}.mcap"
        path = next(p for n in itertools.count() if not (p := path.with_stem(f"{path.stem}-{n}" if n else path.stem)).exists())
    try:
        return LogWriter(
            path,
            controller,
            transport=options.transport,
            auto_start=options.auto_start,
            sensors=options.log_sensors,
            motion=motion_of(controller),
            interface=options.command_interface,
            settings=getattr(options, "settings", ""),
            patient=in_process(options),
            pictures=options.log_images,
        )
    except ModuleNotFoundError as error:
        raise DeployError(f"the log needs {error.name}; run: pip install mcap rosbags, or give --no-log") from error


def motion_of(controller: Controller) -> str:
    """Name of the motion that runs in place of the policy; empty for none."""
    return controller.motion.name if isinstance(controller, MotionController) else ""


def open_devices(spec: PolicySpec, options: argparse.Namespace, stack: contextlib.ExitStack) -> list[Device]:
    """The operator's devices: a gamepad if requested, and the terminal's keys, with or without a screen.

    Raises:
        DeployError: no such gamepad, or a screen is requested without a terminal or without the package that draws it.
    """
    if wants_screen(options) and not on_terminal():
        raise DeployError("--dashboard needs a terminal as standard input and output")
    if wants_screen(options) and importlib.util.find_spec("rich") is None:
        raise DeployError("the screen needs rich; run: pip install rich, or give --no-dashboard")
    devices: list[Device] = []
    silence = options.command_hold, options.operator_silence
    if options.gamepad is not None:
        try:
            devices.append(Gamepad(spec, options.gamepad, options.command is None, *silence))
        except PermissionError as error:
            advice = "give this user permission to read it (on most systems: usermod -aG input USER, and log in again)"
            raise DeployError(f"--gamepad: cannot open {options.gamepad}: {error.strerror}; {advice}") from error
        except OSError as error:
            raise DeployError(f"--gamepad: cannot open {options.gamepad}: {error.strerror}; is it plugged in?") from error
        except PadError as error:
            raise DeployError(f"--gamepad: {error}") from error
    if on_terminal():
        devices.append(Keyboard(spec, None, options.command is None and options.gamepad is None, *silence))
    for device in devices:
        stack.callback(device.close)
    return devices


def attend(wire: Transport, devices: list[Device], options: argparse.Namespace, recorder: LogWriter | None, events: Events) -> Attended:
    """The transport with the operator's devices and screen around it."""
    keys = [device.help for device in devices if isinstance(device, Keyboard)]
    if keys and not wants_screen(options):
        events.say(f"keys: {keys[0]}")
    for device in devices:
        if isinstance(device, Keyboard | Gamepad) and device.begins:
            events.tell(device.begins, "operator")
    if not keys and (behind := in_background()):
        events.tell(behind, "operator")
    events.flush()  # before the screen takes over the terminal
    screen = Screen() if wants_screen(options) else None
    attended = Attended(wire, devices, screen, options.dry_run)
    log = "off" if recorder is None else str(recorder.path)
    attended.shown |= {"name": f"{options.policy.name} on {options.transport}", "log": log, "simulated": in_process(options)}
    attended.shown |= {"keys": keys[0]} if keys else {}
    fixed = options.command is not None or getattr(options, "motion", None) is not None
    attended.alone = bool(keys) and fixed and options.gamepad is None
    if options.log_sensors == "all" and recorder is not None:
        attended.on_reading = recorder.reading
    return attended


def main(argv: list[str] | None = None) -> int:
    """Command line of `python -m bridge.deploy`. Returns the exit code."""
    try:
        arguments, imports = plugins.take(sys.argv[1:] if argv is None else argv)
        plugins.use(imports)  # plugins' transports have their own options
        cut = arguments.index("--ros-args") if "--ros-args" in arguments else len(arguments)
        parser = argparse.ArgumentParser(prog="python -m bridge.deploy", description=__doc__, allow_abbrev=False)
        plugins.add_option(parser)
        configure(parser)
        ours, overrides = split_overrides(arguments[:cut], options_in(parser))
        if not {"-h", "--help"} & {*ours}:
            settings.prepare(parser, ours, overrides)
        options = parser.parse_args(ours)
        settings.settle(options)
        return run_deploy(options, arguments[cut:])
    except USER_ERRORS as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(ending.run("deploy", main))
