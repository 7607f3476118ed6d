"""A person's motion on robots: feet that stand still, ranges, speeds, proportions; and the dataset that comes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest

from envs.robots.registry import get_robot
from robolearn import cli
from robolearn.data.columns import ACTION, COMMAND, CONTACT, ROOT, STATE
from robolearn.data.reader import Dataset
from robolearn.data.source import Source
from robolearn.errors import UsageError, UserError
from robolearn.evaluation.gait.soles import Sole
from robolearn.motions.episodes import episode_of
from robolearn.motions.feet import hold, lock, stances, steady_yaw
from robolearn.motions.judge import Report, figures_of
from robolearn.motions.licences import licence_of
from robolearn.motions.retarget import Clip, Retargeter, Wanted
from robolearn.motions.rotation import about
from tests.robolearn.motions import walker
from tests.robot_builder import biped, quadruped

MOTIONS = Path(os.environ.get("ROBOLEARN_MOTIONS", "no folder"))
"""Where recordings of people lie; without them only what tests make is used."""
BOX = Sole(
    body=1,
    middle=np.array([0.03, 0.0, -0.05]),
    points=np.array([[x, y, -0.05] for x in (-0.07, 0.13) for y in (-0.04, 0.04)]),
    radius=np.zeros(4),
)


@pytest.fixture(scope="module")
def g1() -> Retargeter:
    return Retargeter(get_robot("g1"))


@pytest.fixture(scope="module")
def walk(g1: Retargeter, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return the_clip(g1, walker.write(tmp_path_factory.mktemp("walk") / "walk.npz"))


def the_clip(retargeter: Retargeter, path: Path) -> Clip:
    found = list(retargeter.clips(path))
    assert len(found) == 1, found
    assert isinstance(found[0], Clip), found
    return found[0]


def test_a_rolling_foot_does_not_slide() -> None:
    """What touches stays where it is, heel, sole and toe; in a swing the sole is above the ground."""
    times = np.linspace(0, 1, 60)
    pitch = np.interp(times, [0, 0.1, 0.2, 0.6, 0.8, 1.0], [-0.3, -0.3, 0.0, 0.0, 0.7, 0.7])
    contact = (times > 0.1) & (times < 0.8)
    asked = np.stack([0.3 * times, 0.02 * np.sin(9 * times), 0.02 + 0 * times], -1)  # slides, and is too low
    attitude = about("y", pitch)
    found = lock(BOX, asked, attitude, contact)
    places = BOX.places(found, attitude)
    slip = BOX.slip(places, attitude, 1 / 60)
    both = contact & np.concatenate([[False], contact[:-1]])
    assert slip[both].max() < 1e-9
    assert np.abs(BOX.height(places)[contact]).max() < 1e-9
    assert BOX.height(places)[~contact].min() > 0
    assert np.abs(found[contact, :2].mean(0) - asked[contact, :2].mean(0)).max() < 0.02


def test_what_is_held_goes_over_smoothly() -> None:
    contact = np.array([0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0], bool)
    values = np.linspace(0, 1, 13)
    locked = np.where(contact, np.where(np.arange(13) < 6, 0.4, 0.7), np.nan)
    found = hold(values, contact, locked)
    assert np.array_equal(found[contact], locked[contact])
    assert np.isfinite(found).all()
    assert np.abs(np.diff(found - values)).max() < 0.2
    assert stances(contact) == [(2, 5), (10, 12)]


def test_a_standing_foot_turns_only_where_a_person_spins_on_it() -> None:
    contact = np.ones(50, bool)
    little, much = np.linspace(0, 0.3, 50), np.linspace(0, 3.0, 50)
    assert np.ptp(steady_yaw(little, contact)) == 0
    assert np.abs(steady_yaw(much, contact) - much).max() == pytest.approx(np.radians(20))


def test_the_walk_is_within_all_bars(walk: Clip) -> None:
    figures = walk.report.figures
    assert walk.report.kept, walk.report.faults
    assert figures["slip"] < 0.03
    assert figures["slip_by_height"] < 0.05
    assert figures["penetration"] < 2.5
    assert figures["beyond_range"] == 0
    assert figures["speed_share"] < 0.9
    assert figures["hips_off"] < 60
    assert figures["limbs_off"] < 12


def test_lengths_and_time_go_by_the_legs(walk: Clip, g1: Retargeter, tmp_path: Path) -> None:
    """Strides by the legs' ratio s, speed by its root: the same Froude number; or the person's own time."""
    targets, person = walk.targets, 2 * walker.STEP / walker.PERIOD
    assert targets.scale == pytest.approx(g1.rig.stand_height / (0.82 * 1.0795), rel=0.01)
    assert targets.pace == pytest.approx(np.sqrt(targets.scale))
    speed = np.diff(walk.qpos[[10, -10], 0])[0] / ((len(walk.qpos) - 20) * targets.dt)
    assert speed == pytest.approx(person * np.sqrt(targets.scale), rel=0.03)
    kept = the_clip(Retargeter(g1.robot, Wanted(froude=False)), walker.write(tmp_path / "walk.npz"))
    assert len(kept.qpos) == pytest.approx(4.0 * 50, abs=2)
    assert len(walk.qpos) == pytest.approx(4.0 * 50 * np.sqrt(targets.scale), abs=2)


def test_contacts_are_those_of_the_person(walk: Clip) -> None:
    times = np.arange(len(walk.qpos)) * walk.targets.dt / walk.targets.pace
    ankles = walker.feet(times)
    standing = ankles[..., 2] < walker.ANKLE + 1e-6
    assert (walk.contact == standing).mean() > 0.85
    assert walk.contact.any(1).all()  # nobody flies in a walk


def test_left_and_right_are_treated_alike(g1: Retargeter, tmp_path: Path) -> None:
    """The mirror image of a person gives the mirror image of the robot's motion."""
    from envs.robots.symmetry import robot_image
    from robolearn.motions.readers.smpl import JOINTS

    straight = walker.joints(2.0)
    swapped = [JOINTS.index(name.replace("left", "x").replace("right", "left").replace("x", "right")) for name in JOINTS]
    one = the_clip(g1, walker.write(tmp_path / "one.npz", straight))
    other = the_clip(g1, walker.write(tmp_path / "other.npz", straight[:, swapped] * [1, -1, 1]))
    places, signs = robot_image(g1.robot, g1.kinematics.model).joints
    default = np.array(g1.robot.default_pose)
    mirrored = (other.qpos[:, 7:] - default)[:, places] * np.array(signs) + default
    np.testing.assert_allclose(mirrored, one.qpos[:, 7:], atol=0.02)


