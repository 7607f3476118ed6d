"""Franka Emika Panda with its two-finger hand: 7 joints and the gripper, 17.5 kg. The Panda with a closed hand is `panda`.

The PD imitates Franka's joint impedance controller as that of `panda` does: stiffness as in its examples, kd = 2 zeta sqrt(kp I), zeta = 1,
for the inertia I that each joint sees in the default pose. Gravity is compensated by the model. Velocity and torque limits are Franka's.

The gripper is one joint of the policy, the distance of the left finger from the middle, 0 to 0.04 m; the right finger follows it. Its force
is limited to the 70 N that the hand holds without end, which both fingers share; its speed is the 0.05 m/s of Franka's data sheet.

The default pose holds the tool 22 cm above the floor, pointing down, with open fingers: where a task begins. The cameras are those of
`panda`.
"""

from math import pi, sqrt
from pathlib import Path

from envs.robots.panda import ACTION_SCALE, DAMPING_RATIO, EFFORT, PANDA, STIFFNESS_ARM, STIFFNESS_WRIST, VELOCITY
from envs.robots.robot import Gripper, Joint, Robot, Tool

INERTIA = (1.042, 1.594, 1.064, 1.134, 0.127, 0.154, 0.107)
"""Diagonal of the mass matrix in the default pose, including armature [kg m^2]."""
KP = (STIFFNESS_ARM,) * 4 + (STIFFNESS_WRIST,) * 3
KD = tuple(2 * DAMPING_RATIO * sqrt(kp * inertia) for kp, inertia in zip(KP, INERTIA, strict=True))
POSE = (0.0, -0.1289, 0.0, -2.5263, 0.0, 2.3974, pi / 4)  # rad

FINGER = "panda_finger_joint1"
OPEN = 0.04  # m
FINGER_MASS = 0.23  # kg, both fingers with their armature
FINGER_KP = 1500.0  # N / m
FINGERS = Joint(default=OPEN, kp=FINGER_KP, kd=2 * sqrt(FINGER_KP * FINGER_MASS), effort=70.0, velocity=0.05, scale=0.02)

PANDA_GRIPPER = Robot(
    name="panda-gripper",
    model=Path(__file__).parent / "panda_gripper.xml",
    joints={
        f"panda_joint{i + 1}": Joint(default=POSE[i], kp=KP[i], kd=KD[i], effort=EFFORT[i], velocity=VELOCITY[i], scale=ACTION_SCALE)
        for i in range(7)
    }
    | {FINGER: FINGERS},
    base="hand",
    tool=Tool(body="hand", position=(0.0, 0.0, 0.1034)),
    gripper=Gripper(joint=FINGER, opened=OPEN, tips=0.0584 + 0.0435 + 0.0115 - 0.1034),
    cameras=PANDA.cameras,
    workspace=PANDA.workspace,
)
