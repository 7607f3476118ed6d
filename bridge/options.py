"""The options of `robolearn deploy`, and what is refused of them before anything opens."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from bridge.gantry import MODES as GANTRY_MODES
from bridge.transports.ros2_options import INTERFACES
from policies.file import PolicyFile
from policies.spec import PolicySpec

TRANSPORTS = ("ros2", "unitree", "sim")


class DeployError(ValueError):
    """Options that contradict the policy file or each other, or what the computer has not."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    switch = argparse.BooleanOptionalAction
    add = parser.add_argument
    add("policy", type=Path, metavar="FILE", help="policy file")
    add("--transport", choices=TRANSPORTS, default="ros2", help="where the robot is: ROS 2 (default), Unitree's DDS, or in this process")
    add("--dry-run", action="store_true", help="read sensors and infer, send nothing")
    add("--auto-start", action="store_true", help="stand and start the policy as soon as the guards allow, once")
    add(
        "--command",
        type=float,
        nargs="+",
        metavar="V",
        help="fixed command instead of the operator's, e.g. vx vy yaw_rate",
    )
    add("--duration", type=float, metavar="S", help="end after so many seconds")
    add("--ungated", action="store_true", help="run a file that did not pass the gate of robolearn export, or never saw it, on a robot")
    add("--limit", action="append", default=[], metavar="NAME=VALUE", help="override a safety limit (bridge/safety.py: SafetyLimits)")
    add("--rate", type=float, metavar="HZ", help="refused unless it is the policy's own rate: a policy runs at the rate it was trained at")

    add = parser.add_argument_group("operator and logs").add_argument
    add("--dashboard", action=switch, help="screen and keys in this terminal (default: if it is one)")
    add("--gamepad", type=Path, metavar="DEVICE", nargs="?", const=Path("/dev/input/js0"), help="steer with a gamepad (/dev/input/js0)")
    add("--log", type=Path, metavar="PATH", help="the run's MCAP log (default: runs/logs/<time>_<policy>.mcap); see robolearn replay")
    add("--log-sensors", choices=("tick", "all"), default="tick", help="log the readings at the ticks, or all, as robolearn identify wants")
    add("--no-log", action="store_true", help="write no log")
    add("--events", type=Path, metavar="PATH", help="write transitions, refusals and timing as JSON lines")

    add = parser.add_argument_group("this computer").add_argument
    add("--cpu", type=int, metavar="CORE", help="keep the control loop on this processor core")
    add(
        "--align-hz",
        type=float,
        metavar="HZ",
        help="let the ticks fall on the sensor messages, which come at this rate",
    )
    add("--lock-memory", action="store_true", help="keep the process's memory in RAM, so that no tick waits for the disk")

    add = parser.add_argument_group("--transport sim").add_argument
    add("--mjcf", type=Path, help="model of the robot (default: the bundled one)")
    add("--realtime", action=switch, help="pace by the wall clock (default: with a dashboard)")
    add("--gantry", choices=GANTRY_MODES, default="auto", help="hold the robot until its policy runs, or always (auto: bipeds)")
    add("--permute-joints", type=int, metavar="SEED", help="joint order of its wire")

    add = parser.add_argument_group("--transport ros2").add_argument
    add("--command-interface", choices=INTERFACES, default="impedance", help="what the robot listens to (docs/ros2.md)")
    add("--command-topic", help="where commands go (default: the interface's own topic)")
    add("--joint-order", nargs="+", metavar="JOINT", help="the controller's joint order, for the forward interfaces")
    add("--joint-names", nargs="+", default=[], metavar="POLICY=WIRE", help="joints that the robot calls otherwise than the policy file")
    add("--joint-prefix", metavar="[OLD=]NEW", help="put NEW before every joint's name, or in place of OLD: panda_=fr3_")
    add("--managed", action="store_true", help="wait for a ROS 2 lifecycle manager to configure and activate the node")
    add("--extra-joints", nargs="+", default=[], metavar="JOINT", help="joints on the wire that are not the policy's, e.g. a gripper")
    add("--base-frame", default="base", help="frame of goal positions (default base)")
    add("--discovery", choices=("LOCALHOST", "SUBNET"), help="ROS 2 discovery range (default LOCALHOST, or what the environment says)")

    add = parser.add_argument_group("--transport unitree").add_argument
    add("--network-interface", metavar="NAME", help="interface of the cable to the robot (default: loopback)")
    add("--dds-domain", type=int, metavar="N", help="DDS domain (default: ROS_DOMAIN_ID, or 0)")
    add("--known-publishers", type=int, default=0, metavar="N", help="silent publishers of rt/lowcmd that are no rivals")
    add("--no-crc", action="store_true", help="take LowStates without a check sum, as some simulators send them")


def check_gate(policy: PolicyFile, options: argparse.Namespace) -> None:
    """Refuse a file that was not found deployable where it may meet a robot; in process, say so.

    Raises:
        DeployError: not found deployable, on a robot's wire and not `--ungated`.
    """
    verdict = policy.provenance.get("deployable")
    if verdict is True:
        return
    found = "failed its gate" if verdict is False else "never saw the gate"
    if options.transport != "sim" and not options.ungated:
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
    if options.no_log and (options.log is not None or options.log_sensors == "all"):
        raise DeployError("--no-log goes with neither --log nor --log-sensors all nor --motion")
    if options.managed and (options.transport != "ros2" or options.auto_start):
        raise DeployError("--managed needs --transport ros2 and no --auto-start: an operator moves the robot, no lifecycle manager")
    if options.align_hz is not None and not 1 <= options.align_hz <= 1000:
        raise DeployError(f"--align-hz must lie between 1 and 1000, not {options.align_hz:g}")
    if getattr(options, "motion", None) is not None and options.dry_run:
        raise DeployError("--motion and --dry-run do not go together: a motion is known beforehand")
    if options.duration is not None and not (options.duration > 0 and np.isfinite(options.duration)):
        raise DeployError(f"--duration must be above zero and finite, not {options.duration:g}")
    if options.dds_domain is not None and not 0 <= options.dds_domain <= 232:
        raise DeployError(f"--dds-domain must lie between 0 and 232, not {options.dds_domain}")


def on_terminal() -> bool:
    """Whether a person can see this and type."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def said_of(spec: PolicySpec, options: argparse.Namespace) -> list[str]:
    """What a person should read before it starts: thresholds that were changed, and a command outside the trained range."""
    said = [f"safety limit overridden: {pair}" for pair in options.limit]
    if options.command is not None:
        command, lower, upper = np.array(options.command), np.array(spec.command.lower), np.array(spec.command.upper)
        if ((command < lower) | (command > upper)).any():
            inside = np.clip(command, lower, upper)
            said.append(f"command {command.tolist()} is outside the trained range; the policy sees {inside.tolist()}")
    return said


def wants_screen(options: argparse.Namespace) -> bool:
    """Whether the screen and the keys of this terminal are in use."""
    return on_terminal() if options.dashboard is None else bool(options.dashboard)