def test_another_humanoid_needs_no_code(tmp_path: Path) -> None:
    """A robot of another size and other joints, from its model alone."""
    retargeter = Retargeter(walker.described(tmp_path / "robot", biped()))
    clip = the_clip(retargeter, walker.write(tmp_path / "walk.npz"))
    assert clip.report.kept, clip.report.faults
    assert clip.qpos.shape[1] == 7 + retargeter.robot.num_joints != 36
    placed = retargeter.kinematics.place(clip.qpos)
    for arm in retargeter.rig.arms:  # stretched sideways in the model, and hanging in a person who walks
        down = placed.at(arm.points[1]) - placed.at(arm.points[0])
        assert (down[:, 2] < -0.8 * arm.upper).all()


def test_what_has_no_two_legs_is_refused(tmp_path: Path) -> None:
    for robot in (get_robot("go1"), walker.described(tmp_path / "robot", quadruped())):
        with pytest.raises(UserError, match="stands on 4 feet"):
            Retargeter(robot)


def test_a_motion_of_the_robot_is_cleaned(g1: Retargeter, walk: Clip, tmp_path: Path) -> None:
    """Floating, sliding feet and a joint beyond its range are mended; the motion stays what it is."""
    rows = walk.qpos[:, [0, 1, 2, 4, 5, 6, 3, *range(7, 36)]].copy()
    rows[:, 2] += 0.04
    rows[:, 0] += 0.05 * np.sin(np.arange(len(rows)) * 0.3)
    knee = g1.robot.joint_names.index("left_knee_joint")
    rows[60:64, 7 + knee] = g1.kinematics.lower[knee] - 0.2
    path = tmp_path / "floats.csv"
    np.savetxt(path, rows, delimiter=",")
    given = walk.qpos.copy()
    given[:, :3], given[:, 7:] = rows[:, :3], rows[:, 7:]
    before = figures_of(g1.rig, g1.kinematics, given, 0.02)
    clip = the_clip(Retargeter(g1.robot, Wanted(fps=50.0)), path)
    after = clip.report.figures
    assert before["beyond_range"] > 0.1
    assert before["slip"] > 0.1
    assert clip.report.kept, clip.report.faults
    assert after["slip"] < 0.03
    assert after["beyond_range"] == 0
    assert after["penetration"] < 2.5
    assert abs(after["float"]) < 5
    assert np.degrees(np.abs(clip.qpos[:, 7:] - walk.qpos[: len(clip.qpos), 7:])).mean() < 4


