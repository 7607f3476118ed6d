"""A foreign robot is found out: what it is, its feet or tool, a pose to stand in, gains that hold it, and a robot.yaml that says so."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.describe.description import describe
from envs.robots.describe.finding import Description
from envs.robots.describe.limbs import gait, leg_names
from envs.robots.describe.writing import number, robot_yaml, word
from envs.robots.loading import load_robot
from tests.robot_builder import Dialect, arm, biped, quadruped


def found(tmp_path: Path, text: str, **options) -> Description:
    path = tmp_path / ("robot.urdf" if text.lstrip().startswith("<robot") else "robot.xml")
    path.write_text(text, encoding="utf-8")
    return describe(path, **options)


QUADRUPEDS = {
    "2.5 kg": Dialect(size=0.65),
    "13 kg": Dialect(),
    "100 kg": Dialect(size=2.0),
    "fixed, turned frames": Dialect(turn_frames=True, free=False, names="serial"),
    "flipped axes, shifted zeros": Dialect(flip_axes=True, shift_zeros=True),
}


@pytest.mark.parametrize("name", QUADRUPEDS)
@pytest.mark.parametrize("knee", [-1.0, 1.0])
def test_quadrupeds_stand(tmp_path: Path, name: str, knee: float) -> None:
    dialect = QUADRUPEDS[name]
    robot = found(tmp_path, quadruped(dialect, knee=knee))
    assert robot.kind == "quadruped"
    assert robot.floating
    assert robot.usable, robot.notes
    assert robot.trial is not None
    assert robot.trial.stands
    assert not robot.trial.trembles
    assert robot.trial.sunk < 0.15 * robot.standing.height
    assert 0.65 < robot.standing.bent < 0.8
    assert robot.standing.leg_length == pytest.approx(0.42 * dialect.size, rel=0.05)
    assert [foot.name for foot in robot.feet] == ["FL", "FR", "RL", "RR"]
    assert [foot.turn for foot in robot.feet] == [0.0, 0.5, 0.5, 0.0]
    for joint, (image, sign) in robot.mirror.joints.items():
        expected = sign * robot.default[joint] + robot.mirror.offsets[joint]
        assert robot.default[image] == pytest.approx(expected, abs=2e-3)
        assert robot.drives[joint].kp == robot.drives[image].kp


def test_gains_scale_with_the_robot(tmp_path: Path) -> None:
    """A copy of twice the length and eight times the weight needs 16 times the stiffness (m g l), at 1 / sqrt 2 of the rate."""
    small, large = (found(tmp_path, quadruped(Dialect(size=size))) for size in (1.0, 2.0))
    for name in small.drives:
        assert large.drives[name].kp == pytest.approx(16 * small.drives[name].kp, rel=0.5)
        assert large.drives[name].effort == pytest.approx(16 * small.drives[name].effort, rel=0.1)


def test_six_legs_walk_in_tripods(tmp_path: Path) -> None:
    robot = found(tmp_path, quadruped(Dialect(), legs=("F", "M", "H")))
    assert robot.kind == "hexapod"
    assert {foot.name: foot.turn for foot in robot.feet} == {"FL": 0.0, "FR": 0.5, "ML": 0.5, "MR": 0.0, "RL": 0.0, "RR": 0.5}
    assert robot.usable, robot.notes


def test_a_biped_has_soles_and_no_arms_for_legs(tmp_path: Path) -> None:
    robot = found(tmp_path, biped())
    assert robot.kind == "humanoid"
    assert [foot.name for foot in robot.feet] == ["left", "right"]
    assert all(foot.sole and foot.body.endswith("foot") for foot in robot.feet)
    assert robot.usable, robot.notes
    standing = robot.standing
    assert standing is not None
    assert standing.margin > 0.02
    assert 0.88 < standing.bent < 0.97
    data = mujoco.MjData(robot.model)
    data.qpos[:] = standing.qpos
    data.qpos[2] = standing.height
    mujoco.mj_kinematics(robot.model, data)
    for side in ("left", "right"):
        sole = data.body(f"{side}_foot")
        assert sole.xmat.reshape(3, 3)[2, 2] > 0.999, "the sole is flat"
        assert data.xpos[robot.model.body(f"{side}_shank").id][0] > data.body(f"{side}_foot").xpos[0], "knees point forward"
        assert data.body(f"{side}_hand").xpos[2] < data.body(f"{side}_upper_arm").xpos[2] - 0.2, "arms hang"


def test_a_good_keyframe_is_taken_and_a_bad_one_is_not(tmp_path: Path) -> None:
    text = quadruped(Dialect())
    angles = "0 0.7 -1.4 " * 4
    good = text.replace("</mujoco>", f'<keyframe><key name="home" qpos="0 0 0.5 1 0 0 0 {angles}"/></keyframe></mujoco>')
    robot = found(tmp_path, good)
    assert robot.standing.source == "keyframe home of the file"
    assert robot.default["LF_HFE"] == pytest.approx(0.7)
    bad = good.replace(angles, "0 -0.5 -2.5 " + "0 0.7 -1.4 " * 3)
    assert found(tmp_path, bad).standing.source.startswith("found")


def test_an_arm_reaches_every_corner_of_its_goals(tmp_path: Path) -> None:
    robot = found(tmp_path, arm())
    assert robot.kind == "arm of 6 joints"
    assert robot.usable, robot.notes
    reach = robot.reach
    assert reach is not None
    assert robot.limbs.locked == {"finger_left": "a finger of the gripper or hand", "finger_right": "a finger of the gripper or hand"}
    assert robot.model.body(reach.tool.body).name == "hand"
    np.testing.assert_allclose(reach.tool.position, [0, 0, 0.12], atol=0.02)
    box = reach.workspace
    assert box is not None
    assert (np.ptp(box, axis=1) > 0.15).all()
    assert box[0, 0] > 0
    assert box[2, 0] > 0
    assert "finger_left" not in robot.drives


def test_a_robot_that_looks_along_y_gets_a_base_that_looks_along_x(tmp_path: Path) -> None:
    straight = found(tmp_path, quadruped(Dialect()))
    text = quadruped(Dialect(names="{end}{side}_{part}"))
    model = mujoco.MjSpec.from_string(text)
    for body in [body for body in model.bodies if body.name.endswith("HAA_link")]:
        x, y, z = body.pos
        body.pos, body.quat = [-y, x, z], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]
    sideways = found(tmp_path, model.to_xml())
    assert sideways.reading.root == "base_forward"
    assert any("x forward" in note.what for note in sideways.notes if note.kind == "mended")
    assert sideways.usable, sideways.notes
    assert sideways.base == "trunk"
    assert sideways.standing.height == pytest.approx(straight.standing.height, rel=0.03)
    assert [foot.body for foot in sideways.feet] == ["FL_KFE_link", "FR_KFE_link", "HL_KFE_link", "HR_KFE_link"]


def test_feet_that_nothing_collides_with_get_a_ball(tmp_path: Path) -> None:
    text = quadruped(Dialect()).replace("<geom", '<geom contype="0" conaffinity="0"')
    robot = found(tmp_path, text)
    assert sum("is added as its foot" in note.what for note in robot.notes) == 4
    assert robot.usable, robot.notes
    assert robot.reading.xml.count("_sole") == 4


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0.6, 0, 0.8)])
def test_a_sole_is_found_whatever_the_frame_of_its_link(tmp_path: Path, axis: tuple[float, ...]) -> None:
    """The feet's frames are turned by 70 degrees about an axis, their contents and joints back."""
    from envs.robots.describe.links import turn
    from tests.robot_builder import quaternion

    model = mujoco.MjSpec.from_string(biped())
    rotation = turn(np.array(axis, dtype=float), 1.2)
    for side in ("left", "right"):
        foot = model.body(f"{side}_foot")
        foot.quat = quaternion(rotation)
        for joint in foot.joints:
            joint.axis = rotation.T @ joint.axis
        for geom in foot.geoms:
            geom.pos, geom.quat = rotation.T @ geom.pos, quaternion(rotation.T)
    robot = found(tmp_path, model.to_xml())
    assert robot.usable, robot.notes
    for foot in robot.feet:
        assert foot.sole
        np.testing.assert_allclose(foot.up, rotation.T @ [0, 0, 1], atol=2e-3)
        np.testing.assert_allclose(foot.position, rotation.T @ [0.03, 0, -0.05], atol=2e-3)


