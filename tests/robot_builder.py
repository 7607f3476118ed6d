"""Legged robots and arms as MJCF text, in as many dialects as tests want: names, local frames, signs of axes, zeros of angles."""

# ruff: noqa: E501 (MJCF is more easily read in long lines)

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.links import turn


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a file writes a robot.

    Attributes:
        names: format of a leg's joint, from `{side}` (L, R), `{end}` (F, M, H) and `{part}`; or "serial".
        turn_frames: the local frame of each body is turned by chance.
        flip_axes: the axes of some joints point the other way.
        shift_zeros: the zero angles of some joints are others than their mirror images'.
        size: factor on all lengths; masses go with its cube.
        free: with a free joint.
    """

    names: str = "{side}{end}_{part}"
    turn_frames: bool = False
    flip_axes: bool = False
    shift_zeros: bool = False
    size: float = 1.0
    free: bool = True


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, rotation.flatten())
    return quat


def quadruped(dialect: Dialect = Dialect(), knee: float = -1.0, legs: tuple[str, ...] = ("F", "H"), seed: int = 0) -> str:
    """A robot with a leg on each side at each of `legs` (F, M, H): abduction, hip and knee; balls as feet."""
    random, s = np.random.default_rng(seed), dialect.size
    along = {"F": 0.2, "M": 0.0, "H": -0.2}
    number = 0

    def vec(v: np.ndarray | tuple[float, ...]) -> str:
        return " ".join(f"{x:.12g}" for x in np.asarray(v))

    def leg(side: str, end: str) -> str:
        nonlocal number
        y = 1.0 if side == "L" else -1.0
        parts = [  # name, position of the joint in its parent's, axis, range, mass, com
            ("HAA", (along[end], 0.05 * y, 0.0), (1.0, 0, 0), (-0.8, 0.8), 0.6, (0.01, 0.01 * y, 0)),
            ("HFE", (0.0, 0.08 * y, 0.0), (0, 1.0, 0), (-1.0, 2.5) if knee < 0 else (-2.5, 1.0), 1.0, (0, 0, -0.05)),
            ("KFE", (0.0, 0.0, -0.2), (0, 1.0, 0), (-2.6, -0.4) if knee < 0 else (0.4, 2.6), 0.2, (0, 0, -0.1)),
        ]
        open_tags, close_tags, parent = "", "", np.eye(3)
        for part, pos, axis, (low, high), mass, com in parts:
            if dialect.names == "serial":
                number += 1
                name = f"joint{number}"
            else:
                name = dialect.names.format(side=side, end=end, part=part)
            local = turn(unit(random.normal(size=3)), random.uniform(0, 3)) if dialect.turn_frames else np.eye(3)
            flip = -1.0 if dialect.flip_axes and random.random() < 0.5 else 1.0
            zero = random.uniform(-0.5, 0.5) if dialect.shift_zeros else 0.0  # the file's angle where the leg is drawn straight
            # drawn at the file's zero: turned by -zero about the file's axis
            turned = turn(flip * np.array(axis), -zero)
            quat = quaternion(parent.T @ turned @ local)
            ends = sorted((flip * low + zero, flip * high + zero))
            open_tags += f'<body name="{name}_link" pos="{vec(parent.T @ (np.array(pos) * s))}" quat="{vec(quat)}">'
            open_tags += f'<inertial pos="{vec(local.T @ (np.array(com) * s))}" mass="{mass * s**3:.9g}" diaginertia="{vec(np.full(3, 2e-3 * mass * s**5))}"/>'
            open_tags += f'<joint name="{name}" axis="{vec(local.T @ (np.array(axis) * flip))}" range="{ends[0]:.9g} {ends[1]:.9g}"/>'
            if part != "HAA":
                tip = local.T @ (np.array((0, 0, -0.18)) * s)
                open_tags += f'<geom type="capsule" size="{0.012 * s}" fromto="0 0 0 {vec(tip)}"/>'
            if part == "KFE":
                open_tags += f'<geom type="sphere" size="{0.02 * s}" pos="{vec(local.T @ (np.array((0, 0, -0.2)) * s))}"/>'
            close_tags += "</body>"
            parent = local
        return open_tags + close_tags

    free = "<freejoint/>" if dialect.free else ""
    return f"""<mujoco model="built"><compiler angle="radian" autolimits="true"/><worldbody>
<body name="trunk" pos="0 0 {0.5 * s}">{free}<inertial pos="0 0 0" mass="{6 * s**3}" diaginertia="{vec(np.array((0.03, 0.1, 0.1)) * s**5)}"/>
<geom type="box" size="{0.22 * s} {0.06 * s} {0.05 * s}"/>{"".join(leg(side, end) for end in legs for side in "LR")}</body>
</worldbody></mujoco>"""


def _box(size: str, mass: float, pos: str = "0 0 0") -> str:
    return f'<geom type="box" size="{size}" pos="{pos}" mass="{mass}"/>'


def biped() -> str:
    """A humanoid of 1.2 m: legs of six joints with flat soles, arms of four, in zero pose with arms stretched sideways."""

    def side(name: str, y: float) -> str:
        return f"""