def test_what_cannot_be_done_is_not_kept(g1: Retargeter, tmp_path: Path) -> None:
    """A person whose landmarks are noise is no motion, and the report says why."""
    noise = walker.joints(2.0) + np.random.default_rng(0).normal(scale=0.07, size=(120, 24, 3))
    found = list(g1.clips(walker.write(tmp_path / "noise.npz", noise)))
    assert all(not (clip.report.kept if isinstance(clip, Clip) else clip.kept) for clip in found)
    nobody = list(g1.clips(walker.write(tmp_path / "short.npz", walker.joints(0.4))))
    assert len(nobody) == 1
    assert not isinstance(nobody[0], Clip)
    assert not nobody[0].kept


def test_an_episode_says_what_the_robot_would_feel(g1: Retargeter, walk: Clip, tmp_path: Path) -> None:
    episode = g1.episode(walk, licence_of(walk.path, "LicenseRef-own"))
    columns, count = episode.columns, g1.robot.num_joints
    assert ACTION not in columns
    np.testing.assert_allclose(columns[STATE][:, :count], walk.qpos[:, 7:], atol=1e-6)
    moved = np.cumsum(columns[STATE][:, count : 2 * count], axis=0) * 0.02
    np.testing.assert_allclose(moved[-1] - moved[0], walk.qpos[-1, 7:] - walk.qpos[0, 7:], atol=0.1)
    gravity = columns[STATE][:, 2 * count : 2 * count + 3]
    np.testing.assert_allclose(np.linalg.norm(gravity, axis=1), 1.0, atol=1e-5)
    assert (gravity[:, 2] < -0.9).all()
    np.testing.assert_allclose(columns[ROOT][:, 3:7], walk.qpos[:, 3:7], atol=1e-6)
    assert set(np.unique(columns[CONTACT])) == {0.0, 1.0}
    assert columns[COMMAND][30:-30, 0] == pytest.approx(np.diff(walk.qpos[[10, -10], 0])[0] / ((len(walk.qpos) - 20) * 0.02), rel=0.05)


def test_a_command_and_a_gyro_are_told_in_the_robots_own_frame(g1: Retargeter) -> None:
    """A robot that leans, walks sideways to its left and turns left at 0.5 rad/s: (0, 0.4, 0.5), wherever it heads."""
    dt, count, lean, rate, speed = 0.02, 200, 0.3, 0.5, 0.4
    yaw = 1.0 + rate * dt * np.arange(count)
    attitude = about("z", yaw) @ about("y", np.full(count, lean))
    along = np.stack([-np.sin(yaw), np.cos(yaw), 0 * yaw], -1) * speed
    place = np.cumsum(along, axis=0) * dt + np.array([0.0, 0.0, 0.8])
    qpos = g1.kinematics.qpos(place, attitude, np.zeros((count, g1.robot.num_joints)))
    source = Source(kind="mocap", robot="g1")
    columns = episode_of(g1.kinematics, qpos, np.ones((count, 2), bool), dt, source, "turn").columns
    state, joints = columns[STATE], g1.robot.num_joints
    np.testing.assert_allclose(columns[COMMAND], np.tile([0.0, speed, rate], (count, 1)), atol=0.01)
    np.testing.assert_allclose(state[:, -3:], np.tile([-rate * np.sin(lean), 0.0, rate * np.cos(lean)], (count, 1)), atol=1e-4)
    np.testing.assert_allclose(state[:, 2 * joints : -3], np.tile([np.sin(lean), 0.0, -np.cos(lean)], (count, 1)), atol=1e-6)
    np.testing.assert_allclose(columns[ROOT][5:-5, 7:10], along[5:-5], atol=0.01)


