"""An exported episode is read by others' readers, shows the robot where it was, and is imported as what it was."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from envs.robots.go1 import GO1
from envs.robots.registry import get_robot
from policies.contract.observation import projected_gravity
from robolearn.cli import main
from robolearn.data.columns import ACTION, COMMAND, CONTACT, DONE, IS_VALID, REWARD, ROOT, STATE, robot_columns
from robolearn.data.export.mcap import _tilted, write_mcap
from robolearn.data.imports.mapping import ImportMap
from robolearn.data.imports.opening import load
from robolearn.data.source import Episode
from robolearn.data.writer import DatasetWriter
from tests.robolearn.data.rollouts import rollouts

COLUMNS = robot_columns(GO1.joint_names, tuple(GO1.feet), ("vx", "vy", "yaw_rate"))


def read(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Topic -> times and messages, by the definitions in the file alone."""
    found: dict[str, list[tuple[int, Any]]] = {}
    with path.open("rb") as file:
        reader = make_reader(file)
        store = get_typestore(Stores.EMPTY)
        for schema in reader.get_summary().schemas.values():  # pyright: ignore[reportOptionalMemberAccess]
            new = get_types_from_msg(schema.data.decode(), schema.name)
            store.register({name: fields for name, fields in new.items() if name not in store.fielddefs})
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            found.setdefault(channel.topic, []).append((message.log_time, store.deserialize_cdr(message.data, schema.name)))
    return found


def go1() -> Episode:
    return rollouts("go1-velocity-flat", 6, 4.0)[0]


def known(name: str) -> Any:
    return get_robot(name) if name in ("go1", "panda") else None


def test_an_exported_episode_is_imported_as_what_it_was(tmp_path: Path) -> None:
    episode = go1()
    write_mcap(tmp_path / "one.mcap", [(3, episode, COLUMNS)], 50, known)
    found = load(tmp_path / "one.mcap", ImportMap(robot="go1"))
    assert found.fps == 50
    assert len(found.episodes) == 1
    other = found.episodes[0].columns
    for name in (STATE, ROOT, ACTION, COMMAND, CONTACT, REWARD):
        np.testing.assert_allclose(other[name].squeeze(), episode.columns[name].squeeze(), atol=2e-5, err_msg=name)
        if name != STATE:
            assert other[name + IS_VALID].all()
    np.testing.assert_array_equal(other[DONE], episode.columns[DONE])


def test_frames_and_shapes_are_where_mujoco_has_them(tmp_path: Path) -> None:
    episode = go1()
    write_mcap(tmp_path / "one.mcap", [(0, episode, COLUMNS)], 50, known)
    messages = read(tmp_path / "one.mcap")
    model = GO1.compiled
    data = mujoco.MjData(model)
    row = 77
    root, state = episode.columns[ROOT][row], episode.columns[STATE][row]
    data.qpos[:] = np.concatenate([root[:7], state[:12]])
    mujoco.mj_kinematics(model, data)
    placed = {item.child_frame_id: item.transform for item in messages["/tf"][row][1].transforms}
    for body in range(1, model.nbody):
        at = placed[model.body(body).name].translation
        np.testing.assert_allclose((at.x, at.y, at.z), data.xpos[body], atol=1e-6)
    shapes = messages["/robot"][0][1].markers
    assert len(messages["/robot"]) == 1
    assert {shape.header.frame_id for shape in shapes} <= {*placed, "world"}
    assert len(shapes) >= 10
    assert all(shape.frame_locked for shape in shapes)


def test_what_is_missing_has_no_message(tmp_path: Path) -> None:
    whole = go1()
    mark = np.arange(len(whole)) >= 40
    columns = {name: whole.columns[name] for name in (STATE, ACTION)} | {ACTION + IS_VALID: mark}
    write_mcap(tmp_path / "part.mcap", [(0, dataclasses.replace(whole, columns=columns), COLUMNS)], 50, known)
    messages = read(tmp_path / "part.mcap")
    assert len(messages["/joint_states"]) == len(whole)
    assert len(messages["/policy/action"]) == mark.sum()
    assert not {"/odom", "/cmd_vel", "/contact", "/reward"} & set(messages)
    about = json.loads(messages["/episode"][0][1].data)
    assert set(about["missing"]) >= {ROOT, COMMAND, CONTACT}
    assert about["source"]["licence"] == "Apache-2.0"


def test_a_tilt_is_shown_as_it_is() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        gravity = generator.normal(size=3)
        gravity /= np.linalg.norm(gravity)
        np.testing.assert_allclose(projected_gravity(_tilted(gravity)[None])[0], gravity, atol=1e-9)


def test_an_arm_and_an_unknown_robot(tmp_path: Path) -> None:
    arm = rollouts("panda-reach", 6, 4.0)[0]
    columns = robot_columns(arm.source.joint_names, (), ("x", "y", "z"))
    write_mcap(tmp_path / "arm.mcap", [(0, arm, columns)], 50, known)
    messages = read(tmp_path / "arm.mcap")
    assert "/imu" not in messages
    assert messages["/command"][0][1].layout.dim[0].label == "x,y,z"
    assert "/tf" in messages
    write_mcap(tmp_path / "unknown.mcap", [(0, arm, columns)], 50, lambda name: None)
    assert not {"/tf", "/robot", "/joint_commands"} & set(read(tmp_path / "unknown.mcap"))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "data")
    with DatasetWriter(data, COLUMNS, 50) as writer:
        writer.add(*rollouts("go1-velocity-flat", 6, 4.0)[:4])
    one, folder = str(tmp_path / "all.mcap"), tmp_path / "episodes"
    assert main(["data", "export", data, "--out", one]) == 0
    assert [json.loads(message.data)["episode"] for _, message in read(Path(one))["/episode"]] == [0, 1, 2, 3]
    assert main(["data", "export", data, "--out", one]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["data", "export", data, "--out", str(folder), "--episodes", "1,3"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["episode_000001.mcap", "episode_000003.mcap"]
    for text in ("4", "a", "2-"):
        assert main(["data", "export", data, "--out", str(tmp_path / "no.mcap"), "--episodes", text]) == 2
    again = str(tmp_path / "again")
    assert main(["data", "import", one, "--robot", "go1", "--out", again, "--licence", "Apache-2.0"]) == 0
    assert main(["data", "check", again]) == 0
    assert main(["data", "check", data, again]) == 2
    assert "copy" in capsys.readouterr().out
