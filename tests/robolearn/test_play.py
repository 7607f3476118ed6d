"""Looking at a policy: playback, pictures, videos, the command line, the live viewer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from envs.robots.registry import ROBOTS, get_robot
from policies.contract.file import PolicyFile
from robolearn import policy_path
from robolearn.cli import main
from robolearn.errors import UserError
from robolearn.policy_path import find_policy
from robolearn.viewer import video
from robolearn.viewer.film import record_policy
from robolearn.viewer.moment import Moment
from robolearn.viewer.playback import Playback, default_commands
from robolearn.viewer.render import Recorder
from robolearn.viewer.video import VideoWriter, codec_of
from tests.make_policy import arm_spec, make_policy
from tests.pairs import make_env

TASKS = ("go1-velocity-flat", "panda-reach")
BROWSER_CODECS = {"avc1", "h264", "H264", "vp09", "VP90", "VP80"}


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A policy of each task that holds still."""
    folder = tmp_path_factory.mktemp("policies")
    return {task: make_policy(folder / task / "policy.onnx", make_env(task, num_worlds=1).spec, "stand", golden_steps=2) for task in TASKS}


def frames(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        ok, frame = capture.read()
        if not ok:
            return found
        found.append(frame)


@pytest.mark.parametrize("task", TASKS)
def test_a_video_can_be_read_and_shows_what_happens(task: str, policies: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "new" / "play.webm"
    result = record_policy(PolicyFile(policies[task]), path, seconds=1.0, width=320, height=180)
    pictures = frames(path)
    assert len(pictures) == result["frames"] == 25
    assert pictures[0].shape == (180, 320, 3)
    assert all(picture.std() > 15 for picture in pictures), "constant pictures"
    assert np.abs(pictures[0].astype(int) - pictures[-1]).max() > 40, "nothing moves"
    assert codec_of(path) in BROWSER_CODECS
    assert [p.name for p in path.parent.iterdir()] == ["play.webm"], "temporary files are left"
    assert len(result["time_s"]) == len(result["command"]) == len(result["measured"]) == 50
    json.dumps(result, allow_nan=False)


def test_mp4_has_a_codec_that_browsers_play(policies: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "play.mp4"
    record_policy(PolicyFile(policies[TASKS[0]]), path, seconds=0.2, width=160, height=96)
    assert len(frames(path)) == 5
    assert codec_of(path) in BROWSER_CODECS


def test_mp4_is_vp9_where_nothing_encodes_h264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video.CODECS, ".mp4", ("vp09",))
    with VideoWriter(tmp_path / "a.mp4", 160, 96, 25) as writer:
        for value in range(5):
            writer.write(np.full((96, 160, 3), 40 * value, np.uint8))
    assert codec_of(tmp_path / "a.mp4") in ("vp09", "VP90")
    assert len(frames(tmp_path / "a.mp4")) == 5


def test_colours_arrive_as_they_were_drawn(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 160, 96, 25) as writer:
        for _ in range(5):
            writer.write(np.full((96, 160, 3), (200, 60, 20), np.uint8))
    blue, green, red = frames(tmp_path / "a.mp4")[-1].mean((0, 1))
    assert (red, green, blue) == pytest.approx((200, 60, 20), abs=12)


def test_a_video_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"older")
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", 160, 96, 25) as writer:  # noqa: PT012
        writer.write(np.zeros((96, 160, 3), np.uint8))
        raise KeyboardInterrupt
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.mp4", b"older")]


def test_a_video_that_is_broken_off_as_its_encoder_starts_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the start of ffmpeg and its first look at the file, which it would make anew."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    slow = tmp_path / "ffmpeg"
    slow.write_text(f'#!/bin/sh\nsleep 1\nexec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"\n', encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(slow))
    monkeypatch.setattr(video, "CODECS", {".mp4": (video.H264,)})
    popen = subprocess.Popen

    def start(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        process = popen(*args, **kwargs)
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:  # as Popen does with its pipes where it is broken off itself
            assert process.stdin is not None
            process.stdin.close()
            raise
        return process

    monkeypatch.setattr(video.subprocess, "Popen", start)
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "out" / "a.mp4", 160, 96, 25):
        pass
    time.sleep(2.0)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ROBOTS)
def test_the_robot_is_in_the_picture(name: str) -> None:
    robot = get_robot(name)
    with Recorder(robot, 320, 180) as recorder:
        pose = recorder.model.key("stand").qpos.copy()
        seen = recorder.draw(pose)
        recorder.model.geom_rgba[recorder.model.geom_bodyid > 0, 3] = 0.0
        empty = recorder.draw(pose)
    changed = np.abs(seen.astype(int) - empty).max(axis=2) > 20
    rows, columns = np.nonzero(changed)
    assert 0.01 < changed.mean() < 0.5
    assert 90 < columns.mean() < 230, "the robot is in the middle"
    assert 45 < rows.mean() < 135


