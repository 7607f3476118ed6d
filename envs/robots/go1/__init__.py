"""Unitree Go1: 12 joints, 12 kg.

The PD gains follow from each joint's reflected rotor inertia I and a natural frequency of 12 Hz, critically damped:
kp = I w^2, kd = 2 zeta I w, w = 2 pi 12 Hz. Rotor inertia and gear ratios are Unitree's (go1_description URDF).
"""

from dataclasses import replace
from math import pi
from pathlib import Path

from envs.robots.robot import Foot, Imu, Joint, Robot

ROTOR_INERTIA = 0.000111842  # kg m^2
GEAR_RATIO_HIP = 6.0
GEAR_RATIO_KNEE = 9.0
NATURAL_FREQUENCY = 2 * pi * 12.0  # rad/s
DAMPING_RATIO = 1.0

ACTION_AUTHORITY = 0.4  # share of the torque limit that one unit of action commands at rest
EFFORT_HIP, EFFORT_KNEE = 23.7, 35.55  # N m
VELOCITY_HIP, VELOCITY_KNEE = 30.1, 20.06  # rad/s

ARMATURE_HIP = ROTOR_INERTIA * GEAR_RATIO_HIP**2  # kg m^2
ARMATURE_KNEE = ROTOR_INERTIA * GEAR_RATIO_KNEE**2
KP_HIP, KP_KNEE = ARMATURE_HIP * NATURAL_FREQUENCY**2, ARMATURE_KNEE * NATURAL_FREQUENCY**2
KD_HIP = 2 * DAMPING_RATIO * ARMATURE_HIP * NATURAL_FREQUENCY
KD_KNEE = 2 * DAMPING_RATIO * ARMATURE_KNEE * NATURAL_FREQUENCY

SCALE_HIP, SCALE_KNEE = ACTION_AUTHORITY * EFFORT_HIP / KP_HIP, ACTION_AUTHORITY * EFFORT_KNEE / KP_KNEE  # rad

HIP = Joint(default=0.9, kp=KP_HIP, kd=KD_HIP, effort=EFFORT_HIP, velocity=VELOCITY_HIP, scale=SCALE_HIP)
KNEE = Joint(default=-1.8, kp=KP_KNEE, kd=KD_KNEE, effort=EFFORT_KNEE, velocity=VELOCITY_KNEE, scale=SCALE_KNEE)


def _leg(leg: str) -> dict[str, Joint]:
    out = 0.1 if leg[1] == "L" else -0.1
    return {f"{leg}_hip_joint": replace(HIP, default=out), f"{leg}_thigh_joint": HIP, f"{leg}_calf_joint": KNEE}


def _foot(leg: str, turn: float) -> Foot:
    return Foot(body=f"{leg}_calf", position=(0.0, 0.0, -0.213), turn=turn, geoms=(f"{leg}_foot",))


GO1 = Robot(
    name="go1",
    model=Path(__file__).parent / "go1.xml",
    joints=_leg("FR") | _leg("FL") | _leg("RR") | _leg("RL"),
    base="trunk",
    feet={"FR": _foot("FR", 0.0), "FL": _foot("FL", 0.5), "RR": _foot("RR", 0.5), "RL": _foot("RL", 0.0)},  # diagonal legs together
    imu=Imu(body="trunk", position=(-0.01592, -0.06659, -0.00617)),
    stand_height=0.278,
)