<body name="{name}_hip" pos="0 {0.09 * y} -0.05"><joint name="{name}_hip_yaw" axis="0 0 1" range="-1 1"/>{_box("0.03 0.03 0.03", 1)}
 <body name="{name}_hip2"><joint name="{name}_hip_roll" axis="1 0 0" range="-0.6 0.6"/>{_box("0.03 0.03 0.03", 1)}
  <body name="{name}_thigh"><joint name="{name}_hip_pitch" axis="0 1 0" range="-2 1"/>{_box("0.04 0.04 0.12", 3, "0 0 -0.15")}
   <body name="{name}_shank" pos="0 0 -0.3"><joint name="{name}_knee" axis="0 1 0" range="0 2.3"/>{_box("0.03 0.03 0.12", 2, "0 0 -0.15")}
    <body name="{name}_ankle" pos="0 0 -0.3"><joint name="{name}_ankle_pitch" axis="0 1 0" range="-0.9 0.6"/>{_box("0.02 0.02 0.02", 0.2)}
     <body name="{name}_foot"><joint name="{name}_ankle_roll" axis="1 0 0" range="-0.4 0.4"/>{_box("0.1 0.04 0.01", 0.5, "0.03 0 -0.04")}
     </body></body></body></body></body></body>"""

    def arm_of(name: str, y: float) -> str:
        return f"""
<body name="{name}_shoulder" pos="0 {0.18 * y} 0.4"><joint name="{name}_shoulder_pitch" axis="0 1 0" range="-3 3"/>{_box("0.03 0.03 0.03", 0.5)}
 <body name="{name}_upper_arm"><joint name="{name}_shoulder_roll" axis="1 0 0" range="{"-1.7 1.7"}"/>{_box("0.03 0.1 0.03", 1, f"0 {0.12 * y} 0")}
  <body name="{name}_elbow" pos="0 {0.25 * y} 0"><joint name="{name}_elbow_yaw" axis="0 1 0" range="-2 2"/>{_box("0.02 0.02 0.02", 0.3)}
   <body name="{name}_hand"><joint name="{name}_elbow" axis="0 0 1" range="{"0 2.2" if y > 0 else "-2.2 0"}"/>{_box("0.02 0.1 0.02", 0.7, f"0 {0.1 * y} 0")}
   </body></body></body></body>"""

    return f"""<mujoco model="person"><compiler angle="radian" autolimits="true"/><worldbody><body name="pelvis" pos="0 0 0.8"><freejoint/>
{_box("0.08 0.12 0.05", 5)}{side("left", 1)}{side("right", -1)}
<body name="torso" pos="0 0 0.05"><joint name="waist" axis="0 0 1" range="-1 1"/>{_box("0.08 0.12 0.2", 9, "0 0 0.2")}{arm_of("left", 1)}{arm_of("right", -1)}</body>
</body></worldbody></mujoco>"""


def arm() -> str:
    """An arm of six joints with a gripper of two fingers."""
    rod = '<geom type="capsule" size="0.04" fromto="0 0 0.05 0 0 {length}" mass="{mass}"/>'
    return f"""<mujoco model="arm"><compiler angle="radian" autolimits="true"/><worldbody><body name="base">{_box("0.06 0.06 0.04", 4, "0 0 0.04")}
<body name="turret" pos="0 0 0.1"><joint name="j1" axis="0 0 1" range="-2.9 2.9"/>{_box("0.04 0.04 0.04", 2)}
<body name="upper" pos="0 0 0.1"><joint name="j2" axis="0 1 0" range="-2 2"/>{rod.format(length=0.33, mass=2)}
<body name="fore" pos="0 0 0.4"><joint name="j3" axis="0 1 0" range="-2.6 2.6"/>{rod.format(length=0.28, mass=1.5)}
<body name="wrist1" pos="0 0 0.35"><joint name="j4" axis="0 0 1" range="-2.9 2.9"/>{_box("0.03 0.03 0.03", 0.5)}
<body name="wrist2"><joint name="j5" axis="0 1 0" range="-2 2"/>{_box("0.03 0.03 0.03", 0.5)}
<body name="hand" pos="0 0 0.05"><joint name="j6" axis="0 0 1" range="-2.9 2.9"/>{_box("0.03 0.05 0.02", 0.4, "0 0 0.03")}
<body name="left_finger" pos="0 0.02 0.06"><joint name="finger_left" type="slide" axis="0 1 0" range="0 0.04"/>{_box("0.01 0.005 0.03", 0.05, "0 0 0.03")}</body>
<body name="right_finger" pos="0 -0.02 0.06"><joint name="finger_right" type="slide" axis="0 -1 0" range="0 0.04"/>{_box("0.01 0.005 0.03", 0.05, "0 0 0.03")}</body>
</body></body></body></body></body></body></body></worldbody></mujoco>"""
