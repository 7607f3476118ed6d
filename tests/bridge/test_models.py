"""A robot's model from anywhere: the shipped policies walk and reach on it, or one line says what it has and lacks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from bridge import deploy
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.simulated import robot as simulated_robot
from bridge.simulated.fitted_model import ModelError
from bridge.simulated.physics import PhysicsRobot, physics_dt
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile
from robolearn import cli
from tests import model_variants as variants
from tests.bridge_helpers import REPOSITORY

ZOO = REPOSITORY / "policies" / "zoo"
COMMANDS = {"go1-velocity": (0.5, 0.0, 0.0), "g1-velocity": (0.5, 0.0, 0.0), "panda-reach": (0.5, 0.2, 0.4)}


def robot_of(policy: str, model: Path) -> tuple[PolicyFile, PhysicsRobot]:
    file = PolicyFile(ZOO / f"{policy}.onnx")
    return file, PhysicsRobot(file.spec.robot, model, physics_dt(file.spec, 500.0))


def drive(policy: str, model: Path, seconds: float = 4.0) -> tuple[Controller, PhysicsRobot]:
    """Stand up and run the policy on a model."""
    file, robot = robot_of(policy, model)
    controller = Controller(file)
    controller.arm()
    controller.auto_start()
    ControlLoop(controller, SimTransport(robot, robot.names, np.array(COMMANDS[policy]))).run(seconds)
    assert controller.ran
    return controller, robot


@pytest.fixture(scope="module")
def ours() -> np.ndarray:
    """Where the bundled Go1 has got to after four seconds."""
    return drive("go1-velocity", variants.ROBOTS / "go1" / "go1.xml")[1].data.qpos.copy()


@pytest.mark.parametrize("name", variants.SAME_MOTION)
def test_whatever_moved_the_joints_before_the_robot_moves_as_ours_does(name: str, ours: np.ndarray, tmp_path: Path) -> None:
    _, robot = drive("go1-velocity", variants.write(variants.SAME_MOTION[name], tmp_path))
    np.testing.assert_array_equal(robot.data.qpos, ours)


@pytest.mark.parametrize("name", variants.OTHER_SCENE)
def test_it_walks_in_other_surroundings(name: str, tmp_path: Path) -> None:
    controller, robot = drive("go1-velocity", variants.write(variants.OTHER_SCENE[name], tmp_path))
    assert robot.truth()[0][0] > 0.6, controller.cause
    assert 0.2 < robot.truth()[0][2] < 0.35


def test_a_ball_that_stands_first_in_the_scene_is_not_the_base(tmp_path: Path) -> None:
    _, robot = drive("go1-velocity", variants.behind_a_ball(tmp_path))
    assert robot.truth()[0][0] > 0.6
    assert np.allclose(robot.data.body("ball").xpos[:2], 3.0)


def test_an_arm_on_the_back_is_held_by_its_own_actuators_and_named(tmp_path: Path) -> None:
    _, robot = drive("go1-velocity", variants.write(variants.with_an_arm, tmp_path))
    assert abs(float(robot.data.joint("arm_joint").qpos[0])) < 0.3
    assert any("arm_joint" in note for note in robot.notes)
    assert robot.model.nu == 12 + 3


def test_what_a_maker_built_otherwise_is_told_and_ours_is_quiet(tmp_path: Path) -> None:
    assert robot_of("go1-velocity", variants.ROBOTS / "go1" / "go1.xml")[1].notes == []
    notes = robot_of("go1-velocity", variants.write(variants.servo_and_brake, tmp_path))[1].notes
    assert notes == ["the model's 24 actuators on go1's 12 joints give way to motors of the policy's contract"]


def test_an_arm_that_nothing_carries_is_told_and_still_comes_close(tmp_path: Path) -> None:
    def change(scene: mujoco.MjSpec) -> None:
        for body in scene.bodies:
            body.gravcomp = 0.0

    _, robot = drive("panda-reach", variants.write(change, tmp_path, "panda"), 6.0)
    assert any("weight alone bends panda_joint" in note for note in robot.notes)
    assert float(np.linalg.norm(robot.data.site("end_effector").xpos - COMMANDS["panda-reach"])) < 0.05
    assert robot_of("panda-reach", variants.ROBOTS / "panda" / "panda.xml")[1].notes == []


def test_the_rotors_of_the_actuators_stay(tmp_path: Path) -> None:
    change = variants.on_joints(lambda actuator: actuator.set_to_motor(), gear=[3.0, 0, 0, 0, 0, 0], armature=0.01)
    _, robot = robot_of("go1-velocity", variants.write(change, tmp_path))
    assert np.allclose(robot.model.actuator_armature, 0.09)


@pytest.mark.parametrize("name", ["motors", "none", "tendons"])
def test_a_humanoid_walks_on_it(name: str, tmp_path: Path) -> None:
    def change(scene: mujoco.MjSpec) -> None:
        variants.SAME_MOTION[name](scene)
        for sensor in list(scene.sensors):
            scene.delete(sensor)
        for site in scene.sites:  # the gantry knows two feet without their places
            site.name = ""

    _, robot = drive("g1-velocity", variants.write(change, tmp_path, "g1"), 8.0)
    assert robot.gantry is not None
    assert robot.gantry.carries == 0.0
    assert robot.truth()[0][0] > 1.0
    assert robot.truth()[0][2] > 0.6


@pytest.mark.parametrize("name", ["motors", "geared motors", "slow servos", "none"])
def test_an_arm_reaches_on_it(name: str, tmp_path: Path) -> None:
    _, robot = drive("panda-reach", variants.write(variants.SAME_MOTION[name], tmp_path, "panda"), 6.0)
    assert float(np.linalg.norm(robot.data.site("end_effector").xpos - COMMANDS["panda-reach"])) < 0.02


def test_a_keyframe_of_the_model_may_be_the_beginning(tmp_path: Path) -> None:
    def change(scene: mujoco.MjSpec) -> None:
        variants.with_an_arm(scene)
        qpos = [1.0, 2.0, 0.3, 1, 0, 0, 0, 0.2, *[0.005] * 2, *[0.0, 0.9, -1.8] * 4]
        scene.add_key(name="home", qpos=qpos, ctrl=[*[0.0] * 12, 0.005, 0.2, 0.0])

    model = variants.write(change, tmp_path)
    file = PolicyFile(ZOO / "go1-velocity.onnx")
    robot = PhysicsRobot(file.spec.robot, model, 0.002, key="home")
    assert np.allclose(robot.truth()[0], [1.0, 2.0, 0.3])
    assert [float(robot.data.ctrl[i]) for i in range(3)] == [0.005, 0.2, 0.0]
    with pytest.raises(ModelError, match="no keyframe 'stand'; it has home"):
        PhysicsRobot(file.spec.robot, model, 0.002, key="stand")


def test_a_keyframe_of_another_size_is_in_nobodys_way(tmp_path: Path, ours: np.ndarray) -> None:
    model = variants.write(lambda scene: None, tmp_path)
    model.write_text(model.read_text().replace("<keyframe>", '<keyframe><key name="short" qpos="0 0 1"/>'))
    assert np.array_equal(drive("go1-velocity", model)[1].data.qpos, ours)


def broken(scene: mujoco.MjSpec) -> None:
    """Nearly everything is wrong at once."""
    for thing in [*scene.sensors, *scene.keys, *scene.actuators, *scene.excludes]:
        scene.delete(thing)
    scene.delete(scene.worldbody.first_body().joints[0])
    for geom in scene.geoms:
        geom.contype = geom.conaffinity = 0
    scene.joint("FR_hip_joint").name = "hip_of_another"
    scene.joint("FL_calf_joint").range = [0.1, 0.2]


def test_all_that_a_model_lacks_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = variants.write(broken, tmp_path)
    policy = str(ZOO / "go1-velocity.onnx")
    said = []
    assert deploy.main([policy, "--transport", "sim", "--mjcf", str(model), "--no-log"]) == 2
    said.append(capsys.readouterr().err)
    assert simulated_robot.main(["--policy", policy, "--mjcf", str(model)]) == 2
    said.append(capsys.readouterr().err)
    assert cli.main(["deploy", policy, "--simulate", "--mjcf", str(model), "--no-log"]) == 2  # before it starts a robot in vain
    said.append(capsys.readouterr().err)
    for line in said:
        assert len(line.strip().splitlines()) == 1
        for part in ("lacks the joints FR_hip_joint", "hip_of_another", "FL_calf_joint", "no free joint", "can touch the ground"):
            assert part in line


def weld(scene: mujoco.MjSpec, other: str, **fields: Any) -> None:
    hold = scene.add_equality(type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name="hold", **fields)
    hold.name1, hold.name2 = scene.worldbody.first_body().name, other


def lock(scene: mujoco.MjSpec, other: str = "") -> None:
    hold = scene.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name="hold", name1="FR_calf_joint")
    hold.name2, hold.data[:2] = other, [-1.8, 1.0 if other else 0.0]


def hook(scene: mujoco.MjSpec) -> None:
    """The robot hangs at a point that the scene may move about."""
    scene.worldbody.add_body(name="hook", mocap=True)
    hold = scene.add_equality(type=mujoco.mjtEq.mjEQ_CONNECT, objtype=mujoco.mjtObj.mjOBJ_BODY, name="hold")
    hold.name1, hold.name2 = scene.worldbody.first_body().name, "hook"


def rope(scene: mujoco.MjSpec) -> None:
    scene.add_tendon(name="rope").wrap_joint("FR_calf_joint", 1.0)
    scene.add_equality(type=mujoco.mjtEq.mjEQ_TENDON, objtype=mujoco.mjtObj.mjOBJ_TENDON, name="hold", name1="rope")


def gravity(scene: mujoco.MjSpec, value: float) -> None:
    scene.option.gravity = [0, 0, value]


def no_gravity(scene: mujoco.MjSpec) -> None:
    scene.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_GRAVITY)


HELD: dict[str, tuple[variants.Change, str]] = {
    "a base that is welded to the world": (lambda scene: weld(scene, "world"), "hold holds it"),
    "a base on a hook": (hook, "hold holds it"),
    "a locked joint": (lock, "hold holds it"),
    "two joints as one": (lambda scene: lock(scene, "FL_calf_joint"), "hold holds it"),
    "a joint on a rope": (rope, "hold holds it"),
    "no gravity": (lambda scene: gravity(scene, 0.0), r"gravity is (0, 0, 0) m/s^2"),
    "gravity upwards": (lambda scene: gravity(scene, 9.81), r"gravity is (0, 0, 9.81) m/s^2"),
    "gravity that is disabled": (no_gravity, "options disable gravity"),
}


@pytest.mark.parametrize("name", HELD)
def test_what_holds_or_lifts_the_robot_is_refused(name: str, tmp_path: Path) -> None:
    change, said = HELD[name]
    with pytest.raises(ModelError, match=re.escape(said)):
        robot_of("go1-velocity", variants.write(lambda scene: (variants.without_keyframes(scene), change(scene)), tmp_path))  # type: ignore[arg-type, func-returns-value]


def test_a_joint_of_an_arm_that_is_locked_is_refused_too(tmp_path: Path) -> None:
    def change(scene: mujoco.MjSpec) -> None:
        variants.without_keyframes(scene)
        scene.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name1="panda_joint4")

    with pytest.raises(ModelError, match=r"equality . \(no name\) holds it"):
        robot_of("panda-reach", variants.write(change, tmp_path, "panda"))


def loaded(scene: mujoco.MjSpec) -> None:
    """A free body is fastened to the back."""
    variants.without_keyframes(scene)
    load = scene.worldbody.add_body(name="load", pos=[0, 0, 0.6])
    load.add_freejoint()
    load.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02, 0.02, 0.02], contype=0, conaffinity=0)
    weld(scene, "load")


def inactive(scene: mujoco.MjSpec) -> None:
    variants.without_keyframes(scene)
    weld(scene, "world", active=False)


def held_elsewhere(scene: mujoco.MjSpec) -> None:
    """A joint that is not the policy's is locked."""
    variants.without_keyframes(scene)
    variants.with_an_arm(scene)
    scene.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name1="arm_joint")


