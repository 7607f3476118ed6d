"""What a robot withstands: jumps of the command, standing, all disturbances, asked grounds, and the targets they are held against."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from envs.tasks.scaling import Scale
from envs.terms.randomization import Range
from policies.contract.file import PolicyFile
from robolearn import cli
from robolearn.evaluation.figures import Figure, ratio
from robolearn.evaluation.gait.targets import Target
from robolearn.evaluation.locomotion import corners, demands, disturbed, following, impacts, standing, terrain
from robolearn.evaluation.locomotion.demands import Demand, demands_of, verdict
from robolearn.evaluation.locomotion.items import GROUPS, ITEMS
from robolearn.evaluation.locomotion.record import walk
from robolearn.evaluation.locomotion.result import Clip, ItemResult
from robolearn.evaluation.locomotion.run import chosen, run
from robolearn.evaluation.locomotion.setup import Setup, make_setup
from robolearn.evaluation.locomotion.training import setup_of_training
from tests.learning_helpers import constant_policy
from tests.pairs import cfg_of

GO1 = "go1-velocity-rough"
DT = 0.02


def setup_of(path: Path, action: float | list[float] = 0.0, **settings: object) -> Setup:
    """A suite for a Go1 that always does the same: 0 is to stand, -3 to fold its legs."""
    file = PolicyFile(constant_policy(path / "constant.onnx", action, GO1))
    cfg = dataclasses.replace(cfg_of(GO1), num_threads=1)
    return make_setup(file, cfg, **{"seeds": 1, "quick": True} | settings)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def stander(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return setup_of(tmp_path_factory.mktemp("stander"))


# commands that jump ----------------------------------------------------------------------------------------------------


def test_all_corners_and_standing_lead_to_each_other() -> None:
    found = corners.pairs([(-0.6, 1.2), (-0.5, 0.5), (-1.0, 1.0)])
    assert found.shape == (72, 2, 3)
    assert len({tuple(pair.ravel()) for pair in found}) == 72
    assert (found[:, 0] != found[:, 1]).any(1).all()
    ends = {tuple(command) for command in found.reshape(-1, 3)}
    assert len(ends) == 9
    assert (0.0, 0.0, 0.0) in ends
    assert (-0.6, 0.5, -1.0) in ends
    assert len(corners.pairs([(-1.0, 1.0), (0.0, 0.0), (-1.0, 1.0)])) == 5 * 4  # no way sideways


def test_the_command_jumps_in_one_step(stander: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corners, "BEFORE_S", 0.2)
    monkeypatch.setattr(corners, "AFTER_S", 0.1)
    record, asked, env = corners.rush(stander, 1)
    assert record.command.shape == (15, 72, 3)
    np.testing.assert_allclose(record.command[:10], np.broadcast_to(asked[:, 0], (10, 72, 3)), atol=1e-6)
    np.testing.assert_allclose(record.command[10:], np.broadcast_to(asked[:, 1], (5, 72, 3)), atol=1e-6)
    assert env.num_worlds == 72


# standing --------------------------------------------------------------------------------------------------------------


def test_lift_offs_count_unless_something_excuses_them(stander: Setup) -> None:
    """Made up: one robot lifts a foot at 1 s (the start), 5, 5.3 and 9 s, is struck at 4 s, flickers at 7 s and falls at 11 s."""
    steps = 600
    contact, blows, alive = np.ones((steps, 2, 2), bool), np.zeros((steps, 2), bool), np.ones((steps, 2), bool)
    for at in (1.0, 5.0, 5.3, 9.0, 11.5):
        contact[round(at / DT) : round((at + 0.2) / DT), 0, 1] = False
    contact[350, 0, 0] = False
    blows[200, 0] = True
    alive[550:, 0] = False
    lifts = standing.lifted(contact, alive)
    assert np.flatnonzero(lifts[:, 0]).tolist() == [50, 250, 265, 450]
    assert lifts[:, 1].sum() == 0
    free = standing.unexcused(blows, DT)
    assert not free[:101].any()
    assert free[101:, 1].all()
    assert np.flatnonzero(~free[101:, 0]).tolist() == list(range(99, 200))
    still = walk(stander.env(2), stander.make_actor(2), torch.zeros(2, 3), 0.1, "test")
    found = standing.feet(dataclasses.replace(still, contact=contact, alive=alive), blows)
    assert found["steps_a_minute"][0] == pytest.approx(60 * 1 / (free & alive)[:, 0].sum() / DT)  # that at 9 s alone
    assert found["all_steps_a_minute"][0] == pytest.approx(60 * 4 / 11)
    assert found["still"].tolist() == [False, True]


def test_blows_are_seen_when_they_come(stander: Setup) -> None:
    often = {"push_interval_s": Range(low=0.3, high=0.3, operation="set"), "push_velocity": Range(low=0.4, high=0.5, operation="add")}
    quiet = dict.fromkeys(("external_force", "external_force_interval_s", "thrown_mass", "thrown_speed", "throw_interval_s"))
    env = stander.disturbed().env(2, **often, **quiet)
    blows = standing.Blows(env)
    record = walk(env, stander.make_actor(2), torch.zeros(2, 3), 1.2, "test", watch=blows.look)
    assert blows.series.shape == record.alive.shape
    struck = np.flatnonzero(blows.series[:, 0])
    assert struck.tolist() == pytest.approx([15, 30, 45], abs=2)
    jump = np.abs(np.diff(record.velocity[..., 0], axis=0))[:, 0]
    assert jump[struck].min() > 5 * np.median(jump)  # the step after shows it
    soon = Range(low=0.2, high=0.4, operation="set")
    for kind, parts in (("external_force", ("external_force",)), ("throw", ("thrown_mass", "thrown_speed"))):
        others = set(often) | set(quiet) - {*parts, f"{kind}_interval_s"}
        env = stander.disturbed().env(4, **dict.fromkeys(others), **{f"{kind}_interval_s": soon})
        blows = standing.Blows(env)
        walk(env, stander.make_actor(4), torch.zeros(4, 3), 0.6, "test", watch=blows.look)
        assert blows.series.any(0).all(), kind
    calm = stander.env(2)
    blows = standing.Blows(calm)
    walk(calm, stander.make_actor(2), torch.zeros(2, 3), 0.5, "test", watch=blows.look)
    assert not blows.series.any()


def test_who_stands_keeps_still_and_who_is_switched_off_falls(stander: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "QUICK_SECONDS", 5.0)
    monkeypatch.setattr(standing, "EPISODES", 4)
    found = standing.run(stander)
    assert found.headline["survival (left alone)"].value == 1.0
    assert found.headline["steps_a_minute (left alone)"].value == 0.0
    assert found.where["survival (left alone)"] == ""
    off = setup_of(tmp_path, [0.0, 5.0, -5.0] * 4)  # all legs folded: it lies down
    fallen = standing.run(off)
    assert fallen.headline["survival (left alone)"].value == 0.0
    assert "4 fell" in fallen.where["survival (left alone)"]
    assert fallen.headline["steps_a_minute (left alone)"].value is None
    marks = {row.what: verdict(row, fallen).mark for row in demands_of(off.robot) if row.item == "standing"}
    assert marks["standing, left alone"] == "MISSED"
    assert marks["lift-offs per minute, left alone"] == "?"


# all disturbances ------------------------------------------------------------------------------------------------------


def test_commands_come_from_the_whole_range(stander: Setup) -> None:
    asked = disturbed.commands(dataclasses.replace(stander, seeds=3))
    lower, upper = np.array(stander.ranges).T
    assert len(asked) == 3 * (27 + disturbed.RANDOM)
    assert (asked >= lower - 1e-3).all()
    assert (asked <= upper + 1e-3).all()
    found = {tuple(row) for row in asked.round(3)}
    assert {(x, y, w) for x in (lower[0], upper[0]) for y in (lower[1], upper[1]) for w in (lower[2], upper[2])} <= found
    assert len(found) == 27 + 3 * disturbed.RANDOM  # no seed draws another's
    np.testing.assert_array_equal(asked, disturbed.commands(dataclasses.replace(stander, seeds=3)))


def test_disturbed_worlds_have_all_of_training_and_say_so(stander: Setup) -> None:
    table = stander.disturbed().cfg.randomization
    assert table == dataclasses.replace(cfg_of(GO1).randomization, disturbance_ramp=False)
    env = stander.disturbed().env(2)
    env.reset()
    assert float(env.disturbances.strength.min()) == 1.0
    assert disturbed.happening(env).endswith("with pushes, lasting forces, thrown balls.")
    assert "no disturbances" in disturbed.happening(stander.env(1))


# targets ---------------------------------------------------------------------------------------------------------------


def demand(figure: str = "survival", rows: tuple[str, ...] = (), low: float | None = None, high: float | None = None) -> Demand:
    return Demand(what="it", item="x", rows=rows, target=Target(figure=figure, low=low, high=high))


def test_a_target_is_met_or_missed_and_says_where() -> None:
    found = ItemResult(
        headline={
            "survival": Figure(0.9, 0.85, 0.96, 9),
            "survival (a)": Figure(0.5, 0.3, 0.7, 9),
            "survival (b)": Figure(1.0, 0.96, 1.0, 9),
        },
        where={"survival (a)": "falls: there 3"},
    )
    alone = verdict(demand(low=0.95), found)
    assert (alone.mark, alone.worst, alone.sure) == ("MISSED", "survival", False)
    assert verdict(demand(low=0.99), found).sure
    both = verdict(demand(low=0.95, rows=("a", "b")), found)
    assert (both.mark, both.missed, both.where, both.sure) == ("MISSED", ("survival (a)",), "falls: there 3", True)
    good = verdict(demand(low=0.95, rows=("b",)), found)
    assert (good.mark, good.sure) == ("met", True)
    assert verdict(demand("slip", high=0.1), found).mark == "?"


def test_a_half_point_beyond_what_was_tried_counts() -> None:
    beyond = Figure(None, 70.0, None, 50)
    assert verdict(demand("half_impulse", low=60.0), ItemResult(headline={"half_impulse": beyond})).mark == "met"
    assert verdict(demand("half_impulse", low=80.0), ItemResult(headline={"half_impulse": beyond})).mark == "MISSED"
    below = Figure(None, None, 5.0, 50)
    held = verdict(demand("half_impulse", low=60.0), ItemResult(headline={"half_impulse": below}))
    assert (held.mark, held.sure) == ("MISSED", True)


def test_bounds_grow_with_the_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    go1, g1 = get_robot("go1"), get_robot("g1")
    low = {robot.name: next(d.target.low for d in demands_of(robot) if d.item == "pushes") for robot in (go1, g1)}
    assert low == {"go1": 23.0, "g1": 60.0}
    monkeypatch.setattr(demands, "factor", lambda robot, dimension: Scale(length=4.0, mass=64.0).factor(dimension))
    bounds = {d.what: d.target for d in demands_of(g1)}
    assert bounds["half of the pushes"].low == 60.0 * 64 * 2
    assert bounds["all disturbances, planar error"].high == 0.4
    assert bounds["error of the mean yaw rate"].high == 0.075
    assert bounds["slopes"].low == 0.95


def test_ratio_of_means() -> None:
    rng = np.random.default_rng(0)
    found = ratio(0.2 + 0.01 * rng.standard_normal(40), np.append(0.1 + 0.01 * rng.standard_normal(40), np.nan))
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(2.0, rel=0.05)
    assert 1.8 < found.low < found.value < found.high < 2.2
    assert ratio(np.zeros(0), np.ones(3)).value is None


# all of it -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items as short as they go."""
    for module, name, value in (
        (following, "SECONDS", 2.4),
        (following, "EXTRA", 1),
        (disturbed, "QUICK_SECONDS", 1.2),
        (standing, "QUICK_SECONDS", 2.4),
        (standing, "EPISODES", 1),
        (corners, "BEFORE_S", 0.2),
        (corners, "AFTER_S", 0.2),
        (terrain, "WAY", 0.1),
        (terrain, "ASKED", 1),
        (impacts, "BEFORE_S", 1.2),
        (impacts, "AFTER_S", 0.4),
    ):
        monkeypatch.setattr(module, name, value)
    for module in (corners, terrain):
        monkeypatch.setattr(module, "film", lambda *_: Clip(title="clip", failure="left out"))


