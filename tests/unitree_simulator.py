"""A program that plays a Unitree robot the way simulators outside this repository do: with the SDK's own channels and message objects, what
it does not know left at the SDK's defaults, and a loop that is slower than the wall clock.

    python -m tests.unitree_simulator --policy walk.onnx --mjcf go1.xml --domain 7 --pace 0.95 [--filled]

`--filled` adds what Unitree's simulator in C++ fills in: check sum, tick in simulated time, `mode_machine`. Each second it prints
simulated time [s], wall time [s], x and height of the base [m].
"""

from __future__ import annotations

import argparse
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.joints import JointMap
from bridge.control.priority import raise_priority
from bridge.control.safety import Mode
from bridge.simulated.physics import PhysicsRobot
from bridge.simulated.unitree import MODE_MACHINE
from bridge.transports.unitree.robots import HG, robot_of
from policies.contract.file import PolicyFile

STEP_S, SUBSTEPS = 0.0025, 2  # a message each 5 ms of simulated time
LETS_GO_S = 3.0  # after the first command that drives


def main() -> None:
    """Run until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--mjcf", type=Path)
    parser.add_argument("--domain", type=int)
    parser.add_argument("--pace", type=float)
    parser.add_argument("--filled", action="store_true")
    options = parser.parse_args()
    raise_priority()  # how busy the computer is, is not what is tested
    channel: Any = import_module("unitree_sdk2py.core.channel")
    defaults: Any = import_module("unitree_sdk2py.idl.default")
    checked: Any = import_module("unitree_sdk2py.utils.crc").CRC()
    spec = PolicyFile(options.policy).spec
    unitree, _ = robot_of(spec)
    family = unitree.family.name
    types: Any = import_module(f"unitree_sdk2py.idl.{family}.msg.dds_")
    robot = PhysicsRobot(spec.robot, options.mjcf, STEP_S)
    order, lock, count = JointMap(robot.names, unitree.motors), threading.Lock(), len(unitree.motors)
    driven_s: list[float] = []

    def obey(message: Any) -> None:
        motors = message.motor_cmd[:count]
        fields = [np.array([getattr(motor, name) for motor in motors]) for name in ("q", "dq", "tau", "kp", "kd")]
        with lock:
            robot.apply(JointCommand(*(order.from_wire(field, "command") for field in fields)))
            if fields[3].any() and not driven_s:
                driven_s.append(robot.time_s)

    channel.ChannelFactoryInitialize(options.domain, "lo")
    states = channel.ChannelPublisher("rt/lowstate", types.LowState_)
    states.Init()
    commands = channel.ChannelSubscriber("rt/lowcmd", types.LowCmd_)
    commands.Init(obey, 10)
    state = getattr(defaults, f"{family}_msg_dds__LowState_")()
    begin_s = due_s = time.monotonic()
    told_s = -1.0
    while True:
        with lock:
            if robot.gantry is not None and driven_s:
                robot.gantry.follow(Mode.POLICY if robot.time_s - driven_s[0] > LETS_GO_S else Mode.STAND)
            for _ in range(SUBSTEPS):
                robot.step()
            sample = robot.sample()
        for number, values in enumerate(zip(*(order.to_wire(f) for f in (sample.position, sample.velocity, sample.effort)), strict=True)):
            motor = state.motor_state[number]
            motor.q, motor.dq, motor.tau_est = (float(value) for value in values)
        state.imu_state.quaternion = [float(value) for value in sample.imu_quat_wxyz]
        state.imu_state.gyroscope = [float(value) for value in sample.imu_angular_velocity_b]
        if options.filled:
            state.tick = round(robot.time_s * 1e3)
            if unitree.family is HG:
                state.mode_machine = MODE_MACHINE
            state.crc = checked.Crc(state)
        states.Write(state)
        if robot.time_s - told_s >= 1.0:
            told_s = robot.time_s
            x, _, height = robot.truth()[0]
            print(f"{robot.time_s:.3f} {time.monotonic() - begin_s:.3f} {x:.3f} {height:.3f}", flush=True)
        due_s = max(due_s + STEP_S * SUBSTEPS / options.pace, time.monotonic() - 0.02)  # what is lost is lost
        time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    main()
