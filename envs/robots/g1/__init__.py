"""Unitree G1: 29 joints, 33 kg.

The PD gains follow from each joint's reflected rotor inertia I and a natural frequency of 10 Hz, overdamped (zeta = 2):
kp = I w^2, kd = 2 zeta I w, w = 2 pi 10 Hz. Rotor inertias and gear ratios are Unitree's; frequency and damping are chosen as in
BeyondMimic (Liao et al. 2025, arXiv 2508.08241, section III). A two-stage planetary gear with rotor inertias (r0, r1, r2) and ratios (1,
g1, g2) reflects I = r0 (g1 g2)^2 + r1 g2^2 + r2. Ankles and waist roll and pitch are driven by two motors in parallel.

The camera `head` is the robot's RealSense D435: position and pitch are those of Unitree's URDF (`d435_joint`), the angle of view is that of
its depth image. `chest` is our own, for a camera that a user mounts there: it looks ahead, 20 degrees downward.
"""

from dataclasses import dataclass
from math import cos, pi, sin
from pathlib import Path

from envs.robots.robot import Camera, Foot, Imu, Joint, Robot

NATURAL_FREQUENCY = 2 * pi * 10.0  # rad/s
DAMPING_RATIO = 2.0
ACTION_AUTHORITY = 0.25  # share of the torque limit that one unit of action commands at rest


@dataclass(frozen=True, kw_only=True)
class Motor:
    """A motor with its gear.

    Attributes:
        rotor_inertias: of rotor and gear stages (r0, r1, r2) [kg m^2].
        ratios: of the two stages (g1, g2).
        effort: limit [N m].
        velocity: limit [rad/s].
        count: motors in parallel at the joint.
    """

    rotor_inertias: tuple[float, float, float]
    ratios: tuple[float, float]
    effort: float
    velocity: float
    count: int = 1

    @property
    def armature(self) -> float:
        """Reflected inertia at the joint [kg m^2]."""
        (r0, r1, r2), (g1, g2) = self.rotor_inertias, self.ratios
        return self.count * (r0 * (g1 * g2) ** 2 + r1 * g2**2 + r2)

    @property
    def kp(self) -> float:
        return self.armature * NATURAL_FREQUENCY**2

    @property
    def kd(self) -> float:
        return 2 * DAMPING_RATIO * self.armature * NATURAL_FREQUENCY

    @property
    def effort_limit(self) -> float:
        return self.count * self.effort

    @property
    def action_scale(self) -> float:
        return ACTION_AUTHORITY * self.effort_limit / self.kp


_5020 = {"rotor_inertias": (0.139e-4, 0.017e-4, 0.169e-4), "ratios": (1 + 46 / 18, 1 + 56 / 16), "effort": 25.0, "velocity": 37.0}
M5020 = Motor(**_5020)
TWO_M5020 = Motor(**_5020, count=2)
M7520_14 = Motor(rotor_inertias=(0.489e-4, 0.098e-4, 0.533e-4), ratios=(4.5, 1 + 48 / 22), effort=88.0, velocity=32.0)
M7520_22 = Motor(rotor_inertias=(0.489e-4, 0.109e-4, 0.738e-4), ratios=(4.5, 5.0), effort=139.0, velocity=20.0)
M4010 = Motor(rotor_inertias=(0.068e-4, 0.0, 0.0), ratios=(5.0, 5.0), effort=5.0, velocity=22.0)


def _joint(motor: Motor, angle: float = 0.0, posture: float = 1.0) -> Joint:
    """One joint: its motor, its angle in the default pose [rad], and its weight in the posture reward."""
    return Joint(
        default=angle,
        kp=motor.kp,
        kd=motor.kd,
        effort=motor.effort_limit,
        velocity=motor.velocity,
        scale=motor.action_scale,
        posture=posture,
    )


def _leg(side: str) -> dict[str, Joint]:
    return {
        f"{side}_hip_pitch_joint": _joint(M7520_14, -0.17, 0.1),
        f"{side}_hip_roll_joint": _joint(M7520_22),
        f"{side}_hip_yaw_joint": _joint(M7520_14),
        f"{side}_knee_joint": _joint(M7520_22, 0.36, 0.1),
        f"{side}_ankle_pitch_joint": _joint(TWO_M5020, -0.19, 0.1),
        f"{side}_ankle_roll_joint": _joint(TWO_M5020),
    }


def _arm(side: str) -> dict[str, Joint]:
    out = 0.2 if side == "left" else -0.2
    angles = {"shoulder_pitch": 0.2, "shoulder_roll": out, "shoulder_yaw": 0.0, "elbow": 0.9, "wrist_roll": 0.0}
    joints = {f"{side}_{part}_joint": _joint(M5020, angle, 0.0) for part, angle in angles.items()}
    return joints | {f"{side}_wrist_{axis}_joint": _joint(M4010, 0.0, 0.0) for axis in ("pitch", "yaw")}


WAIST = {"waist_yaw_joint": _joint(M7520_14), "waist_roll_joint": _joint(TWO_M5020), "waist_pitch_joint": _joint(TWO_M5020)}


def _foot(side: str, turn: float) -> Foot:
    return Foot(body=f"{side}_ankle_roll_link", position=(0.0375, 0.0, -0.035), turn=turn, sole=True)


HEAD_PITCH = 0.8307767  # rad, downward

CAMERAS = {
    "head": Camera(
        body="torso_link",
        position=(0.0576235, 0.01753, 0.42987),
        forward=(cos(HEAD_PITCH), 0.0, -sin(HEAD_PITCH)),
        fovy_deg=58.0,
    ),
    "chest": Camera(body="torso_link", position=(0.11, 0.0, 0.2), forward=(cos(0.35), 0.0, -sin(0.35)), fovy_deg=58.0),
}

G1 = Robot(
    name="g1",
    model=Path(__file__).parent / "g1.xml",
    joints=_leg("left") | _leg("right") | WAIST | _arm("left") | _arm("right"),
    base="pelvis",
    trunk="torso_link",
    feet={"left": _foot("left", 0.0), "right": _foot("right", 0.5)},
    cameras=CAMERAS,
    imu=Imu(body="pelvis", position=(0.04525, 0.0, -0.08339)),
    stand_height=0.782,
)
