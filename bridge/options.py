"""The options of `robolearn deploy`, and their checks before anything opens."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import os
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bridge.cameras.compressed import can_jpeg
from bridge.control import asked
from bridge.control.safety import SafetyLimitError, SafetyLimits
from bridge.control.sight import eyes_of
from bridge.fields import Bound, add_options, option, options_of
from bridge.operator.said import HOLD_S, SILENCE_S
from bridge.operator.terminal import on_terminal
from bridge.transports.connect import SimulatedOptions
from bridge.transports.registry import TRANSPORTS, DeployError, get_transport
from bridge.transports.ros2.gripper import check_gripper
from bridge.transports.ros2.options import OWN_GAINS, check_names, wire_names
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec

GAMEPAD = Path("/dev/input/js0")

INTRODUCTION = """\
Nothing moves before you request `stand`, then `start`. In this terminal these are the keys 1 and 2, space is the emergency stop and q
quits; over ROS 2 they are services, on Unitree robots keys of the remote. Every run is logged in runs/logs.

examples:
  robolearn deploy g1-velocity --transport sim
      a humanoid in this process, without ROS; keys and a screen in this terminal
  robolearn deploy walk.onnx --simulate
      a simulated robot as a separate process, over real ROS 2 messages on this computer
  robolearn deploy reach.onnx --command-interface trajectory --joint-prefix panda_=fr3_
      an arm whose ROS 2 driver is already running, takes trajectories and names its joints fr3_joint1 and so on
  robolearn deploy walk.onnx --transport unitree --network-interface eth0 --dry-run
      a Unitree robot with its cable in eth0: reads, infers, prints what it would send, and sends nothing
  robolearn deploy go1-velocity --transport sim --gantry always --motion sines --auto-start
      a motion in place of the policy, logged for robolearn identify
  robolearn deploy walk.onnx --limit max_tilt=0.7 --limit sensor_timeout_s=0.04
      other thresholds than the defaults, which are listed at the end
  robolearn deploy walk.onnx --config deploy.yaml --ros2.command_interface=trajectory
      settings from a file, with one of them changed (docs/deploy.md shows a file)"""

LIMITS = """\
limits that --limit NAME=VALUE takes, and their defaults:
{limits}
max_tilt, warm_motor_c and hot_motor_c are the robot's own and max_lateness_s two control periods, at least 10 ms. The two time-outs of
the command hold for velocities; a goal stays valid until the next one."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to do."""

    dry_run: bool = option(False, "read sensors and infer, send nothing")
    auto_start: bool = option(False, "stand and start the policy as soon as the guards allow, once")
    command: tuple[float, ...] | None = option(None, "fixed command in place of the operator's, e.g. vx vy yaw_rate", metavar="V")
    duration: float | None = option(None, "end after this time", metavar="S")
    ungated: bool = option(False, "run a file on a robot although it has not passed the gate of robolearn export")
    limit: tuple[str, ...] = option((), "override a safety limit; all of them are listed at the end", metavar="NAME=VALUE", repeated=True)
    image_fault: Literal["damp", "hold"] = option(
        "damp", "what a missing, late, frozen or black picture leads to: damping, or the last target until pictures are good again"
    )
    resize_images: bool = option(False, "resize pictures of another size than the policy's (default: refuse them)")
    rate: float | None = option(None, "must be the policy's own rate: a policy only runs at the rate of its training", metavar="HZ")


