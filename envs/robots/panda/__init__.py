"""Franka Emika Panda: 7 joints, its hand a fixed tool, 18.5 kg.

The PD imitates Franka's joint impedance controller: stiffness as in its examples, critical damping for the inertia I that each joint sees
in the default pose, kd = 2 zeta sqrt(kp I), zeta = 1. Gravity is compensated by the model, as by Franka's controller, so the PD only
handles motion and payloads. Velocity and torque limits are Franka's (FCI documentation); the velocity limits are enforced by tasks and
bridge, not by the model.

The cameras are where such cells often have them; they are not a calibration. `wrist` is on the hand and sees the fingers, `outside` stands
beside the arm and sees the whole workspace. Their angles of view are those of a RealSense D435 (depth 58 degrees, colour 42).
"""

from math import pi, sqrt
from pathlib import Path

from envs.robots.robot import Camera, Joint, Robot, Tool

DAMPING_RATIO = 1.0
STIFFNESS_ARM, STIFFNESS_WRIST = 600.0, 200.0  # N m / rad
ARMATURE = 0.1  # kg m^2; order of magnitude, since Franka publishes no value
INERTIA = (1.813, 2.367, 1.611, 1.360, 0.509, 0.322, 0.200)  # kg m^2, diagonal of the mass matrix in the default pose, including armature

KP = (STIFFNESS_ARM,) * 4 + (STIFFNESS_WRIST,) * 3
KD = tuple(2 * DAMPING_RATIO * sqrt(kp * inertia) for kp, inertia in zip(KP, INERTIA, strict=True))

POSE = (0.0, -pi / 4, 0.0, -3 * pi / 4, 0.0, pi / 2, pi / 4)  # rad
EFFORT = (87.0,) * 4 + (12.0,) * 3  # N m
VELOCITY = (2.175,) * 4 + (2.61,) * 3  # rad/s
ACTION_SCALE = 0.5  # rad

PANDA = Robot(
    name="panda",
    model=Path(__file__).parent / "panda.xml",
    joints={
        f"panda_joint{i + 1}": Joint(default=POSE[i], kp=KP[i], kd=KD[i], effort=EFFORT[i], velocity=VELOCITY[i], scale=ACTION_SCALE)
        for i in range(7)
    },
    base="hand",
    tool=Tool(body="hand", position=(0.0, 0.0, 0.1034)),
    cameras={
        "wrist": Camera(body="hand", position=(0.075, 0.0, 0.035), forward=(-0.45, 0.0, 1.0), up=(1.0, 0.0, 0.0), fovy_deg=58.0),
        "outside": Camera(body="world", position=(1.39, 0.64, 1.2), forward=(-0.97, -0.64, -0.8), fovy_deg=42.0),
    },
    workspace=((0.3, 0.65), (-0.4, 0.4), (0.15, 0.7)),
)
