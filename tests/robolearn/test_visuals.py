"""Meshes of another model of the same robot hang where that model has them, in any pose, and touch nothing."""

import dataclasses

import mujoco
import numpy as np
import pytest

from envs.robots.registry import get_robot
from robolearn.errors import UserError
from robolearn.viewer.visuals import find_visuals, hang_meshes

TETRAHEDRON = "v 0 0 0\nv 0.05 0 0\nv 0 0.05 0\nv 0 0 0.05\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def other_model(tmp_path, robot_name: str, prefix: str = "") -> str:
    """The robot's own model with a mesh on every link, other body names, and each body's frame turned and moved against ours."""
    robot = get_robot(robot_name)
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "part.obj").write_text(TETRAHEDRON)
    spec = mujoco.MjSpec.from_file(str(robot.model))
    for element in [*spec.geoms, *spec.pairs, *spec.actuators, *spec.sensors, *spec.keys]:
        spec.delete(element)
    spec.meshdir = str(tmp_path / "meshes")
    spec.add_mesh(name="part", file="part.obj")
    spec.add_material(name="red", rgba=[1, 0, 0, 1])
    for i, body in enumerate(list(spec.bodies)[1:]):
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="part", pos=[0.01 * i, 0.02, 0], quat=[0.8, 0.6, 0, 0], material="red",
                      contype=0, conaffinity=0, group=2)  # fmt: skip
        body.name = f"other_{body.name}"
    for joint in spec.joints:
        joint.name = joint.name.removeprefix(prefix)
    path = tmp_path / "other.xml"
    path.write_text(spec.to_xml())
    return str(path)


@pytest.mark.parametrize(("name", "prefix"), [("go1", ""), ("g1", ""), ("panda", "panda_")])
def test_meshes_are_where_the_other_model_has_them(tmp_path, name, prefix):
    robot = get_robot(name)
    path = find_visuals(other_model(tmp_path, name, prefix), robot)
    spec = robot.scene()
    count = hang_meshes(spec, robot, path)
    ours, theirs = spec.compile(), mujoco.MjModel.from_xml_path(str(path))
    data, other = mujoco.MjData(ours), mujoco.MjData(theirs)
    data.qpos[:] = other.qpos[:] = mujoco.MjData(robot.scene().compile()).qpos + np.random.default_rng(0).uniform(-0.3, 0.3, ours.nq)
    for model, state in ((ours, data), (theirs, other)):
        mujoco.mj_kinematics(model, state)
    mesh = mujoco.mjtGeom.mjGEOM_MESH
    at, expected = (state.geom_xpos[model.geom_type == mesh] for model, state in ((ours, data), (theirs, other)))
    assert len(at) == count >= len(robot.joints)
    np.testing.assert_allclose(at[np.lexsort(at.T)], expected[np.lexsort(expected.T)], atol=1e-6)
    assert (ours.geom_contype[ours.geom_type == mesh] == 0).all()
    assert ours.body_mass == pytest.approx(robot.scene().compile().body_mass)  # looks weigh nothing
    assert (ours.geom_rgba[(ours.geom_type != mesh) & (ours.geom_bodyid != 0), 3] == 0).all()


def test_what_cannot_be_shown_is_refused(tmp_path):
    path = find_visuals(other_model(tmp_path, "go1"), get_robot("go1"))
    with pytest.raises(UserError, match="has no joint left_hip_pitch_joint: it is not a model of g1"):
        hang_meshes(get_robot("g1").scene(), get_robot("g1"), path)
    with pytest.raises(UserError, match="has no meshes"):
        hang_meshes(get_robot("go1").scene(), get_robot("go1"), get_robot("go1").model)
    broken = tmp_path / "broken.xml"
    broken.write_text("<mujoco>")
    with pytest.raises(UserError, match=r"cannot read .*broken\.xml"):
        hang_meshes(get_robot("go1").scene(), get_robot("go1"), broken)
    with pytest.raises(UserError, match="takes 'menagerie' or the path of an MJCF"):
        find_visuals("nowhere.xml", get_robot("go1"))
    with pytest.raises(UserError, match="menagerie is for go1, g1, panda; give --visuals PATH, an MJCF of kitten"):
        find_visuals("menagerie", dataclasses.replace(get_robot("go1"), name="kitten"))
