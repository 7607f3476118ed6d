"""A policy of somebody's own robot: commands find the robot again, notice that it changed, and simulate it with nothing else."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.engines.face import Engine, EngineError
from envs.engines.registry import ENGINES, EngineKind
from envs.robots.fingerprint import model_sha256
from envs.robots.registry import ROBOTS, get_robot
from envs.tasks.registry import make_env
from policies.contract.file import PolicyFile
from policies.registry import _DECLARED, _Declared
from robolearn import cli
from robolearn.errors import UserError
from robolearn.evaluation.evaluate import evaluate_file
from robolearn.identify.crouch import crouch_of
from robolearn.identify.report import called
from robolearn.policy_path import zoo
from robolearn.policy_robot import robot_of
from robolearn.simulated_model import simulated_model, write_scene
from tests.envs.test_robot_yaml import MODEL, YAML
from tests.make_policy import make_policy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A robot of one's own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "table.xml").write_text(MODEL)
    (tmp_path / "mine" / "robot.yaml").write_text(YAML)
    return tmp_path / "mine"


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> PolicyFile:
    """A policy for it that stands."""
    spec = make_env("velocity-flat", get_robot(folder), num_worlds=1, num_threads=1).spec
    (tmp_path / "run").mkdir()
    return PolicyFile(make_policy(tmp_path / "run" / "policy.onnx", spec, kind="stand"))


def test_a_file_knows_its_robot_by_place_and_by_content(file: PolicyFile, folder: Path) -> None:
    robot = get_robot(folder)
    assert file.spec.robot.source == str(folder / "robot.yaml")
    assert file.spec.robot.model_sha256 == robot.fingerprint == model_sha256(robot.scene().compile())
    assert robot_of(file) == robot


def test_a_model_that_changed_is_refused_unless_it_is_meant(file: PolicyFile, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "table.xml").write_text(MODEL.replace('mass="5"', 'mass="6"'))
    with pytest.raises(UserError, match=r"is not the one that .* was trained with; restore the original, .*--robot .*robot.yaml"):
        robot_of(file)
    assert robot_of(file, str(folder)).mass == pytest.approx(get_robot(folder).mass)
    assert "warning: the model of" in capsys.readouterr().err
    with pytest.raises(UserError, match="is for table with the joints"):
        robot_of(file, "go1")


def test_a_motion_of_a_robot_that_changed_warns_once(
    file: PolicyFile, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (folder / "table.xml").write_text(MODEL.replace('mass="5"', 'mass="6"'))
    run = [
        "deploy",
        str(file.path),
        "--transport",
        "sim",
        "--robot",
        str(folder),
        "--motion",
        "squats",
        "--log",
        str(tmp_path / "run.mcap"),
    ]
    cli.main([*run, "--duration", "0.1"])
    said = capsys.readouterr()
    assert said.err.count("the model of") == 1, said.err
    assert "log: " in said.out


def test_gains_that_changed_are_named_and_those_of_the_file_act(file: PolicyFile, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "robot.yaml").write_text(YAML.replace("kp: 80", "kp: 85").replace("default: 0.1", "default: 0.12"))
    said = r"\(here kp of back left knee 85 \(trained with 80\), .* and 5 more such\)"
    with pytest.raises(UserError, match=rf"is not the one that .* was trained with {said}; restore the original, .*--robot .*robot.yaml"):
        robot_of(file)
    assert cli.main(["evaluate", str(file.path), "--robot", str(folder), "--seeds", "1", "--seconds", "1.2"]) == 0
    err = capsys.readouterr().err
    assert err.count("warning: ") == 1
    assert "has kp of back left knee 85 (trained with 80)" in err
    robot = robot_of(file, str(folder))
    assert (robot.kp, robot.default_pose) == (file.spec.robot.kp, file.spec.robot.default_pose)
    assert robot.fingerprint == file.spec.robot.model_sha256


def test_a_default_pose_that_changed_is_said_with_its_joint(file: PolicyFile, folder: Path) -> None:
    """It is no part of the model's fingerprint."""
    (folder / "robot.yaml").write_text(YAML.replace("default: 0.1", "default: 0.12"))
    with pytest.raises(UserError, match=r"default pose than .*robot.yaml has: default angle of back left hip 0.12 \(trained with 0.1\)"):
        evaluate_file(file, seeds=1, seconds=1.2)
    assert evaluate_file(file, seeds=1, seconds=1.2, robot=str(folder)).value("survival") == 1.0


