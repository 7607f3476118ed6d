"""The locomotion suite: each figure against a signal whose answer is known, and the command on a real policy, as small as it goes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.contract.file import PolicyFile
from robolearn import cli
from robolearn.errors import UserError
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.contract import check_contract
from robolearn.evaluation.figures import Figure, mean, share
from robolearn.evaluation.locomotion import charts, clips
from robolearn.evaluation.locomotion.arms import FREE, INVERTED, LOCKED, alteration, swing_rows
from robolearn.evaluation.locomotion.following import grid, named
from robolearn.evaluation.locomotion.gait import find_swings, gait
from robolearn.evaluation.locomotion.ground import Course, on_the_course
from robolearn.evaluation.locomotion.items import ITEMS
from robolearn.evaluation.locomotion.limbs import limbs
from robolearn.evaluation.locomotion.logistic import fit
from robolearn.evaluation.locomotion.record import Record, walk
from robolearn.evaluation.locomotion.recovery import recovery_times
from robolearn.evaluation.locomotion.result import plain
from robolearn.evaluation.locomotion.run import chosen
from robolearn.evaluation.locomotion.setup import Setup, make_setup
from robolearn.evaluation.locomotion.spectrum import cross_spectrum, mean_phase
from robolearn.policy_path import find_policy
from tests.learning_helpers import constant_policy
from tests.pairs import cfg_of

GO1, G1 = "go1-velocity-flat", "g1-velocity-flat"
DT = 0.02


def walking_record(swing: float, period: float = 0.8, speed: float = 0.5, slip: float = 0.0, seconds: float = 9.0) -> Record:
    """A biped that walks by the book: each foot swings `swing` [s] of each `period`, half a period apart, and rises 6 cm."""
    time = np.arange(round(seconds / DT)) * DT
    steps = len(time)
    contact, position = np.zeros((steps, 1, 2), bool), np.zeros((steps, 1, 2, 3))
    foot_speed = np.zeros((steps, 1, 2))
    for foot in range(2):
        cycle, phase = np.divmod(time + 1e-9 + foot * period / 2, period)
        loaded = phase >= swing
        part = np.clip(phase / swing, 0, 1)
        contact[:, 0, foot] = loaded
        position[:, 0, foot, 0] = speed * period * (cycle + part)
        position[:, 0, foot, 2] = np.where(loaded, 0.0, 0.06 * np.sin(np.pi * part))
        foot_speed[:, 0, foot] = np.where(loaded, slip, speed * period / swing)
    still = np.zeros((steps, 1))
    velocity = np.zeros((steps, 1, 3))
    velocity[..., 0] = speed
    return Record(
        dt=DT,
        command=velocity + np.array([0.1, 0.0, -0.2]),
        alive=np.ones((steps, 1), bool),
        velocity=velocity,
        tilt=still,
        contact=contact,
        foot_position=position,
        foot_speed=foot_speed,
        power=np.full((steps, 1), 50.0),
        torque=np.zeros((steps, 1, 1)),
        qpos=np.zeros((steps, 1, 7)),
        mass=np.array([20.0]),
    )


def test_gait_of_a_walker_by_the_book() -> None:
    figures = {name: float(value[0]) for name, value in gait(walking_record(swing=0.3, slip=0.07)).items()}
    assert figures["foot_slip"] == pytest.approx(0.07)
    assert figures["air_time"] == pytest.approx(0.3, abs=0.021)
    assert figures["flight"] == 0.0
    assert figures["double_support"] == pytest.approx(1 - 2 * 0.3 / 0.8, abs=0.03)
    assert figures["step_frequency"] == pytest.approx(2 / 0.8, rel=0.03)
    assert figures["step_length"] == pytest.approx(0.5 * 0.8 / 2, abs=0.01)
    assert figures["foot_clearance"] == pytest.approx(0.06, abs=0.003)


def test_gait_of_a_runner_flies_and_of_a_stander_has_no_steps() -> None:
    runner = gait(walking_record(swing=0.5))
    assert runner["flight"][0] == pytest.approx(2 * 0.5 / 0.8 - 1, abs=0.03)
    assert runner["double_support"][0] == 0.0
    stander = walking_record(swing=0.3)
    stander = gait(dataclasses.replace(stander, contact=np.ones_like(stander.contact)))
    assert stander["double_support"][0] == 1.0
    assert stander["step_frequency"][0] == 0.0
    assert np.isnan(stander["air_time"][0])


def test_a_bounce_is_no_step_and_a_swing_on_a_slope_clears_the_slope() -> None:
    contact = np.array([1, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1], bool)
    x = np.linspace(0.0, 1.0, len(contact))
    position = np.stack([x, 0 * x, 0.1 * x + 0.05 * np.isin(np.arange(16), (4, 5))], axis=-1)
    swings = find_swings(contact, position, DT)
    assert len(swings) == 1
    air, _, clearance, touch_down = swings[0]
    assert air == pytest.approx(5 * DT)
    assert clearance == pytest.approx(0.05)
    assert touch_down == pytest.approx(x[8])


def test_record_errors_and_cost_count_from_the_first_second_to_the_fall() -> None:
    record = walking_record(swing=0.3)
    planar, yaw = record.errors()
    assert planar[0] == pytest.approx(0.1)
    assert yaw[0] == pytest.approx(0.2)
    assert record.cost_of_transport()[0] == pytest.approx(50.0 / (20.0 * 9.81 * 0.5))
    alive = record.alive.copy()
    alive[200:] = False
    velocity = record.velocity.copy()
    velocity[200:] = velocity[:50] = 99.0
    fallen = dataclasses.replace(record, alive=alive, velocity=velocity)
    assert not fallen.survived[0]
    assert fallen.errors()[0][0] == pytest.approx(0.1)
    never = dataclasses.replace(record, alive=np.zeros_like(alive))
    assert np.isnan(never.errors()[0][0])


def test_half_point_of_a_known_curve() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(40):
        levels = np.repeat(np.arange(5.0, 45.0, 5.0), 12)
        curve = fit(levels, rng.random(len(levels)) < 1 / (1 + np.exp((levels - 22.0) / 3.0)))
        assert curve.half.value is not None
        inside += curve.half.low <= 22.0 <= curve.half.high
        assert abs(curve.half.value - 22.0) < 5.0
    assert inside >= 34  # 95 % of 40 is 38


def test_half_point_between_and_beyond_the_levels() -> None:
    levels = np.repeat([10.0, 20.0, 30.0, 40.0], 8)
    clean = fit(levels, levels < 25.0).half
    assert clean.value == pytest.approx(25.0, abs=2.0)
    assert clean.low <= 21.0
    assert clean.high >= 29.0
    above = fit(levels, np.ones(32, bool)).half
    assert above.value is None
    assert above.low > 30.0
    assert above.high is None
    assert above.text("N s")[0].startswith("> ")
    below = fit(levels, np.zeros(32, bool)).half
    assert below.value is None
    assert below.low is None
    assert below.high < 20.0


def test_recovery_time_of_a_decay() -> None:
    rng = np.random.default_rng(0)
    steps, worlds, push = 400, 30, 150
    off = 0.03 * rng.standard_normal((steps, worlds, 2))
    tilt = 0.02 + 0.004 * rng.random((steps, worlds))
    after = np.arange(steps - push) * DT
    tilt[push:] += np.where(after < 1.2, 0.5, 0.0)[:, None]  # back after 1.2 s
    alive = np.ones((steps, worlds), bool)
    alive[300:, 0] = False  # fell
    off[push:, 1, 0] += 1.0  # never comes back
    times = recovery_times(off, tilt, alive, push, DT)
    assert np.isnan(times[:2]).all()
    assert times[2:].min() >= 1.2 - 1e-9
    assert np.median(times[2:]) == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize("ahead", [0.0, 60.0, -120.0, 175.0])
def test_phase_amplitude_and_coherence_of_sines(ahead: float) -> None:
    rng = np.random.default_rng(1)
    time = np.arange(500) * DT
    hip = 0.4 * np.sin(2 * np.pi * 0.7 * time) + 0.02 * rng.standard_normal(500)
    shoulder = 0.15 * np.sin(2 * np.pi * 0.7 * time + np.radians(ahead)) + 0.02 * rng.standard_normal(500) + 0.3
    a, b, cross, coherence = cross_spectrum(hip, shoulder, 0.7, DT)
    assert a == pytest.approx(0.4, rel=0.05)
    assert b == pytest.approx(0.15, rel=0.05)
    assert np.degrees(np.angle(cross * np.exp(-1j * np.radians(ahead)))) == pytest.approx(0.0, abs=5.0)
    assert coherence > 0.95


def test_no_coherence_in_noise_and_none_claimed_from_one_segment() -> None:
    rng = np.random.default_rng(2)
    found = [cross_spectrum(*rng.standard_normal((2, 3000)), 0.7, DT)[3] for _ in range(5)]
    assert np.mean(found) < 0.35
    assert np.isnan(cross_spectrum(np.ones(100), np.ones(100), 0.7, DT)[3])


def test_mean_phase_wraps() -> None:
    phases = np.radians(np.array([170.0, 178.0, -176.0, -170.0]))
    figure = mean_phase(np.exp(1j * phases))
    assert abs(figure.value) == pytest.approx(180.0, abs=2.0)
    assert figure.high - figure.low < 20.0
    assert figure.low <= figure.value <= figure.high


def test_figures() -> None:
    assert share(np.array([True, True, False, True])).value == 0.75
    assert share(np.zeros(0, bool)) == Figure(None, None, None, 0)
    assert mean(np.array([1.0, np.nan, 3.0])).value == 2.0
    assert mean(np.array([1.0, np.nan, 3.0])).count == 2
    assert mean(np.array([2.0])) == Figure(2.0, None, None, 1)
    assert share(np.ones(4, bool)).text("%") == ("100.0", "51.0 to 100.0")
    assert plain({"a": (Figure(np.float32(0.5), None, float("nan"), 3), np.int64(2))})["a"] == [
        {"value": 0.5, "low": None, "high": None, "count": 3},
        2,
    ]


@pytest.fixture(scope="module")
def go1() -> Setup:
    file = PolicyFile(find_policy(GO1))
    return make_setup(file, cfg_of(GO1).at_rates_of(file.spec), seeds=1, quick=True)


def test_the_grid_covers_the_range_and_its_names(go1: Setup) -> None:
    for setup in (go1, dataclasses.replace(go1, quick=False)):
        cells = grid(setup)
        for axis, (low, high) in enumerate(setup.ranges):
            assert {low, 0.0, high} <= {cell[axis] for cell in cells}
        assert set(named(setup).values()) <= set(cells)
    assert len(grid(dataclasses.replace(go1, quick=False))) == 45
    thirds = [(-1 / 3, 2 / 3), (-1 / 3, 1 / 3), (-2 / 3, 2 / 3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Setup, "ranges", thirds)
        for quick in (True, False):
            setup = dataclasses.replace(go1, quick=quick)
            assert set(named(setup).values()) <= set(grid(setup))


def test_the_suite_is_calm_and_says_what_it_is_for(go1: Setup, tmp_path: Path) -> None:
    table = go1.cfg.randomization
    assert not {"push_velocity", "push_interval_s", "thrown_mass", "external_force"} & set(table.entries)
    assert table.range("payload") == cfg_of(GO1).randomization.range("payload")
    arm = PolicyFile(constant_policy(tmp_path / "arm.onnx", 0.0, "panda-reach"))
    with pytest.raises(UserError, match="is for velocity policies"):
        make_setup(arm, cfg_of("panda-reach"))


def test_a_rollout_keeps_what_happened(go1: Setup, tmp_path: Path) -> None:
    """A policy that stands: nobody moves, one is knocked over and counts no more; the same seed gives the same."""
    file = PolicyFile(constant_policy(tmp_path / "stand.onnx"))
    setup = make_setup(file, cfg_of(GO1), seeds=1)
    env = setup.env(3)
    seen = []

    def before(index: int) -> None:
        if index == 10:
            velocity = env.engine.qvel.clone()
            velocity[1, 3] = 40.0  # rolls over
            env.engine.set_velocity(torch.arange(3), velocity)

    def watch(index: int, observation: torch.Tensor, alive: np.ndarray, actor: FileActor) -> bool:
        seen.append((index, observation.shape, alive.sum(), len(actor.memories)))
        return index == 79

    command = torch.tensor([[0.5, 0.0, 0.0]]).repeat(3, 1)
    record = walk(env, file, command, 2.0, "test", before=before, watch=watch)
    assert record.alive.shape == (79, 3)
    assert record.survived.tolist() == [True, False, True]
    assert record.alive[8].all()
    assert seen[0] == (0, (3, env.spec.observation_dim), 3, 3)
    assert seen[-1][2] == 2
    assert np.abs(record.velocity[60:, [0, 2], 0]).max() < 0.15
    assert record.errors()[0][0] == pytest.approx(0.5, abs=0.1)
    assert np.isfinite(record.foot_position).all()
    np.testing.assert_allclose(record.mass, env.robot_mass().numpy())
    again = walk(setup.env(3), file, command, 0.2, "test")
    np.testing.assert_array_equal(again.qpos, record.qpos[:10])


def test_a_push_is_an_impulse_and_the_ball_is_no_part_of_the_robot(go1: Setup) -> None:
    from envs.terms.randomization import Range
    from robolearn.evaluation.locomotion import impacts

    ball = {
        name: Range(low=v, high=v, operation="set") for name, v in (("thrown_mass", 5.0), ("thrown_speed", 1.0), ("throw_interval_s", 1e9))
    }
    same = {"mass": None, "payload": None}  # or a further body draws further masses
    np.testing.assert_allclose(go1.env(2, **same, **ball).robot_mass().numpy(), go1.env(2, **same).robot_mass().numpy(), rtol=1e-6)
    recorded: dict = {}

    def spy(setup: Setup, env, levels, strike: Callable, what: str, text: str):
        env.reset()
        velocity, mass = env.engine.qvel.clone(), env.robot_mass().numpy()
        level, side = np.full(env.num_worlds, 12.0), np.full(env.num_worlds, np.pi / 2)  # from the left
        strike(level, side)
        change = (env.engine.qvel - velocity)[:, :2].numpy() * mass[:, None]
        yaw = impacts._heading(env)
        recorded["along"] = change[:, 0] * np.cos(yaw) + change[:, 1] * np.sin(yaw)
        recorded["left"] = -change[:, 0] * np.sin(yaw) + change[:, 1] * np.cos(yaw)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(impacts, "_impacts", spy)
        impacts.pushes(go1)
    np.testing.assert_allclose(recorded["along"], 0.0, atol=1e-3)
    np.testing.assert_allclose(recorded["left"], -12.0, rtol=1e-4)


@pytest.mark.parametrize("size", [1.0, 2.0])
def test_the_course_is_where_its_profile_says(size: float, go1: Setup) -> None:
    """A ray from above meets the course at its height; the height that ends an episode counts from it."""
    import mujoco

    course = Course(size)
    env = dataclasses.replace(go1, cfg=on_the_course(go1.cfg, size)).env(2)
    check_contract(go1.file, env)
    model, data = env.engine.model, mujoco.MjData(env.engine.model)
    mujoco.mj_forward(model, data)
    for x in np.arange(-0.5, course.length + 0.5, 0.21):
        hit = np.zeros(1, np.int32)
        distance = mujoco.mj_ray(model, data, np.array([x, 1.5, 5.0]), np.array([0.0, 0.0, -1.0]), None, 1, -1, hit)
        assert 5.0 - distance == pytest.approx(float(course.height(np.array(x))), abs=2e-3), x
    assert course.segment_of(size * np.array([0.1, 0.7, 1.5, 2.5, 4.7, 6.5, 9.0, 9.8])).tolist() == [-1, 0, -1, 1, 2, 3, 4, -1]
    env.reset()
    top = env.engine.qpos.clone()
    top[:, 0], top[:, 1] = 4.7 * size, 0.0
    top[:, 2] = torch.tensor([0.35, 0.2]) + course.height(np.array(4.7 * size))  # one stands, one lies
    top[1, 2] -= 0.1
    env.engine.write_state(torch.arange(2), top, torch.zeros_like(env.engine.qvel))
    assert env.step(torch.zeros(2, 12)).terminated.tolist() == [False, True]


def test_arms_are_found_in_the_tree_locked_and_inverted(go1: Setup, tmp_path: Path) -> None:
    file = PolicyFile(constant_policy(tmp_path / "g1.onnx", 0.0, G1))
    env = make_setup(file, cfg_of(G1), seeds=1).env(1)
    joints = env.robot.joint_names
    found = limbs(env)
    assert [(joints[a], joints[b]) for a, b in found.pairs] == [
        ("left_shoulder_pitch_joint", "right_hip_pitch_joint"),
        ("right_shoulder_pitch_joint", "left_hip_pitch_joint"),
    ]
    assert found.arms == tuple(i for i, name in enumerate(joints) if name.split("_")[1] in ("shoulder", "elbow", "wrist"))
    assert len(found.arms) == 14
    assert (found.sign[list(sum(found.pairs, ()))] == 1).all()  # G1's limbs all turn the same way about the lateral axis
    assert limbs(go1.env(1)).arms == limbs(go1.env(1)).pairs == ()
    action = torch.arange(1.0, len(joints) + 1)[None]
    arms = list(found.arms)
    legs = [i for i in range(len(joints)) if i not in arms]
    assert alteration(FREE, env, found.arms) is None
    locked, inverted = (alteration(condition, env, found.arms)(action) for condition in (LOCKED, INVERTED))
    assert (locked[0, arms] == 0).all()
    for altered in (locked, inverted):
        assert torch.equal(altered[0, legs], action[0, legs])
    index = {name: i for i, name in enumerate(joints)}
    assert inverted[0, index["left_shoulder_pitch_joint"]] == action[0, index["right_shoulder_pitch_joint"]]
    assert inverted[0, index["left_shoulder_roll_joint"]] == -action[0, index["right_shoulder_roll_joint"]]


def test_arm_swing_of_a_record() -> None:
    record = walking_record(swing=0.3, period=1.4, seconds=10.0)
    time = np.arange(len(record.alive)) * DT
    angles = np.zeros((len(time), 1, 2))
    angles[:, 0, 1] = 0.4 * np.sin(2 * np.pi * time / 1.4)
    angles[:, 0, 0] = 0.2 * np.sin(2 * np.pi * time / 1.4 + np.radians(30))
    (row,), phase = swing_rows(record, np.array([1.0]), [(0, 1)], angles)
    assert phase.value == pytest.approx(30.0, abs=5.0)
    assert row["shoulder_amplitude"].value == pytest.approx(0.2, rel=0.06)
    assert row["hip_amplitude"].value == pytest.approx(0.4, rel=0.06)
    assert row["coherence"].value > 0.95


def test_a_clip_that_cannot_be_drawn_is_told(go1: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UserError("OpenGL does not start")

    monkeypatch.setattr(clips, "Recorder", refuse)
    record = dataclasses.replace(walking_record(swing=0.3), qpos=np.zeros((450, 1, 19)))
    clip = clips.film(dataclasses.replace(go1, folder=tmp_path), go1.env(1), record, 0, 1.0, 2.0, "a clip")
    assert clip.path is None
    assert clip.failure == "OpenGL does not start"
    assert list(tmp_path.iterdir()) == []


def test_charts_bear_missing_figures() -> None:
    nothing = Figure(None, None, None, 0)
    rows = [{"payload": 0.0, "survival": share(np.ones(3, bool)), "velocity_error_xy": nothing}]
    assert charts.sweep(rows, "payload", None).startswith("<svg")
    halves = {"front": Figure(None, 3.0, None, 4), "left": Figure(2.0, 1.0, 3.0, 4), "rear": nothing}
    assert charts.by_side(halves, "half_impulse").startswith("<svg")


def test_the_command_on_a_real_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from robolearn.evaluation.locomotion import arms, following, impacts, loads

    monkeypatch.setattr(following, "SECONDS", 6.0)
    monkeypatch.setattr(following, "grid", lambda setup: list(named(setup).values()))
    monkeypatch.setattr(loads, "SECONDS", 1.2)
    monkeypatch.setattr(loads, "EPISODES", 1)
    monkeypatch.setattr(impacts, "BALL_SPEEDS", np.array([1.0, 60.0]))
    monkeypatch.setattr(impacts, "BEFORE_S", 1.2)
    monkeypatch.setattr(impacts, "AFTER_S", 1.2)
    monkeypatch.setattr("robolearn.evaluation.locomotion.following.film", lambda *_: clips.Clip(title="clip", failure="no graphics"))
    monkeypatch.setattr("robolearn.evaluation.locomotion.impacts.film", lambda *_: clips.Clip(title="clip", failure="no graphics"))
    assert arms.SECONDS > 0
    out, data = tmp_path / "suite", tmp_path / "data.json"
    names = ["throws", "commands", "friction", "arms"]
    command = ["evaluate", GO1, "--suite", "locomotion", "--quick", "--seeds", "4", "--out", str(out), "--only", *names]
    assert cli.main([*command, "--json", str(data), "--env.num_threads=1"]) == 0
    printed = capsys.readouterr().out
    assert f"report: {out / 'report.html'}" in printed
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in ("does not apply", "go1 has no arms", "Thrown ball", "no graphics", "95 % interval", "<svg"):
        assert text in page
    assert "http" not in page.replace("http://www.w3.org", "")
    result = json.loads(data.read_text(encoding="utf-8"))
    assert result == json.loads((out / "suite.json").read_text(encoding="utf-8"))
    assert [item["name"] for item in result["items"]] == ["commands", "throws", "friction", "arms"]
    items = {item["name"]: item for item in result["items"]}
    assert items["arms"]["status"] == "does not apply"
    grid_item = items["commands"]["figures"]
    assert grid_item["survival"]["value"] >= 0.8
    assert 0.02 < grid_item["velocity_error_xy"]["value"] < 0.4
    tables = {table["title"]: table["rows"] for table in items["commands"]["tables"]}
    feet = {row["command"]: row for row in tables["Feet"]}
    assert feet["ahead, full"]["step_frequency"]["value"] == pytest.approx(4.0, abs=1.0)  # the clock's 2 Hz, twice
    by_speed = items["throws"]["tables"][0]["rows"]
    assert by_speed[0]["survival"]["value"] > by_speed[-1]["survival"]["value"]
    for item in result["items"]:
        for figure in item["figures"].values():
            assert {"value", "low", "high", "count"} == figure.keys()


WRONG = [
    (["--suite", "manipulation"], "no suite 'manipulation'"),
    (["--suite", "locomotoin"], "did you mean 'locomotion'?"),
    (["--suite", "locomotion", "--only", "pushs"], "did you mean 'pushes'?"),
    (["--suite", "locomotion", "--seconds", "3"], "--seconds is not for suites"),
    (["--suite", "locomotion", "--engine", "all"], "a suite runs on one engine"),
    (["--quick"], "--quick is for suites"),
    (["--suite", "locomotion", "--seeds", "0"], "--seeds must be at least 1"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", GO1, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_an_arms_policy_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "panda-reach", "--suite", "locomotion"]) == 2
    assert "is for velocity policies" in capsys.readouterr().err


def test_items_are_chosen_in_the_reports_order() -> None:
    assert chosen(None) == list(ITEMS)
    assert chosen(["arms", "commands"]) == ["commands", "arms"]
