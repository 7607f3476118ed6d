"""The ends of the latency benchmark over Unitree's DDS: a robot that sends LowState and hears LowCmd, and an echo."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.latency_codes import Codes, child
from bridge.control.command import JointCommand
from bridge.simulated.physics import Sample
from bridge.simulated.unitree import LowCmdDecoder, LowStateEncoder
from bridge.transports.unitree.dds import LOW_COMMAND, LOW_STATE, Wire, choose_domain, choose_interface
from bridge.transports.unitree.messages import LowCmdEncoder, LowStateDecoder
from bridge.transports.unitree.robots import robot_of
from policies.contract.spec import PolicySpec


class UnitreeRobot:
    """Implements `benchmarks.latency_codes.Robot`."""

    def __init__(self, spec: PolicySpec) -> None:
        choose_interface(None)
        robot, self._map = robot_of(spec)
        self._encode, self._decode = LowStateEncoder(robot), LowCmdDecoder(robot)
        self._wire = Wire(robot.family.name, choose_domain(None))
        self._commands = self._wire.reader(LOW_COMMAND, self._wire.types.LowCmd_)
        self._states = self._wire.writer(LOW_STATE, self._wire.types.LowState_)

    def send(self, sample: Sample) -> None:
        motors = np.stack([self._map.to_wire(field) for field in (sample.position, sample.velocity, sample.effort)])
        tick = sample.stamp_ns // 1_000_000 % (1 << 32)
        self._states.write_frame(self._encode(motors, sample.imu_quat_wxyz, sample.imu_angular_velocity_b, tick))

    def spin(self, timeout_s: float, codes: Codes) -> None:
        if self._wire.wait(round(timeout_s * 1e9)):
            for message in self._commands.take_frames():
                command = self._decode(message)
                target, kp = (self._map.from_wire(field, "command")[0] for field in (command.position, command.kp))
                codes.arrived(float(target), float(kp))

    def close(self) -> None:
        del self._commands, self._states
        self._wire.close()


def echo(spec: PolicySpec) -> None:
    """The peer: answer each LowState with a LowCmd, as soon as it comes."""
    choose_interface(None)
    robot, joints = robot_of(spec)
    wire = Wire(robot.family.name, choose_domain(None))
    states = wire.reader(LOW_STATE, wire.types.LowState_)
    writer = wire.writer(LOW_COMMAND, wire.types.LowCmd_)
    decode, encode = LowStateDecoder(robot, joints), LowCmdEncoder(robot, joints)
    zero, kp = np.zeros(spec.robot.num_joints), np.full(spec.robot.num_joints, 1e9)
    while True:
        if wire.wait(100_000_000):
            for message in states.take_frames():
                writer.write_frame(encode(JointCommand(decode(message).position, zero, zero, kp, zero)))
        time.sleep(0)


if __name__ == "__main__":
    child(UnitreeRobot, echo)