def test_commands_are_drawn_into_the_scene() -> None:
    robot = get_robot("go1")
    with Recorder(robot, 320, 180, kind="velocity") as recorder:
        pose = recorder.model.key("stand").qpos.copy()
        still = Moment(0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), pose)
        asked = Moment(0.0, (0.8, 0.0, 0.0), (0.0, 0.0, 0.0), pose)
        before, after = recorder.draw(pose, still), recorder.draw(pose, asked)
    new = np.abs(before.astype(int) - after).max(axis=2) > 20
    assert new.sum() > 40
    red, green, blue = after[new].mean(axis=0)
    assert green > red + 20 and green > blue + 20  # noqa: PT018


def test_two_recorders_do_not_spoil_each_other() -> None:
    first = Recorder(get_robot("go1"), 160, 96)
    pose = first.model.key("stand").qpos.copy()
    alone = first.draw(pose)
    second = Recorder(get_robot("go1"), 160, 96)
    second.close()
    np.testing.assert_array_equal(first.draw(pose), alone)
    first.close()


@pytest.mark.parametrize("task", TASKS)
def test_the_policy_is_told_the_command_at_once(task: str, policies: dict[str, Path]) -> None:
    play = Playback(PolicyFile(policies[task]), randomize=True)
    asked: list[np.ndarray] = []
    assert play.file is not None
    act = play.file.act
    play.file.act = lambda observation: asked.append(observation.copy()) or act(observation)  # type: ignore[method-assign]
    commands = [default_commands(play.task, play.command)[1], default_commands(play.task, play.command)[2]]
    for command in [commands[0]] * 3 + [commands[1]] * 3:
        play.step(command)
    start = 0
    for term in play.env.spec.terms:
        if term.name == "command":
            seen = np.array(asked)[:, start : start + term.dim] / term.scale
            np.testing.assert_allclose(seen, [commands[0]] * 3 + [commands[1]] * 3, rtol=1e-6)
        start += term.dim


def test_a_fall_makes_the_policy_forget_and_is_counted(policies: dict[str, Path]) -> None:
    play = Playback(PolicyFile(policies[TASKS[0]]))
    play.step((0.0, 0.0, 0.0))
    resets = []
    assert play.file is not None
    play.file.reset = lambda: resets.append(1)  # type: ignore[method-assign]
    env = play.env
    qpos = env.engine.qpos.clone()
    qpos[0, 3:7] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # on its back
    env.engine.write_state(torch.tensor([0]), qpos, torch.zeros_like(env.engine.qvel))
    sample = play.step((0.5, 0.0, 0.0))
    assert sample.fell
    assert resets == [1]
    assert env.command[0].tolist() == [0.5, 0.0, 0.0]


def test_a_push_changes_the_velocity(policies: dict[str, Path]) -> None:
    for task in TASKS:
        play = Playback(PolicyFile(policies[task]))
        before = play.env.engine.qvel.clone()
        play.push()
        assert (play.env.engine.qvel - before).abs().max() > 0.1


@pytest.mark.parametrize("task", TASKS)
def test_default_commands_are_in_range_and_differ(task: str, policies: dict[str, Path]) -> None:
    file = PolicyFile(policies[task])
    commands = np.array(default_commands(file.spec.task, file.spec.command))
    assert (commands >= np.array(file.spec.command.lower) - 1e-9).all()
    assert (commands <= np.array(file.spec.command.upper) + 1e-9).all()
    assert len(np.unique(commands, axis=0)) >= 6


def test_figures_of_an_arm_count_the_end_of_each_goal(policies: dict[str, Path]) -> None:
    """An arm that stands still: its first goal is where the tool is, its second is not."""
    file = PolicyFile(policies["panda-reach"])
    play = Playback(file)
    here = play.step(default_commands(file.spec.task, file.spec.command)[0]).measured
    there = tuple(value + 0.1 for value in here)
    result = record_policy(file, None, seconds=4.0, commands=[here, there])
    assert result["success"] == 0.5
    assert result["distance"] == pytest.approx(0.1 * 3**0.5 / 2, abs=0.01)
    assert result["figures"]["distance"]["unit"] == "m"


