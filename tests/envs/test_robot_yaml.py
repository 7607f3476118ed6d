"""A robot from outside: a model in another dialect and a `robot.yaml` beside it become the scene that tasks need."""

import dataclasses
import itertools
import re
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.errors import RobotError
from envs.robots.fingerprint import model_sha256
from envs.robots.loading import dump_robot, load_robot
from envs.robots.registry import ROBOTS, UnknownRobotError, get_robot, register_robot
from envs.robots.robot import Robot

LEGS = {"back right": (-0.2, -0.15), "front right": (0.2, -0.15), "back left": (-0.2, 0.15), "front left": (0.2, 0.15)}


def _leg(name: str, x: float, y: float) -> str:
    return f"""
      <body name="{name} thigh" pos="{x} {y} 0">
        <inertial pos="0 0 -0.1" mass="0.5" diaginertia="0.002 0.002 0.001"/>
        <joint name="{name} hip" axis="0 1 0" range="-90 90" damping="0.2"/>
        <geom name="{name} bone" type="capsule" size="0.02" fromto="0 0 -0.02 0 0 -0.16"/>
        <body name="{name} shin" pos="0 0 -0.2">
          <inertial pos="0 0 -0.1" mass="0.3" diaginertia="0.001 0.001 0.0005"/>
          <joint name="{name} knee" axis="0 1 0" range="-150 10"/>
          <geom name="{name} shin" type="capsule" size="0.015" fromto="0 0 -0.02 0 0 -0.15"/>
          <body name="{name} sole" pos="0 0 -0.2">
            <inertial pos="0 0 0" mass="0.1" diaginertia="0.0001 0.0001 0.0001"/>
            <geom name="{name} heel" type="mesh" mesh="pad" pos="-0.03 0 0" condim="6" friction="0.3 0.1 0.1" margin="0.01"/>
            <body name="{name} toe" pos="0.03 0 0" euler="0 0 90">
              <geom name="{name} toe" type="mesh" mesh="pad" mass="0"/>
            </body>
          </body>
        </body>
      </body>"""


MOTORS = "".join(f'<motor name="m{i}" joint="{leg} {part}"/>' for i, (part, leg) in enumerate(itertools.product(("knee", "hip"), LEGS)))
MODEL = f"""
<mujoco model="table">
  <compiler angle="degree"/>
  <option timestep="0.001" integrator="Euler"/>
  <default><motor ctrlrange="-3 3" gear="7"/><geom contype="3" conaffinity="5"/><joint armature="0.01"/></default>
  <asset><mesh name="pad" vertex="-.02 -.02 -.02  .02 -.02 -.02  .02 .02 -.02  -.02 .02 -.02  0 0 .02"/></asset>
  <worldbody>
    <light pos="0 0 3"/>
    <geom name="ground" type="plane" size="9 9 1"/>
    <body name="top" pos="0 0 2">
      <freejoint name="root"/>
      <inertial pos="0 0 0" mass="5" diaginertia="0.1 0.2 0.2"/>
      <geom name="top" type="box" size="0.25 0.15 0.03"/>
      <site name="imu" pos="9 9 9"/>
      <body name="tail" pos="-0.25 0 0">
        <inertial pos="-0.05 0 0" mass="0.05" diaginertia="1e-4 1e-4 1e-4"/>
        <joint name="wag" axis="0 0 1" stiffness="2"/>
      </body>
      <body name="jaw" pos="0.25 0 0">
        <inertial pos="0.05 0 0" mass="0.05" diaginertia="1e-4 1e-4 1e-4"/>
        <joint name="bite" axis="0 1 0" range="20 40"/>
        <body name="tooth" pos="0.1 0 0">
          <inertial pos="0 0 0" mass="0.01" diaginertia="1e-5 1e-5 1e-5"/>
          <joint name="wobble" type="slide" axis="0 0 1" range="0 0.01"/>
        </body>
      </body>{"".join(_leg(name, *at) for name, at in LEGS.items())}
    </body>
  </worldbody>
  <equality><joint joint1="wobble" joint2="bite" polycoef="0 0.01 0 0 0"/></equality>
  <actuator>
    {MOTORS}
    <motor name="chew" joint="bite"/>
  </actuator>
  <sensor><gyro name="spin" site="imu"/></sensor>
  <keyframe><key name="lie" qpos="{"0 " * 18}"/></keyframe>
</mujoco>
"""

