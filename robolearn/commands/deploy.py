"""Run a policy file on a robot over ROS 2, or on a simulated one (docs/deploy.md).

With --transport sim the robot is simulated in this process, in lock-step; --simulate starts it as a ROS 2 node of its own first.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge import deploy
from policies.file import PolicyFile
from robolearn.errors import UsageError
from robolearn.policy_path import find_policy

ACCEPTS_OVERRIDES = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bridge.deploy` and the simulated robot."""
    deploy.configure(parser)
    parser.add_argument("--simulate", action="store_true", help="also start the bundled robot as a simulated ROS 2 node on this computer")


def run(args: argparse.Namespace, overrides: Sequence[str]) -> int:
    """Deploy; the robot's bundled model is found by its name. Returns the exit code."""
    args.policy = find_policy(args.policy)
    if args.simulate and args.transport != "ros2":
        raise UsageError("--simulate starts a ROS 2 robot; with --transport sim the robot is already simulated")
    try:
        policy = PolicyFile(args.policy)
        if args.mjcf is None and (args.simulate or args.transport == "sim"):
            args.mjcf = bundled_mjcf(policy.spec.robot.name)
        if args.simulate and not args.ungated:
            deploy.check_gate(policy, args)  # before a robot is started in vain
        with simulated_robot(args) if args.simulate else contextlib.nullcontext():
            return deploy.run_deploy(args, getattr(args, "ros_args", []))
    except deploy.USER_ERRORS as error:
        raise UsageError(str(error)) from error


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


@contextlib.contextmanager
def simulated_robot(args: argparse.Namespace) -> Iterator[None]:
    """The simulated robot's process while the body runs."""
    from bridge.isolation import isolate

    isolate(args.discovery)
    command = [sys.executable, "-m", "bridge.simulated_robot", "--policy", str(args.policy), "--mjcf", str(args.mjcf)]
    command += ["--command-interface", args.command_interface]
    if args.command_topic is not None:
        command += ["--command-topic", args.command_topic]
    if args.permute_joints is not None:
        command += ["--permute-joints", str(args.permute_joints)]
    process = subprocess.Popen([*command, *getattr(args, "ros_args", [])], start_new_session=True)  # Ctrl-C is for the policy first
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)
