"""Logs of robolearn deploy: what the policy read and answered comes back to the bit, and the runs of a log are its episodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.control.safety import Event, Mode
from bridge.control.ticks import MODES
from bridge.logs.reader import read_log
from envs.robots.registry import get_robot
from robolearn.data.check.findings import Seen, line
from robolearn.data.check.run import check
from robolearn.data.columns import ACTION, COMMAND, DONE, ROOT, STATE
from robolearn.data.imports.bag import Bag
from robolearn.data.imports.building import build
from robolearn.data.imports.guessing import guess_bag
from robolearn.data.imports.mapping import Field, ImportMap
from robolearn.data.imports.opening import load
from robolearn.data.imports.series import RecordingError
from robolearn.data.source import Source
from tests.bridge.test_log import run_logged
from tests.log_edits import load as load_pieces
from tests.log_edits import save


@pytest.fixture(scope="module")
def go1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "go1.mcap"
    run_logged("go1-velocity", path, 8.0)
    return path


@pytest.mark.parametrize("policy", ["go1-velocity", "panda-reach"])
def test_a_log_comes_back_to_the_bit_and_has_no_faults(policy: str, tmp_path: Path) -> None:
    run_logged(policy, tmp_path / "run.mcap", 6.0)
    log = read_log(tmp_path / "run.mcap")
    ticks = log.ticks[log.ticks["mode"] == MODES.index(Mode.POLICY)]
    found = load(tmp_path / "run.mcap", ImportMap(licence="CC0-1.0"))
    assert len(found.episodes) == 1
    episode = found.episodes[0]
    joints = found.robot.num_joints
    state = episode.columns[STATE]
    assert len(episode) == len(ticks)
    np.testing.assert_array_equal(state[:, :joints], ticks["measured_position"].astype(np.float32))
    np.testing.assert_array_equal(state[:, joints : 2 * joints], ticks["measured_velocity"].astype(np.float32))
    np.testing.assert_array_equal(episode.columns[ACTION], ticks["action"])
    np.testing.assert_array_equal(episode.columns[COMMAND], ticks["command"].astype(np.float32))
    assert ROOT not in episode.columns
    assert episode.columns[DONE].tolist() == [False] * (len(ticks) - 1) + [True]
    source = episode.source
    assert (source.kind, source.robot, source.licence, source.file_hash) == ("log", found.robot.name, "CC0-1.0", log.policy.sha256)
    assert source.control_mode == log.policy.spec.action.mode
    faults = check([Seen(0, episode.columns, source, 50.0, get_robot(source.robot))]).faults
    assert not faults, [line(fault) for fault in faults]


def test_each_run_of_the_policy_is_an_episode(tmp_path: Path) -> None:
    """Started, stopped, started again until the program ended: neither end says how it went."""
    wishes = {5: Event.STAND, 110: Event.START, 190: Event.STOP, 200: Event.STAND, 310: Event.START}
    run_logged("go1-velocity", tmp_path / "run.mcap", 9.0, requests=wishes)
    found = load(tmp_path / "run.mcap", ImportMap())
    assert len(found.episodes) == 2
    assert 75 <= len(found.episodes[0]) <= 82
    assert [episode.success for episode in found.episodes] == [None, None]


def test_a_run_that_a_guard_ended_has_failed(tmp_path: Path) -> None:
    wishes = {5: Event.STAND, 110: Event.START, 190: Event.STOP}
    run_logged("go1-velocity", tmp_path / "run.mcap", 5.0, requests=wishes)
    pieces = load_pieces(tmp_path / "run.mcap")
    old, new = b'"cause": "operator"', b'"cause": "tilt 1.2"'
    tripped = pieces.change(lambda piece: piece._replace(data=piece.data.replace(old, new)) if piece.topic == "/policy/event" else piece)
    found = load(save(tripped, tmp_path / "tripped.mcap"), ImportMap())
    assert [episode.success for episode in found.episodes] == [False]


def test_lost_steps_split_an_episode(go1: Path, tmp_path: Path) -> None:
    pieces = load_pieces(go1)
    times = sorted({piece.log_ns for piece in pieces.pieces if piece.topic == "/policy/tick"})
    lost = set(times[-150:-140])
    cut = save(pieces.keep(lambda piece: piece.log_ns not in lost), tmp_path / "cut.mcap")
    found = load(cut, ImportMap())
    assert [len(episode) for episode in found.episodes][-1] == 140
    whole = load(go1, ImportMap()).episodes[0]
    np.testing.assert_array_equal(found.episodes[-1].columns[STATE], whole.columns[STATE][-140:])


def test_a_log_is_a_bag_like_others(go1: Path) -> None:
    """Read by a map as anybody's bag it gives the same motion."""
    robot = get_robot("go1")
    bag = Bag(go1)
    action = Field(at="/policy/action data")
    mapping = ImportMap(robot="go1", action=action, action_is="raw").over(guess_bag(bag, robot))
    made = build(bag, mapping, robot, Source(kind="import", robot="go1"), 50)
    own, other = load(go1, ImportMap()).episodes[0], made.episodes[0]
    assert mapping.joint_position is not None
    assert mapping.joint_position.at == "/joint_states position"
    tail = own.columns[STATE][-100:]
    distance = [np.abs(other.columns[STATE][at : at + 100, :12] - tail[:, :12]).max() for at in range(len(other) - 99)]
    assert min(distance) < 0.05


def test_a_log_needs_no_map_and_no_other_robot(go1: Path) -> None:
    with pytest.raises(RecordingError, match="needs no map"):
        load(go1, ImportMap(joint_position=Field(at="/joint_states position")))
    with pytest.raises(RecordingError, match="whose joints are not those"):
        load(go1, ImportMap(robot="panda"))
    with pytest.raises(RecordingError, match="leave out --fps 25"):
        load(go1, ImportMap(), 25)


def test_a_log_in_which_no_policy_ran(tmp_path: Path) -> None:
    run_logged("go1-velocity", tmp_path / "run.mcap", 1.0, requests={5: Event.STAND})
    with pytest.raises(RecordingError, match="no policy ran"):
        load(tmp_path / "run.mcap", ImportMap())