YAML = """\
name: table
model: table.xml
base: top
imu: {body: top, position: [0.1, 0, 0]}
stand_height: 0.411
defaults: {kp: 60, kd: 1.5, effort: 40, velocity: 20, scale: 0.3}
joints:
""" + "\n".join(
    f"  {name} hip: {{default: 0.1}}\n  {name} knee: {{default: -0.1, kp: 80, armature: 0.02, range: [-2, 0.1]}}" for name in sorted(LEGS)
)
YAML += "\nfeet:\n" + "\n".join(
    f"  {name}: {{body: {name} sole, position: [0, 0, -0.02], sole: true, turn: {0.5 * (name in ('back left', 'front right'))}}}"
    for name in sorted(LEGS)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "table.xml").write_text(MODEL)
    (tmp_path / "robot.yaml").write_text(YAML)
    return tmp_path


@pytest.fixture
def robot(folder: Path) -> Robot:
    return get_robot(folder)


def changed(folder: Path, **pairs: str) -> Path:
    """The same robot with texts replaced in its yaml (`yaml_N` = old -> new) or model (`model_N`), each `old|new`."""
    for key, pair in pairs.items():
        path = folder / ("robot.yaml" if key.startswith("yaml") else "table.xml")
        old, new = pair.split("|")
        assert old in path.read_text(), old
        path.write_text(path.read_text().replace(old, new))
    return folder / "robot.yaml"


def standing(model: mujoco.MjModel, seconds: float = 2.0) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
    return data


def test_motors_are_those_of_the_constants_in_policy_order_whatever_the_file_has(robot: Robot) -> None:
    model = robot.scene().compile()
    names = [f"{leg} {part}" for leg in sorted(LEGS) for part in ("hip", "knee")]
    assert list(robot.joint_names) == names == [model.actuator(i).name for i in range(model.nu)]
    assert [model.joint(int(i)).name for i in model.actuator_trnid[:, 0]] == names
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], robot.kp)
    np.testing.assert_allclose(model.actuator_biasprm[:, :3], np.stack([np.zeros(8), -np.array(robot.kp), -np.array(robot.kd)], axis=1))
    np.testing.assert_allclose(model.actuator_forcerange, np.outer(robot.effort_limit, [-1, 1]))
    np.testing.assert_array_equal(model.actuator_gear[:, 0], 1)
    assert not model.actuator_ctrllimited.any()


def test_joints_take_what_the_constants_say_and_keep_the_rest(robot: Robot) -> None:
    model = robot.compiled
    knee, hip = model.joint("front left knee"), model.joint("front left hip")
    np.testing.assert_allclose(knee.range, [-2, 0.1])
    np.testing.assert_allclose(hip.range, np.radians([-90, 90]))
    assert model.dof_armature[knee.dofadr[0]] == 0.02
    assert model.dof_armature[hip.dofadr[0]] == 0.01
    assert np.ravel(model.dof_damping[hip.dofadr[0]])[0] == pytest.approx(0.2)
    spec = robot.spec()
    assert spec.position_upper[spec.joint_names.index("front left knee")] == pytest.approx(0.1)


def test_it_stands_as_its_key_says_and_its_feet_carry_its_weight(robot: Robot) -> None:
    model = robot.scene().compile()
    data = standing(model)
    weight = robot.mass * 9.81
    touch = [float(data.sensor(f"{foot}_touch").data[0]) for foot in robot.feet]
    assert sum(touch) == pytest.approx(weight, rel=0.02)
    assert min(touch) > 0.15 * weight
    for foot in robot.feet:
        assert float(data.sensor(f"{foot}_position").data[2]) == pytest.approx(0.0, abs=0.01)
        assert float(data.sensor(f"{foot}_upright").data[2]) > 0.99
    assert data.qpos[2] == pytest.approx(0.411, abs=0.02)


def test_shapes_of_bodies_fixed_to_a_foot_count_for_it(robot: Robot) -> None:
    """The heel hangs in the air when the shin leans: the toe alone carries, a mesh on a body of its own."""
    model = robot.scene().compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    for name in robot.joints:
        if name.endswith("knee"):
            data.joint(name).qpos = 0.05
    mujoco.mj_forward(model, data)
    lowest = {foot: data.sensor(f"{foot}_position").data[2] for foot in robot.feet}
    data.qpos[2] -= min(lowest.values()) - 0.001
    mujoco.mj_forward(model, data)
    feet = {geom for geoms in robot.foot_geoms(model) for geom in geoms}
    assert len(feet) == 8
    assert data.ncon > 0
    touching = {int(geom) for contact in data.contact for geom in contact.geom} - {model.geom("floor").id}
    assert touching <= feet
    force = np.zeros(6)
    normal = 0.0
    for contact in range(data.ncon):
        mujoco.mj_contactForce(model, data, contact, force)
        normal += force[0]
    assert sum(float(data.sensor(f"{foot}_touch").data[0]) for foot in robot.feet) == pytest.approx(normal, rel=1e-6)


