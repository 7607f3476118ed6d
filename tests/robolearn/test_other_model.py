"""A policy judged in another author's model of its robot: what the file says counts, wherever its frames lie."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import mujoco
import numpy as np
import pytest

from benchmarks.elsewhere import PARTS, with_own
from envs.robots.registry import get_robot
from envs.robots.robot import Camera, Robot
from policies.contract.file import PolicyFile
from robolearn.cli import main
from robolearn.errors import UserError
from robolearn.other_model import OtherModel, in_model, refuse_other_robot
from tests.make_policy import make_policy
from tests.model_variants import ROBOTS, no_actuators
from tests.pairs import make_env

GO1 = get_robot("go1")


def variant(folder: Path, *changes: object, robot: str = "go1") -> Path:
    """A model of a robot, changed."""
    scene = mujoco.MjSpec.from_file(str(ROBOTS / robot / f"{robot}.xml"))
    no_actuators(scene)
    for change in changes:
        change(scene)  # pyright: ignore[reportCallIssue]
    scene.compile()
    path = folder / "theirs.xml"
    path.write_text(scene.to_xml())
    return path


def renamed(scene: mujoco.MjSpec) -> None:
    """Other names for everything but the joints."""
    for number, thing in enumerate([*scene.bodies[1:], *scene.geoms]):
        new = f"part_{number}"
        for pair in scene.pairs:
            pair.geomname1, pair.geomname2 = (new if name == thing.name else name for name in (pair.geomname1, pair.geomname2))
        thing.name = new


def view(robot: Robot, camera: Camera) -> list[float]:
    """Where a camera is [m] and looks, and what is up in its picture, in the world."""
    data = mujoco.MjData(robot.compiled)
    mujoco.mj_kinematics(robot.compiled, data)
    body = data.body(camera.body)
    turn = body.xmat.reshape(3, 3)
    return [*(body.xpos + turn @ camera.position), *(turn @ camera.forward), *(turn @ camera.up)]


def heavier(scene: mujoco.MjSpec) -> None:
    for body in scene.bodies[1:]:
        body.mass *= 1.5
        body.fullinertia = body.fullinertia * 1.5 if np.isfinite(body.fullinertia).all() else body.fullinertia
        body.inertia *= 1.5


def rubbery(scene: mujoco.MjSpec) -> None:
    for geom in (geom for geom in scene.geoms if geom.contype or geom.conaffinity):
        geom.solref, geom.condim, geom.margin = [0.05, 0.7], 6, 0.002
    for joint in scene.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_HINGE:
            joint.armature, joint.frictionloss = 0.03, 0.4


def large_feet(scene: mujoco.MjSpec) -> None:
    for geom in scene.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_SPHERE and geom.name.endswith("_foot"):
            geom.size[0] *= 1.5


def mass_matrix(model: mujoco.MjModel) -> np.ndarray:
    """In the default pose, (nv, nv)."""
    matrix = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, in_stand(model), matrix)
    return matrix


def in_stand(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:] = model.key("stand").qpos
    mujoco.mj_forward(model, data)
    return data


@pytest.mark.parametrize("name", ["go1", "g1", "panda"])
def test_a_robots_own_model_under_other_names_is_that_robot(name: str, tmp_path: Path) -> None:
    robot = get_robot(name)
    other = in_model(robot, variant(tmp_path, renamed, robot=name), robot.spec())
    assert isinstance(other, OtherModel)
    plain = Robot(**{field.name: getattr(other, field.name) for field in fields(Robot)})  # contacts are not the file's in ours
    assert other.stand_height == pytest.approx(robot.stand_height) if robot.stand_height else other.stand_height is None
    for there, here in zip(other.cameras.values(), robot.cameras.values(), strict=True):
        assert view(plain, there) == pytest.approx(view(robot, here), abs=1e-5)
    ours, theirs = (one.compiled for one in (robot, plain))
    for name in (
        "body_mass",
        "body_ipos",
        "dof_armature",
        "dof_damping",
        "jnt_range",
        "geom_size",
        "geom_solref",
        "geom_friction",
        "key_qpos",
    ):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=1e-5, err_msg=name)
    np.testing.assert_allclose(mass_matrix(theirs), mass_matrix(ours), atol=1e-5)
    assert [ours.sensor(i).name for i in range(ours.nsensor)] == [theirs.sensor(i).name for i in range(theirs.nsensor)]
    here, there = (in_stand(model) for model in (ours, theirs))
    np.testing.assert_allclose(there.site_xpos, here.site_xpos, atol=1e-4)


def test_what_the_file_says_counts_and_what_the_policy_brings_stays(tmp_path: Path) -> None:
    other = in_model(GO1, variant(tmp_path, heavier, rubbery, large_feet, renamed), GO1.spec())
    model = other.compiled
    assert other.mass == pytest.approx(1.5 * GO1.mass)
    feet = [geom for foot in other.foot_geoms(model) for geom in foot]
    assert len(feet) == 4
    np.testing.assert_allclose(model.geom_solref[feet], [[0.05, 0.7]] * 4)
    np.testing.assert_array_equal(model.geom_condim[feet], 6)
    np.testing.assert_allclose(model.dof_armature[6:], 0.03)
    np.testing.assert_allclose(model.dof_frictionloss[6:], 0.4)
    np.testing.assert_allclose(model.actuator_gainprm, GO1.compiled.actuator_gainprm)
    np.testing.assert_allclose(model.geom_size[feet, 0], 1.5 * GO1.compiled.geom_size[GO1.foot_geoms(GO1.compiled)[0][0], 0])
    own = GO1.compiled.geom_size[GO1.foot_geoms(GO1.compiled)[0][0], 0]
    assert other.stand_height == pytest.approx((GO1.stand_height or 0) + 0.5 * own, abs=1e-6), "it begins inside the ground"


def test_with_all_parts_of_its_own_it_is_the_robot_again(tmp_path: Path) -> None:
    path = variant(tmp_path, heavier, rubbery, large_feet, renamed)
    mended = with_own(GO1, path, GO1.spec(), PARTS, tmp_path / "mended")
    ours, theirs = GO1.compiled, mended.compiled
    np.testing.assert_allclose(mass_matrix(theirs), mass_matrix(ours), atol=1e-5)
    for name in ("body_mass", "dof_armature", "dof_frictionloss", "dof_damping", "jnt_range"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=1e-6, err_msg=name)
    solid = [
        [(model.geom_type[i], *model.geom_size[i].round(6), *model.geom_solref[i]) for foot in robot.foot_geoms(model) for i in foot]
        for model, robot in ((ours, GO1), (theirs, mended))
    ]
    assert solid[0] == solid[1]
    assert mended.stand_height == pytest.approx(GO1.stand_height, abs=1e-6)


def test_parts_that_are_mended_alone_leave_the_others(tmp_path: Path) -> None:
    path = variant(tmp_path, heavier, rubbery)
    lighter = with_own(GO1, path, GO1.spec(), ["masses"], tmp_path / "mended")
    assert lighter.mass == pytest.approx(GO1.mass)
    np.testing.assert_allclose(lighter.compiled.dof_armature[6:], 0.03)
    softer = with_own(GO1, path, GO1.spec(), ["armature"], tmp_path / "mended")
    assert softer.mass == pytest.approx(1.5 * GO1.mass)
    np.testing.assert_allclose(softer.compiled.dof_armature, GO1.compiled.dof_armature)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy of Go1 that stands."""
    return make_policy(tmp_path / "policy.onnx", make_env("go1-velocity-flat", num_worlds=1).spec, "stand", golden_steps=2)


