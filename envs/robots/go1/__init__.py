"""Unitree Go1: 12 joints, 12 kg.

The PD gains follow from each joint's reflected rotor inertia I and a natural frequency of 12 Hz, critically damped:
kp = I w^2, kd = 2 zeta I w, w = 2 pi 12 Hz. Rotor inertia and gear ratios are Unitree's (go1_description URDF).
"""

from math import pi
from pathlib import Path

from envs.robots.robot import Robot

ROTOR_INERTIA = 0.000111842  # kg m^2
GEAR_RATIO_HIP = 6.0
GEAR_RATIO_KNEE = 9.0
NATURAL_FREQUENCY = 2 * pi * 12.0  # rad/s
DAMPING_RATIO = 1.0

ACTION_AUTHORITY = 0.4  # share of the torque limit that a unit of action asks for at rest
EFFORT_HIP, EFFORT_KNEE = 23.7, 35.55  # N m
VELOCITY_HIP, VELOCITY_KNEE = 30.1, 20.06  # rad/s

ARMATURE_HIP = ROTOR_INERTIA * GEAR_RATIO_HIP**2  # kg m^2
ARMATURE_KNEE = ROTOR_INERTIA * GEAR_RATIO_KNEE**2
KP_HIP, KP_KNEE = ARMATURE_HIP * NATURAL_FREQUENCY**2, ARMATURE_KNEE * NATURAL_FREQUENCY**2
KD_HIP = 2 * DAMPING_RATIO * ARMATURE_HIP * NATURAL_FREQUENCY
KD_KNEE = 2 * DAMPING_RATIO * ARMATURE_KNEE * NATURAL_FREQUENCY

SCALE_HIP, SCALE_KNEE = ACTION_AUTHORITY * EFFORT_HIP / KP_HIP, ACTION_AUTHORITY * EFFORT_KNEE / KP_KNEE  # rad

LEGS = ("FR", "FL", "RR", "RL")


def _each_leg(hip: float, thigh: float, calf: float) -> tuple[float, ...]:
    return (hip, thigh, calf) * len(LEGS)


GO1 = Robot(
    name="go1",
    mjcf=Path(__file__).parent / "go1.xml",
    joints=tuple(f"{leg}_{part}_joint" for leg in LEGS for part in ("hip", "thigh", "calf")),
    default_pose=tuple(angle for leg in LEGS for angle in (0.1 if leg[1] == "L" else -0.1, 0.9, -1.8)),
    kp=_each_leg(KP_HIP, KP_HIP, KP_KNEE),
    kd=_each_leg(KD_HIP, KD_HIP, KD_KNEE),
    effort_limit=_each_leg(EFFORT_HIP, EFFORT_HIP, EFFORT_KNEE),
    velocity_limit=_each_leg(VELOCITY_HIP, VELOCITY_HIP, VELOCITY_KNEE),
    action_scale=_each_leg(SCALE_HIP, SCALE_HIP, SCALE_KNEE),
    base_body="trunk",
    feet=LEGS,
    gait=(0.0, 0.5, 0.5, 0.0),
    imu_site="imu",
    stand_height=0.278,
)
