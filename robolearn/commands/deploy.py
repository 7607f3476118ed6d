"""Run a policy file on a robot over ROS 2 or Unitree's DDS, or on a simulated one (docs/deploy.md).

With --transport sim the robot is simulated in this process; --simulate starts it as a process of its own first, on the same wire as a
real one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge import deploy, options
from bridge.transports.registry import get_transport
from policies.contract.file import PolicyFile
from robolearn.errors import UsageError
from robolearn.policy_path import find_policy

ACCEPTS_OVERRIDES = False
KEEPS_ITS_WORK = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bridge.deploy` and the simulated robot."""
    options.configure(parser)
    parser.add_argument("--simulate", action="store_true", help="also start the bundled robot, simulated, on this computer's loopback")

    motion = "play a motion in place of the policy, for robolearn identify: sines with the base held, or squats of a quadruped on its feet"
    parser.add_argument("--motion", choices=("sines", "squats"), help=motion)
    parser.add_argument("--motion-seconds", type=float, default=16.0, metavar="S", help="length of the motion (default 16)")
    held = "the robot hangs with its feet free, or is bolted down: what --motion sines needs of a legged robot (simulated: --gantry always)"
    parser.add_argument("--base-held", action="store_true", help=held)


def run(args: argparse.Namespace, overrides: Sequence[str]) -> int:
    """Deploy; the robot's bundled model is found by its name. Returns the exit code."""
    args.policy = find_policy(args.policy)
    if not 4 <= args.motion_seconds <= 600:
        raise UsageError(f"--motion-seconds must lie between 4 and 600, not {args.motion_seconds:g}")
    if args.base_held and args.motion != "sines":
        raise UsageError("--base-held belongs to --motion sines; without it, it would do nothing")
    kind = get_transport(args.transport)
    if args.simulate and kind.in_process:
        raise UsageError(f"--simulate starts a robot on a wire; with --transport {args.transport} the robot is already simulated")
    if args.simulate and kind.simulator is None:
        raise UsageError(f"--transport {args.transport} brings no simulated robot for --simulate (docs/bring-your-robot.md)")
    try:
        policy = PolicyFile(args.policy)
        own_model = args.mjcf is not None
        if not own_model and (args.simulate or kind.in_process):
            args.mjcf = bundled_mjcf(policy.spec.robot.name)
        if args.simulate:  # before a robot is started in vain
            options.check_options(policy.spec, args)
            options.parse_limits(args.limit)
            if own_model:
                check_model(args, policy)
            if not args.ungated:
                options.check_gate(policy, args)
        if args.motion is not None:
            prepare_motion(args, policy)
        with simulated_robot(args) if args.simulate else contextlib.nullcontext():
            return deploy.run_deploy(args, getattr(args, "ros_args", []))
    except deploy.USER_ERRORS as error:
        raise UsageError(str(error)) from error


def prepare_motion(args: argparse.Namespace, policy: PolicyFile) -> None:
    """Put the motion that `--motion` names into the options, at the policy's own rate, and log what identification wants.

    Raises:
        UsageError: it is not for this robot, or nobody said that the base is held.
    """
    from bridge.control.motion import Motion
    from robolearn.identify.excitation import sines, squats

    robot, simulated = policy.spec.robot, args.simulate or options.in_process(args)
    hangs = args.gantry == "always" if simulated else args.base_held
    if args.motion == "sines" and robot.floating_base and not hangs:
        how = "give --gantry always" if simulated else "hang the robot up with its feet free, and say so with --base-held"
        raise UsageError(f"--motion sines needs the base held: {how}")
    if args.motion == "squats" and (not any("calf" in name for name in robot.joint_names) or args.gantry == "always"):
        raise UsageError("--motion squats is for quadrupeds that stand on their feet")
    make = sines if args.motion == "sines" else squats
    commands = make(policy.spec.robot, args.motion_seconds, 1 / policy.spec.control_dt)
    args.motion = Motion(
        name=args.motion,
        time_s=commands.time_s,
        target=commands.target,
        kp=commands.kp,
        kd=commands.kd,
        base_held=args.motion == "sines" and robot.floating_base,
    )
    args.log_sensors = "all"
    if args.command is None:
        args.command = [0.0] * len(policy.spec.command.labels)  # nobody steers a motion


def bundled_mjcf(robot: str) -> Path:
    """Path of a bundled robot's MJCF, found without importing the robot.

    Raises:
        UsageError: no such robot.
    """
    found = importlib.util.find_spec("envs.robots")
    folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found else []
    for folder in folders:
        if (folder / robot / f"{robot}.xml").is_file():
            return folder / robot / f"{robot}.xml"
    known = sorted(path.parent.name for folder in folders for path in folder.glob("*/*.xml"))
    raise UsageError(f"no bundled model of robot {robot!r}; bundled: {', '.join(known)}; give one with --mjcf")


def check_model(args: argparse.Namespace, policy: PolicyFile) -> None:
    """Refuse a model that the simulated robot's process would not take: nobody would be there to wait for.

    Raises:
        UsageError: says what the model has and lacks.
    """
    from bridge.simulated.physics import ModelError, PhysicsRobot

    try:
        PhysicsRobot(policy.spec.robot, args.mjcf)
    except ModelError as error:
        raise UsageError(f"--mjcf: {error}") from error


@contextlib.contextmanager
def simulated_robot(args: argparse.Namespace) -> Iterator[None]:
    """The simulated robot's process while the body runs."""
    from bridge.isolation import isolate

    isolate(args.discovery)
    simulator = get_transport(args.transport).simulator
    assert simulator is not None
    command = [sys.executable, *simulator(args), "--policy", str(args.policy), "--mjcf", str(args.mjcf), "--gantry", args.gantry]
    process = subprocess.Popen([*command, *getattr(args, "ros_args", [])], start_new_session=True)  # Ctrl-C is for the policy first
    try:
        yield
    finally:
        if (code := process.poll()) is not None and code != 0:
            print(f"warning: the simulated robot had ended by itself, with exit code {code}", file=sys.stderr)
        process.terminate()
        process.wait(timeout=10)