@pytest.mark.parametrize("change", [loaded, inactive, held_elsewhere])
def test_equalities_that_hold_no_robot_stay(change: variants.Change, tmp_path: Path) -> None:
    robot_of("go1-velocity", variants.write(change, tmp_path))


def test_springs_and_what_carries_weight_are_told(tmp_path: Path) -> None:
    def spring(scene: mujoco.MjSpec) -> None:
        joint = scene.joint("FR_calf_joint")
        joint.stiffness = [200.0, 0, 0] if np.ndim(joint.stiffness) else 200.0

    def tendon(scene: mujoco.MjSpec) -> None:
        rope = scene.add_tendon(name="rope", springlength=[0.0, 0.0])
        rope.stiffness = [50.0, 0, 0] if np.ndim(rope.stiffness) else 50.0
        rope.wrap_joint("FL_hip_joint", 1.0)

    def carried(scene: mujoco.MjSpec) -> None:
        for body in scene.bodies:
            body.gravcomp = 0.5

    said = {"FR_calf_joint": spring, "FL_hip_joint": tendon, "gravcomp carries 50% of its weight": carried}
    for words, change in said.items():
        notes = robot_of("go1-velocity", variants.write(change, tmp_path))[1].notes
        assert [words in note for note in notes] == [True], notes


@pytest.mark.parametrize("text", ["", "no xml", "<mujoco>", "<mujoco/>", "<robot name='x'/>", "\x00\x01binary"])
def test_what_is_no_model_is_said_in_a_line(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.xml"
    model.write_text(text)
    assert deploy.main([str(ZOO / "panda-reach.onnx"), "--transport", "sim", "--mjcf", str(model), "--no-log"]) == 2
    line = capsys.readouterr().err.strip()
    assert "model.xml" in line
    assert len(line.splitlines()) == 1
