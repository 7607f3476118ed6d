"""Our robots against the models that other packages install: mjlab's Go1 and G1, robosuite's Panda, ManiSkill's Panda with its hand and
its xArm 7. Of our xArm only the arm has a reference: nobody's model has its gripper.

A package is found without importing it, which would be slow. `ROBOLEARN_REFERENCE_PATH` names more folders to look into (separated as in
PATH): a folder that holds the package, or folders that do, e.g. unpacked wheels.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.registry import ROBOTS, get_robot
from envs.robots.robot import Robot

TOLERANCE = 0.01
CONFIGURATIONS = 20


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where a reference model is.

    Attributes:
        package: what installs it.
        file: path inside the package.
        prefix: what our joint names have before the reference's.
        lacks: body of ours that the reference does not have, with what it carries.
    """

    package: str
    file: str
    prefix: str = ""
    lacks: str | None = None


REFERENCES = {
    "g1": Reference(package="mjlab", file="asset_zoo/robots/unitree_g1/xmls/g1.xml"),
    "go1": Reference(package="mjlab", file="asset_zoo/robots/unitree_go1/xmls/go1.xml"),
    "panda": Reference(package="robosuite", file="models/assets/robots/panda/robot.xml", prefix="panda_"),
    "panda-gripper": Reference(package="mani_skill", file="assets/robots/panda/panda_v2.urdf"),
    "xarm7": Reference(package="mani_skill", file="assets/robots/xarm7/xarm7.urdf", lacks="hand"),
}


def find(reference: Reference) -> Path | None:
    """The reference's MJCF; None if it is not installed."""
    spec = importlib.util.find_spec(reference.package)
    roots = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    for entry in filter(None, os.environ.get("ROBOLEARN_REFERENCE_PATH", "").split(os.pathsep)):
        roots += [Path(entry) / reference.package, *sorted(Path(entry).glob(f"*/{reference.package}"))]
    return next((root / reference.file for root in roots if (root / reference.file).is_file()), None)


def load_reference(path: Path) -> mujoco.MjModel:
    """The reference without its looks and shapes, whose mesh files may be missing; both references state their inertias."""
    spec = mujoco.MjSpec.from_file(str(path))
    for element in [*spec.geoms, *spec.meshes]:
        spec.delete(element)
    return spec.compile()


def load_ours(robot: Robot, reference: Reference) -> mujoco.MjModel:
    """Our robot, without what the reference lacks."""
    spec = robot.scene()
    if reference.lacks is not None:
        for element in [*spec.sensors, *spec.actuators, *spec.equalities, *spec.keys]:
            spec.delete(element)
        spec.delete(spec.body(reference.lacks))
    return spec.compile()


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Our model and the reference, both without rotor inertia."""

    robot: Robot
    reference: Reference
    ours: mujoco.MjModel
    theirs: mujoco.MjModel

    def moving(self, model: mujoco.MjModel) -> list[str]:
        return [model.joint(i).name for i in range(model.njnt) if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE]

    def configurations(self) -> list[np.ndarray]:
        """Random joint angles within our ranges and, for a floating base, a random attitude, (nq,) each."""
        rng, drawn = np.random.default_rng(0), []
        for _ in range(CONFIGURATIONS):
            qpos = np.zeros(self.ours.nq)
            if self.robot.floating_base:
                quat_wxyz = rng.normal(size=4)
                qpos[:7] = [*rng.uniform(-1, 1, 3), *(quat_wxyz / np.linalg.norm(quat_wxyz))]
            joints = self.moving(self.ours)
            qpos[-len(joints) :] = [rng.uniform(*self.ours.joint(name).range) for name in joints]
            drawn.append(qpos)
        return drawn


@pytest.fixture(params=REFERENCES)
def pair(request) -> Pair:
    robot, reference = get_robot(request.param), REFERENCES[request.param]
    path = find(reference)
    if path is None:
        pytest.skip(f"{reference.package} is not installed (pip install {reference.package}, or ROBOLEARN_REFERENCE_PATH)")
    ours, theirs = load_ours(robot, reference), load_reference(path)
    for model in (ours, theirs):
        model.dof_armature[:] = 0
    return Pair(robot=robot, reference=reference, ours=ours, theirs=theirs)


def dynamics(model: mujoco.MjModel, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mass matrix (nv, nv) and gravity torques (nv,) at rest; gravity compensation is a passive force and stays out of the bias."""
    data = mujoco.MjData(model)
    data.qpos = qpos
    mujoco.mj_forward(model, data)
    mass = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, mass)
    return mass, data.qfrc_bias.copy()


def test_every_robot_has_a_reference():
    assert set(REFERENCES) == set(ROBOTS)


def test_joint_order(pair):
    assert pair.moving(pair.ours) == [pair.reference.prefix + name for name in pair.moving(pair.theirs)]
    assert (pair.ours.nq, pair.ours.nv) == (pair.theirs.nq, pair.theirs.nv)


def test_joint_limits_are_exactly_the_same(pair):
    ranges = [[tuple(model.joint(name).range) for name in pair.moving(model)] for model in (pair.ours, pair.theirs)]
    assert ranges[0] == ranges[1]
    assert all(pair.theirs.joint(name).limited[0] for name in pair.moving(pair.theirs))


def test_mass_matrix(pair, record_property):
    """|dM_ij| <= 1 % of sqrt(M_ii M_jj), which has the unit of M_ij."""
    worst = 0.0
    for qpos in pair.configurations():
        (ours, _), (theirs, _) = dynamics(pair.ours, qpos), dynamics(pair.theirs, qpos)
        diagonal = theirs.diagonal()
        worst = max(worst, float((np.abs(ours - theirs) / np.sqrt(np.outer(diagonal, diagonal))).max()))
    record_property("worst_relative_error", worst)
    print(f"{pair.robot.name} mass matrix: worst {worst:.2e} of sqrt(M_ii M_jj)")
    assert worst < TOLERANCE


def test_gravity_torques(pair, record_property):
    """Each joint torque within 1 % of the configuration's largest one; the base's wrench within 1 % of its largest component."""
    worst = 0.0
    joints = len(pair.moving(pair.ours))
    for qpos in pair.configurations():
        (_, ours), (_, theirs) = dynamics(pair.ours, qpos), dynamics(pair.theirs, qpos)
        blocks = [slice(-joints, None)] + ([slice(0, 3), slice(3, 6)] if pair.robot.floating_base else [])
        worst = max(worst, *(float(np.abs(ours[block] - theirs[block]).max() / np.abs(theirs[block]).max()) for block in blocks))
    record_property("worst_relative_error", worst)
    print(f"{pair.robot.name} gravity torques: worst {worst:.2e} of the largest")
    assert worst < TOLERANCE


def test_a_wrong_link_is_noticed(pair):
    """The comparison has teeth: half as much mass and inertia again in the last link fails it."""
    qpos, last = pair.configurations()[0], pair.ours.nbody - 1
    pair.ours.body_mass[last] *= 1.5
    pair.ours.body_inertia[last] *= 1.5
    (ours, _), (theirs, _) = dynamics(pair.ours, qpos), dynamics(pair.theirs, qpos)
    diagonal = theirs.diagonal()
    assert (np.abs(ours - theirs) / np.sqrt(np.outer(diagonal, diagonal))).max() > TOLERANCE
