"""Bags of a robot whose motion is known in closed form come back as that motion, whatever the storage, clock and order of joints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from envs.robots.go1 import GO1
from robolearn.data.columns import ACTION, COMMAND, DONE, IS_VALID, ROOT, STATE
from robolearn.data.imports.mapping import Field, ImportMap, dump_map, load_map
from robolearn.data.imports.opening import Found, load
from robolearn.data.imports.series import RecordingError
from tests.robolearn.data import motions
from tests.robolearn.data.motions import JOINTS, write_bag

GO1_MAP = ImportMap(robot="go1")


def times_of(found: Found, number: int = 0) -> np.ndarray:
    """When the frames of an episode were, found from where the robot was."""
    columns = found.episodes[number].columns
    known = np.flatnonzero(columns[ROOT + IS_VALID])
    t = columns[ROOT][known[0], 0] / motions.SPEED
    return t + (np.arange(len(found.episodes[number])) - known[0]) / found.fps


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_comes_back_as_the_motion_it_is_of(tmp_path: Path, storage: str) -> None:
    found = load(write_bag(tmp_path / "bag", motions.walk(), storage), GO1_MAP)
    assert len(found.episodes) == 1
    assert found.fps == 50
    episode, t = found.episodes[0], times_of(found)
    state = episode.columns[STATE]
    assert len(t) > 190
    root = episode.columns[ROOT][episode.columns[ROOT + IS_VALID]]
    assert len(root) > 190
    np.testing.assert_allclose(np.diff(root[:, 0]), 0.02 * motions.SPEED, atol=1e-4)
    np.testing.assert_allclose(state[:, :12], motions.joints(t), atol=2e-3)
    np.testing.assert_allclose(state[:, 12:24], motions.joint_speeds(t), atol=2e-2)
    np.testing.assert_allclose(state[:, 24:27], motions.gravity(t), atol=1e-3)
    np.testing.assert_allclose(state[:, 27:], motions.gyro(t), atol=1e-2)
    np.testing.assert_allclose(episode.columns[COMMAND][20:], [[0.5, 0.0, 0.25]] * (len(t) - 20))
    np.testing.assert_allclose(root[:, 7], motions.SPEED, atol=1e-3)
    assert episode.columns[DONE].sum() == 1
    assert episode.columns[DONE][-1]
    assert episode.source.robot == "go1"
    assert episode.source.joint_names == JOINTS


def test_a_quaternions_message_needs_no_order(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", motions.walk(2.0))
    asked = {"joint_position": Field(at="/joint_states position"), "root_position": Field(at="/odom pose.pose.position")}
    found = load(path, ImportMap(robot="go1", orientation=Field(at="/imu/data orientation"), **asked))
    np.testing.assert_allclose(found.episodes[0].columns[STATE][:, 24:27], motions.gravity(times_of(found)), atol=1e-3)
    with pytest.raises(RecordingError, match="needs no order"):
        load(path, ImportMap(robot="go1", orientation=Field(at="/imu/data orientation", order="wxyz"), **asked))


def test_an_action_is_the_answer_to_its_frame(tmp_path: Path) -> None:
    """Targets come 4 ms after the frame they answer; taking the last one before would be a step late."""
    found = load(write_bag(tmp_path / "bag", motions.walk()), GO1_MAP)
    episode, t = found.episodes[0], times_of(found)
    target = episode.columns[ACTION] * np.array(GO1.action_scale) + np.array(GO1.default_pose)
    known = episode.columns[ACTION + IS_VALID]
    assert known.mean() > 0.95
    sent = np.ceil(np.round(t / 0.02 - 0.2, 3)) * 0.02 + 0.2 * 0.02
    np.testing.assert_allclose(target[known], motions.targets(sent)[known], atol=2e-3)
    assert episode.source.control_mode == "position_offset"


def test_stamps_count_and_not_the_way_of_the_messages(tmp_path: Path) -> None:
    """Messages that are up to 30 ms late: their stamps tell when they were measured."""
    generator = np.random.default_rng(0)
    shaken = load(write_bag(tmp_path / "bag", motions.walk(late=lambda t: float(generator.uniform(0, 0.03)))), GO1_MAP)
    smooth = load(write_bag(tmp_path / "smooth", motions.walk()), GO1_MAP)
    t = times_of(shaken)
    np.testing.assert_allclose(shaken.episodes[0].columns[STATE][:, :12], motions.joints(t), atol=0.02)
    assert abs(len(shaken.episodes[0]) - len(smooth.episodes[0])) <= 3
    received = load(tmp_path / "bag", ImportMap(robot="go1", clock="received"))
    shake = [np.abs(np.diff(f.episodes[0].columns[STATE][:, 0], 2)).mean() for f in (shaken, received)]
    assert shake[0] < 0.5 * shake[1]


def test_a_hole_ends_an_episode(tmp_path: Path) -> None:
    """Half a second without joints: two episodes, none of whose frames lies in it."""
    kept = [m for m in motions.walk(6.0) if not (m.topic == "/joint_states" and 102.5 < m.time_s < 103.0)]
    found = load(write_bag(tmp_path / "bag", kept), GO1_MAP)
    assert len(found.episodes) == 2
    t = [times_of(found, 0), times_of(found, 1)]
    assert t[0].max() <= 2.5 + 1e-3
    assert t[1].min() >= 3.0 - 5e-3
    np.testing.assert_allclose(found.episodes[1].columns[STATE][:, :12], motions.joints(t[1]), atol=2e-3)


def test_two_publishers_of_one_topic_are_put_together(tmp_path: Path) -> None:
    """Front and hind legs come in messages of their own."""
    parts = []
    for message in motions.walk():
        if message.topic != "/joint_states":
            parts.append(message)
            continue
        names = message.message.name
        for side in ("F", "R"):
            here = [i for i, name in enumerate(names) if name.startswith(side)]
            picked = (tuple(names[i] for i in here), message.message.position[here], message.message.velocity[here])
            parts.append(motions.joint_state("/joint_states", message.time_s + (0.001 if side == "R" else 0.0), *picked))
    found = load(write_bag(tmp_path / "bag", parts), GO1_MAP)
    t = times_of(found)
    hind = [i for i, name in enumerate(JOINTS) if name.startswith("R")]
    state = found.episodes[0].columns[STATE]
    front = [i for i in range(12) if i not in hind]
    np.testing.assert_allclose(state[:, front], motions.joints(t)[:, front], atol=3e-3)
    np.testing.assert_allclose(state[:, hind], motions.joints(t - 0.001)[:, hind], atol=3e-3)


def test_a_torn_mcap_file_gives_what_is_whole(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", motions.walk(20.0))
    file = next(bag.glob("*.mcap"))
    data = file.read_bytes()
    torn = tmp_path / "torn.mcap"
    torn.write_bytes(data[: len(data) * 2 // 3])
    found = load(torn, GO1_MAP)
    assert 5 < found.seconds < 19


def test_fields_of_any_message_are_mapped(tmp_path: Path) -> None:
    """Joints in degrees in an array without names, a renamed joint, one that the recording lacks, an attitude as wxyz."""
    order = [name for name in JOINTS if name != "RL_calf_joint"]
    at = [JOINTS.index(name) for name in order]
    messages = []
    for t in np.arange(0, 3, 0.01):
        one = np.array([t])
        array = array_message(np.degrees(motions.joints(one)[0, at]))
        messages.append(motions.Message(topic="/q", kind="std_msgs/msg/Float64MultiArray", time_s=100 + t, message=array))
        quat = array_message(motions.quat_wxyz(one)[0])
        messages.append(motions.Message(topic="/a", kind="std_msgs/msg/Float64MultiArray", time_s=100 + t, message=quat))
    text = (
        "robot: go1\njoint_position: {at: /q data, unit: deg, order: [" + ", ".join(order) + "]}\n"
        "orientation: {at: /a data, order: wxyz}\nfixed_joints: {RL_calf_joint: -1.8}\nlicence: CC0-1.0\ntask: stand\n"
    )
    path = tmp_path / "map.yaml"
    path.write_text(text)
    found = load(write_bag(tmp_path / "bag", messages), load_map(path))
    episode = found.episodes[0]
    t = np.arange(len(episode)) / found.fps
    np.testing.assert_allclose(episode.columns[STATE][:, at], motions.joints(t)[:, at], atol=2e-3)
    np.testing.assert_allclose(episode.columns[STATE][:, JOINTS.index("RL_calf_joint")], -1.8)
    np.testing.assert_allclose(episode.columns[STATE][5:-5, 12 + np.array(at)], motions.joint_speeds(t)[5:-5][:, at], atol=0.15)
    np.testing.assert_allclose(episode.columns[STATE][5:-5, 27:], motions.gyro(t)[5:-5], atol=0.02)
    assert ACTION not in episode.columns
    assert (episode.source.licence, episode.task) == ("CC0-1.0", "stand")


def array_message(values: np.ndarray) -> object:
    layout = motions.TYPES["std_msgs/msg/MultiArrayLayout"]([], 0)
    return motions.TYPES["std_msgs/msg/Float64MultiArray"](layout, values)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ({"joint_position": Field(at="/joint_statez position")}, "no topic /joint_statez; did you mean '/joint_states'"),
        ({"joint_position": Field(at="/joint_states positions")}, "no field 'positions'; did you mean 'position'"),
        ({"joint_position": Field(at="/joint_states")}, "a topic and a field"),
        ({"joint_position": Field(at="/joint_states header")}, "name one of its fields"),
        ({"joint_position": Field(at="/joint_states position", order=("a", "b"))}, "`order` has 2 names"),
        ({"joint_position": Field(at="/imu/data orientation")}, "4 entries without names"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, field: dict[str, Field], says: str) -> None:
    bag = write_bag(tmp_path / "bag", motions.walk(1.5))
    mapping = ImportMap(robot="go1", orientation=Field(at="/imu/data orientation", order="xyzw"), **field)
    with pytest.raises(RecordingError) as error:
        load(bag, mapping)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_joint_that_is_called_otherwise(tmp_path: Path) -> None:
    renamed = [
        motions.joint_state(
            "/joint_states",
            m.time_s,
            tuple(n.replace("FR_hip_joint", "m7") for n in m.message.name),
            m.message.position,
            m.message.velocity,
        )
        if m.topic == "/joint_states"
        else m
        for m in motions.walk(2.0)
    ]
    bag = write_bag(tmp_path / "bag", renamed)
    with pytest.raises(RecordingError, match="has no FR_hip_joint"):
        load(bag, GO1_MAP)
    found = load(bag, ImportMap(robot="go1", joint_names={"FR_hip_joint": "m7"}))
    np.testing.assert_allclose(found.episodes[0].columns[STATE][:, 0], motions.joints(times_of(found))[:, 0], atol=2e-3)


def test_a_map_is_written_and_read_back(tmp_path: Path) -> None:
    from robolearn.data.imports.opening import opened

    bag = write_bag(tmp_path / "bag", motions.walk(1.5))
    _, guess = opened(bag, GO1_MAP, GO1)
    path = tmp_path / "map.yaml"
    path.write_text(dump_map(GO1_MAP.over(guess())))
    assert load_map(path) == GO1_MAP.over(guess())
    assert set(load_map(path).given()) >= {"joint_position", "joint_velocity", "orientation", "root_position", "command", "action"}


def test_messages_of_types_of_ones_own_and_bags_without_definitions(tmp_path: Path) -> None:
    """Definitions in the file count; an SQLite bag of an earlier ROS has none, and its standard messages are read all the same."""
    import sqlite3

    from robolearn.data.imports.bag import Bag

    bag = write_bag(tmp_path / "bag", motions.walk(2.0), "sqlite3")
    file = next(bag.glob("*.db3"))
    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM message_definitions")
    found = load(file, GO1_MAP)
    np.testing.assert_allclose(found.episodes[0].columns[STATE][:, :12], motions.joints(times_of(found)), atol=2e-3)
    assert sorted(path.name for path in bag.iterdir()) == sorted([file.name, "metadata.yaml"])
    from rosbags.typesys import get_types_from_msg

    if "my_robot/msg/Legs" not in motions.STORE.fielddefs:
        motions.STORE.register(get_types_from_msg("std_msgs/Header header\nmy_robot/Leg[4] legs\n" + "=" * 80
                               + "\nMSG: my_robot/Leg\nfloat64 q0\nfloat64[2] q\n", "my_robot/msg/Legs"))  # fmt: skip
    leg, legs = motions.STORE.types["my_robot/msg/Leg"], motions.STORE.types["my_robot/msg/Legs"]
    messages = []
    for t in np.arange(0, 2, 0.01):
        q = motions.joints(np.array([t]))[0].reshape(4, 3)
        message = legs(motions.header(100 + t), [leg(row[0], row[1:]) for row in q])
        messages.append(motions.Message(topic="/legs", kind="my_robot/msg/Legs", time_s=100 + t, message=message))
        messages.append(motions.imu("/imu", 100 + t, motions.quat_wxyz(np.array([t]))[0], motions.gyro(np.array([t]))[0]))
    own = write_bag(tmp_path / "own", messages)
    assert any(line.startswith("/legs (my_robot/msg/Legs): ") for line in Bag(own).contents())
    firsts, others = (
        Field(at="/legs legs[*].q0", order=JOINTS[::3]),
        Field(at="/legs legs[0].q0 legs[0].q[0] legs[0].q[1]", order=JOINTS[:3]),
    )
    fixed = dict.fromkeys(set(JOINTS) - set(JOINTS[::3]), 0.0)
    found = load(
        own, ImportMap(robot="go1", joint_position=firsts, orientation=Field(at="/imu orientation", order="xyzw"), fixed_joints=fixed)
    )
    t = np.arange(len(found.episodes[0])) / found.fps
    np.testing.assert_allclose(found.episodes[0].columns[STATE][:, :12:3], motions.joints(t)[:, ::3], atol=2e-3)
    fixed = dict.fromkeys(JOINTS[3:], 0.0)
    found = load(
        own, ImportMap(robot="go1", joint_position=others, orientation=Field(at="/imu orientation", order="xyzw"), fixed_joints=fixed)
    )
    np.testing.assert_allclose(found.episodes[0].columns[STATE][:, :3], motions.joints(t)[:, :3], atol=2e-3)


def test_bags_of_json(tmp_path: Path) -> None:
    """Messages that other programs write as JSON into MCAP."""
    import json

    from mcap.writer import Writer

    path = tmp_path / "run.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("Robot", "jsonschema", b"{}")
        channel = writer.register_channel("/robot", "json", schema)
        for number, t in enumerate(np.arange(0, 2, 0.01)):
            one = np.array([t])
            value = {"q": motions.joints(one)[0].tolist(), "imu": {"quat": motions.quat_wxyz(one)[0].tolist()}}
            writer.add_message(channel, round((100 + t) * 1e9), json.dumps(value).encode(), round((100 + t) * 1e9), number)
        writer.finish()
    mapping = ImportMap(
        robot="go1", joint_position=Field(at="/robot q", order=JOINTS), orientation=Field(at="/robot imu.quat", order="wxyz")
    )
    found = load(path, mapping)
    np.testing.assert_allclose(found.episodes[0].columns[STATE][:, :12], motions.joints(np.arange(len(found.episodes[0])) / 50), atol=2e-3)