def test_a_model_with_another_range_is_played_where_it_is_meant(file: PolicyFile, folder: Path) -> None:
    (folder / "robot.yaml").write_text(YAML.replace("[-2, 0.1]", "[-1.5, 0.1]"))
    with pytest.raises(UserError, match=r"lower end of back left knee -1.5 \(trained with -2\)"):
        evaluate_file(file, seeds=1, seconds=1.2)
    assert evaluate_file(file, seeds=1, seconds=1.2, robot=str(folder)).value("survival") == 1.0


def test_a_plugins_robot_is_found_by_name_where_its_package_lies_elsewhere(
    file: PolicyFile, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = folder.parent / "elsewhere"
    shutil.move(folder, moved)
    monkeypatch.setitem(_DECLARED, "robot", {"table": _Declared(lambda: get_robot(moved), "my_robots")})
    monkeypatch.setattr(ROBOTS, "_things", dict(ROBOTS._things))
    monkeypatch.setattr(ROBOTS, "_sources", dict(ROBOTS._sources))
    assert robot_of(file).source == moved / "robot.yaml"
    assert called(robot_of(file)) == "table"  # as a plugin's presets do
    (moved / "table.xml").write_text(MODEL.replace('mass="5"', 'mass="6"'))
    monkeypatch.setattr(ROBOTS, "_things", {name: robot for name, robot in ROBOTS._things.items() if name != "table"})
    with pytest.raises(UserError, match="is not the one that"):
        robot_of(file)


@pytest.mark.parametrize("path", zoo().values(), ids=zoo())
def test_shipped_policies_know_their_robots_by_content(path: Path) -> None:
    theirs = PolicyFile(path).spec.robot
    assert theirs.model_sha256 == get_robot(theirs.name).fingerprint


def test_all_engines_answer_but_one_that_cannot(
    file: PolicyFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unable(*given: object) -> Engine:
        raise EngineError("meshes are not for it")

    monkeypatch.setattr("envs.engines.elsewhere.kinds.all_here", lambda: ("mujoco", "precise", "drake"))
    monkeypatch.setattr(ENGINES, "_things", dict(ENGINES._things) | {"drake": EngineKind(make=unable)})
    short = ["--seeds", "1", "--seconds", "1.2"]
    assert cli.main(["evaluate", str(file.path), "--engine", "all", "--json", "-", *short]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert [answer["engine"], *(other["engine"] for other in answer["others"])] == ["mujoco", "precise", "drake"]
    assert answer["others"][1] == {"engine": "drake", "reason": "meshes are not for it"}
    assert "note: drake cannot simulate this robot: meshes are not for it" in err
    assert cli.main(["evaluate", str(file.path), "--engine", "drake", *short]) == 2
    assert "meshes are not for it" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["evaluate", "play"])
def test_an_engine_that_was_registered_can_be_chosen(
    verb: str, file: PolicyFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def mine(model: mujoco.MjModel, worlds: int, device: str, threads: int) -> Engine:
        made.append(worlds)
        return ENGINES.get("mujoco").make(model, worlds, device, threads)

    monkeypatch.setattr(ENGINES, "_things", dict(ENGINES._things) | {"mine": EngineKind(make=mine)})
    monkeypatch.setattr(ENGINES, "_sources", dict(ENGINES._sources) | {"mine": "my_engines"})
    monkeypatch.chdir(file.path.parent)
    rest = ["--seeds", "1"] if verb == "evaluate" else ["--no-video"]
    assert cli.main([verb, str(file.path), "--engine", "mine", "--seconds", "1.2", *rest]) == 0
    assert made
    assert cli.main([verb, str(file.path), "--engine", "mein"]) == 2
    assert "unknown engine 'mein' (did you mean mine?)" in capsys.readouterr().err


def test_a_robot_that_has_moved_is_asked_for_or_found_beside_the_policy(file: PolicyFile, folder: Path) -> None:
    moved = folder.parent / "elsewhere"
    shutil.move(folder, moved)
    with pytest.raises(UserError, match=r"trained with robot table, of .*robot.yaml, which does not exist here; .*--robot"):
        robot_of(file)
    assert robot_of(file, str(moved / "robot.yaml")).name == "table"
    for part in moved.iterdir():
        shutil.copy(part, file.path.parent)
    assert robot_of(file).source == file.path.parent / "robot.yaml"


def test_its_scene_as_a_file_is_its_scene(folder: Path, tmp_path: Path) -> None:
    for robot in (get_robot(folder), get_robot("go1"), get_robot("g1"), get_robot("panda")):
        written = mujoco.MjModel.from_xml_path(str(write_scene(robot, tmp_path / "scene.xml")))
        ours = robot.compiled
        assert [written.joint(i).name for i in range(written.njnt)] == [ours.joint(i).name for i in range(ours.njnt)]
        for field in ("body_mass", "actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "dof_armature", "geom_size", "jnt_range"):
            np.testing.assert_allclose(getattr(written, field), getattr(ours, field), rtol=2e-5, atol=1e-5, err_msg=field)
        data = [mujoco.MjData(model) for model in (written, ours)]
        for model, state in zip((written, ours), data, strict=True):
            mujoco.mj_resetDataKeyframe(model, state, 0)
            for _ in range(20):
                mujoco.mj_step(model, state)
        np.testing.assert_allclose(data[0].qpos, data[1].qpos, atol=1e-4)


def test_ours_are_simulated_from_where_they_lie_and_others_from_a_written_scene(file: PolicyFile, tmp_path: Path) -> None:
    ours = PolicyFile(make_policy(tmp_path / "go1.onnx", make_env("velocity-flat", "go1", num_worlds=1).spec, kind="stand"))
    assert simulated_model(ours, None, None, tmp_path) == get_robot("go1").model
    made = simulated_model(file, None, None, tmp_path)
    assert made.parent == tmp_path
    with pytest.raises(UserError, match="give one of them"):
        simulated_model(file, "table", made, tmp_path)


def test_deploy_simulates_it_with_nothing_else(file: PolicyFile, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["deploy", str(file.path), "--transport", "sim", "--auto-start", "--command", "0", "0", "0", "--duration", "3", "--no-log"]
    assert cli.main(command) == 0
    assert "stand -> policy" in capsys.readouterr().out
    assert cli.main([*command, "--robot", "go1"]) == 2
    assert "is for table with the joints" in capsys.readouterr().err
    (folder / "robot.yaml").write_text(YAML.replace("kp: 60", "kp: 61"))
    assert cli.main(command) == 2
    assert "is not the one that" in capsys.readouterr().err


def test_the_wire_has_no_use_for_a_simulated_robots_name(file: PolicyFile, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["deploy", str(file.path), "--transport", "ros2", "--robot", "go1", "--no-log"]) == 2
    assert "--robot is the model of a simulated robot" in capsys.readouterr().err


def test_its_scene_can_be_written(file: PolicyFile, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for robot in (str(folder), str(file.path), "panda"):
        assert cli.main(["robot", "mjcf", robot, "--out", str(tmp_path / "out.xml")]) == 0
        mujoco.MjModel.from_xml_path(str(tmp_path / "out.xml"))
    assert cli.main(["robot", "mjcf", "panda", "--out", str(tmp_path / "out.urdf")]) == 2
    assert "must end in .xml" in capsys.readouterr().err


def test_a_urdf_is_simulated_with_its_base_free(tmp_path: Path, file: PolicyFile) -> None:
    """What `--mjcf` is given may be a URDF; the policy says that its robot walks."""
    inertial = '<inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>'
    limit = '<limit lower="-1" upper="1" effort="9" velocity="9"/>'
    joint = f'<joint name="hip" type="revolute"><parent link="a"/><child link="b"/><axis xyz="0 1 0"/>{limit}</joint>'
    path = tmp_path / "robot.urdf"
    path.write_text(f'<robot name="r"><link name="a">{inertial}</link><link name="b">{inertial}</link>{joint}</robot>')
    model = mujoco.MjModel.from_xml_path(str(simulated_model(file, None, path, tmp_path)))
    assert [model.jnt_type[i] for i in range(2)] == [mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_HINGE]


def test_a_crouch_lowers_the_base_over_feet_that_stay(folder: Path) -> None:
    for robot in (get_robot("go1"), get_robot("g1"), get_robot(folder)):
        model = robot.compiled
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, 0)
        mujoco.mj_kinematics(model, data)
        before = np.array([data.site(f"{foot}_foot").xpos for foot in robot.feet])
        crouch = crouch_of(robot)
        for name, turn in zip(robot.joint_names, crouch.down, strict=True):
            data.joint(name).qpos += 0.01 * turn
        mujoco.mj_kinematics(model, data)
        moved = np.array([data.site(f"{foot}_foot").xpos for foot in robot.feet]) - before
        assert (moved[:, 2] > 2e-4).all()
        assert (np.abs(moved[:, 0]) < 0.2 * moved[:, 2]).all()
    with pytest.raises(UserError, match="cannot squat"):
        crouch_of(dataclasses.replace(get_robot(folder), joints={k: v for k, v in get_robot(folder).joints.items() if "knee" not in k}))