def test_every_target_is_measured_by_the_items_of_its_group(
    stander: Setup, short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = chosen(["withstands"])
    assert names == [name for name in ITEMS if name in GROUPS["withstands"]]
    data = run(stander, names, tmp_path)
    assert [item["status"] for item in data["items"]] == ["done"] * len(names)
    assert [row["what"] for row in data["targets"]] == [row.what for row in demands_of(stander.robot)]
    measured = {row["what"]: row["met"] for row in data["targets"]}
    assert [what for what, met in measured.items() if met is None] == []
    assert measured["slopes"]  # who only stands does not fall there,
    assert not measured["slopes, crossed"]  # and gets nowhere
    assert not measured["error of the mean yaw rate"]
    printed = capsys.readouterr().out
    assert "MISSED   slopes, crossed, at least 95 %: 0.0 %" in printed
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What it must withstand" in page
    assert "slopes, crossed" in page


def test_of_a_training(short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The teacher of a training on rough ground, which looks at the ground."""
    small = ["--teacher.iterations=1", "--env.num_worlds=4", "--env.num_threads=1", "--teacher.hidden=[8]", "--teacher.until=null"]
    assert cli.main(["train", GO1, "--runs", str(tmp_path / "runs"), *small]) == 0
    training = str(tmp_path / "runs" / GO1)
    capsys.readouterr()
    command = ["evaluate", training, "--suite", "locomotion", "--quick", "--seeds", "1", "--out", str(tmp_path / "out"), "--json", "-"]
    assert cli.main([*command, "--only", "corners", "terrain", "course"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["iteration"], told["robot"]) == ("teacher", 1, "go1")
    items = {item["name"]: item for item in told["items"]}
    assert {name: item["status"] for name, item in items.items()} == {"corners": "done", "terrain": "done", "course": "not available"}
    assert {row["item"] for row in told["targets"]} == {"corners", "terrain"}
    assert "teacher after 1 iterations" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert cli.main([*command, "--env.seed=3"]) == 2
    assert "uses the training's settings" in capsys.readouterr().err


def test_the_ground_of_a_teacher_does_not_end(tmp_path: Path) -> None:
    """On flat ground for who sees it, nobody walks off the map in an episode."""
    small = ["--teacher.iterations=1", "--env.num_worlds=4", "--env.num_threads=1", "--teacher.hidden=[8]", "--teacher.until=null"]
    assert cli.main(["train", GO1, "--runs", str(tmp_path), *small]) == 0
    setup = setup_of_training(tmp_path / GO1)
    env = setup.env(1)
    assert env.terrain is not None
    assert bool(env.terrain.inside(torch.tensor([[disturbed.SECONDS * 2 * setup.ranges[0][1], 0.0]])).all())
