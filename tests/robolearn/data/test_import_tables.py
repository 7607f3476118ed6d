"""Tables and arrays of a robot whose motion is known in closed form come back as that motion; what does not fit is said by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from envs.robots.go1 import GO1
from robolearn.data.columns import ACTION, COMMAND, ROOT, STATE
from robolearn.data.imports.mapping import Field, ImportMap
from robolearn.data.imports.opening import Found, load
from robolearn.data.imports.series import RecordingError
from tests.robolearn.data import motions
from tests.robolearn.data.motions import JOINTS

GO1_MAP = ImportMap(robot="go1", licence="CC0-1.0")


def write_csv(path: Path, columns: dict[str, np.ndarray], separator: str = ",", header: bool = True) -> Path:
    rows = np.stack(list(columns.values()), axis=1)
    lines = [separator.join(columns)] if header else []
    path.write_text("\n".join([*lines, *(separator.join(f"{value:.9g}" for value in row) for row in rows)]) + "\n")
    return path


def table(t: np.ndarray) -> dict[str, np.ndarray]:
    """Columns as people write them, joints sorted by name."""
    columns = {"time": t}
    for name in sorted(JOINTS):
        i = JOINTS.index(name)
        columns[f"{name}_pos"], columns[f"{name}_vel"] = motions.joints(t)[:, i], motions.joint_speeds(t)[:, i]
    columns |= {f"quat_{axis}": motions.quat_wxyz(t)[:, i] for i, axis in enumerate("wxyz")}
    columns |= {f"gyro_{axis}": motions.gyro(t)[:, i] for i, axis in enumerate("xyz")}
    return columns | {f"{name}_target": motions.targets(t)[:, i] for i, name in enumerate(JOINTS)}


def check_motion(found: Found, t: np.ndarray, speeds: float = 2e-2) -> None:
    state = found.episodes[0].columns[STATE]
    np.testing.assert_allclose(state[:, :12], motions.joints(t), atol=2e-3)
    np.testing.assert_allclose(state[2:-2, 12:24], motions.joint_speeds(t)[2:-2], atol=speeds)
    np.testing.assert_allclose(state[:, 24:27], motions.gravity(t), atol=1e-3)
    np.testing.assert_allclose(state[2:-2, 27:], motions.gyro(t)[2:-2], atol=2e-2)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_with_names_needs_no_map(tmp_path: Path, separator: str) -> None:
    t = np.arange(0, 3, 0.01)
    found = load(write_csv(tmp_path / "walk.csv", table(t), separator), GO1_MAP)
    assert found.fps == 50
    frames = np.arange(len(found.episodes[0])) / 50
    check_motion(found, frames)
    target = found.episodes[0].columns[ACTION] * np.array(GO1.action_scale) + np.array(GO1.default_pose)
    np.testing.assert_allclose(target, motions.targets(frames), atol=2e-3)


def test_a_table_without_names_is_read_by_numbers(tmp_path: Path) -> None:
    """The usual motion table: position, quaternion xyzw, joints; 30 rows a second and no time."""
    t = np.arange(0, 3, 1 / 30)
    columns = {
        str(i): values for i, values in enumerate([*motions.place(t).T, *motions.quat_wxyz(t).T[[1, 2, 3, 0]], *motions.joints(t).T])
    }
    mapping = ImportMap(
        robot="go1",
        root_position=Field(at="0:3"),
        orientation=Field(at="3:7", order="xyzw"),
        joint_position=Field(at="7:19", order=JOINTS),
        rate=30.0,
    )
    found = load(write_csv(tmp_path / "walk.csv", columns, header=False), mapping)
    assert found.fps == 30
    check_motion(found, t[: len(found.episodes[0])], speeds=0.2)
    np.testing.assert_allclose(found.episodes[0].columns[ROOT][:, :3], motions.place(t), atol=1e-4)
    np.testing.assert_allclose(found.episodes[0].columns[ROOT][:, 7], motions.SPEED, atol=1e-3)


def test_words_tell_episodes_apart(tmp_path: Path) -> None:
    t = np.arange(0, 4, 0.02)
    path = write_csv(tmp_path / "walk.csv", table(t))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",episode", *(f"{line},{'stairs' if i < 120 else 'grass'}" for i, line in enumerate(lines[1:]))]))
    found = load(path, GO1_MAP)
    assert [len(episode) for episode in found.episodes] == [120, 80]
    np.testing.assert_allclose(found.episodes[1].columns[STATE][:, :12], motions.joints(t[120:]), atol=2e-3)


def test_empty_cells_are_holes(tmp_path: Path) -> None:
    """A joint that is not there for 0.4 s ends the episode; for one row it is bridged."""
    t = np.arange(0, 4, 0.02)
    columns = table(t)
    columns["FL_hip_joint_pos"][50] = np.nan
    columns["FL_hip_joint_pos"][100:120] = np.nan
    path = write_csv(tmp_path / "walk.csv", columns)
    path.write_text(path.read_text().replace("nan", ""))
    found = load(path, GO1_MAP)
    assert [len(episode) for episode in found.episodes] == [100, 80]
    assert all(np.isfinite(values).all() for episode in found.episodes for values in episode.columns.values())


def test_a_table_as_pandas_writes_it(tmp_path: Path) -> None:
    """Its index has no name; cells without a value may say so in words."""
    t = np.arange(0, 3, 0.02)
    path = write_csv(tmp_path / "walk.csv", table(t))
    lines = path.read_text().splitlines()
    cells = lines[51].split(",")
    lines[51] = ",".join([cells[0], "N/A", *cells[2:]])
    path.write_text("\n".join([f",{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]))
    check_motion(load(path, GO1_MAP), t)


def test_decimal_commas_are_decimals(tmp_path: Path) -> None:
    t = np.arange(0, 3, 0.02)
    path = write_csv(tmp_path / "walk.csv", table(t), ";")
    path.write_text(path.read_text().replace(".", ","))
    check_motion(load(path, GO1_MAP), t)


def test_milliseconds_by_name(tmp_path: Path) -> None:
    t = np.arange(0, 3, 0.02)
    np.savez(tmp_path / "walk.npz", time_ms=1e3 * t, quat=motions.quat_wxyz(t), q=motions.joints(t))
    found = load(tmp_path / "walk.npz", dataclasses.replace(GO1_MAP, orientation=Field(at="quat", order="wxyz")))
    assert found.fps == 50
    np.testing.assert_allclose(found.episodes[0].columns[STATE][:, :12], motions.joints(t), atol=1e-6)


def test_arrays_as_mujoco_has_them(tmp_path: Path) -> None:
    t = np.arange(0, 3, 0.02)
    qpos = np.concatenate([motions.place(t), motions.quat_wxyz(t), motions.joints(t)], axis=1)
    speed = np.tile([motions.SPEED, 0.0, 0.0], (len(t), 1))
    qvel = np.concatenate([speed, motions.gyro(t), motions.joint_speeds(t)], axis=1)
    np.savez(tmp_path / "walk.npz", qpos=qpos, qvel=qvel, fps=50, command=speed, names=np.array(["a"]))
    found = load(tmp_path / "walk.npz", GO1_MAP)
    check_motion(found, t)
    np.testing.assert_allclose(found.episodes[0].columns[ROOT][:, 7:10], speed, atol=1e-5)
    np.testing.assert_allclose(found.episodes[0].columns[COMMAND], speed, atol=1e-5)
    assert any("robot's order" in note for note in found.notes)
    assert not any("joint targets" in note for note in found.notes)


def test_a_guess_of_what_actions_are_is_told(tmp_path: Path) -> None:
    t = np.arange(0, 3, 0.02)
    arrays = {"time": t, "q": motions.joints(t), "action": motions.targets(t), "quat": motions.quat_wxyz(t)}
    np.savez(tmp_path / "walk.npz", **arrays)
    asked = dataclasses.replace(GO1_MAP, orientation=Field(at="quat", order="wxyz"))
    assert any("`action` was read as joint targets" in note for note in load(tmp_path / "walk.npz", asked).notes)
    told = dataclasses.replace(asked, action=Field(at="action"))
    assert not any("was read as joint targets" in note for note in load(tmp_path / "walk.npz", told).notes)


def test_a_pickle_inside_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", joint_position=np.zeros((100, 12)), other=np.array([{"a": 1}], dtype=object), fps=50)
    with pytest.raises(RecordingError, match="attitude"):
        load(tmp_path / "evil.npz", GO1_MAP)


def test_an_arm_needs_no_attitude(tmp_path: Path) -> None:
    np.savez(tmp_path / "arm.npz", q=np.linspace(0, 1, 100)[:, None] * np.ones(7), fps=50)
    found = load(tmp_path / "arm.npz", ImportMap(robot="panda"))
    state = found.episodes[0].columns[STATE]
    np.testing.assert_allclose(state[:, -6:], [[0, 0, -1, 0, 0, 0]] * len(state))
    np.testing.assert_allclose(state[:, 7:14], 50 / 99, rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "mapping", "says"),
    [
        ("", {}, "is empty"),
        ("a,b\n1,2\n", {}, "1 rows"),
        ("a,b\n1,2\n3\n", {}, ":3: 1 values, but"),
        ("a,b\n1,2\n3,4\n5,6\n", {"joint_position": Field(at="c")}, "no column 'c'"),
        ("a,b\n1,2\n3,4\n5,6\n", {"joint_position": Field(at="q_*")}, "matches 'q_*'"),
        ("1,2\n3,4\n5,6\n", {"joint_position": Field(at="0:12")}, "columns 0 to 1"),
        ("time,a\n0,2\n2,4\n1,6\n", {"joint_position": Field(at="a"), "time": Field(at="time")}, "row 2 is missing or earlier"),
        ("time,a\n0,2\n20,4\n40,6\n", {"joint_position": Field(at="a"), "time": Field(at="time")}, "the unit of the time"),
        ("a\n2\n4\n6\n", {"joint_position": Field(at="a")}, "rate: HZ"),
        ("time,a\n0,2\n1,bad\n2,6\n", {"joint_position": Field(at="a"), "time": Field(at="time")}, ":3: 'bad' is not a number"),
        ("time,a\n0,2\nx,4\n2,6\n", {"joint_position": Field(at="a"), "time": Field(at="time")}, ":3: 'x' is not a number"),
        ("a\n2\n4\n6\n", {}, "joint_position: {at: ...}"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, text: str, mapping: dict[str, Field], says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(RecordingError) as error:
        load(path, ImportMap(robot="go1", **mapping))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "walk.pkl").write_bytes(b"x")
    with pytest.raises(RecordingError, match="cannot read"):
        load(tmp_path / "walk.pkl", GO1_MAP)
    with pytest.raises(RecordingError, match="no recording at"):
        load(tmp_path / "nothing.csv", GO1_MAP)
    with pytest.raises(RecordingError, match="--robot"):
        load(write_csv(tmp_path / "a.csv", table(np.arange(3.0))), ImportMap())
