"""Our transports, and making the one in the options."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from bridge.control.joints import JointError
from bridge.fields import option, values
from bridge.isolation import isolate
from bridge.simulated.gantry import MODES as GANTRY_MODES
from bridge.transports.base import Transport
from bridge.transports.registry import DeployError, Deployment, TransportKind, get_transport, register_transport
from bridge.transports.ros2.options import Ros2Options
from bridge.transports.unitree.options import UnitreeOptions
from policies.contract.spec import PolicySpec
from policies.install import install_command


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedOptions:
    """A simulated robot, in this process or, with `--simulate`, in a separate one.

    Attributes:
        mjcf: model; None for the policy robot's own.
        gantry: whether the robot hangs; see `bridge.simulated.gantry`.
        permute_joints: seed of a joint order of the wire; None for the model's.
        realtime: whether to run in real time; None for yes if a person watches.
    """

    mjcf: Path | None = option(
        None, "another model of the robot, MJCF (robolearn deploy: or URDF; default: the robot's own)", metavar="FILE"
    )
    gantry: str = option("auto", "hold the robot until its policy runs, or always (auto: bipeds only)", choices=GANTRY_MODES)
    permute_joints: int | None = option(None, "joint order of its wire", metavar="SEED", at=("sim", "ros2 --simulate"))
    realtime: bool | None = option(None, "--transport sim: run in real time (default: with a dashboard)", at=("sim",))


def make_transport(name: str, spec: PolicySpec, options: argparse.Namespace, deployment: Deployment) -> Transport:
    """The transport of that name, not yet open.

    Raises:
        DeployError: a package, a model or a network interface is missing.
        JointError: joints that do not match.
    """
    kind = get_transport(name)
    try:
        return kind.make(spec, values(options, kind.options), deployment)
    except ModuleNotFoundError as error:
        mend = f"; run: {install_command(kind.extra)}" if kind.extra else ", which is not installed"
        raise DeployError(f"--transport {name} needs {error.name}{mend}") from error
    except JointError:
        raise
    except (FileNotFoundError, ValueError) as error:
        raise DeployError(str(error)) from error


def _sim(spec: PolicySpec, options: SimulatedOptions, deployment: Deployment) -> Transport:
    from bridge.simulated.physics import PhysicsRobot, physics_dt
    from bridge.simulated.scenery import SimulatedCameras
    from bridge.transports.sim import SimTransport

    if options.mjcf is None:
        raise DeployError("--transport sim needs --mjcf, the robot's MuJoCo model")
    dt, key = physics_dt(spec, 500.0), None if deployment.scenery is None else deployment.scenery.key
    robot = PhysicsRobot(spec.robot, options.mjcf, dt, options.permute_joints, key, options.gantry)
    command = None if deployment.command is None else np.array(deployment.command)
    realtime = deployment.screen if options.realtime is None else options.realtime
    cameras = None
    if deployment.eyes is not None:
        if deployment.scenery is None:
            raise DeployError("--transport sim draws pictures with robolearn deploy alone, which knows the scene of the policy's training")
        cameras = SimulatedCameras(deployment.eyes, deployment.scenery, spec.control_dt)
    return SimTransport(robot, spec.robot.joint_names, command, realtime, cameras)


def _ros2(spec: PolicySpec, options: Ros2Options, deployment: Deployment) -> Transport:
    isolate(options.discovery)
    from bridge.transports.ros2.transport import Ros2Transport

    options = dataclasses.replace(options, ros_args=deployment.ros_args)
    return Ros2Transport(spec, options, deployment.command, deployment.controller, deployment.eyes)


def _unitree(spec: PolicySpec, options: UnitreeOptions, deployment: Deployment) -> Transport:
    from bridge.transports.unitree.transport import UnitreeTransport

    if deployment.controller is not None:
        options = dataclasses.replace(options, damping_factor=deployment.controller.limits.damping_factor)
    return UnitreeTransport(spec, options, deployment.command)


def _ros2_robot(options: argparse.Namespace) -> list[str]:
    command = ["-m", "bridge.simulated.robot", "--command-interface", options.command_interface]
    if options.command_topic is not None:
        command += ["--command-topic", options.command_topic]
    if options.gripper_joints:
        command += ["--gripper-joints", *options.gripper_joints, "--gripper-interface", options.gripper_interface]
        command += [] if options.gripper_topic is None else ["--gripper-topic", options.gripper_topic]
    if options.permute_joints is not None:
        command += ["--permute-joints", str(options.permute_joints)]
    return command


def _unitree_robot(options: argparse.Namespace) -> list[str]:
    return ["-m", "bridge.simulated.unitree"]


register_transport(
    "ros2", TransportKind(description="ROS 2", make=_ros2, options=Ros2Options, simulator=_ros2_robot, extra="ros", sees=True)
)
register_transport(
    "unitree",
    TransportKind(description="Unitree's DDS", make=_unitree, options=UnitreeOptions, simulator=_unitree_robot, extra="unitree"),
)
register_transport(
    "sim", TransportKind(description="in this process", make=_sim, options=SimulatedOptions, in_process=True, extra="train", sees=True)
)