def test_the_command_writes_a_dataset_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "motions"
    folder.mkdir()
    walker.write(folder / "one.npz", walker.joints(1.5))
    (folder / "one.json").write_text('{"text": "a person walks ahead"}', encoding="utf-8")
    (folder / "LICENSE").write_text("MIT License\n\nCopyright (c) 2026 Somebody\n", encoding="utf-8")
    out = tmp_path / "dataset"
    assert cli.main(["retarget", str(folder), "--robot", "g1", "--out", str(out), "--json", str(tmp_path / "report.json")]) == 0
    assert "1 of 1 clips kept" in capsys.readouterr().out
    assert cli.main(["retarget", str(folder), "--robot", "g1", "--out", str(out), "--append"]) == 0
    dataset = Dataset(out)
    assert len(dataset) == 2
    source = dataset.sources[0]
    assert (source.licence, source.attribution, source.kind, source.robot) == ("MIT", "2026 Somebody", "mocap", "g1")
    assert dataset.episode(0).task == "a person walks ahead"
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert told["clips"][0]["kept"]
    assert told["clips"][0]["figures"]["slip"] < 0.05
    capsys.readouterr()
    assert cli.main(["retarget", str(folder), "--robot", "g1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == told | {"clips": [told["clips"][0] | {"figures": ANY}]}
    assert cli.main(["retarget", str(folder), "--robot", "g1", "--rate", "30", "--out", str(out), "--append"]) == 2
    assert "--rate 50" in capsys.readouterr().err
    assert len(Dataset(out)) == 2


def test_what_was_done_before_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the second file is read: the first is in the dataset."""
    for name in ("one", "two"):
        walker.write(tmp_path / f"{name}.npz", walker.joints(1.5))
    clips = Retargeter.clips

    def interrupted(self: Retargeter, path: Path) -> Iterator[Clip | Report]:
        if path.stem == "two":
            raise KeyboardInterrupt
        return clips(self, path)

    monkeypatch.setattr(Retargeter, "clips", interrupted)
    out = tmp_path / "dataset"
    assert cli.main(["retarget", str(tmp_path), "--robot", "g1", "--out", str(out)]) == 130
    assert len(Dataset(out)) == 1


def test_a_robots_motion_that_is_too_short_is_not_kept(g1: Retargeter, walk: Clip, tmp_path: Path) -> None:
    rows = walk.qpos[:2, [0, 1, 2, 4, 5, 6, 3, *range(7, 36)]]
    np.savetxt(tmp_path / "two.csv", rows, delimiter=",")
    found = list(Retargeter(g1.robot, Wanted(fps=50.0)).clips(tmp_path / "two.csv"))
    assert [clip.faults for clip in found if isinstance(clip, Report)] == [("shorter than 0.5 s",)]


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        ("LICENSE", "                Apache License\n           Version 2.0, January 2004", "Apache-2.0"),
        ("CMU_TERMS.txt", "The data used in this project was obtained from mocap.cs.cmu.edu.", "LicenseRef-CMU-mocap"),
        ("LICENSE.md", "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0 International", "CC-BY-NC-ND-4.0"),
        ("LICENSE", "All rights reserved.", "unknown"),
    ],
)
def test_licences_beside_a_file(tmp_path: Path, name: str, text: str, licence: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert licence_of(tmp_path / "walk.amc").name == licence


def test_lafan1_is_refused_until_its_licence_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--licence CC-BY-NC-ND-4\.0"):
        licence_of(tmp_path / "walk1_subject1.csv")
    assert licence_of(tmp_path / "walk1_subject1.csv", "CC-BY-NC-ND-4.0").name == "CC-BY-NC-ND-4.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["walk.bvh", "--robot", "g1", "--video", "walk.avi"], "--video must end in .mp4 or .webm, not walk.avi"),
        (["walk.bvh", "--robot", "g1", "--pictures", "walk"], "--pictures must end in .png or .jpg, not walk"),
        (["no.bvh", "--robot", "g1"], "there is no file"),
        ([".", "--robot", "g1", "--rate", "0"], "--rate must lie"),
        ([".", "--robot", "g1", "--live", "--port", "99999"], "--port must lie"),
        ([".", "--robot", "g1", "--as-is"], "--as-is only shows motions"),
        ([".", "--robot", "g1", "--append"], "--append adds to a dataset"),
        ([".", "--robot", "g2"], "unknown robot|no motions"),
    ],
)
def test_wrong_arguments_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    assert cli.main(["retarget", *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.skipif(
    not MOTIONS.is_dir(),
    reason="no recordings in the repository: ROBOLEARN_MOTIONS names a folder (docs/motions.md)",
)
@pytest.mark.parametrize("name", ["cmu_amc/02_01.amc", "asap_video/walk_level1.pkl", "twist2_walks/walk_002.pkl", "mass_bvh/walk.bvh"])
def test_recordings_of_people_are_within_all_bars(g1: Retargeter, name: str) -> None:
    if not (MOTIONS / name).is_file():
        pytest.skip(f"ROBOLEARN_MOTIONS holds other recordings, without {name}")
    clip = the_clip(g1, MOTIONS / name)
    assert clip.report.kept, clip.report.faults
    assert clip.report.figures["slip_by_height"] < 0.05


def test_motions_are_shown_in_the_browser(walk: Clip, g1: Retargeter) -> None:
    pytest.importorskip("mjviser")
    import threading

    from robolearn.motions.film import show

    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    show(g1.robot, [("walk", walk.qpos)], 0.02, 8470, stop)  # ends by itself, and an error in it would be raised


def test_motions_become_a_video_and_pictures(walk: Clip, g1: Retargeter, tmp_path: Path) -> None:
    import cv2

    from robolearn.motions import film

    assert film.film(g1.robot, [("walk", walk.qpos[:20])], 0.02, tmp_path / "walk.mp4", 160, 120) == 10
    assert (tmp_path / "walk.mp4").stat().st_size > 1000
    picture = cv2.imread(str(film.pictures(g1.robot, [("walk", walk.qpos)], tmp_path / "walk.png")))
    assert picture is not None
    assert picture.std() > 10
