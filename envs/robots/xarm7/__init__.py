"""UFACTORY xArm 7 with its parallel gripper: 7 joints and the gripper, 12.1 kg.

Torque and velocity limits of the arm are UFACTORY's. The gains are ours: stiffness in the proportion of the torque limits, critically
damped for the inertia that each joint sees in the default pose. Gravity is compensated by the model, as by the maker's controller.

The gripper is one joint of the policy, the distance of the left finger from the middle, 0 to 0.042 m; the right finger follows it. The data
sheet's 30 N are shared by both fingers.

The default pose holds the tool 22 cm above the floor, pointing down, with open fingers. The cameras are where such cells often have them;
they are not a calibration.
"""

from math import sqrt
from pathlib import Path

from envs.robots.robot import Camera, Gripper, Joint, Robot, Tool

DAMPING_RATIO = 1.0
EFFORT = (50.0, 50.0, 30.0, 30.0, 30.0, 20.0, 20.0)  # N m
KP = (600.0, 600.0, 400.0, 400.0, 200.0, 200.0, 200.0)  # N m / rad
INERTIA = (0.795, 1.24, 0.831, 0.75, 0.117, 0.141, 0.101)  # kg m^2, diagonal of the mass matrix in the default pose, including armature
KD = tuple(2 * DAMPING_RATIO * sqrt(kp * inertia) for kp, inertia in zip(KP, INERTIA, strict=True))
POSE = (0.0, -0.0694, 0.0, 1.0492, 0.0, 1.1186, 0.0)  # rad
VELOCITY = 3.14  # rad/s
ACTION_SCALE = 0.5  # rad

OPEN = 0.042  # m
FINGER_MASS = 0.4  # kg, both fingers with their armature
FINGER_KP = 1200.0  # N / m
FINGER = "gripper"
FINGERS = Joint(default=OPEN, kp=FINGER_KP, kd=2 * sqrt(FINGER_KP * FINGER_MASS), effort=30.0, velocity=0.1, scale=0.02)

XARM7 = Robot(
    name="xarm7",
    model=Path(__file__).parent / "xarm7.xml",
    joints={
        f"joint{i + 1}": Joint(default=POSE[i], kp=KP[i], kd=KD[i], effort=EFFORT[i], velocity=VELOCITY, scale=ACTION_SCALE)
        for i in range(7)
    }
    | {FINGER: FINGERS},
    base="hand",
    tool=Tool(body="hand", position=(0.0, 0.0, 0.166)),
    gripper=Gripper(joint=FINGER, opened=OPEN, tips=0.1 + 0.066 + 0.016 - 0.166),
    cameras={
        "wrist": Camera(body="hand", position=(0.075, 0.0, 0.03), forward=(-0.35, 0.0, 1.0), up=(1.0, 0.0, 0.0), fovy_deg=58.0),
        "outside": Camera(body="world", position=(1.25, 0.55, 0.75), forward=(-0.8, -0.52, -0.45), fovy_deg=42.0),
    },
    workspace=((0.3, 0.6), (-0.35, 0.35), (0.1, 0.6)),
)
