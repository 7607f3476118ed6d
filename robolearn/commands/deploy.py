"""Run a policy file on a robot over ROS 2 or Unitree's DDS, or on a simulated one (docs/deploy.md).

With --transport sim the robot is simulated in this process; --simulate first starts it as a separate process, on the same wire as a real
one.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge import deploy, options, settings
from bridge.control import asked
from bridge.fields import add_options
from bridge.simulated.shared import memory_folder
from bridge.transports.registry import get_transport
from policies.contract.file import PolicyFile
from robolearn.errors import UsageError, UserError
from robolearn.policy_path import find_policy

ACCEPTS_OVERRIDES = True
KEEPS_ITS_WORK = True
STABLE_FEET = 3  # a robot with this many feet stands without balancing


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bridge.deploy` and the simulated robot."""
    options.configure(parser)
    add_options(parser, options.FullOptions)


def prepare_options(parser: argparse.ArgumentParser, arguments: Sequence[str], overrides: Sequence[str]) -> None:
    """Read `--config` before the options, which take precedence."""
    with faults_of_users():
        settings.prepare(parser, arguments, overrides)


def run(args: argparse.Namespace, overrides: Sequence[str]) -> int:
    """Deploy; the model of a simulated robot is that of the policy's own robot. Returns the exit code."""
    with faults_of_users():
        settings.settle(args)
    args.policy = find_policy(args.policy)
    if not 4 <= args.motion_seconds <= 600:
        raise UsageError(f"--motion-seconds must lie between 4 and 600, not {args.motion_seconds:g}")
    if args.base_held and args.motion != "sines":
        raise UsageError("--base-held is for --motion sines and does nothing without it")
    kind = get_transport(args.transport)
    if args.simulate and kind.in_process:
        raise UsageError(f"--simulate starts a robot on a wire; with --transport {args.transport} the robot is already simulated")
    if args.simulate and kind.simulator is None:
        raise UsageError(f"--transport {args.transport} has no simulated robot for --simulate (docs/bring-your-robot.md)")
    if args.robot and not (args.simulate or kind.in_process):
        raise UsageError("--robot is the model of a simulated robot: use it with --simulate or --transport sim")
    with faults_of_users():
        policy = PolicyFile(args.policy)
        with contextlib.ExitStack() as stack:
            if args.robot is not None:
                from robolearn.policy_robot import robot_of

                args.robot = robot_of(policy, args.robot)  # once: it warns if the model has changed
            if args.simulate or kind.in_process:
                find_model(args, policy, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            if args.simulate:  # before a robot is started for nothing
                options.check_options(policy.spec, args)
                options.limits_of(args)
                check_model(args, policy)
                if not args.ungated:
                    options.check_gate(policy, args)
            if args.motion is not None:
                prepare_motion(args, policy)
            if args.simulate:
                stack.enter_context(simulated_robot(args, policy))
            return deploy.run_deploy(args, getattr(args, "ros_args", []))


@contextlib.contextmanager
def faults_of_users() -> Iterator[None]:
    """Turn errors that the user can fix into one line and exit code 2, as in every command.

    Raises:
        UsageError: in place of the bridge's own errors.
    """
    try:
        yield
    except deploy.USER_ERRORS as error:
        raise UsageError(str(error)) from error


def find_model(args: argparse.Namespace, policy: PolicyFile, folder: Path) -> None:
    """Put the path of the simulated robot's MJCF into the options; one that has to be made is written into `folder`.

    Raises:
        UserError: there is no model, or it is not of the policy's robot.
    """
    if args.mjcf is not None and not args.mjcf.is_file():
        return  # the reader reports it
    from robolearn.other_model import refuse_other_robot
    from robolearn.policy_robot import robot_of
    from robolearn.simulated_model import simulated_model

    given = args.mjcf is not None
    if policy.images and args.motion is None:
        set_scene(args, policy, folder)
        return
    args.mjcf = simulated_model(policy, args.robot, args.mjcf, folder)
    if not given:
        return
    try:
        robot = robot_of(policy)
    except UserError:  # missing, or changed since: there is nothing to compare the model with
        return
    refuse_other_robot(robot, args.mjcf)


def set_scene(args: argparse.Namespace, policy: PolicyFile, folder: Path) -> None:
    """Put the scene of a seeing policy's training, and what draws its pictures, into the options.

    Raises:
        UsageError: another model is given, of which the policy's cameras know nothing.
        UserError: its environment cannot be made here.
    """
    from robolearn.scenery import TrainingScenery

    if args.mjcf is not None:
        raise UsageError("--mjcf is for policies that see nothing: the cameras of this one show the scene of its training (--robot NAME)")
    scenery = TrainingScenery(policy, args.robot)
    args.mjcf = scenery.write(folder / f"{policy.spec.robot.name}.xml")
    args.scene_key = scenery.key
    if args.simulate:
        scenery.close()  # another process draws
    else:
        args.scenery = scenery


def prepare_motion(args: argparse.Namespace, policy: PolicyFile) -> None:
    """Put the motion that `--motion` names into the options, at the policy's own rate, and log what identification needs.

    Raises:
        UsageError: the motion does not suit this robot, or --base-held is missing.
    """
    from bridge.control.motion import Motion
    from robolearn.identify.excitation import sines, squats
    from robolearn.policy_robot import robot_of

    robot, simulated = policy.spec.robot, args.simulate or options.in_process(args)
    hangs = args.gantry == "always" if simulated else args.base_held
    if args.motion == "sines" and robot.floating_base and not hangs:
        how = "give --gantry always" if simulated else "hang the robot up with its feet free, and confirm it with --base-held"
        raise UsageError(f"--motion sines needs the base held: {how}")
    rate_hz = 1 / policy.spec.control_dt
    if args.motion == "sines":
        commands = sines(robot, args.motion_seconds, rate_hz)
    else:
        who = robot_of(policy, args.robot)
        if len(who.feet) < STABLE_FEET or args.gantry == "always":
            raise UsageError("--motion squats is for robots that stand without balancing, on three feet or more")
        commands = squats(who, args.motion_seconds, rate_hz)
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
        asks = policy.spec.command  # a motion takes no commands
        args.command = asked.inside(asked.nothing(asks), asks).tolist()


def check_model(args: argparse.Namespace, policy: PolicyFile) -> None:
    """Refuse a model that the simulated robot's process could not load: the bridge would wait for it in vain.

    Raises:
        UsageError: lists what the model has and lacks.
    """
    from bridge.simulated.physics import ModelError, PhysicsRobot

    try:
        PhysicsRobot(policy.spec.robot, args.mjcf)
    except ModelError as error:
        raise UsageError(f"--mjcf: {error}") from error


@contextlib.contextmanager
def simulated_robot(args: argparse.Namespace, policy: PolicyFile) -> Iterator[None]:
    """Run the simulated robot's process, and that of its cameras, for the duration of the body."""
    from bridge.isolation import isolate

    isolate(args.discovery)
    simulator = get_transport(args.transport).simulator
    assert simulator is not None
    command = [*simulator(args), "--policy", str(args.policy), "--mjcf", str(args.mjcf), "--gantry", args.gantry]
    ros_args = getattr(args, "ros_args", [])
    with contextlib.ExitStack() as stack:
        if hasattr(args, "scene_key"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="robolearn-", dir=memory_folder())))
            pose = ["--pose", str(folder / "pose")]
            stack.enter_context(_process("cameras", [*camera_command(args), *pose, *ros_args]))
            command += [*pose, *([] if args.scene_key is None else ["--key", args.scene_key])]
        stack.enter_context(_process("robot", [*command, *ros_args]))
        yield


def camera_command(args: argparse.Namespace) -> list[str]:
    """The arguments of `python` that start the cameras of a simulated robot."""
    command = ["-m", "robolearn.simulated_cameras", "--policy", str(args.policy)]
    if args.robot is not None:
        command += ["--robot", str(args.robot.source or args.robot.name)]
    if args.command:
        command += ["--command", *(f"{value!r}" for value in args.command)]
    if args.camera_topics:
        command += ["--camera-topics", *args.camera_topics]
    return [*command, "--camera-compressed"] if args.camera_compressed else command


@contextlib.contextmanager
def _process(what: str, command: list[str]) -> Iterator[None]:
    """Run `python` with arguments for the duration of the body."""
    process = subprocess.Popen([sys.executable, *command], start_new_session=True)  # Ctrl-C must reach the policy first
    try:
        yield
    finally:
        if (code := process.poll()) is not None and code != 0:
            print(f"warning: the simulated {what} ended on its own, with exit code {code}", file=sys.stderr)
        process.terminate()
        process.wait(timeout=10)
