"""A simulated robot's cameras: the pose that another process reads, and a policy that sees deployed on the scene of its training."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.simulated.shared import SharedPose
from policies.contract.file import PolicyFile
from robolearn import cli
from tests.bridge_helpers import Process, events, processes, ros_environment, wait_for
from tests.envs.seeing import needs
from tests.seeing_policy import GOAL, GROUP, SIDE, seeing_file


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> PolicyFile:
    needs("opengl")
    return seeing_file(tmp_path_factory.mktemp("policy") / "seeing.onnx")


def _write(path: Path, rounds: int) -> None:
    pose = SharedPose.write_to(path, ("a", "b"), np.zeros(64))
    for number in range(1, rounds):
        pose.put(np.full(64, float(number)), number)


def test_a_pose_is_never_read_by_halves(tmp_path: Path) -> None:
    """Another process writes as fast as it can: all numbers of a pose that is read are of one moment."""
    rounds = 30_000
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(tmp_path / "pose", rounds))
    writer.start()
    try:
        pose = SharedPose.read_from(tmp_path / "pose")
        assert pose.joints == ("a", "b")
        seen: set[int] = set()
        while (stamp := pose.get()[1]) < rounds - 1:
            qpos, stamp = pose.get()
            assert set(qpos) == {float(stamp)}
            seen.add(stamp)
        assert len(seen) > 2
    finally:
        writer.join()


def test_who_reads_a_pose_that_nobody_writes_is_told(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="no simulated robot has written"):
        SharedPose.read_from(tmp_path / "pose", patience_s=0.05)


def test_the_scene_shows_the_robot_where_it_is(file: PolicyFile, tmp_path: Path) -> None:
    from bridge.simulated.physics import PhysicsRobot
    from robolearn.scenery import TrainingScenery

    scenery = TrainingScenery(file)
    robot = PhysicsRobot(file.spec.robot, scenery.write(tmp_path / "scene.xml"), key=scenery.key, permute=3)
    draw = lambda: scenery.draw([GROUP], robot.joints, robot.qpos, np.array(GOAL))[GROUP]  # noqa: E731
    first = draw().copy()
    assert first.shape == (SIDE, SIDE, 3)
    assert first.std() > 10
    np.testing.assert_array_equal(draw(), first)
    env = scenery._env
    for name, value in zip(file.spec.robot.joint_names, file.spec.robot.default_pose, strict=True):
        assert float(env.engine.qpos[0, env.engine.model.joint(name).qposadr[0]]) == pytest.approx(value, abs=1e-6)
    robot.data.qpos[robot.model.joint(file.spec.robot.joint_names[0]).qposadr[0]] += 0.8
    assert np.abs(draw().astype(int) - first).max() > 50
    scenery.close()


def test_deployed_in_this_process_it_sees_what_it_saw_in_training(
    file: PolicyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "run.mcap"
    args = ["deploy", str(file.path), "--transport", "sim", "--auto-start", "--duration", "3", "--log", str(log), "--no-dashboard"]
    assert cli.main([*args, "--command", *(str(value) for value in GOAL)]) == 0
    found = read_log(log)
    assert found.policy.images == (GROUP,)
    assert len(found.pictures[GROUP]) >= 30
    assert cli.main(["replay", str(log), "--json", str(tmp_path / "replay.json")]) == 0
    told = json.loads((tmp_path / "replay.json").read_text())
    assert told["largest_action_difference"] == 0
    assert told["inferred"] > 45


def test_what_the_scene_cannot_show_is_refused(file: PolicyFile, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from bridge import deploy

    model = tmp_path / "panda.xml"
    model.write_text("<mujoco/>", encoding="utf-8")
    assert cli.main(["deploy", str(file.path), "--transport", "sim", "--mjcf", str(model), "--command", "0.4", "0", "0.4"]) == 2
    assert "--mjcf is for policies that see nothing" in capsys.readouterr().err
    assert deploy.main([str(file.path), "--transport", "sim", "--mjcf", str(model), "--command", "0.4", "0", "0.4"]) == 2
    assert capsys.readouterr().err


@pytest.mark.ros
def test_over_real_ros_2_messages(file: PolicyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes: the policy, the robot and its cameras. It stands, sees, runs, and its log replays to the bit."""
    pytest.importorskip("rclpy")
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MUJOCO_GL", os.environ.get("MUJOCO_GL", "egl"))
    log, record = tmp_path / "run.mcap", tmp_path / "events.jsonl"
    loose = [f"--limit={name}=1.0" for name in ("sensor_timeout_s", "frozen_s", "max_lateness_s", "picture_timeout_s", "picture_age_s")]
    args = ["robolearn", "deploy", str(file.path), "--simulate", "--auto-start", "--log", str(log), "--events", str(record), *loose]
    args += ["--limit=picture_rate=0.01", "--limit=picture_frozen_s=9", "--camera-compressed"]
    child = Process([*args, "--command", *(str(value) for value in GOAL)], tmp_path / "deploy.txt")

    def reached(state: str) -> bool:
        assert child.alive, child.text()
        return any(event.get("to") == state for event in events(record))

    with processes(child):
        assert wait_for(lambda: reached("policy"), 90), child.text()
        began = child.text()
        assert wait_for(lambda: _pictures(log) >= 5 or not child.alive, 60), began
        child.send(signal.SIGINT)
        assert child.wait(60) == 0, child.text()
    found = read_log(log)
    assert len(found.pictures[GROUP]) >= 5
    result = replay(found)
    assert result.whole
    assert result.worst == 0
    facts: Any = found.ticks[found.ticks["flags"] & 512 > 0]
    assert len(np.unique(facts["sight_times"][:, 0, 1])) >= 5, "stamps of the camera's own"
    assert Controller(found.policy).holding.reaction == "damp"


def _pictures(log: Path) -> int:
    try:
        return len(read_log(log).pictures[GROUP]) if log.exists() else 0
    except Exception:  # it is being written
        return 0