def test_find_policy_takes_files_folders_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "a" / "policy.onnx", tmp_path / "b" / "policy.onnx"
    for age, path in enumerate((old, new)):
        path.parent.mkdir()
        path.write_bytes(b"x")
        os.utime(path, (age, age))
    assert find_policy(str(old)) == old
    assert find_policy(str(old.parent)) == old
    assert find_policy(str(tmp_path)) == new
    monkeypatch.setattr(policy_path, "zoo", lambda: {"go1-walk": old})
    assert find_policy("go1-walk") == old
    with pytest.raises(UserError, match=r"did you mean 'go1-walk'.*shipped policy: go1-walk"):
        find_policy("go1-wlak")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"no policy\.onnx in the folder"):
        find_policy(str(empty))


def test_play_writes_a_video_and_json(policies: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seconds", "0.4", "--size", "160x96", "--command", "0.5", "-0.2", "0", "--json", str(tmp_path / "r.json")]
    assert main(["play", str(policies[TASKS[0]].parent), "--out", str(tmp_path / "v.mp4"), *arguments]) == 0
    assert len(frames(tmp_path / "v.mp4")) == 10
    out = capsys.readouterr().out
    assert "v.mp4" in out
    assert "planar velocity error: " in out
    result = json.loads((tmp_path / "r.json").read_text())
    assert np.allclose(result["command"], [0.5, -0.2, 0.0])


def test_play_takes_a_controller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--no-video", "--seconds", "1", "--command", "0.3", "0", "0", "--json", str(tmp_path / "r.json")]
    assert main(["play", "controller:trot", *arguments]) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["policy"], result["task"], result["falls"]) == ("controller:trot", "velocity-flat", 0)
    assert 0.1 < result["measured"][-1][0] < 0.5, "it walks"
    assert main(["play", "controller:trot", "--command", "1"]) == 2
    assert "takes 3 numbers (vx vy yaw_rate)" in capsys.readouterr().err
    assert main(["play", "controller:trot", "--robot", "panda"]) == 2


def test_play_without_video(policies: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", str(policies[TASKS[1]]), "--no-video", "--seconds", "0.2", "--randomize"]) == 0
    assert "distance to the goal: " in capsys.readouterr().out
    assert not list(policies[TASKS[1]].parent.glob("*.mp4"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-policy"], "no policy file at no-such-policy"),
        (["{file}", "--seconds", "0"], "--seconds"),
        (["{file}", "--seconds", "nan"], "--seconds"),
        (["{file}", "--out", "video.avi"], "valid endings: .mp4, .webm"),
        (["{file}", "--command", "1", "2"], "takes 3 numbers"),
        (["{file}", "--command", "nan", "0", "0"], "finite"),
        (["{file}", "--size", "big"], "--size"),
        (["{file}", "--size", "101x100"], "even"),
        (["{file}", "--engine", "bullet"], "unknown engine 'bullet'; valid: mujoco"),
        (["{file}", "--live", "--no-video"], "--live"),
        (["{file}", "--sed", "1"], "did you mean"),
        (["{text}"], "not an ONNX file"),
        (["{other}"], "was trained with robot arm, called arm, which does not exist here; give its path: --robot"),
        (["{other}", "--robot", "panda"], "robot panda has panda_joint1"),
    ],
)
def test_play_tells_mistakes_in_one_line(
    arguments: list[str], message: str, policies: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.onnx").write_text("not a policy")
    other = make_policy(tmp_path / "other.onnx", arm_spec())
    names = {"file": policies[TASKS[0]], "text": tmp_path / "text.onnx", "other": other}
    assert main(["play", *(argument.format(**names) for argument in arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert error.startswith("robolearn: error:")


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_live_viewer_serves_this_computer_only_and_stops_at_ctrl_c(task: str, policies: dict[str, Path]) -> None:
    pytest.importorskip("mjviser")
    from websockets.sync.client import connect

    command = [sys.executable, "-m", "robolearn", "play", str(policies[task]), "--live", "--port", "18431"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        url = next(line.split()[1] for line in process.stdout if line.startswith("open "))
        assert url.startswith("http://localhost:")
        port = url.rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert page.status == 200
            assert b"<html" in page.read().lower()
        listening = {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"}
        assert {address for address in listening if address.endswith(f":{int(port):04X}")} == {f"0100007F:{int(port):04X}"}
        import viser

        version = f"viser-v{viser.__version__}"
        with connect(f"ws://127.0.0.1:{port}/", subprotocols=[version], max_size=None) as socket:  # type: ignore[list-item]
            received = [socket.recv(timeout=10) for _ in range(5)]
        assert all(received)
        time.sleep(0.5)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=15) == 0
        finally:
            process.kill()