def test_what_nothing_moves_is_locked_and_what_a_spring_moves_is_passive(robot: Robot) -> None:
    model = robot.compiled
    names = {model.joint(i).name for i in range(model.njnt)}
    assert {"bite", "wobble"} & names == set()  # the mimic follows a joint that stands still
    assert set(robot.built.locked) == {"bite", "wobble"}
    assert robot.built.passive == ("wag",)
    assert len(robot.remarks()) == 3
    assert "table: wag moves without a motor" in robot.remarks()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    forward = data.body("jaw").xmat.reshape(3, 3)[:, 0]
    assert np.arctan2(-forward[2], forward[0]) == pytest.approx(np.radians(20))  # the end of its range that is nearest to zero
    tooth = data.body("jaw").xmat.reshape(3, 3).T @ (data.body("tooth").xpos - data.body("jaw").xpos)
    np.testing.assert_allclose(tooth, [0.1, 0, 0.01 * np.radians(20)], atol=1e-9)


def test_links_meet_the_ground_and_each_other_only_where_that_is_asked_for(robot: Robot, folder: Path) -> None:
    def crossed(robot: Robot) -> set[frozenset[str]]:
        model = robot.scene().compile()
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, 0)
        data.qpos[2] = 5.0
        data.joint("front left hip").qpos, data.joint("back left hip").qpos = 1.2, -1.2
        mujoco.mj_forward(model, data)
        return {frozenset(model.body(int(model.geom_bodyid[geom])).name for geom in contact.geom) for contact in data.contact}

    assert crossed(robot) == set()
    meeting = crossed(load_robot(changed(folder, yaml_0="base: top|base: top\nself_collision: true")))
    assert meeting
    assert all("left" in name for pair in meeting for name in pair)  # thighs overlap the top where they hang: neighbours


def test_feet_have_their_contact_and_others_none_of_their_own(robot: Robot) -> None:
    model = robot.compiled
    feet = [geom for geoms in robot.foot_geoms(model) for geom in geoms]
    np.testing.assert_array_equal(model.geom_condim[feet], 3)
    np.testing.assert_array_equal(model.geom_priority[feet], 1)
    np.testing.assert_allclose(model.geom_friction[feet], [[0.8, 0.005, 0.0001]] * 8)
    np.testing.assert_array_equal(model.geom_margin, 0)


def test_a_fixed_arm_of_a_urdf_gets_its_tool_and_no_free_joint(tmp_path: Path) -> None:
    link = (
        '<link name="{}"><inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial></link>'
    )
    joint = """<joint name="{}" type="revolute"><parent link="{}"/><child link="{}"/><origin xyz="0 0 0.3"/><axis xyz="0 1 0"/>
      <limit lower="-2" upper="2" effort="30" velocity="3"/></joint>"""
    parts = [link.format(name) for name in ("foot", "upper", "lower")]
    parts += [joint.format("shoulder", "foot", "upper"), joint.format("elbow", "upper", "lower")]
    (tmp_path / "arm.urdf").write_text(f'<robot name="arm">{"".join(parts)}</robot>')
    (tmp_path / "robot.yaml").write_text(
        "name: arm\nmodel: arm.urdf\nbase: lower\ntool: {body: lower, position: [0, 0, 0.3]}\ngravity_compensated: true\n"
        "defaults: {kp: 100, kd: 5, effort: 30, velocity: 3, scale: 0.5}\njoints: {elbow: {default: 0.5}, shoulder: {default: -0.5}}\n"
    )
    robot = get_robot(tmp_path / "robot.yaml")
    model = robot.scene().compile()
    assert (model.nq, model.nu) == (2, 2)
    assert not robot.floating_base
    assert robot.spec().imu_frame is None
    data = standing(model)
    np.testing.assert_allclose(data.qpos, [-0.5, 0.5], atol=1e-3)  # the model's order is another than the policy's
    reach = [-0.3 * np.sin(0.5), 0, 0.3 + 0.3 * np.cos(0.5) + 0.3]
    np.testing.assert_allclose(data.sensor("end_effector_position").data, reach, atol=1e-3)
    assert data.sensor("elbow_torque").data[0] == data.actuator("elbow").force[0]


def test_a_file_says_all_that_is_wrong_at_once(folder: Path) -> None:
    path = changed(folder, yaml_0="base: top|bass: top", yaml_1="kp: 60|kp: sixty", yaml_2="kp: 80|kpp: 80", yaml_3="table.xml|tabel.xml")
    with pytest.raises(RobotError) as error:
        load_robot(path)
    said = str(error.value)
    for part in (
        "line 3: bass: there is no such key; did you mean 'base'?",
        "base is missing",
        "line 6: defaults.kp must be a number",
        "joints.back left knee.kpp: there is no such key; did you mean 'kp'?",
        "model: there is no file",
    ):
        assert part in said, said


