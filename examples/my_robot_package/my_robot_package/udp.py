"""A custom transport: packets over UDP between this computer and the robot's. Needs only numpy.

    robot -> us   stamp [ns], then J positions, velocities and torques, attitude wxyz and angular velocity of the base
    us -> robot   J target positions, velocities, torques, kp and kd

Little-endian doubles; if a sender stops, the guards here and the watchdog on the robot react.
"""

from __future__ import annotations

import argparse
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event
from bridge.fields import option
from bridge.transports.base import Transport, Wire
from bridge.transports.registry import Deployment, TransportKind
from policies.contract.spec import PolicySpec


@dataclass(frozen=True, kw_only=True)
class UdpOptions:
    """Options: the robot's address."""

    host: str = option("127.0.0.1", "the robot's address (default 127.0.0.1)", flag="--udp-host", metavar="HOST")
    port: int = option(9870, "port that the robot listens to (default 9870)", flag="--udp-port", metavar="N")


class UdpTransport(Wire):
    """The robot at the other end of a cable."""

    def __init__(self, spec: PolicySpec, options: UdpOptions, command: tuple[float, ...] | None) -> None:
        if command is None:
            raise ValueError("--transport udp has no operator's commands on its wire: give one with --command")
        self._joints = spec.robot.num_joints
        self._to, self._command = (options.host, options.port), np.array(command)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._reading: Reading | None = None
        self._fault: str | None = None

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        self._socket.sendto(b"", self._to)  # so that the robot knows where to send

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        while (left := (deadline_ns - self.now_ns()) * 1e-9) > 0:
            if select.select([self._socket], [], [], left)[0]:
                self._receive()
            if fresh_ns is not None and self._reading is not None and self._reading.received_ns > fresh_ns:
                return

    def read(self) -> Inputs:
        return Inputs(reading=self._reading, command=self._command, command_ns=self.now_ns(), wire_fault=self._fault)

    def write(self, command: JointCommand) -> None:
        fields = (command.position, command.velocity, command.effort, command.kp, command.kd)
        self._socket.sendto(np.concatenate(fields).astype("<f8").tobytes(), self._to)

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        try:
            packet = self._socket.recv(65536)
        except (BlockingIOError, ConnectionError):  # no receiver there yet
            time.sleep(0.001)
            self._socket.sendto(b"", self._to)
            return
        values, n = np.frombuffer(packet, "<f8"), self._joints
        self._fault = None if len(values) == 3 * n + 8 else f"a packet with {len(values)} numbers, not {3 * n + 8}"
        if self._fault is None:
            self._reading = Reading(
                position=values[1 : n + 1],
                velocity=values[n + 1 : 2 * n + 1],
                effort=values[2 * n + 1 : 3 * n + 1],
                imu_quat_wxyz=values[3 * n + 1 : 3 * n + 5],
                imu_angular_velocity_b=values[3 * n + 5 :],
                stamps_ns=(int(values[0]),),
                received_ns=self.now_ns(),
            )


def make(spec: PolicySpec, options: UdpOptions, deployment: Deployment) -> Transport:
    """Makes the transport for `--transport udp`."""
    return UdpTransport(spec, options, deployment.command)


def simulator(options: argparse.Namespace) -> list[str]:
    """The command that `--simulate` starts on this computer."""
    return ["-m", "my_robot_package.simulated", "--port", str(options.udp_port)]


UDP = TransportKind(description="packets over UDP", make=make, options=UdpOptions, simulator=simulator)
