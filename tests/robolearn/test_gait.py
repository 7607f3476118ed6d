"""How a robot moves, in figures: each against a made-up gait whose answer is known, recordings of people, and the command on a training."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from envs.robots.registry import get_robot
from envs.robots.robot import Foot, Imu, Joint, Robot
from policies.contract.spec import CommandSpec
from robolearn import cli
from robolearn.errors import UserError
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.gait import people, recordings, report, study
from robolearn.evaluation.gait.anatomy import Anatomy
from robolearn.evaluation.gait.conditions import Condition, conditions
from robolearn.evaluation.gait.manner import cycles, jerk, manner, stretch
from robolearn.evaluation.gait.motion import Motion, motion_of
from robolearn.evaluation.gait.soles import Sole
from robolearn.evaluation.gait.stance import steady
from robolearn.evaluation.gait.targets import BIPED, Target, verdicts
from robolearn.evaluation.gait.units import UNITS

DT, PERIOD, SPEED, SWING, LIFT = 0.02, 1.0, 0.5, 0.4, 0.05
LINK, SOLE, HIP = 0.3, 0.03, 0.58  # m: thigh and shank, height of the ankle over the ground, height of the hip
WAIST, BASE = 0.1, 0.05  # rad of pitch
LEG = """<body name="{side}_thigh" pos="0 {y} 0"><joint name="{side}_hip" axis="0 1 0" range="-2 2"/>
 <geom type="capsule" size="0.03" fromto="0 0 0 0 0 -0.3" contype="0" conaffinity="0"/>
 <body name="{side}_shank" pos="0 0 -0.3"><joint name="{side}_knee" axis="0 1 0" range="-0.1 2.5"/>
  <geom type="capsule" size="0.03" fromto="0 0 0 0 0 -0.3" contype="0" conaffinity="0"/>
  <body name="{side}_foot" pos="0 0 -0.3"><joint name="{side}_ankle" axis="0 1 0" range="-2 2"/>
   <geom name="{side}_sole" type="box" size="0.08 0.03 0.01" pos="0.03 0 -0.02"/></body></body></body>"""
ARM = """<body name="{side}_arm" pos="0 {y} 0.3"><joint name="{side}_shoulder" axis="0 1 0" range="-2 2"/>
 <geom type="capsule" size="0.02" fromto="0 0 0 0 0 -0.3" contype="0" conaffinity="0"/></body>"""
BODY = """<mujoco><compiler angle="radian"/><worldbody><body name="pelvis" pos="0 0 0.58"><freejoint/>
 <geom type="sphere" size="0.08" mass="2" contype="0" conaffinity="0"/>
 {legs}<body name="chest" pos="0 0 0.05"><joint name="waist" axis="0 1 0" range="-1 1"/>
 <geom type="box" size="0.08 0.1 0.2" pos="0 0 0.2" mass="8" contype="0" conaffinity="0"/>{arms}</body></body></worldbody></mujoco>"""


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Robot:
    """A biped with a waist, knees and arms, which nobody has heard of."""
    legs, arms = ("".join(part.format(side=side, y=y) for side, y in (("left", 0.1), ("right", -0.1))) for part in (LEG, ARM))
    path = tmp_path_factory.mktemp("walker") / "walker.xml"
    path.write_text(BODY.format(legs=legs, arms=arms), encoding="utf-8")
    names = [f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle", "shoulder")]
    joint = Joint(default=0.0, kp=50.0, kd=2.0, effort=50.0, velocity=20.0, scale=0.25)
    joints = {
        name: dataclasses.replace(joint, default=0.2 if "knee" in name else -0.1 if "shoulder" not in name else 0.0) for name in names
    }
    feet = {
        side: Foot(body=f"{side}_foot", position=(0.03, 0.0, -SOLE), turn=turn, sole=True) for side, turn in (("left", 0.0), ("right", 0.5))
    }
    return Robot(
        name="walker", model=path, joints=joints | {"waist": joint}, base="pelvis", feet=feet, imu=Imu(body="pelvis"), stand_height=0.62
    )


@pytest.fixture(scope="module")
def anatomy(robot: Robot) -> Anatomy:
    return Anatomy.of(robot)


def poses(robot: Robot, seconds: float = 6.0, slip: float = 0.0, period: float = PERIOD) -> tuple[np.ndarray, np.ndarray]:
    """Poses (T, nq) of the walker by the book, by inverse kinematics, and which feet stand, (T, 2)."""
    time = np.arange(round(seconds / DT)) * DT
    qpos = np.zeros((len(time), 7 + robot.num_joints))
    qpos[:, 0], qpos[:, 2] = SPEED * time, HIP
    qpos[:, 3], qpos[:, 5] = np.cos(BASE / 2), np.sin(BASE / 2)
    names = [robot.compiled.joint(i).name for i in range(1, robot.compiled.njnt)]
    at = {name: 7 + i for i, name in enumerate(names)}
    contact = np.zeros((len(time), 2), bool)
    for foot, side in enumerate(("left", "right")):
        cycle, phase = np.divmod(time + foot * period / 2, period)
        contact[:, foot] = loaded = phase >= SWING
        part = np.clip(phase / SWING, 0, 1)
        x = SPEED * period * (cycle + part) - foot * SPEED * period / 2 + SPEED * (SWING - period) / 2 + slip * (phase - SWING) * loaded
        z = SOLE + np.where(loaded, 0.0, LIFT * np.sin(np.pi * part))
        dx, dz = x - qpos[:, 0], z - HIP
        reach = np.hypot(dx, dz)
        knee = np.pi - np.arccos(1 - reach**2 / (2 * LINK**2))
        hip = np.arctan2(-dx, -dz) - np.arccos(reach / (2 * LINK))
        qpos[:, at[f"{side}_hip"]], qpos[:, at[f"{side}_knee"]], qpos[:, at[f"{side}_ankle"]] = hip - BASE, knee, -hip - knee
        qpos[:, at[f"{side}_shoulder"]] = (0.3 if foot else -0.3) * np.sin(2 * np.pi * time / period)
    qpos[:, at["waist"]] = WAIST
    return qpos, contact


@pytest.fixture(scope="module")
def walking(robot: Robot, anatomy: Anatomy) -> Motion:
    return motion_of(anatomy, *_with_dt(poses(robot)))


def _with_dt(series: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, float, np.ndarray]:
    return series[0], DT, series[1]


def test_parts_are_found_whatever_they_are_called(anatomy: Anatomy) -> None:
    assert anatomy.model.body(anatomy.trunk).name == "chest"
    assert [anatomy.robot.joint_names[knee] for knee in anatomy.knees if knee is not None] == ["left_knee", "right_knee"]
    assert anatomy.head[2] == pytest.approx(0.4)
    assert len(anatomy.limbs.pairs) == 2
    assert anatomy.images == (1, 0)
    g1, go1 = (Anatomy.of(get_robot(name)) for name in ("g1", "go1"))
    assert g1.model.body(g1.trunk).name == "torso_link"
    assert go1.model.body(go1.trunk).name == "trunk"
    assert np.degrees(np.abs(g1.straight)).max() < 0.1
    assert len([knee for knee in go1.knees if knee is not None]) == 4


def test_figures_of_a_walker_by_the_book(anatomy: Anatomy, walking: Motion) -> None:
    found = manner(anatomy, walking)
    assert found["speed"] == pytest.approx(SPEED, rel=0.01)
    assert found["pitch"] == pytest.approx(np.degrees(WAIST + BASE), abs=0.01)
    assert found["pitch_range"] == pytest.approx(0.0, abs=0.01)
    assert found["roll"] == pytest.approx(0.0, abs=0.01)
    assert found["step_length"] == pytest.approx(SPEED * PERIOD / 2, abs=0.01)
    assert found["cadence"] == pytest.approx(2 * 60 / PERIOD, rel=0.01)
    assert found["swing_time"] == pytest.approx(SWING, abs=DT)
    assert found["double_support"] == pytest.approx(1 - 2 * SWING / PERIOD, abs=0.03)
    assert found["flight"] == 0.0
    assert found["slip"] == pytest.approx(0.0, abs=1e-6)
    assert found["clearance"] == pytest.approx(LIFT, abs=0.002)
    assert found["touchdown"] == pytest.approx(LIFT * np.pi / SWING, abs=0.06)
    assert found["head_motion"] == pytest.approx(0.0, abs=1e-6)
    assert found["arm_swing"] == pytest.approx(np.degrees(0.6), rel=0.05)
    assert found["asymmetry"] == pytest.approx(0.0, abs=0.02)
    assert found["sag"] == pytest.approx(0.62 - HIP)
    assert np.isnan(found["torque_rms"])
    assert set(found) <= set(UNITS)


def test_a_knee_bends_from_touchdown_to_touchdown(robot: Robot, anatomy: Anatomy, walking: Motion) -> None:
    curves = cycles(walking)
    assert curves.shape[1] == 101
    assert np.ptp(curves, axis=0).max() < 8.0  # all strides are alike, but for where samples fall
    joint = poses(robot)[0][:, 7:].max()
    assert curves.max() == pytest.approx(np.degrees(joint), abs=2.0)
    assert curves[:, 60:].max() > curves[:, :50].max()  # the swing is at the end


def test_slip_is_told_and_rolling_is_none(robot: Robot, anatomy: Anatomy) -> None:
    sliding = manner(anatomy, motion_of(anatomy, *_with_dt(poses(robot, slip=0.1))))
    assert sliding["slip"] == pytest.approx(0.1, rel=0.02)
    assert sliding["slip_median"] == pytest.approx(0.1, rel=0.02)
    radius, turned = 0.02, np.arange(20) * 0.05
    cos, sin, none = np.cos(turned), np.sin(turned), np.zeros(20)
    rotation = np.stack([np.stack([cos, none, sin], -1), np.stack([none, none + 1, none], -1), np.stack([-sin, none, cos], -1)], 1)
    ball = Sole(body=0, middle=np.zeros(3), points=np.zeros((1, 3)), radius=np.array([radius]))
    position = np.stack([radius * turned, none, none + radius], -1)
    assert ball.slip(ball.places(position, rotation), rotation, DT).max() < 1e-4
    assert ball.slip(ball.places(position * [0, 1, 1], rotation), rotation, DT)[1:] == pytest.approx(radius * 0.05 / DT, rel=1e-3)


def test_stance_is_told_from_poses_alone(robot: Robot, anatomy: Anatomy) -> None:
    qpos, contact = poses(robot)
    qpos[:, 2] += 0.02  # a recording whose feet float
    told = motion_of(anatomy, qpos, DT).contact
    assert (told == contact).mean() > 0.93
    assert steady(np.array([1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0], bool)[:, None])[:, 0].astype(int).tolist() == [1] * 5 + [0] * 6


def test_a_stander_has_no_steps_and_a_limp_is_uneven(robot: Robot, anatomy: Anatomy) -> None:
    qpos = np.repeat(poses(robot)[0][:1], 100, axis=0)
    still = manner(anatomy, motion_of(anatomy, qpos, DT, np.ones((100, 2), bool)))
    assert still["steps_a_minute"] == 0.0
    assert np.isnan(still["step_length"])
    assert still["double_support"] == 1.0
    qpos, contact = poses(robot)
    contact[:, 0] |= np.arange(len(contact)) % round(PERIOD / DT) < 10  # the left foot lifts later
    assert manner(anatomy, motion_of(anatomy, qpos, DT, contact))["asymmetry"] > 0.2


def test_jerk_of_a_cubic_and_of_rates_that_differ() -> None:
    time = np.arange(200) * DT
    assert jerk(np.stack([time**3, time**3], -1), DT) == pytest.approx(6.0, rel=1e-6)
    fast = np.arange(400) * DT / 2
    assert jerk(np.sin(fast)[:, None], DT / 2) == pytest.approx(jerk(np.sin(time)[:, None], DT), rel=0.02)


def test_power_and_torque_need_forces(robot: Robot, anatomy: Anatomy) -> None:
    qpos, contact = poses(robot)
    torque = np.full((len(qpos), robot.num_joints), 3.0)
    found = manner(anatomy, motion_of(anatomy, qpos, DT, contact, torque, np.full(len(qpos), 50.0), mass=10.0))
    assert found["torque_rms"] == pytest.approx(3.0 / (10.0 * 9.81 * 0.62))
    assert found["cost_of_transport"] == pytest.approx(50.0 / (10.0 * 9.81 * SPEED), rel=0.01)


def test_an_episode_tells_its_start_and_stop(anatomy: Anatomy, robot: Robot) -> None:
    qpos, contact = poses(robot, seconds=11.0)
    waist = 7 + [robot.compiled.joint(i).name for i in range(1, robot.compiled.njnt)].index("waist")
    qpos[round(2.5 / DT), waist] = -0.2  # in the second after the start
    qpos[round(8.5 / DT), waist] = 0.4
    condition = Condition(name="ahead 0.5", kind="ahead", command=(SPEED, 0.0, 0.0))
    figures, walked = study.episode(anatomy, motion_of(anatomy, qpos, DT, contact), condition, stop_s=8.0)
    assert figures["start_low"] == pytest.approx(np.degrees(BASE - 0.2), abs=0.1)
    assert figures["stop_high"] == pytest.approx(np.degrees(BASE + 0.4), abs=0.1)
    assert figures["pitch_max"] == pytest.approx(np.degrees(BASE + WAIST), abs=0.1)
    assert figures["steps_after_stop"] > 60
    assert walked is not None
    assert len(walked.pitch) == round(4.5 / DT)
    worst = study.pooled([figures, figures | {"start_low": -30.0, "pitch": 0.0}])
    assert worst["start_low"].value == -30.0
    assert worst["pitch"].value == pytest.approx(figures["pitch"] / 2)


def test_conditions_stay_within_the_range_of_commands() -> None:
    command = CommandSpec(kind="velocity", labels=("vx", "vy", "wz"), lower=(-0.5, -0.4, -1.0), upper=(1.0, 0.4, 1.0), ages=True)
    asked = conditions(get_robot("g1"), command)
    assert [condition.command[0] for condition in asked if condition.kind == "ahead"] == [0.3, 0.6, 0.9, 1.0]
    assert [condition.command[0] for condition in asked if condition.kind == "back"] == [-0.3, -0.5]
    for condition in asked:
        assert all(low <= value <= high for low, value, high in zip(command.lower, condition.command, command.upper, strict=True))
    assert len(conditions(get_robot("g1"), command, quick=True)) < len(asked)
    ahead = CommandSpec(kind="velocity", labels=("vx", "vy", "wz"), lower=(0.0, 0.0, 0.0), upper=(0.2, 0.0, 0.0), ages=True)
    assert [condition.name for condition in conditions(get_robot("g1"), ahead)] == ["stand", "ahead 0.2"]


def test_targets_say_which_condition_misses() -> None:
    asked = [Condition(name="stand", kind="stand", command=(0, 0, 0)), Condition(name="ahead 1", kind="ahead", command=(1, 0, 0))]
    rows = {
        name: {"pitch": Figure(value, None, None, 1), "slip": Figure(0.1, None, None, 1)}
        for name, value in (("stand", 5.0), ("ahead 1", -9.0))
    }
    held = {(verdict.target.figure, verdict.target.where): verdict for verdict in verdicts(BIPED, asked, rows)}
    assert held["pitch", "every"].missed == {"ahead 1": -9.0}
    assert held["pitch", "every"].worst == -9.0
    assert set(held["slip", "move"].missed) == {"ahead 1"}
    assert held["knee", "stand"].count == 0
    assert report.mark(held["knee", "stand"]) == "?"
    assert Target(figure="survival", low=0.95).text(100) == "at least 95"
    assert all(target.figure in UNITS for target in BIPED)


# recordings of people --------------------------------------------------------------------------------------------------


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_recording_is_read_and_nothing_in_it_runs(tmp_path: Path, robot: Robot) -> None:
    frames, joints = 40, robot.num_joints
    told = {
        "fps": np.float64(30.0),
        "root_pos": np.zeros((frames, 3)),
        "root_rot": np.tile([0.0, 0.0, 0.0, 1.0], (frames, 1)),
        "dof_pos": np.arange(frames)[:, None] * np.ones(joints),
        "link_body_list": ["pelvis"],
    }
    path = tmp_path / "walk.pkl"
    path.write_bytes(pickle.dumps(told))
    found = recordings.read(path, robot)
    assert found.dt == pytest.approx(1 / 30)
    assert found.qpos.shape == (frames - 2, 7 + joints)
    assert found.qpos[0, 3:8].tolist() == [1.0, 0.0, 0.0, 0.0, 2.0]
    for broken, said in (
        (pickle.dumps({"fps": _Evil()}), "only arrays"),
        (pickle.dumps({"fps": 30.0}), "lacks root_pos"),
        (pickle.dumps(told | {"dof_pos": np.zeros((frames, 3))}), "not a motion of walker"),
        (pickle.dumps(told | {"fps": 0.0}), "fps must be a number above zero"),
        (pickle.dumps(told | {"fps": "fast"}), "fps must be a number above zero"),
        (b"nothing", "not a readable recording"),
    ):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=said):
            recordings.read(path, robot)
    with pytest.raises(UserError, match="no recordings"):
        recordings.find(tmp_path / "empty")


def test_people_are_sorted_by_what_they_do(robot: Robot, anatomy: Anatomy) -> None:
    qpos, _ = poses(robot, seconds=7.0)
    found = people.people_of([recordings.Recording(name="made up", dt=DT, qpos=qpos)], robot)
    assert [(row.kind, round(row.speed, 1)) for row in found] == [("ahead", SPEED)]
    assert found[0].figures["step_length"].value == pytest.approx(SPEED * PERIOD / 2, abs=0.02)
    assert found[0].figures["speed"].count == 3
    assert found[0].poses is not None
    assert len(found[0].poses) == 8
    again = people.from_dict(json.loads(json.dumps(people.to_dict(found, {"licence": "none"}))))
    assert again[0].figures["pitch"].value == pytest.approx(found[0].figures["pitch"].value, abs=1e-4)
    assert people.match(found, Condition(name="", kind="ahead", command=(0.6, 0.0, 0.0))) is found[0]
    assert people.match(found, Condition(name="", kind="ahead", command=(0.9, 0.0, 0.0))) is None
    bent = motion_of(anatomy, qpos, DT)
    assert people.activity(stretch(dataclasses.replace(bent, pitch=bent.pitch + 40), 0, 100)) is None


def test_kept_people_walk_as_people_do() -> None:
    told = json.loads(people.kept_path().read_text(encoding="utf-8"))
    assert told["licence"] == "MIT"
    assert "TWIST2" in told["source"]
    rows = people.kept()
    assert {"stand", "ahead"} <= {row.kind for row in rows}
    for row in (row for row in rows if row.kind == "ahead"):
        pitch, knee = row.figures["pitch"].value, row.figures["knee"].value
        assert pitch is not None
        assert 3 < pitch < 15
        assert knee is not None
        assert 4 < knee < 25


@pytest.mark.skipif(not os.environ.get("ROBOLEARN_MOTIONS"), reason="ROBOLEARN_MOTIONS names no folder of recordings")
def test_kept_people_are_those_of_the_recordings() -> None:
    robot = get_robot("g1")
    found = people.people_of([recordings.read(path, robot) for path in recordings.find(Path(os.environ["ROBOLEARN_MOTIONS"]))], robot)
    kept = people.kept()
    assert [(row.kind, round(row.speed, 3)) for row in found] == [(row.kind, row.speed) for row in kept]
    for here, there in zip(found, kept, strict=True):
        for name in ("pitch", "knee", "step_length"):
            if name in there.figures:
                assert here.figures[name].value == pytest.approx(there.figures[name].value, abs=1e-3)


# the command -----------------------------------------------------------------------------------------------------------


def test_the_command_on_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUICK_WALK_S", "START_S", "SETTLED_S", "AFTER_S"):
        monkeypatch.setattr(study, name, 1.0 if name == "QUICK_WALK_S" else 0.1)
    runs = tmp_path / "run"
    small = ["--teacher.iterations=1", "--env.num_worlds=4", "--env.num_threads=1", "--teacher.hidden=[8]", "--teacher.until=null"]
    assert cli.main(["train", "go1-velocity-flat", "--runs", str(runs), *small]) == 0
    out = tmp_path / "gait"
    assert (
        cli.main(["evaluate", str(runs / "go1-velocity-flat"), "--gait", "--quick", "--seeds", "1", "--no-pictures", "--out", str(out)])
        == 0
    )
    printed = capsys.readouterr().out
    assert "survival" in printed
    assert "slip (move) at most 0.06" in printed
    told = json.loads((out / "gait.json").read_text(encoding="utf-8"))
    assert told["kind"] == "teacher"
    assert told["robot"] == "go1"
    assert set(told["conditions"]) >= {"stand"}
    assert {target["figure"] for target in told["targets"]} >= {"sag", "touchdown", "steps_a_minute"}
    assert all("people" not in row for row in told["conditions"].values())


def test_the_suite_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "QUICK_WALK_S", 2.5)
    monkeypatch.setattr(report, "draw", lambda *_: (None, "no graphics"))
    out = tmp_path / "suite"
    command = ["evaluate", "g1-velocity", "--suite", "locomotion", "--quick", "--seeds", "1", "--only", "gait", "--out", str(out)]
    assert cli.main([*command, "--env.num_threads=1"]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in ("How it walks", "Beside recorded people", "people", "Targets", "no graphics", "knee over the gait cycle"):
        assert text in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gait", "--suite", "locomotion"], "leave out --suite"),
        (["--gait", "--engine", "all"], "one engine"),
        (["--no-pictures"], "is for --gait"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "g1-velocity", *arguments]) == 2
    assert said in capsys.readouterr().err
