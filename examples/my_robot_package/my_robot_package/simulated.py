"""A simulated robot with UDP: does what the robot's firmware does, with MuJoCo."""

from __future__ import annotations

import argparse
import socket
import sys
import time
from pathlib import Path

import numpy as np

from bridge import ending
from bridge.control.command import JointCommand
from bridge.control.priority import raise_priority
from bridge.simulated.gantry import MODES
from bridge.simulated.physics import PhysicsRobot
from policies.contract.file import PolicyFile

RATE_HZ = 500


def main() -> int:
    """Run until a signal arrives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--mjcf", type=Path, required=True)
    parser.add_argument("--gantry", choices=MODES, default="auto")
    parser.add_argument("--port", type=int, default=9870)
    args = parser.parse_args()
    robot = PhysicsRobot(PolicyFile(args.policy).spec.robot, args.mjcf, 1 / RATE_HZ, gantry=args.gantry)
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind(("127.0.0.1", args.port))
    wire.setblocking(False)
    raise_priority()
    due, who = time.monotonic(), None
    while True:
        due += robot.dt
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            while True:
                packet, who = wire.recvfrom(65536)
                if packet:
                    robot.apply(JointCommand(*np.frombuffer(packet, "<f8").reshape(5, -1)))
        except BlockingIOError:
            pass
        except ConnectionError:
            who = None
        robot.step()
        if who is not None:
            sample = robot.sample()
            imu = np.asarray(sample.imu_quat_wxyz), np.asarray(sample.imu_angular_velocity_b)
            parts = (np.array([time.monotonic_ns()]), sample.position, sample.velocity, sample.effort, *imu)
            wire.sendto(np.concatenate(parts).astype("<f8").tobytes(), who)


if __name__ == "__main__":
    sys.exit(ending.run("simulated_robot", main))
