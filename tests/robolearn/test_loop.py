"""Pictures that loop: they are cut where the end goes over into the beginning."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from policies.contract.file import PolicyFile
from robolearn.cli import main
from robolearn.viewer.loop import cut, pose_features, shown
from tests.make_policy import make_policy
from tests.pairs import make_env


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of Go1 that stands."""
    folder = tmp_path_factory.mktemp("loop")
    return make_policy(folder / "policy.onnx", make_env("go1-velocity-flat", num_worlds=1).spec, "stand", golden_steps=2)


def gait(steps: int, period: float) -> np.ndarray:
    """Poses (T, 7 + 2) of a base that goes ahead and turns while two joints swing."""
    time = np.arange(steps)
    poses = np.zeros((steps, 9))
    poses[:, 0], poses[:, 2] = 0.01 * time, 0.3 + 0.01 * np.cos(4 * np.pi * time / period)
    poses[:, 3], poses[:, 6] = np.cos(0.005 * time), np.sin(0.005 * time)
    poses[:, 7], poses[:, 8] = np.sin(2 * np.pi * time / period), np.sin(2 * np.pi * time / period + 1.0)
    return poses


@pytest.mark.parametrize("period", [24.0, 31.5, 40.0])
def test_a_loop_is_cut_at_one_phase_of_the_gait_wherever_the_robot_is(period: float) -> None:
    begin, end = cut(pose_features(gait(700, period), True, 0.02), (75, 150), (475, 625), 3)
    assert (end - begin) % 3 == 0
    turns = (end - begin) / period
    assert abs(turns - round(turns)) < 0.05, "another phase of the gait"


def test_a_pose_at_another_speed_is_another_moment() -> None:
    poses = gait(300, 40.0)
    swing = pose_features(poses, True, 0.02)
    there, back = 45, 55  # joint 7 is at the same angle, on its way up and on its way down
    assert poses[there, 7] == pytest.approx(poses[back, 7])
    assert np.abs(swing[there] - swing[back]).max() > 0.5
    moved = poses + np.array([5.0, 3.0, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(pose_features(moved, True, 0.02), swing, atol=1e-12)


def test_a_round_ends_as_it_begins_and_shows_walking_turning_and_stopping(standing: Path) -> None:
    spec = PolicyFile(standing).spec
    commands = shown(spec.task, spec.command)
    assert commands[0] == commands[-1] != (0.0, 0.0, 0.0)
    assert (0.0, 0.0, 0.0) in commands
    assert sum(command[2] for command in commands) == 0.0, "it does not come back to its heading"
    assert any(command[2] for command in commands)


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_a_looping_picture_is_written_whole_and_loops_for_ever(standing: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"walk.{ending}"
    assert main(["play", str(standing), "--out", str(path), "--seconds", "2", "--size", "96x64", "--json", str(tmp_path / "o.json")]) == 0
    good, animation = cv2.imreadanimation(str(path))
    assert good
    assert animation.loop_count == 0
    assert 20 < len(animation.frames) < 60
    assert animation.frames[0].shape[:2] == (64, 96)
    assert set(animation.durations) == {60}
    assert all(frame[:, :, :3].std() > 5 for frame in animation.frames), "constant pictures"
    assert [p.name for p in path.parent.iterdir()] == [path.name], "temporary files are left"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--randomize"], "leave out --randomize"),
        (["--terrain", "rough"], "leave out --randomize and --terrain"),
        (["--seconds", "1"], "between 2 and 60"),
    ],
)
def test_what_cannot_loop_is_said(standing: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert main(["play", str(standing), "--out", "x.webp", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_robot_that_falls_makes_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    falling = make_policy(tmp_path / "policy.onnx", make_env("g1-velocity-flat", num_worlds=1).spec, "stand", golden_steps=2)
    assert main(["play", str(falling), "--out", str(tmp_path / "x.gif"), "--seconds", "4", "--size", "64x64"]) == 2
    assert "the robot fell after" in capsys.readouterr().err
    assert not (tmp_path / "x.gif").exists()
