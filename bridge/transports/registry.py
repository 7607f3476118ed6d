"""The transports by name: ours and plugins'."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.cameras.eyes import Eyes
from bridge.control.controller import Controller
from bridge.simulated.scenery import Scenery
from bridge.transports.base import Transport
from policies.contract.spec import PolicySpec
from policies.registry import Registry


class DeployError(ValueError):
    """Options contradict the policy file or each other, or need something that the computer lacks."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The run that a transport serves.

    Attributes:
        command: fixed command (C,) from `--command`, which never expires; None for the operator's.
        controller: the controller; None in tests without one.
        ros_args: arguments after `--ros-args`.
        screen: whether a person watches in this terminal.
        eyes: where the transport puts pictures; None for a policy that sees nothing.
        scenery: what draws the pictures of a robot that is simulated in this process; None for nothing.
    """

    command: tuple[float, ...] | None = None
    controller: Controller | None = None
    ros_args: tuple[str, ...] = ()
    screen: bool = False
    eyes: Eyes | None = None
    scenery: Scenery | None = None


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Of a transport that has none of its own."""


@dataclass(frozen=True, kw_only=True)
class TransportKind:
    """A kind of transport.

    Attributes:
        description: one line.
        make: makes the transport, not yet open, from the policy's contract, its options and the run. When called, it imports what only it
            needs, and raises ValueError for errors that the user can fix.
        options: dataclass of its own options, fields by `bridge.fields.option`.
        simulator: the arguments of `python` that start a simulated robot on this wire, for `--simulate`, from the whole command line; None
            where there is none.
        in_process: the robot is simulated in this process, in its own time: nothing can be harmed, so no gate is required.
        extra: extra of robolearn that brings what it needs; None where it brings that itself.
        sees: whether it puts pictures into `Deployment.eyes`, for policies with cameras.
    """

    description: str
    make: Callable[[PolicySpec, Any, Deployment], Transport]
    options: type = NoOptions
    simulator: Callable[[argparse.Namespace], list[str]] | None = None
    in_process: bool = False
    extra: str | None = None
    sees: bool = False


TRANSPORTS = Registry("transport", of=TransportKind)


def register_transport(name: str, kind: TransportKind) -> TransportKind:
    """Add a transport for `--transport NAME`.

    Raises:
        policies.plugins.PluginError: the name is taken.
    """
    return TRANSPORTS.register(name, kind)


def get_transport(name: str) -> TransportKind:
    """A transport by name.

    Raises:
        policies.registry.UnknownNameError: lists the names.
        policies.plugins.PluginError: one of a plugin's that cannot be imported.
    """
    return TRANSPORTS.get(name)