def test_evaluate_says_which_model_was_simulated(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = variant(tmp_path, renamed, heavier)
    options = ["--seeds", "1", "--seconds", "1.2", "--json"]
    assert main(["evaluate", str(file), *options, str(tmp_path / "own.json")]) == 0
    assert main(["evaluate", str(file), "--mjcf", str(path), *options, str(tmp_path / "other.json")]) == 0
    own, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("own", "other"))
    assert own["model"] == str(GO1.model)
    assert own["model_sha256"] == GO1.fingerprint == PolicyFile(file).spec.robot.model_sha256
    assert other["model"] == str(path)
    assert other["model_sha256"] != own["model_sha256"]
    assert other["robot"] == own["robot"] == "go1"
    assert other["episodes"] == own["episodes"]
    assert other["cost_of_transport"] != own["cost_of_transport"]
    assert f"model: {path}" in capsys.readouterr().out


def bare(scene: mujoco.MjSpec) -> None:
    for geom in scene.geoms:
        geom.contype = geom.conaffinity = 0


def test_what_is_no_model_of_the_robot_is_one_line(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.xml").write_text("no model at all")
    (tmp_path / "half.xml").write_text("<mujoco><worldbody><body></worldbody></mujoco>")
    cases = {
        tmp_path / "none.xml": "no robot model at",
        tmp_path / "text.xml": "not an XML file",
        tmp_path / "half.xml": "",
        get_robot("panda").model: "it lacks the joints FR_hip_joint",
        variant(tmp_path, bare): "nothing of it can touch the ground",
    }
    for path, said in cases.items():
        assert main(["evaluate", str(file), "--mjcf", str(path), "--seeds", "1"]) == 2, path
        err = capsys.readouterr().err.strip().splitlines()
        assert len(err) == 1, err
        assert said in err[0]
        assert path.name in err[0]
    assert main(["evaluate", str(file), "--mjcf", str(GO1.model), "--robot", "go1"]) == 2
    assert "give one of them" in capsys.readouterr().err
    for what in (["--gait"], ["--suite", "locomotion"]):  # of a training
        assert main(["evaluate", str(tmp_path / "run.pt"), "--mjcf", str(GO1.model), *what]) == 2
        assert "--mjcf is for policy files" in capsys.readouterr().err
    assert main(["evaluate", str(file), "--gait", "--env.terrain.tile=4"]) == 2
    assert "evaluated on a plane, whatever the terrain of their task: leave it out" in capsys.readouterr().err
    with pytest.raises(UserError, match="no robot model"):
        in_model(GO1, tmp_path, GO1.spec())


def longer(scene: mujoco.MjSpec) -> None:
    """Hips further apart, as of a larger robot whose joints have the same names."""
    for body in scene.bodies:
        if body.parent is not None and body.parent.parent is not None and body.parent.parent.name == "world":
            body.pos[0] *= 1.4


def other_ranges(scene: mujoco.MjSpec) -> None:
    for joint in scene.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_HINGE:
            joint.range = [joint.range[0] - 0.2, joint.range[1] + 0.2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (longer, "m apart there"),
        (heavier, "it weighs"),
        (other_ranges, "12 of 12 joints have other ranges"),
    ],
)
def test_a_model_of_another_robot_is_not_driven(change: object, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = variant(tmp_path, change)
    arguments = ["deploy", "go1-velocity", "--transport", "sim", "--mjcf", str(path), "--no-log", "--auto-start", "--duration", "0.1"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "is the model of another robot than go1" in error
    assert told in error
    assert "robolearn robot new" in error


@pytest.mark.parametrize("change", [renamed, rubbery, large_feet])
def test_another_authors_model_of_the_same_robot_is(change: object, tmp_path: Path) -> None:
    refuse_other_robot(GO1, variant(tmp_path, change))