def test_wheels_are_locked_and_said(tmp_path: Path) -> None:
    model = mujoco.MjSpec.from_string(quadruped(Dialect()))
    for body in [body for body in model.bodies if body.name.endswith("KFE_link")]:
        wheel = body.add_body(name=body.name + "_wheel", pos=[0, 0, -0.2])
        wheel.add_joint(name=body.name + "_roll", axis=[0, 1, 0])
        wheel.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.05, 0.01, 0], quat=[np.sqrt(0.5), np.sqrt(0.5), 0, 0], mass=0.1)
    robot = found(tmp_path, model.to_xml())
    assert len(robot.drives) == 12
    assert set(robot.limbs.locked.values()) == {"a wheel"}
    assert any("wheels" in note.what for note in robot.notes)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    cart = (
        '<mujoco><worldbody><body name="cart"><joint name="slide" type="slide" axis="1 0 0"/><geom size="0.1"/></body></worldbody></mujoco>'
    )
    robot = found(tmp_path, cart)
    assert not robot.usable
    assert any(note.kind == "refused" and "no arm" in note.what for note in robot.notes)


def test_floating_and_fixed_can_be_said(tmp_path: Path) -> None:
    assert not found(tmp_path, quadruped(Dialect()), floating=False).floating
    assert found(tmp_path, quadruped(Dialect(free=False)), floating=True).floating


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    from envs.robots.describe.copying import write_model

    robot = found(tmp_path, quadruped(Dialect(names="{side} {end}: {part}")))
    model = write_model(robot.reading, tmp_path / "out")
    path = tmp_path / "out" / "robot.yaml"
    path.write_text(robot_yaml(robot, model.name), encoding="utf-8")
    read = load_robot(path)
    assert list(read.joints) == list(robot.drives)
    assert read.default_pose == pytest.approx(tuple(robot.default.values()))
    assert read.kp == pytest.approx(tuple(drive.kp for drive in robot.drives.values()))
    assert read.stand_height == pytest.approx(robot.standing.height, abs=1e-3)
    assert {name: (image, sign) for name, (image, sign) in read.mirror.items()} == robot.mirror.joints
    assert read.compiled.nu == 12
    values = [
        line for line in path.read_text(encoding="utf-8").splitlines() if ": " in line and line.rstrip()[-1] != ":" and "# " not in line
    ]
    assert all(line.startswith("  ") and "[" in line for line in values), "each value but the pairs says where it came from"


