"""The page in which a policy is watched and steered, without a browser: what is drawn, said, chosen and done."""

from __future__ import annotations

import dataclasses
import json
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.registry import ROBOTS, get_robot
from envs.scene.terrain import KINDS, single_terrain
from policies.contract.file import PolicyFile
from policies.contract.spec import CommandSpec
from tests.make_policy import make_policy
from tests.pairs import make_env

pytest.importorskip("mjviser")

from robolearn.policy_path import zoo
from robolearn.viewer.camera import CORNERS, FOV_DEG, resting, view_of
from robolearn.viewer.ground import HIGH, LOW, colors_of, map_mesh, needed
from robolearn.viewer.live.arrows import TURN, length_for, speed_arrow, turn_arc
from robolearn.viewer.live.board import board, table
from robolearn.viewer.live.choice import FLOOR, GROUNDS, Choice, Policies, fitting, ground_of, name_of
from robolearn.viewer.live.panel import GO_ON, PAUSE
from robolearn.viewer.live.viewer import LiveViewer
from robolearn.viewer.moment import Moment
from robolearn.viewer.sky import HAZE, RADIUS_M, ZENITH, dome
from robolearn.viewer.who import controlled

TASKS = ("go1-velocity-flat", "panda-reach")
VELOCITY = CommandSpec(kind="velocity", labels=("vx", "vy", "yaw_rate"), lower=(-1.0, -1.0, -1.0), upper=(1.0, 1.0, 1.0), ages=False)


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A policy of each task that holds still."""
    folder = tmp_path_factory.mktemp("live")
    return {task: make_policy(folder / task / "policy.onnx", make_env(task, num_worlds=1).spec, "stand", golden_steps=2) for task in TASKS}


@pytest.fixture
def viewer(policies: dict[str, Path]) -> Iterator[LiveViewer]:
    viewer = LiveViewer(PolicyFile(policies[TASKS[0]]), Choice(policy=""), port=18470)
    yield viewer
    viewer.close()


def world_of(viewer: LiveViewer) -> mujoco.MjModel:
    return viewer.playback.env.scene().compile()


@pytest.mark.parametrize("name", ROBOTS)
def test_the_whole_robot_is_in_the_picture_and_large(name: str) -> None:
    model, robot = get_robot(name).scene().compile(), get_robot(name)
    base = model.body(robot.base).id if robot.floating_base else None
    position, look_at = view_of(model, base)
    data = resting(model)
    origin = data.xpos[base] if base is not None else np.zeros(3)
    ahead = (look_at - position) / np.linalg.norm(look_at - position)
    right = np.cross(ahead, [0, 0, 1]) / np.linalg.norm(np.cross(ahead, [0, 0, 1]))
    up = np.cross(right, ahead)
    heights, widths = [], []
    for geom in np.flatnonzero((model.body_rootid[model.geom_bodyid] > 0) & (model.geom_rgba[:, 3] > 0)):
        box = model.geom_aabb[geom]
        corners = data.geom_xpos[geom] + (box[:3] + CORNERS * box[3:]) @ data.geom_xmat[geom].reshape(3, 3).T - origin - position
        heights.append(corners @ up / (corners @ ahead))
        widths.append(corners @ right / (corners @ ahead))
    half = np.tan(np.radians(FOV_DEG) / 2)
    high, wide = np.concatenate(heights) / half, np.concatenate(widths) / half
    assert np.abs(high).max() < 1
    assert np.abs(wide).max() < 1, "it fits into a square"
    assert max(np.ptp(high), np.ptp(wide)) > 2 * 0.55, "more than half of the height or width"


def test_the_sky_is_blue_above_and_hazy_below() -> None:
    file = dome()
    length = struct.unpack("<I", file[12:16])[0]
    told = json.loads(file[20 : 20 + length])
    data = file[28 + length :]
    assert struct.unpack("<4sII", file[:12]) == (b"glTF", 2, len(file))
    assert told["buffers"][0]["byteLength"] == len(data)
    points, colors = (
        np.frombuffer(data[view["byteOffset"] :][: view["byteLength"]], "<f4").reshape(-1, 3) for view in told["bufferViews"][:2]
    )
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), RADIUS_M, rtol=1e-5)
    screen = 255 * np.where(colors <= 0.0031308, 12.92 * colors, 1.055 * colors ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(screen[points[:, 2] < 1e-3] - HAZE, 0.0, atol=0.5)
    np.testing.assert_allclose(screen[np.argmax(points[:, 2])], ZENITH, atol=0.5)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_map_is_drawn_with_every_height_it_has(kind: str) -> None:
    from envs.scene.terrain import Terrain

    spec = mujoco.MjSpec()
    Terrain(single_terrain(f"{kind}:0.6")).add_to(spec)
    model = spec.compile()
    rows, columns = int(model.hfield_nrow[0]), int(model.hfield_ncol[0])
    heights = model.hfield_size[0, 2] * model.hfield_data.reshape(rows, columns)
    mesh = map_mesh(model, 0)
    kept_rows, kept_columns = needed(heights), needed(heights.T)
    z = mesh.vertices[:, 2].reshape(len(kept_rows), len(kept_columns))
    across = np.array([np.interp(np.arange(columns), kept_columns, line) for line in z])
    whole = np.array([np.interp(np.arange(rows), kept_rows, line) for line in across.T]).T
    np.testing.assert_allclose(whole, heights, atol=1e-5)
    assert len(mesh.vertices) < 0.4 * rows * columns
    assert (mesh.face_normals[:, 2] > 0).all(), "seen from above"
    np.testing.assert_allclose(mesh.bounds[1, :2], model.hfield_size[0, :2], atol=1e-5)


def test_what_is_high_is_light() -> None:
    low, middle, high = colors_of(np.array([-1.0, 0.0, 1.0]))
    np.testing.assert_array_equal([low[:3], high[:3]], [LOW, HIGH])
    assert (low[:3] < middle[:3]).all()
    assert (middle[:3] < high[:3]).all()
    nearly_flat = colors_of(np.array([0.0, 0.01]))
    assert np.abs(nearly_flat[0].astype(int) - nearly_flat[1]).max() < 10


def test_arrows_turn_with_the_robot() -> None:
    start = np.array([1.0, 2.0, 0.5])
    np.testing.assert_allclose(speed_arrow(np.array([1.0, 0.0]), np.pi / 2, start, 0.4)[1] - start, [0.0, 0.4, 0.0], atol=1e-12)
    np.testing.assert_allclose(speed_arrow(np.array([0.0, 0.5]), 0.0, start, 0.6)[1] - start, [0.0, 0.3, 0.0], atol=1e-12)
    left, right = (turn_arc(rate, 0.3, start, 0.4) - start for rate in (0.8, -0.8))
    for arc, angle in ((left, 1.1), (right, -0.5)):
        np.testing.assert_allclose(arc[0], 0.4 * TURN * np.array([np.cos(0.3), np.sin(0.3), 0.0]))
        np.testing.assert_allclose(arc[-1], 0.4 * TURN * np.array([np.cos(angle), np.sin(angle), 0.0]))


def test_the_board_says_units_and_no_tags_of_others() -> None:
    moment = Moment(2.0, (0.5, 0.0, -1.0), (float("nan"), 0.1, -0.9), np.zeros(19), "velocity <b>error</b> 0.1 m/s")
    text = board(VELOCITY, ("m/s", "m/s", "rad/s"), moment, length_for(1.4), 1, 0.5)
    for part in (
        "forward",
        "left",
        "turn left",
        "+0.50",
        "&minus;1.00",
        "&minus;0.90",
        "&ndash;",
        "rad/s",
        "1 fall ",
        "x 0.50",
        "0.7 m for 1 m/s",
    ):
        assert part in text, part
    assert "<b>" not in text
    assert "real time" not in board(VELOCITY, (), moment, 0.4, 0, 1.0)
    assert "real time" not in board(VELOCITY, (), moment, 0.4, 0, 0.5, "paused")
    assert "<script>" not in table(
        CommandSpec(kind="own", labels=("<script>",), lower=(0.0,), upper=(1.0,), ages=False), ("<script>",), None
    )


def test_what_can_be_chosen(policies: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "2026-01-01" / "policy.onnx"
    run.parent.mkdir(parents=True)
    run.write_bytes(policies[TASKS[1]].read_bytes())
    first = PolicyFile(policies[TASKS[0]])
    found = Policies(first)
    assert found.names[0] == TASKS[0] == name_of(first)
    there = {TASKS[0], f"{TASKS[0]} (shipped)", *zoo(), "2026-01-01", "controller:trot", "controller:walk"}
    assert set(found.names) == there, "FILE is called as a shipped one here"
    assert set(Policies(controlled("controller:trot")).names) >= {"controller:trot", "controller:walk", *zoo(), "2026-01-01"}
    arm = found.called("2026-01-01")
    assert fitting(Choice(policy="x", ground="rough"), arm).ground == FLOOR
    assert fitting(Choice(policy="x", ground="rough"), first).ground == "rough"
    assert Choice(policy="x").terrain is None
    assert [ground_of(text) for text in (None, "flat:1", "rough", "planks:0.3")] == [
        (FLOOR, 1.0), (FLOOR, 1.0), ("rough", 1.0), ("planks", 0.3)
    ]  # fmt: skip
    for ground in GROUNDS[1:]:
        terrain = Choice(policy="x", ground=ground, level=0.5).terrain
        assert terrain is not None
        assert set(terrain.kinds) == {ground}


def test_another_ground_engine_and_policy(viewer: LiveViewer) -> None:
    assert mujoco.mjtGeom.mjGEOM_PLANE in world_of(viewer).geom_type
    viewer.ask(np.array([0.7, 0.1, -0.2]))
    for name, value in (("ground", "steps_up"), ("engine", "precise"), ("randomize", True)):
        viewer.panel.choose(name, value)
    viewer.do_what_is_asked()
    assert mujoco.mjtGeom.mjGEOM_HFIELD in world_of(viewer).geom_type
    assert viewer.playback.env.cfg.engine == "precise"
    assert viewer.command.tolist() == [0.7, 0.1, -0.2], "the command stays"
    viewer.advance()
    viewer.panel.choose("policy", "panda-reach")
    viewer.do_what_is_asked()
    assert viewer.choice.ground == FLOOR, "an arm has no ground to choose"
    spec = viewer.playback.command
    assert spec.kind == "goal_position"
    assert (viewer.command >= spec.lower).all()
    assert (viewer.command <= spec.upper).all()
    np.testing.assert_allclose(viewer.panel.command, viewer.command)
    viewer.advance()


def test_what_cannot_be_shown_is_told_and_what_was_there_goes_on(viewer: LiveViewer) -> None:
    before, playback = viewer.choice, viewer.playback
    viewer.panel.choose("engine", "no such engine")
    viewer.do_what_is_asked()
    assert viewer.choice == before
    assert viewer.playback is playback
    assert viewer.panel.values() == {"policy": before.policy, "engine": "mujoco", "ground": FLOOR, "level": 1.0, "randomize": False}
    viewer.panel.choose("ground", "rough")
    viewer.do_what_is_asked()
    assert viewer.choice == Choice(policy=before.policy, ground="rough"), "the fault is forgotten"


def test_a_run_whose_policy_is_broken_ends_nothing(policies: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "broken").mkdir(parents=True)
    (tmp_path / "runs" / "broken" / "policy.onnx").write_text("not a policy")
    viewer = LiveViewer(PolicyFile(policies[TASKS[1]]), Choice(policy=""), port=18475)
    try:
        viewer.panel.choose("policy", "broken")
        viewer.do_what_is_asked()
        assert viewer.choice.policy == TASKS[1] == viewer.panel.values()["policy"]
        viewer.advance()
    finally:
        viewer.close()


def test_of_many_choices_in_a_row_only_the_last_is_made(viewer: LiveViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Choice] = []
    play = Policies.play
    monkeypatch.setattr(Policies, "play", lambda self, who, choice: made.append(choice) or play(self, who, choice))
    for level in (0.2, 0.3, 0.4):
        viewer.panel.choose("level", level)
    viewer.panel.choose("ground", "rough")
    viewer.do_what_is_asked()
    assert made == [Choice(policy=viewer.choice.policy, ground="rough", level=0.4)]


def test_the_camera_goes_with_the_robot_and_stays_when_it_is_told_to(viewer: LiveViewer) -> None:
    moment = viewer.advance()
    places = []
    for follow, x in ((True, 0.0), (True, 0.5), (True, 0.5), (False, 1.0), (False, 9.0), (True, 9.0)):
        viewer.look(follow, True)
        moved = dataclasses.replace(moment, qpos=moment.qpos + np.eye(len(moment.qpos))[0] * x)
        for _ in range(100):
            viewer.stage.show(moved, 0.05)
        places.append(float(viewer.stage.center[0] - moment.qpos[0]))
    np.testing.assert_allclose(places, [0.0, 0.5, 0.5, 0.5, 0.5, 9.0], atol=1e-3)
    viewer.stage.show(dataclasses.replace(moment, qpos=moment.qpos + np.eye(len(moment.qpos))[0] * 9.2), 0.02)
    assert 9.0 < viewer.stage.center[0] - moment.qpos[0] < 9.1, "it goes smoothly"


def test_paused_time_stands_still_and_the_button_says_go_on(viewer: LiveViewer) -> None:
    viewer.pause(True)
    assert GO_ON in viewer.panel.actions
    stop = threading.Event()
    thread = threading.Thread(target=viewer.run, args=(stop,))
    thread.start()
    try:
        assert viewer.playback.time_s == 0.0
        done = threading.Event()
        viewer.do(viewer.restart)
        viewer.do(done.set)
        assert done.wait(30), "what is pressed is done while it is paused"
        assert viewer.playback.time_s == pytest.approx(viewer.playback.control_dt), "one step, to see where it stands"
        moves = threading.Event()
        step = viewer.playback.step
        viewer.playback.step = lambda command: (moves.set(), step(command))[1]  # type: ignore[method-assign]
        viewer.do(lambda: viewer.pause(False))
        assert moves.wait(30)
        assert PAUSE in viewer.panel.actions
    finally:
        stop.set()
        thread.join(30)
