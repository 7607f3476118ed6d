"""Rotations, Jacobians and the equations of a whole clip, against independent references."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.registry import get_robot
from robolearn.motions import banded, rotation
from robolearn.motions.kinematics import Kinematics
from robolearn.motions.rig import Rig
from tests.robolearn.motions.walker import described
from tests.robot_builder import biped


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rotations_agree_with_mujoco(random: np.random.Generator) -> None:
    quat = random.normal(size=(50, 4))
    matrix = rotation.matrix_of_quat(quat)
    expected = np.empty(9)
    for one, other in zip(quat, matrix, strict=True):
        mujoco.mju_quat2Mat(expected, one / np.linalg.norm(one))
        np.testing.assert_allclose(other, expected.reshape(3, 3), atol=1e-12)
    np.testing.assert_allclose(rotation.matrix_of_quat(rotation.quat_of_matrix(matrix)), matrix, atol=1e-12)
    np.testing.assert_allclose(rotation.exponential(rotation.logarithm(matrix)), matrix, atol=1e-9)


def test_euler_turns_about_axes_that_turn_along() -> None:
    angles = np.array([0.3, -0.7, 1.1])
    one, two, three = (rotation.about(axis, np.array(angle)) for axis, angle in zip("zxy", angles, strict=True))
    np.testing.assert_allclose(rotation.euler("zxy", angles), one @ two @ three, atol=1e-12)


def test_slerp_goes_through_its_frames_at_a_constant_rate() -> None:
    turns = rotation.about("y", np.array([0.0, 1.0, 1.5]))
    found = rotation.slerp(turns, np.array([0.0, 0.25, 1.0, 1.5, 2.0]))
    np.testing.assert_allclose(rotation.logarithm(found)[:, 1], [0.0, 0.25, 1.0, 1.25, 1.5], atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_banded_equations_are_solved_as_dense_ones(count: int, random: np.random.Generator) -> None:
    n = 4
    own = random.normal(size=(count, n, n))
    own = own @ np.swapaxes(own, 1, 2) + 9 * np.eye(n)
    own[0, 0, 0] = 1e9  # a coordinate that is held
    next_, after = random.normal(size=(max(count - 1, 0), n)), random.normal(size=(max(count - 2, 0), n))
    right = random.normal(size=(count, n))
    dense = np.zeros((count, n, count, n))
    for t in range(count):
        dense[t, :, t] = own[t]
        for away, link in ((1, next_), (2, after)):
            if t + away < count:
                dense[t, :, t + away] = dense[t + away, :, t] = np.diag(link[t])
    expected = np.linalg.solve(dense.reshape(count * n, count * n), right.reshape(-1)).reshape(count, n)
    np.testing.assert_allclose(banded.solve(own, next_, after, right), expected, rtol=1e-8, atol=1e-12)


def test_jacobians_are_those_of_finite_differences(random: np.random.Generator) -> None:
    robot = get_robot("g1")
    rig, kinematics = Rig.of(robot), Kinematics(robot)
    size = 6 + robot.num_joints
    start = kinematics.qpos(np.zeros((3, 3)), rotation.exponential(random.normal(size=(3, 3))), random.uniform(-0.3, 0.3, (3, size - 6)))
    points = [point for limb in (*rig.legs, *rig.arms) for point in limb.points]
    placed = kinematics.place(start)
    jacobian, turning = kinematics.jacobian(placed, points), kinematics.turning(placed, [rig.chest])
    for coordinate in range(size):
        step = np.zeros((3, size))
        step[:, coordinate] = 1e-6
        moved = kinematics.place(kinematics.move(start, step))
        for p, point in enumerate(points):
            np.testing.assert_allclose((moved.at(point) - placed.at(point)) / 1e-6, jacobian[:, p, :, coordinate], atol=1e-5)
        turn = moved.attitude[:, rig.chest] @ np.swapaxes(placed.attitude[:, rig.chest], 1, 2)
        np.testing.assert_allclose(rotation.logarithm(turn) / 1e-6, turning[:, 0, :, coordinate], atol=1e-5)


def test_limbs_are_found_without_names(tmp_path: Path) -> None:
    """The same parts of a robot are found when its bodies and joints are called by numbers."""
    text = biped()
    names = [word.split('"')[1] for word in text.split("name=")[1:]]
    tables = [Rig.of(described(tmp_path / name, words)).table() for name, words in (("named", text), ("numbered", _numbered(text, names)))]
    said = dict(tables[0])
    assert said["left knee"] == "left_shank"
    assert said["right ankle"] == "right_foot"
    assert said["left elbow"] == "left_hand"
    assert said["chest"] == "torso"
    assert said["pelvis"] == "pelvis"
    assert [body for _, body in tables[1]] == [f"n{names.index(body)}" for _, body in tables[0]]


def _numbered(text: str, names: list[str]) -> str:
    for place, name in enumerate(names):
        text = text.replace(f'name="{name}"', f'name="n{place}"')
    return text