@pytest.mark.parametrize(("value", "text"), [(0.00001, "0.00001"), (-0.0, "0.0"), (3.0, "3.0"), (1234567.0, "1234570.0")])
def test_numbers_are_numbers_to_yaml(value: float, text: str) -> None:
    assert number(value) == text


def test_names_that_yaml_would_misread_are_quoted() -> None:
    assert [word(name) for name in ("a_joint", "yes", "left knee", "1", "a: b")] == ["a_joint", '"yes"', '"left knee"', '"1"', '"a: b"']


def test_gaits_and_names() -> None:
    assert gait(2) == (0.0, 0.5)
    assert leg_names(6) == ("FL", "FR", "ML", "MR", "RL", "RR")


def test_the_imu_is_where_the_file_names_one(tmp_path: Path) -> None:
    """On the base alone: one that moves against it is another thing."""
    text = quadruped(Dialect())
    guess = next(line for line in robot_yaml(found(tmp_path, text), "m.xml").splitlines() if line.startswith("imu:"))
    assert guess.split("#") == [f"{'imu: {body: trunk}':28}  ", " at the base's origin; a guess, give your IMU's place"]
    lower = text.replace('<body name="LF_KFE_link"', '<site name="imu" pos="9 9 9"/><body name="LF_KFE_link"')
    assert "# at the base's origin; a guess" in robot_yaml(found(tmp_path, lower), "m.xml")
    for part, turned in (
        ('<site name="imu_site" pos="-0.02 0.01 0.04"/>', False),
        ('<body name="imu_link" pos="-0.02 0.01 0.04"><site/></body>', False),
        ('<site name="trunk_imu" pos="-0.02 0.01 0.04" euler="0 0 1.5707963"/>', True),
        ('<body name="box" pos="-0.02 0 0.04"><site name="imu_0" pos="0 0.01 0"/><geom size="0.01" mass="0.1"/></body>', False),
        ('<site name="simulated" pos="1 1 1"/><site name="imu" pos="-0.02 0.01 0.04"/>', False),
    ):
        text_of = robot_yaml(found(tmp_path, text.replace("<freejoint/>", f"<freejoint/>{part}")), "m.xml")
        line = next(line for line in text_of.splitlines() if line.startswith("imu:"))
        assert line.startswith("imu: {body: trunk, position: [-0.02, 0.01, 0.04]}"), line
        assert ("turned by 1.57 rad" in line) == turned
        assert "of the file" in line


@pytest.mark.parametrize(("up", "free"), [((0, 1, 0), True), ((0, 1, 0), False), ((0, -1, 0), True), ((1, 0, 0), True)])
def test_a_base_whose_z_axis_is_not_up_gets_one_that_has(tmp_path: Path, up: tuple[float, float, float], free: bool) -> None:
    """As CAD programs export: the robot is the same, its base's frame another."""
    straight = found(tmp_path, quadruped(Dialect()))
    spec = mujoco.MjSpec.from_string(quadruped(Dialect(free=free)))
    trunk = spec.body("trunk")
    attitude, given = np.empty(4), np.empty(9)
    mujoco.mju_quatZ2Vec(attitude, np.array(up, dtype=float))
    mujoco.mju_quat2Mat(given, attitude)
    rotation = given.reshape(3, 3)  # what was z is `up` in the new frame
    for part in [*trunk.bodies, *trunk.geoms]:
        quat = np.empty(4)
        mujoco.mju_mulQuat(quat, attitude, np.array(part.quat))
        part.pos, part.quat = rotation @ np.array(part.pos), quat
    trunk.explicitinertial = True
    trunk.iquat = attitude
    tipped = found(tmp_path, spec.to_xml())
    assert tipped.usable, tipped.notes
    assert any("z axis is not up" in note.what for note in tipped.notes if note.kind == "mended")
    assert tipped.kind == "quadruped"
    assert tipped.base == "trunk"
    assert tipped.standing.height == pytest.approx(straight.standing.height, rel=0.03)
    (tmp_path / "model.xml").write_text(tipped.reading.xml, encoding="utf-8")
    (tmp_path / "robot.yaml").write_text(robot_yaml(tipped, "model.xml"), encoding="utf-8")
    load_robot(tmp_path / "robot.yaml").scene()