def test_constants_that_contradict_each_other_are_all_named(folder: Path) -> None:
    path = changed(folder, yaml_0="kp: 80|kp: -80", yaml_1="stand_height: 0.411|stand_height: -1", yaml_2="turn: 0.5|turn: 1.5")
    with pytest.raises(RobotError) as error:
        load_robot(path)
    said = str(error.value)
    for part in ("joints.back left knee.kp: -80", "stand_height: -1", "feet.back left.turn: 1.5"):
        assert part in said, said


def test_what_the_model_lacks_is_said_with_the_nearest_name(folder: Path) -> None:
    path = changed(folder, yaml_0="front left hip: |front left hop: ", yaml_1="body: back left sole|body: back left soul",
                   yaml_2="default: -0.1|default: 1.0", yaml_3="imu: {body: top|imu: {body: tail")  # fmt: skip
    robot = load_robot(path)
    with pytest.raises(RobotError) as error:
        robot.scene()
    said = str(error.value)
    for part in (
        "joints.front left hop: the model has no such joint; did you mean 'front left hip'?",
        "feet.back left.body: the model has no body",
        "joints.front right knee.default: 1 lies outside the joint's range, -2 to 0.1",
        "imu.body: 'tail' moves relative to the root",
    ):
        assert part in said, said


def test_a_foot_without_shapes_and_a_turned_imu_are_refused(folder: Path) -> None:
    ghost = 'type="mesh" contype="0" conaffinity="0"'
    path = changed(
        folder,
        yaml_0="{body: top, position: [0.1, 0, 0]}|{body: top, quat_wxyz: [0.7071, 0, 0, 0.7071]}",
        model_0=f'"back left heel" type="mesh"|"back left heel" {ghost}',
        model_1=f'"back left toe" type="mesh"|"back left toe" {ghost}',
    )
    with pytest.raises(RobotError, match=r"(?s)'back left sole' has no colliding shape.*its axes are turned by 1.57 rad"):
        load_robot(path).scene()


def test_text_and_constants_are_the_same_robot(robot: Robot, folder: Path) -> None:
    (folder / "again.yaml").write_text(dump_robot(robot, folder))
    again = load_robot(folder / "again.yaml")
    assert dataclasses.replace(again, source=None) == dataclasses.replace(robot, source=None)
    for name in ROBOTS:
        ours = get_robot(name)
        (folder / "ours.yaml").write_text(dump_robot(ours, folder))
        assert dataclasses.replace(load_robot(folder / "ours.yaml"), source=None) == ours


def test_the_fingerprint_is_of_what_moves_alone(robot: Robot, folder: Path) -> None:
    before = robot.fingerprint
    assert re.fullmatch("[0-9a-f]{64}", before)
    shown = '<geom type="sphere" size="0.1" contype="0" conaffinity="0" mass="0"/><geom name="top" rgba="1 0 0 1"'
    looks = changed(folder, model_0=f'<geom name="top"|{shown}', model_1='<gyro name="spin"|<gyro name="spun"')
    assert load_robot(looks).fingerprint == before
    for old, new in (('mass="0.3"', 'mass="0.31"'), ('size="0.02"', 'size="0.021"'), ("-.02 -.02 -.02", "-.025 -.02 -.02")):
        other = changed(folder, model_0=f"{old}|{new}")
        assert load_robot(other).fingerprint != before, old
        changed(folder, model_0=f"{new}|{old}")
    assert load_robot(changed(folder, yaml_0="kp: 60|kp: 61")).fingerprint != before


def test_the_fingerprint_survives_signs_that_platforms_differ_in(robot: Robot) -> None:
    model = robot.scene().compile()
    before = model_sha256(model)
    model.body_quat[:] *= -1
    model.body_mass[:] *= 1 + 1e-12
    axes, turn = np.empty(4), np.array([0.5, 0.5, 0.5, 0.5])  # principal axes in another order
    for body in range(model.nbody):
        mujoco.mju_mulQuat(axes, model.body_iquat[body], turn)
        model.body_iquat[body] = axes
        model.body_inertia[body] = model.body_inertia[body][[1, 2, 0]]
    assert model_sha256(model) == before


def test_robots_are_found_by_name_path_or_folder(robot: Robot, folder: Path) -> None:
    assert get_robot(str(folder / "robot.yaml")) == robot == get_robot(folder)
    with pytest.raises(UnknownRobotError, match="is a model; make a robot from it: robolearn robot new"):
        get_robot(folder / "table.xml")
    with pytest.raises(UnknownRobotError, match=r"there is no robot at .*nowhere.yaml"):
        get_robot(folder / "nowhere.yaml")
    with pytest.raises(ValueError, match="a robot 'go1', which robolearn has already"):
        register_robot(dataclasses.replace(robot, name="go1"))