@dataclass(frozen=True, kw_only=True)
class OperatorOptions:
    """The operator's devices, and written files."""

    dashboard: bool | None = option(None, "screen and keys in this terminal (default: on in a terminal)")
    gamepad: Path | None = option(None, f"steer with a gamepad ({GAMEPAD})", metavar="DEVICE", alone=GAMEPAD)
    command_hold: float = option(
        HOLD_S, "time that a command from keys or sticks lasts without a key or a movement (default: 5)", metavar="S"
    )
    operator_silence: float = option(
        SILENCE_S, "end the policy after this time without one, if there is no other sign of an operator (default: 60)", metavar="S"
    )
    log: Path | None = option(None, "the run's MCAP log (default: runs/logs/<time>_<policy>.mcap); see robolearn replay", metavar="PATH")
    log_sensors: Literal["tick", "all"] = option("tick", "log the readings at the ticks, or all of them, which robolearn identify needs")
    log_images: Literal["png", "jpeg"] = option("png", "compression of pictures in the log: png keeps every bit, so that a replay is exact")
    no_log: bool = option(False, "write no log")
    events: Path | None = option(
        None, "write transitions, refusals and timing as JSON lines; an earlier PATH.jsonl is kept as PATH-1.jsonl", metavar="PATH"
    )


@dataclass(frozen=True, kw_only=True)
class ComputerOptions:
    """The loop on this computer."""

    cpu: int | None = option(None, "processor core to keep the control loop on", metavar="CORE")
    align_hz: float | None = option(None, "rate of the sensor messages to align the ticks with", metavar="HZ")
    lock_memory: bool = option(False, "keep the process's memory in RAM, so that no tick waits for the disk")


