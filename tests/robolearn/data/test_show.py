"""The page that shows datasets, without a browser: what is chosen, when, and what is to be seen of it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.g1 import G1
from envs.robots.go1 import GO1
from envs.robots.panda import PANDA
from envs.robots.robot import Robot
from robolearn.cli import main
from robolearn.data.columns import ACTION, IS_VALID, ROOT, STATE, camera, robot_columns
from robolearn.errors import UserError
from robolearn.viewer.dataset.catalog import Catalog
from robolearn.viewer.dataset.clock import Clock
from robolearn.viewer.dataset.flags import Flags
from robolearn.viewer.dataset.poses import from_start, poses_of
from robolearn.viewer.dataset.series import MOST_POINTS, Series, plotted, series_of, thinned
from robolearn.viewer.dataset.state import ALL, State
from robolearn.viewer.dataset.terms import terms_of
from tests.robolearn.data.showing import COLUMNS, FPS, FRONT, GAP, dataset, episode, frames, strangers

POSITION = "observation.state: joint position [rad]"
NQ = 7 + len(GO1.joint_names)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("show") / "made")


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return strangers(tmp_path_factory.mktemp("show") / "strangers")


def test_time_passes_as_fast_as_it_is_told_and_begins_anew() -> None:
    clock = Clock()
    clock.restart(2.0)
    clock.tick(1.0)
    assert clock.at_s == 0.0, "nobody pressed play"
    clock.play(True)
    clock.speed = 0.5
    clock.tick(1.0)
    assert clock.at_s == pytest.approx(0.5)
    clock.tick(3.5)
    assert clock.at_s == pytest.approx(0.25)
    clock.repeat = False
    clock.tick(10.0)
    assert (clock.at_s, clock.playing) == (2.0, False)
    clock.play(True)
    assert clock.at_s == 0.0, "at the end, play begins anew"
    clock.seek(5.0)
    assert clock.at_s == 2.0


def test_terms_hold_every_number_of_every_column_once() -> None:
    terms = terms_of(COLUMNS)
    for column in COLUMNS:
        places = [place for term in terms if term.column == column.name for place in term.at]
        assert sorted(places) == ([] if column.dtype == "video" else list(range(column.width))), column.name
    assert len({term.label for term in terms}) == len(terms)
    position = next(term for term in terms if term.label == POSITION)
    assert position.names == GO1.joint_names


def test_a_series_has_gaps_where_the_mark_says_so_and_where_numbers_are_none() -> None:
    columns = {**episode(150, gap=True).columns}
    columns[ACTION] = np.where(columns[ACTION + IS_VALID][:, None], columns[ACTION], 0.0)
    columns[ACTION][120, 3] = np.nan
    term = next(term for term in terms_of(COLUMNS) if term.column == ACTION)
    series = series_of(columns, term, None, 150, FPS)
    assert set(np.flatnonzero(series.missing)) == {*range(GAP.start, GAP.stop), 120}
    np.testing.assert_array_equal(series.values[~series.missing], columns[ACTION][~series.missing])
    np.testing.assert_array_equal(series.values[GAP], np.repeat(columns[ACTION][[GAP.start - 1]], 30, axis=0))
    one = series_of(columns, term, term.names[4], 150, FPS)
    assert one.names == term.names[4:5]
    np.testing.assert_array_equal(one.values[:, 0], series.values[:, 4])


def test_a_column_that_an_episode_lacks_is_missing_throughout() -> None:
    term = next(term for term in terms_of(COLUMNS) if term.column == ROOT)
    series = series_of(episode(40, rooted=False).columns, term, None, 40, FPS)
    assert series.missing.all()
    assert not series.values.any()


@pytest.mark.parametrize("at_s", [0.0, 0.013, 1.5, 2.98, 8.0])
def test_what_is_plotted_rises_and_falls_upright(at_s: float) -> None:
    missing = np.zeros(150, dtype=bool)
    missing[GAP] = True
    missing[0] = True
    series = Series(time_s=np.arange(150) / FPS, values=np.arange(300.0).reshape(150, 2), missing=missing, names=("a", "b"))
    time_s, first, second, gap, now = plotted(series, at_s)
    assert len({len(line) for line in (time_s, first, second, gap, now)}) == 1
    assert (np.diff(time_s) >= 0).all()
    for line in (gap, now):
        assert set(line) == {0.0, 1.0}
        assert (np.diff(time_s)[np.diff(line) != 0] == 0).all(), "slanted"
    assert time_s[now == 1] == pytest.approx([at_s])
    shaded = np.interp([1.0, 1.3, 1.7, 2.0], time_s, gap)
    np.testing.assert_array_equal(shaded, [0, 1, 1, 0])


def test_a_long_series_is_thinned_without_losing_what_stands_out() -> None:
    values = np.sin(np.arange(40_000) / 500)[:, None].repeat(29, axis=1)
    values[[12_345, 20_001], [3, 28]] = (7.0, -5.0)
    missing = np.zeros(40_000, dtype=bool)
    missing[33_333] = True
    names = tuple(map(str, range(29)))
    long = Series(time_s=np.arange(40_000) / FPS, values=values, missing=missing, names=names)
    short = thinned(long)
    assert len(short.time_s) == len(short.values) == len(short.missing) <= MOST_POINTS
    np.testing.assert_array_equal(short.values.max(axis=0), values.max(axis=0))
    np.testing.assert_array_equal(short.values.min(axis=0), values.min(axis=0))
    assert short.time_s[short.missing] == pytest.approx(33_333 / FPS, abs=1.0)
    assert (np.diff(short.time_s) >= 0).all()
    few = dataclasses.replace(long, time_s=long.time_s[:100], values=values[:100], missing=missing[:100])
    assert thinned(few) is few


def test_poses_are_those_of_the_columns_whatever_the_order_of_joints() -> None:
    columns = {**episode(150, gap=True).columns}
    poses = poses_of(GO1, columns, GO1.joint_names)
    assert poses is not None
    np.testing.assert_allclose(poses.qpos[:, 7:], columns[STATE][:, :12], atol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(~poses.root_known), np.arange(GAP.start, GAP.stop))
    np.testing.assert_array_equal(poses.qpos[GAP, :7], np.repeat(poses.qpos[[GAP.start - 1], :7], 30, axis=0))
    order = np.random.default_rng(0).permutation(12)
    turned = np.concatenate([columns[STATE][:, order], columns[STATE][:, 12 + order], columns[STATE][:, 24:]], axis=1)
    other = poses_of(GO1, columns | {STATE: turned}, [GO1.joint_names[place] for place in order])
    assert other is not None
    np.testing.assert_array_equal(other.qpos, poses.qpos)
    extra = poses_of(GO1, columns, ["tail", *GO1.joint_names[1:]])
    assert extra is not None
    assert extra.strange == ("tail",)
    assert poses_of(GO1, columns | {STATE: columns[STATE][:, :-1]}, GO1.joint_names) is None
    assert poses_of(G1, columns, GO1.joint_names) is None


def test_a_base_that_was_not_recorded_leans_as_gravity_tells() -> None:
    columns = {**episode(4, rooted=False).columns}
    gravity = np.array([[0.3, -0.2, -0.93], [0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [np.nan, 0.0, 0.0]])
    columns[STATE][:, 24:27] = gravity
    poses = poses_of(GO1, columns, GO1.joint_names)
    assert poses is not None
    assert not poses.root_known.any()
    for wanted, quat in zip(gravity[:3], poses.qpos[:3, 3:7], strict=True):
        back, seen = np.zeros(4), np.zeros(3)
        mujoco.mju_negQuat(back, quat)
        mujoco.mju_rotVecQuat(seen, np.array([0.0, 0.0, -1.0]), back)
        np.testing.assert_allclose(seen, wanted / np.linalg.norm(wanted), atol=1e-6)
    assert np.isfinite(poses.qpos).all()


def test_from_one_start_the_way_stays_as_it_was() -> None:
    poses = poses_of(GO1, episode(120).columns, GO1.joint_names)
    assert poses is not None
    path = poses.qpos[40:]
    moved = from_start(path, sideways=1.0)
    np.testing.assert_allclose(moved[0, :2], [0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(moved[0, 3:7], [1.0, 0.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(np.diff(moved[:, :2], axis=0), axis=1), np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1))
    np.testing.assert_array_equal(moved[:, 7:], path[:, 7:])
    np.testing.assert_array_equal(moved[:, 2], path[:, 2])
    velocity = np.diff(moved[:, :2], axis=0)[0]
    assert velocity[0] > 0.9 * np.linalg.norm(velocity), "it faces along x and walks ahead"


@pytest.mark.parametrize(("first", "second"), [(GO1, GO1), (GO1, G1), (G1, PANDA), (PANDA, GO1)], ids=lambda robot: robot.name)
def test_two_robots_in_one_scene_are_each_as_alone(first: Robot, second: Robot) -> None:
    pytest.importorskip("mjviser")
    from robolearn.viewer.dataset.stage import APART_M, PREFIX, scene_of

    def bodies(model: mujoco.MjModel, qpos: np.ndarray) -> dict[str, np.ndarray]:
        data = mujoco.MjData(model)
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        return {model.body(index).name: data.xpos[index] for index in range(1, model.nbody)}

    random = np.random.default_rng(3)
    alone = []
    for robot in (first, second):
        qpos = np.array(robot.compiled.key("stand").qpos) + random.normal(0, 0.1, robot.compiled.nq)
        alone.append((qpos, bodies(robot.compiled, qpos)))
    together = bodies(scene_of(first, second), np.concatenate([qpos for qpos, _ in alone]))
    assert len(together) == len(alone[0][1]) + len(alone[1][1])
    beside = np.array([0.0, 0.0 if second.floating_base else APART_M, 0.0])
    for (_, found), prefix, shift in zip(alone, ("", PREFIX), (0.0, beside), strict=True):
        for name, place in found.items():
            np.testing.assert_allclose(together[prefix + name], place + shift, atol=1e-6)


def test_episodes_are_found_by_words(made: Path, unknown: Path) -> None:
    catalog = Catalog([made, unknown])
    assert [entry.name for entry in catalog.entries[:5]] == ["made 0", "made 1", "made 2", "made 3", "strangers 0"]
    assert catalog.find("") == list(range(16))
    assert catalog.find("CC-by-nc MOCAP") == [2]
    assert catalog.find("nobody") == list(range(4, 16))
    assert catalog.find("circle log GO1") == [0, 1, 3]
    assert [catalog.first_of(number) for number in (0, 1, 2)] == [0, 4, None]
    assert Catalog([made]).entries[1].name == "1"


def test_two_episodes_of_two_datasets_share_time_and_term(made: Path, unknown: Path) -> None:
    state = State(catalog=Catalog([made, unknown]))
    state.choose(2)
    assert state.term == POSITION
    assert state.clock.duration_s == pytest.approx(80 / FPS)
    state.choose(0, "second")
    assert state.clock.duration_s == pytest.approx(150 / FPS)
    state.clock.seek(2.0)
    assert state.shown["first"].row_at(2.0) == 79, "the shorter one stays at its end"
    assert state.shown["second"].row_at(2.0) == 100
    state.plot("action", GO1.joint_names[2])
    first, second = state.series("first"), state.series("second")
    assert first is not None
    assert second is not None
    assert first.names == second.names == GO1.joint_names[2:3]
    assert second.missing.sum() == 30
    state.plot("no such term", "no such entry")
    assert (state.term, state.entry) == (POSITION, ALL)
    state.choose(4, "second")
    assert state.shown["second"].robot is None
    assert state.pose("second") is None, "nobody knows the robot"
    assert state.series("second") is not None, "its numbers are seen all the same"
    assert state.robots == [GO1]
    state.leave_second()
    assert list(state.shown) == ["first"]
    assert state.clock.duration_s == pytest.approx(80 / FPS)


def test_two_robots_stand_where_they_are_told_to(made: Path) -> None:
    state = State(catalog=Catalog([made]))
    state.choose(0)
    alone = state.pose("first")
    state.choose(1, "second")
    recorded = state.shown["second"].poses
    assert recorded is not None
    assert alone is not None
    gaps = {}
    for place in ("side by side", "in one place", "as recorded"):
        state.stand(place)
        first, second = state.pose("first"), state.pose("second")
        assert first is not None
        assert second is not None
        assert first.shape == second.shape == (NQ,)
        gaps[place] = second[:2] - first[:2]
    np.testing.assert_allclose(gaps["side by side"], [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(gaps["in one place"], [0.0, 0.0], atol=1e-6)
    state.clock.seek(1.0)
    np.testing.assert_array_equal(state.pose("second"), recorded.qpos[50])


def test_an_episode_that_cannot_be_read_leaves_what_is_shown(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(catalog=Catalog([made]))
    state.choose(0)
    before = state.shown["first"]

    def fails(*_: object, **__: object) -> None:
        raise UserError("broken")

    monkeypatch.setattr(state.catalog.datasets[0], "episode", fails)
    with pytest.raises(UserError, match="broken"):
        state.choose(1)
    assert state.shown["first"] is before


def test_flags_are_those_of_each_episode(made: Path) -> None:
    flags = Flags([made, made.parent / "not there"])
    assert flags.short((0, 1)) == "…"
    flags.look()
    assert [flags.short((0, index)) for index in range(4)] == ["no faults", "1 fault", "no faults", "no faults"]
    (line,) = flags.lines((0, 1))
    assert line.startswith("fault jumps: FL_calf_joint moves")
    assert [finding.check for finding in flags.of_dataset[0]] == ["empty"]
    assert "not there" in flags.failed[1]
    assert flags.short((1, 0)) == "not checked"


def test_a_shown_dataset_cannot_put_its_own_html_into_the_page(made: Path) -> None:
    from robolearn.viewer.dataset import text

    catalog = Catalog([made])
    shown, flags = catalog.load(0), Flags([made])
    told = text.about(shown, flags) + text.heading("first", shown, None, []) + text.known(shown) + text.whole(["<u>name</u>"], flags)
    assert "&lt;i&gt;circle&lt;/i&gt;" in told
    assert not any(tag in told for tag in ("<i>", "<b>made", "<u>"))
    assert "80&nbsp;%" in told, "root and action are known in 120 of 150 rows"
    known = text.known(shown)
    assert "known throughout: observation.state, observation.command, observation.contact, next.done" in known


def test_pictures_come_at_their_rows(made: Path) -> None:
    from robolearn.viewer.dataset.pictures import Pictures

    row = Catalog([made]).entries[0].row
    pictures = Pictures(*row.videos[FRONT], len(row))
    pictures.wait(60)
    assert (len(pictures), pictures.error) == (150, "")
    wanted = frames(150)
    for place in (20, 77, 149):
        seen = pictures.at(place)
        assert seen is not None
        assert np.abs(seen.astype(int) - wanted[place]).mean() < 8
        assert np.abs(seen.astype(int) - wanted[(place + 60) % 150]).mean() > 25
    assert pictures.at(150) is None
    broken = Pictures(made / "nothing.mp4", 0, 3)
    broken.wait(60)
    assert "cannot be read" in broken.error


def test_the_page_does_what_it_is_asked_and_says_what_it_cannot(made: Path, unknown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mjviser")
    from robolearn.viewer.dataset.page import Page

    page = Page(Catalog([made, unknown]), Flags([made]), 18470)
    try:
        asked: Callable[[Callable[[], None]], None] = page._asked.put
        assert set(page.state.shown) == {"first", "second"}
        for number, side in itertools.product(range(6), ("first", "second")):
            asked(lambda number=number, side=side: page._choose(number, side))
            asked(lambda: page.state.clock.play(True))
            page.step(0.1)
            assert page.state.shown[side].entry is page.state.catalog.entries[number]
            assert page.state.clock.at_s == pytest.approx(0.1)
        asked(page._leave_second)
        page.step(0.1)
        assert set(page.state.shown) == {"first"}
        assert not page._notice.visible
        monkeypatch.setattr(page.state.catalog, "load", lambda _: (_ for _ in ()).throw(UserError("<broken>")))
        asked(lambda: page._choose(1, "first"))
        page.step(0.1)
        assert page._notice.visible
        assert "&lt;broken&gt;" in page._notice.content
    finally:
        page._views.stop()
        page._server.stop()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{made}", "--port", "70000"], "--port must lie between 0 and 65535"),
        (["{made}/data"], "data"),
        (["{made}", "--robot", "nonsuch"], "nonsuch"),
        (["{made}", "--opne"], "--opne"),
    ],
)
def test_show_tells_mistakes_in_one_line(arguments: list[str], message: str, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mjviser")
    assert main(["data", "show", *(argument.format(made=made) for argument in arguments)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_a_dataset_without_our_columns_is_seen_by_its_numbers() -> None:
    columns = robot_columns(("a", "b"), extra=[camera(FRONT, 64, 64)])
    assert terms_of(columns)[0].label == POSITION
    odd = dataclasses.replace(columns[0], names=("x", "y", "z"))
    (term,) = terms_of([odd])
    assert (term.label, term.names) == (STATE, ("x", "y", "z"))
