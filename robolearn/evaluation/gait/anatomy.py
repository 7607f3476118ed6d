"""Finds a robot's trunk, knees, soles and arms from its kinematic tree, independent of names."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from envs.robots.spots import foot_site
from envs.robots.symmetry import robot_image
from robolearn.evaluation.gait.soles import Sole, sole
from robolearn.evaluation.locomotion.limbs import Limbs, bodies_above, find_limbs


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The parts of a legged robot with F feet and J joints.

    Attributes:
        robot: the robot.
        model: model of its scene on a plane.
        joints: indices of the joints in qpos, in policy order, (J,).
        trunk: id of the trunk's body.
        upright: the trunk's attitude with all joints at zero and the base upright, (3, 3).
        head: the highest point of the trunk and the bodies fixed to it in the default pose, in the trunk's frame [m], (3,).
        soles: of each foot.
        knees: index in policy order of each leg's knee joint; None if the leg has none.
        straight: offset on a knee's angle, so that a straight leg has 0 [rad], (F,).
        bends: 1 or -1 for each foot, so that a bent knee has a positive angle, (F,).
        limbs: arms and hips.
        images: the mirror image of each foot; empty without symmetry.
    """

    robot: Robot
    model: mujoco.MjModel
    joints: np.ndarray
    trunk: int
    upright: np.ndarray
    head: np.ndarray
    soles: tuple[Sole, ...]
    knees: tuple[int | None, ...]
    straight: np.ndarray
    bends: np.ndarray
    limbs: Limbs
    images: tuple[int, ...]

    @staticmethod
    def of(robot: Robot) -> Anatomy:
        """The anatomy of a robot with a free base and feet."""
        model = robot.compiled
        data = mujoco.MjData(model)
        image = robot_image(robot, model)
        found = find_limbs(robot, model, None if image.faults else image.joints[0])
        trunk = trunk_body(robot)
        geoms = robot.built.foot_geoms
        soles = tuple(sole(model, model.site(foot_site(name)).id, [model.geom(geom).id for geom in geoms[name]]) for name in robot.feet)
        mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
        mujoco.mj_kinematics(model, data)
        head = _top(model, data, trunk)
        data.qpos[:] = 0.0
        data.qpos[3] = 1.0
        mujoco.mj_kinematics(model, data)
        straight, bends = _knees(robot, model, data, found.knees)
        return Anatomy(
            robot=robot,
            model=model,
            joints=np.array([int(model.joint(name).qposadr[0]) for name in robot.joint_names]),
            trunk=trunk,
            upright=data.xmat[trunk].reshape(3, 3).copy(),
            head=head,
            soles=soles,
            knees=found.knees,
            straight=straight,
            bends=bends,
            limbs=found,
            images=tuple(image.feet[0]) if not image.faults else (),
        )

    @property
    def biped(self) -> bool:
        """Whether it stands on two feet."""
        return len(self.soles) == 2


def trunk_body(robot: Robot) -> int:
    """The trunk: the body that the robot's constants name; otherwise the body above a biped's waist, and the base of any other robot.

    A waist is a joint that moves more than half of the mass outside the legs. If there are several in a row, the trunk is above the last.
    """
    model = robot.compiled
    named = getattr(robot, "trunk", None)
    if named is not None:
        return model.body(named).id
    trunk = model.body(robot.base).id
    if len(robot.feet) != 2:
        return trunk
    legs = {body for name in robot.feet for body in bodies_above(model, int(model.site(foot_site(name)).bodyid[0]))}
    upper = sum(float(model.body_subtreemass[body]) for body in _children(model, trunk) if body not in legs) + float(model.body_mass[trunk])
    body = trunk
    while True:
        heavy = [child for child in _children(model, body) if child not in legs and model.body_subtreemass[child] > upper / 2]
        if not heavy:
            return trunk
        body = heavy[0]
        trunk = trunk if model.body_weldid[body] == model.body_weldid[trunk] else body


def _children(model: mujoco.MjModel, body: int) -> list[int]:
    return [child for child in range(1, model.nbody) if model.body_parentid[child] == body and child != body]


def _top(model: mujoco.MjModel, data: mujoco.MjData, trunk: int) -> np.ndarray:
    """The highest point of the shapes of a body and of the bodies fixed to it, in its frame."""
    weld = model.body_weldid[trunk]
    geoms = np.flatnonzero((model.body_weldid[model.geom_bodyid] == weld) & (model.geom_bodyid > 0))
    at = data.xpos[trunk].copy()
    for geom in geoms:
        rotation = data.geom_xmat[geom].reshape(3, 3)
        middle = data.geom_xpos[geom] + rotation @ model.geom_aabb[geom, :3]
        top = middle + np.array([0.0, 0.0, np.abs(rotation[2]) @ model.geom_aabb[geom, 3:]])
        at = top if top[2] > at[2] else at
    return data.xmat[trunk].reshape(3, 3).T @ (at - data.xpos[trunk])


def _knees(robot: Robot, model: mujoco.MjModel, data: mujoco.MjData, knees: tuple[int | None, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The offset that makes a knee's angle 0 if hip, knee and ankle lie in a line, and its sign, from the pose with all joints at zero.

    The line of the thigh goes from the hip's fore-and-aft joint to the knee's, that of the shank from there to the next such joint, or to
    the foot.
    """
    straight, bends = np.zeros(len(knees)), np.ones(len(knees))
    for foot, (name, knee) in enumerate(zip(robot.feet, knees, strict=True)):
        if knee is None:
            continue
        joint = model.joint(robot.joint_names[knee])
        axis, anchor = data.xaxis[joint.id], data.xanchor[joint.id]
        above = bodies_above(model, int(model.site(foot_site(name)).bodyid[0]))
        own = above.index(int(joint.bodyid[0]))
        lateral = [i for i in range(model.njnt) if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_HINGE and abs(data.xaxis[i] @ axis) > 0.8]
        hips = [i for i in lateral if model.jnt_bodyid[i] in above[own + 1 :]]
        ankles = [i for i in lateral if model.jnt_bodyid[i] in above[:own]]
        if not hips:
            continue
        hip = max(hips, key=lambda i: above.index(model.jnt_bodyid[i]) * -1)
        end = data.xanchor[max(ankles, key=lambda i: above.index(model.jnt_bodyid[i]))] if ankles else data.site(foot_site(name)).xpos
        thigh, shank = (_across(line, axis) for line in (anchor - data.xanchor[hip], end - anchor))
        angle = float(np.arctan2(axis @ np.cross(thigh, shank), thigh @ shank))
        default = robot.default_pose[knee] + angle
        bends[foot] = 1.0 if default >= 0 else -1.0
        straight[foot] = angle
    return straight, bends


def _across(line: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The component of a line normal to an axis."""
    return line - (line @ axis) * axis
