"""Make the transport that the options ask for."""

from __future__ import annotations

import argparse

import numpy as np

from bridge.control.controller import Controller
from bridge.control.joints import JointError
from bridge.isolation import isolate
from bridge.options import DeployError, wants_screen
from bridge.transports.base import Transport
from policies.contract.spec import PolicySpec
from policies.install import install_command

EXTRAS = {"ros2": "ros", "unitree": "unitree", "sim": "train"}


def make_transport(spec: PolicySpec, options: argparse.Namespace, ros_args: list[str], controller: Controller | None = None) -> Transport:
    """The transport of `options.transport`, not yet open.

    Raises:
        DeployError: a package, a model or a network interface is missing.
        JointError: joints that do not match.
    """
    make = {"sim": _sim, "unitree": _unitree, "ros2": _ros2}[options.transport]
    try:
        return make(spec, options, ros_args, controller)
    except ModuleNotFoundError as error:
        wanted = EXTRAS[options.transport]
        raise DeployError(f"--transport {options.transport} needs {error.name}; run: {install_command(wanted)}") from error
    except JointError:
        raise
    except (FileNotFoundError, ValueError) as error:
        raise DeployError(str(error)) from error


def _sim(spec: PolicySpec, options: argparse.Namespace, ros_args: list[str], controller: Controller | None) -> Transport:
    from bridge.simulated.physics import PhysicsRobot, physics_dt
    from bridge.transports.sim import SimTransport

    robot = PhysicsRobot(spec.robot, options.mjcf, physics_dt(spec, 500.0), options.permute_joints, gantry=options.gantry)
    command = None if options.command is None else np.array(options.command)
    realtime = wants_screen(options) if options.realtime is None else options.realtime
    return SimTransport(robot, spec.robot.joint_names, command, realtime)


def _ros2(spec: PolicySpec, options: argparse.Namespace, ros_args: list[str], controller: Controller | None) -> Transport:
    isolate(options.discovery)
    from bridge.transports.ros2.transport import Ros2Options, Ros2Transport

    order = None if options.joint_order is None else tuple(options.joint_order)
    ros2 = Ros2Options(
        interface=options.command_interface,
        command_topic=options.command_topic,
        joint_order=order,
        joint_names=tuple(options.joint_names),
        joint_prefix=options.joint_prefix,
        extra_joints=tuple(options.extra_joints),
        base_frame=options.base_frame,
        managed=options.managed,
        silent_nodes=tuple(options.silent_nodes),
        ros_args=tuple(ros_args),
    )
    return Ros2Transport(spec, ros2, options.command, controller)


def _unitree(spec: PolicySpec, options: argparse.Namespace, ros_args: list[str], controller: Controller | None) -> Transport:
    from bridge.transports.unitree.transport import UnitreeOptions, UnitreeTransport

    unitree = UnitreeOptions(
        interface=options.network_interface,
        domain=options.dds_domain,
        check_crc=not options.no_crc,
        known_publishers=options.known_publishers,
        known_senders=options.known_senders,
        damping_factor=1.0 if controller is None else controller.limits.damping_factor,
    )
    return UnitreeTransport(spec, unitree, options.command)