@dataclass(frozen=True, kw_only=True)
class FullOptions:
    """Options that only `robolearn deploy` has, since they need the simulator."""

    simulate: bool = option(False, "also start a simulated robot on this computer's loopback")
    robot: str | None = option(
        None,
        "the simulated robot: a name, or the path of its robot.yaml (default: the one that the policy was trained with)",
        metavar="NAME",
    )
    motion: Literal["sines", "squats"] | None = option(
        None,
        "motion to play in place of the policy, for robolearn identify: sines with the base held, or squats of a quadruped on its feet",
    )
    motion_seconds: float = option(16.0, "length of the motion (default: 16)", metavar="S")
    base_held: bool = option(
        False,
        "confirm that a legged robot hangs with its feet free, or is bolted down, for --motion sines (simulated: --gantry always)",
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options, an introduction with examples and the safety limits to a parser."""
    _add_options(parser)
    parser.usage = "%(prog)s FILE [options]"
    parser.description = "\n\n".join(part for part in ((parser.description or "").strip(), INTRODUCTION) if part)
    parser.epilog = LIMITS.format(limits=limits_help())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def _add_options(parser: argparse.ArgumentParser) -> list[Bound]:
    """Add the options. Returns those that only some transports have."""
    kinds = {name: get_transport(name) for name in TRANSPORTS}
    parser.add_argument("policy", type=Path, metavar="FILE", help="policy file")
    where = ", ".join(f"{name} ({kind.description})" for name, kind in kinds.items())
    parser.add_argument("--config", action="append", type=Path, metavar="FILE", help="settings from a YAML file; options take precedence")
    parser.set_defaults(limits={})
    parser.add_argument("--transport", choices=list(kinds), default="ros2", help=f"how to reach the robot: {where}; default ros2")
    add_options(parser, RunOptions)
    add_options(parser.add_argument_group("operator and logs"), OperatorOptions)
    add_options(parser.add_argument_group("this computer"), ComputerOptions)
    simulated = parser.add_argument_group("a simulated robot: --transport sim, or --simulate")
    bound = add_options(simulated, SimulatedOptions, simulated_places())
    for name, kind in kinds.items():
        if options_of(kind.options) and kind.options is not SimulatedOptions:
            bound += add_options(parser.add_argument_group(f"--transport {name}"), kind.options, (name,))
    return bound


def simulated_places() -> tuple[str, ...]:
    """Values of `--transport` with which the robot is simulated."""
    kinds = {name: get_transport(name) for name in TRANSPORTS}
    return ("sim", *(f"{name} --simulate" for name, kind in kinds.items() if kind.simulator is not None))


def in_process(options: argparse.Namespace) -> bool:
    """Whether the robot is simulated in this process."""
    return get_transport(options.transport).in_process


def limits_help() -> str:
    """The safety limits with default, unit and meaning, one per line."""
    lines: list[str] = []
    for field in dataclasses.fields(SafetyLimits):
        value = f"{field.default:g} {field.metadata['unit']}".rstrip()
        head = f"  {field.name:<20}{value:<11}"
        width = max(60, min(140, shutil.get_terminal_size().columns - 2))
        said = textwrap.wrap(field.metadata["help"], width - len(head))
        lines += [head + said[0], *(" " * len(head) + more for more in said[1:])]
    return "\n".join(lines)


def check_gate(policy: PolicyFile, options: argparse.Namespace) -> None:
    """Refuse a file that is not deployable if it could drive a robot; for a robot in this process, only warn.

    Raises:
        DeployError: not deployable, on a robot's wire and without `--ungated`.
    """
    verdict = policy.provenance.get("deployable")
    if verdict is True:
        return
    found = "failed its gate" if verdict is False else "was not evaluated by the gate"
    if not in_process(options) and not options.ungated:
        raise DeployError(f"{options.policy} {found} (robolearn export evaluates on the precise engine); --ungated runs it even so")
    print(f"warning: {options.policy} {found}", flush=True)


def parse_limits(pairs: Sequence[str]) -> dict[str, float]:
    """`NAME=VALUE` strings as numbers.

    Raises:
        DeployError: not of that form, or a name given twice.
        SafetyLimitError: no such limit; names the nearest.
    """
    known = [field.name for field in dataclasses.fields(SafetyLimits)]
    limits: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            value = float(text)
        except ValueError as error:
            raise DeployError(f"--limit needs NAME=NUMBER, not {pair!r}") from error
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            said = f"did you mean {near[0]!r}? (--help lists them)" if near else f"known: {', '.join(known)}"
            raise SafetyLimitError(f"--limit {pair}: unknown safety limit {name!r}; {said}")
        if name in limits:
            raise DeployError(f"--limit {name} is given twice, as {limits[name]:g} and as {value:g}")
        limits[name] = value
    return limits


def limits_of(options: argparse.Namespace) -> dict[str, float]:
    """The thresholds from the file and from `--limit`, which takes precedence. Raises as `parse_limits`."""
    return {**options.limits, **parse_limits(options.limit)}


def bounds() -> list[Bound]:
    """The options that only some transports have."""
    return _add_options(argparse.ArgumentParser())


def here(options: argparse.Namespace) -> str:
    """The value of `--transport`, for the places of `bounds`."""
    return options.transport + (" --simulate" if getattr(options, "simulate", False) else "")


def fits(bound: Bound, place: str) -> bool:
    """Whether an option has an effect in a place."""
    return any(f"{place} ".startswith(f"{inside} ") for inside in bound.places)


def check_options(spec: PolicySpec, options: argparse.Namespace) -> None:
    """Refuse options that contradict the policy file.

    Raises:
        DeployError: says what and what is valid.
        JointError: joint names that are not the policy's.
    """
    _check_transport(options)
    rate_hz = 1 / spec.control_dt
    if options.rate is not None and not abs(options.rate - rate_hz) <= 1e-6 * rate_hz:
        raise DeployError(f"--rate {options.rate:g} refused: this policy was trained at {rate_hz:g} Hz and runs at no other rate")
    _check_command(spec, options)
    _check_cameras(spec, options)
    if options.transport == "sim" and options.mjcf is None:
        raise DeployError("--transport sim needs --mjcf, the robot's MuJoCo model")
    if options.mjcf is not None and not options.mjcf.is_file():
        raise DeployError(f"--mjcf: there is no robot model at {options.mjcf}" + (", that is a folder" if options.mjcf.is_dir() else ""))
    if options.permute_joints is not None and options.permute_joints < 0:
        raise DeployError(f"--permute-joints is a seed from 0 on, not {options.permute_joints}")
    if options.cpu is not None and options.cpu not in os.sched_getaffinity(0):
        raise DeployError(f"--cpu {options.cpu}: this process may use the cores {sorted(os.sched_getaffinity(0))}")
    if options.no_log and (options.log is not None or options.log_sensors == "all"):
        raise DeployError("--no-log cannot be combined with --log, --log-sensors all or --motion")
    if options.log is not None and options.log.is_dir():
        raise DeployError(f"--log: {options.log} is a folder; give a file in it, or leave --log out: logs go to runs/logs")
    if options.managed and options.auto_start:
        raise DeployError("--managed cannot be combined with --auto-start: an operator starts the robot, not a lifecycle manager")
    if options.align_hz is not None and not 1 <= options.align_hz <= 1000:
        raise DeployError(f"--align-hz must lie between 1 and 1000, not {options.align_hz:g}")
    if getattr(options, "motion", None) is not None and options.dry_run:
        raise DeployError("--motion and --dry-run cannot be combined, since a motion is known beforehand")
    if getattr(options, "motion", None) is not None and options.command_interface in OWN_GAINS:
        raise DeployError(
            f"--motion needs an interface that takes gains (impedance, forward_effort): on {options.command_interface} the robot's own "
            f"controller moves the joints, which hides the properties of the motors"
        )
    for name in ("command_hold", "operator_silence"):
        if not getattr(options, name) > 0:
            raise DeployError(f"--{name.replace('_', '-')} must be above zero, not {getattr(options, name):g}")
    if options.duration is not None and not (options.duration > 0 and np.isfinite(options.duration)):
        raise DeployError(f"--duration must be above zero and finite, not {options.duration:g}")
    if options.dds_domain is not None and not 0 <= options.dds_domain <= 232:
        raise DeployError(f"--dds-domain must lie between 0 and 232, not {options.dds_domain}")
    for name in ("known_publishers", "known_senders"):
        if getattr(options, name) < 0:
            raise DeployError(f"--{name.replace('_', '-')} must not be negative, is {getattr(options, name)}")
    domain = os.environ.get("ROS_DOMAIN_ID", "")
    if options.transport == "ros2" and domain and not (domain.isdecimal() and int(domain) <= 232):
        raise DeployError(f"the environment's ROS_DOMAIN_ID must be a number from 0 to 232, not {domain!r}")
    _check_joints(spec, options)


def _check_command(spec: PolicySpec, options: argparse.Namespace) -> None:
    """Raises `DeployError` if the policy needs inputs that the bridge cannot provide, or a command does not fit."""
    count = spec.command.dimension
    if spec.command.kind == "none" and options.command is None:
        options.command = []
    if options.command is not None and (len(options.command) != count or not np.isfinite(options.command).all()):
        given = " ".join(f"{value:g}" for value in options.command)
        raise DeployError(f"--command needs {count} finite numbers ({', '.join(spec.command.labels)}), not {given}")
    if options.command and (fault := asked.fault(np.array(options.command), spec.command)) is not None:
        raise DeployError(f"--command {fault}")


def _check_cameras(spec: PolicySpec, options: argparse.Namespace) -> None:
    """Raises `DeployError` if nothing brings the policy its pictures, or an option for them has no effect."""
    names = [group.name for group in eyes_of(spec)]
    if not names:
        given = {"--image-fault hold": options.image_fault != "damp", "--resize-images": options.resize_images}
        given |= {"--log-images jpeg": options.log_images != "png"}
        if useless := [name for name, on in given.items() if on]:
            raise DeployError(f"{useless[0]} is for policies that see pictures; this one has no camera")
        return
    if not get_transport(options.transport).sees and getattr(options, "motion", None) is None:
        able = ", ".join(name for name in TRANSPORTS if get_transport(name).sees)
        raise DeployError(
            f"this policy sees pictures ({', '.join(names)}), which --transport {options.transport} does not bring; use {able}"
        )
    if options.image_fault == "hold" and spec.robot.floating_base:
        raise DeployError(
            "--image-fault hold is for arms: a legged robot that holds still in mid-step falls; leave it out, and it is damped"
        )
    if options.log_images == "jpeg" and not can_jpeg():
        raise DeployError("--log-images jpeg needs OpenCV or Pillow; run: pip install opencv-python-headless")


def _check_transport(options: argparse.Namespace) -> None:
    """Refuse options of another transport, which would have no effect."""
    place = here(options)
    for bound in bounds():
        value = getattr(options, bound.dest)
        if value != bound.default and not fits(bound, place):
            off = value is False and not bound.name.startswith("--no-")
            name = f"--no-{bound.name[2:]}" if off else bound.name
            places = " or ".join(f"--transport {place}" for place in bound.places)
            belongs = "--transport sim, or to --simulate" if bound.places == simulated_places() else places
            raise DeployError(f"{name} is for {belongs}; with --transport {place} it would have no effect")


def _check_joints(spec: PolicySpec, options: argparse.Namespace) -> None:
    """Refuse wrong joint names before anything is on the wire."""
    wire = wire_names(spec.robot.joint_names, options.joint_names, options.joint_prefix)
    if options.transport == "ros2":
        check_names(wire, options.command_interface)
    ours = [name for name in options.extra_joints if name in wire]
    if ours:
        raise DeployError(
            f"--extra-joints has joints of the policy: {', '.join(ours)}; extra joints are those that the policy does not move"
        )
    check_gripper(wire, options.gripper_joints)
    if not options.gripper_joints and (options.gripper_topic is not None or options.gripper_interface != "trajectory"):
        raise DeployError("--gripper-topic and --gripper-interface need --gripper-joints, which says whose commands go there")
    if options.joint_order is None:
        return
    order, wire = tuple(options.joint_order), tuple(name for name in wire if name not in options.gripper_joints)
    lacks, unknown = [name for name in wire if name not in order], [name for name in order if name not in wire]
    twice = sorted({name for name in order if order.count(name) > 1})
    faults = [f"{what} {', '.join(names)}" for what, names in (("lacks", lacks), ("has unknown", unknown), ("repeats", twice)) if names]
    if faults:
        raise DeployError(f"--joint-order must name each joint once, by the robot's name: it {'; it '.join(faults)}")


def _overridden(spec: PolicySpec, name: str, value: float) -> str:
    """A changed threshold, with its unit, the default, and whether it is so large that its guard is off."""
    unit = {field.name: field.metadata["unit"] for field in dataclasses.fields(SafetyLimits)}[name]
    default = getattr(SafetyLimits.of(spec), name)
    off = "; no angle exceeds pi, so this guard is off: is the value in degrees?" if unit == "rad" and value >= math.pi else ""
    return f"safety limit overridden: {name}={value:g}{f' {unit}' if unit else ''} (default {default:g}){off}"


def said_of(spec: PolicySpec, options: argparse.Namespace) -> list[str]:
    """Notes before the start: changed thresholds, a command outside the trained range, a robot in this process without an operator."""
    said = [_overridden(spec, name, value) for name, value in limits_of(options).items()]
    if options.command is not None:
        command = asked.upright(np.array(options.command), spec.command)
        inside = asked.inside(command, spec.command)
        if not np.allclose(command, inside, rtol=0, atol=1e-12):
            said.append(f"command {command.tolist()} is outside the trained range; the policy sees {inside.tolist()}")
    if options.gamepad is not None and options.command is None and spec.command.kind != "velocity" and spec.command.labels:
        said.append(f"the gamepad's sticks give velocities, and this policy takes a {spec.command.kind}: only its buttons act")
    if in_process(options) and not options.dry_run:
        attended = on_terminal() or options.gamepad is not None
        if not attended and not options.auto_start:
            said.append("stand and start cannot be requested: this is not a terminal, and there is neither --gamepad nor --auto-start")
        elif options.command is None and spec.command.labels and not (attended and spec.command.kind == "velocity"):
            said.append(f"there is no source for {', '.join(spec.command.labels)}, so the policy will not start: give --command")
    return said


def wants_screen(options: argparse.Namespace) -> bool:
    """Whether the screen and the keys of this terminal are in use."""
    return on_terminal() if options.dashboard is None else bool(options.dashboard)
