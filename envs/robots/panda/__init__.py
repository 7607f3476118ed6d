"""Franka Emika Panda: 7 joints, its hand a fixed tool, 18.5 kg.

The PD imitates Franka's joint impedance controller: stiffness of the order its examples use, damping critical for the inertia I that
each joint sees in the default pose, kd = 2 zeta sqrt(kp I), zeta = 1. Gravity is compensated by the model, as by Franka's
controller, so the PD carries motion and payloads alone. Velocity and torque limits are Franka's (FCI documentation); the model does not
enforce the velocity limits, tasks and bridge do.
"""

from math import pi, sqrt
from pathlib import Path

from envs.robots.robot import Robot

DAMPING_RATIO = 1.0
STIFFNESS_ARM, STIFFNESS_WRIST = 600.0, 200.0  # N m / rad
ARMATURE = 0.1  # kg m^2; an order of magnitude, Franka publishes none
INERTIA = (1.813, 2.367, 1.611, 1.360, 0.509, 0.322, 0.200)  # kg m^2, diagonal of the mass matrix in the default pose, armature in it

KP = (STIFFNESS_ARM,) * 4 + (STIFFNESS_WRIST,) * 3
KD = tuple(2 * DAMPING_RATIO * sqrt(kp * inertia) for kp, inertia in zip(KP, INERTIA, strict=True))

PANDA = Robot(
    name="panda",
    mjcf=Path(__file__).parent / "panda.xml",
    joints=tuple(f"panda_joint{i}" for i in range(1, 8)),
    default_pose=(0.0, -pi / 4, 0.0, -3 * pi / 4, 0.0, pi / 2, pi / 4),
    kp=KP,
    kd=KD,
    effort_limit=(87.0,) * 4 + (12.0,) * 3,
    velocity_limit=(2.175,) * 4 + (2.61,) * 3,
    action_scale=(0.5,) * 7,
    base_body="hand",
    end_effector_site="end_effector",
    imu_site=None,
    stand_height=None,
)
