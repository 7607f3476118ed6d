"""What is drawn, what is counted, and what is weighed, against planted causes and other ways of computing the same."""

import dataclasses
import math

import numpy as np
import pytest

from envs.robots.registry import get_robot
from envs.scene.terrain import Terrain
from policies.contract.spec import CommandSpec
from robolearn.errors import UserError
from robolearn.mining import failure, logistic
from robolearn.mining.episodes import Episodes
from robolearn.mining.features import features_of
from robolearn.mining.results import MINED, RANDOM, Point, Results
from robolearn.mining.space import Space, space_of, widened
from robolearn.mining.weigh import at_random, mined
from tests.pairs import cfg_of

COMMAND = CommandSpec(kind="velocity", labels=("vx", "vy", "yaw_rate"), lower=(-1.0, -0.6, -1.0), upper=(1.0, 0.6, 1.0), ages=True)


def space(margin: float = 0.25) -> Space:
    return space_of(cfg_of("go1-velocity-rough"), COMMAND, get_robot("go1"), 8.0, margin)


def column(where: Space, rows: np.ndarray, name: str) -> np.ndarray:
    return rows[:, where.names.index(name)]


def episodes(where: Space, chance, count: int = 4000, seed: int = 1) -> Episodes:
    """Episodes that fail with a chance that is a function of the columns by name."""
    rows = where.draw(count, seed)
    p = chance(dict(zip(where.names, rows.T, strict=True)))
    failed = np.random.default_rng(seed + 1).random(count) < p
    return made(where, rows, failed)


def made(where: Space, rows: np.ndarray, failed: np.ndarray) -> Episodes:
    n = len(rows)
    return Episodes(names=where.names, conditions=rows, failed=failed, fell=failed, lasted_s=np.full(n, 8.0), figures={"error": np.ones(n)})


def test_conditions_are_a_function_of_the_seed_and_lie_in_their_ranges():
    where = space()
    rows = where.draw(3000, 5)
    assert np.array_equal(rows, where.draw(3000, 5))
    assert not np.array_equal(rows, where.draw(3000, 6))
    for axis in where.axes:
        values = column(where, rows, axis.name)
        assert values.min() >= axis.low - 1e-5, axis.name
        assert values.max() <= axis.high + 1e-5, axis.name
        if axis.whole:
            assert set(values) == set(range(int(axis.low), int(axis.high) + 1)), axis.name
    still = (np.stack([column(where, rows, f"command.{name}") for name in COMMAND.labels]) == 0).all(0)
    assert 0.07 < still.mean() < 0.13


def test_a_margin_widens_and_none_stays_within_training():
    wide, narrow = ({axis.name: axis for axis in space(margin).axes} for margin in (0.5, 0.0))
    for name in ("friction", "motor_strength", "joint_damping", "push.speed", "center_of_mass.x"):
        assert (narrow[name].low, narrow[name].high) == pytest.approx(narrow[name].trained)
        assert wide[name].high > narrow[name].high
    assert wide["friction"].low > 0
    assert wide["observation_delay_s"].high <= cfg_of("go1-velocity-rough").control_dt
    assert wide["command.vx"].high == 1.0, "nobody asks for what the contract forbids"


def test_harder_ground_stands_behind_that_of_training_which_stays_as_it_is():
    cfg = dataclasses.replace(cfg_of("go1-velocity-rough").terrain, levels=4)
    before, after = Terrain(cfg), Terrain(widened(cfg, 0.25))
    assert after.cfg.levels == 5
    rows = round((cfg.border + cfg.levels * cfg.tile) / cfg.cell)
    assert np.allclose(before.heights[:rows].numpy(), after.heights[:rows].numpy(), atol=1e-6)
    assert float(after.heights.abs().max()) > float(before.heights.abs().max())


def test_an_arm_has_its_own_axes():
    goal = CommandSpec(kind="goal_position", labels=("x", "y", "z"), lower=(0.3, -0.4, 0.15), upper=(0.65, 0.4, 0.7), ages=False)
    where = space_of(cfg_of("panda-reach"), goal, get_robot("panda"), 4.0, 0.25)
    assert "terrain.level" not in where.names
    assert not any(name.startswith(("push", "force", "throw")) for name in where.names)
    assert features_of(where, where.draw(10, 0))


def test_a_planted_cause_is_found_and_counted_right():
    where = space()
    found_in = episodes(where, lambda c: np.where((c["friction"] < 0.6) & (c["push.speed"] > 0.5), 0.9, 0.05))
    found = failure.find(where, found_in)
    assert found.whole.count == 4000
    assert found.whole.failed == found_in.failed.sum()
    worst = {group.text.split(" ")[0] for group in found.worst(4)}
    assert {"friction", "push"} >= worst >= {"friction"}
    top = found.tree[0]
    assert "friction <" in top.text
    assert "push >" in top.text
    assert top.rate > 0.75
    for row in found.rates.values():
        assert sum(group.count for group in row) == 4000
        assert sum(group.failed for group in row) == found_in.failed.sum()


def test_no_cause_is_found_where_there_is_none():
    where = space()
    found = failure.find(where, episodes(where, lambda c: np.full(len(c["friction"]), 0.2)))
    assert all(group.interval[0] < 0.25 < 1 for group in found.tree), "rates are counted on episodes that the tree was not grown on"
    assert len(found.worst()) <= 8  # of a hundred groups at 97.5 %


def test_the_logistic_regression_finds_known_weights_at_a_stationary_point():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(5000, 3)) * [1.0, 5.0, 0.2] + [0.0, 3.0, -1.0]
    z = 1.2 * x[:, 0] - 0.3 * x[:, 1] - 0.5
    failed = generator.random(5000) < 1 / (1 + np.exp(-z))
    model = logistic.fit(x, failed, penalty=1e-6)
    assert model.weights / model.scale == pytest.approx([1.2, -0.3, 0.0], abs=0.25)
    residual = model(x) - failed
    assert abs(residual.sum()) < 0.1
    assert np.abs(((x - model.middle) / model.scale).T @ residual).max() < 1e-2


def test_the_regression_stays_finite_where_failures_can_be_told_apart_without_error():
    x = np.linspace(-1, 1, 50)[:, None]
    chance = logistic.fit(x, x[:, 0] > 0)(x)
    assert np.isfinite(chance).all()
    assert chance[0] < 0.1
    assert chance[-1] > 0.9


def test_ranking_is_the_share_of_pairs():
    generator = np.random.default_rng(1)
    chance, failed = generator.integers(0, 5, 60) / 5.0, generator.random(60) < 0.4
    pairs = [1.0 if bad > good else 0.5 if bad == good else 0.0 for bad in chance[failed] for good in chance[~failed]]
    assert logistic.ranking(chance, failed) == pytest.approx(np.mean(pairs))
    assert logistic.ranking(chance, np.zeros(60, bool)) is None


def test_conditions_are_weighed_by_their_chance_of_failing():
    where = space()
    seen = episodes(where, lambda c: np.where(c["friction"] < 0.6, 0.8, 0.05))
    drawn = mined(where, seen, seed=3)
    slippery = column(where, drawn.conditions, "friction") < 0.6
    alike = slippery.mean()
    assert drawn.weights.sum() == pytest.approx(1.0)
    assert drawn.weights[slippery].sum() > 2.0 * alike
    assert drawn.ranking is not None
    assert drawn.ranking > 0.75
    assert 1 < drawn.effective < len(drawn.weights)
    assert np.array_equal(drawn.conditions, at_random(where, 3).conditions), "the control weighs the same pool"
    assert at_random(where, 3).effective == pytest.approx(len(drawn.weights))


def test_toward_the_edge_leaves_out_what_always_fails():
    where = space()
    seen = episodes(where, lambda c: 1 / (1 + np.exp(-20 * (0.9 - c["friction"]))))
    weights = {}
    for toward in ("failure", "edge"):
        drawn = mined(where, seen, 3, toward)
        friction = column(where, drawn.conditions, "friction")
        weights[toward] = drawn.weights[friction < 0.5].sum(), drawn.weights[np.abs(friction - 0.9) < 0.2].sum()
    assert weights["edge"][0] < 0.5 * weights["failure"][0]
    assert weights["edge"][1] > weights["failure"][1]


@pytest.mark.parametrize("every", [True, False])
def test_where_all_or_nothing_fails_conditions_are_drawn_alike(every):
    where = space()
    rows = where.draw(100, 0)
    drawn = mined(where, made(where, rows, np.full(100, every)), 3)
    assert len(set(drawn.weights)) == 1


def test_episodes_come_back_from_their_file(tmp_path):
    where = space()
    before = episodes(where, lambda c: np.full(len(c["friction"]), 0.2), count=30)
    before.figures["error"][3] = math.nan
    before.save(tmp_path / "e.json")
    after = Episodes.load(tmp_path / "e.json")
    assert after.names == before.names
    assert np.allclose(after.conditions, before.conditions, rtol=1e-6)
    assert np.array_equal(after.failed, before.failed)
    assert np.array_equal(np.isnan(after.figures["error"]), np.isnan(before.figures["error"]))
    (tmp_path / "e.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="no episodes of robolearn improve"):
        Episodes.load(tmp_path / "e.json")


def results(
    start: float, mined_rates: list[float], random_rates: list[float], error: float = 0.0, chosen_by: list[float] | None = None
) -> Results:
    """Results whose policies fail in so many of the same 1,000 episodes, and whose nominal error grows by `error`.

    `chosen_by` are the rates on the episodes that a round is chosen by, the start's first; None for the same as reported.
    """
    where = space()
    rows = where.draw(1000, 0)

    def point(rate: float, more: float = 0.0) -> Point:
        held_out = made(where, rows, np.arange(1000) < 1000 * rate)
        noise = np.random.default_rng(0).normal(size=1000)
        nominal = dataclasses.replace(made(where, rows, np.zeros(1000, bool)), figures={"error": 0.2 + more * (1 + 0.1 * noise)})
        return Point(held_out=held_out, nominal=nominal)

    arms = {MINED: [point(rate, error) for rate in mined_rates]}
    if random_rates:
        arms[RANDOM] = [point(rate) for rate in random_rates]
    choosing = [point(start), *(point(rate, error) for rate in mined_rates)] if chosen_by is None else [point(r, error) for r in chosen_by]
    return Results(start=point(start), arms=arms, expert=None, more_is_better={"error": False}, choosing=choosing)


def test_the_verdict_is_yes_where_failures_fall_and_nothing_gets_worse():
    found = results(0.4, [0.3, 0.2], [0.35, 0.33])
    assert found.fell_each_round()
    assert found.best() == 2
    against = found.against_random()
    assert against is not None
    assert against.value == pytest.approx(-0.13)
    told = " ".join(found.verdict())
    assert "fell in every round" in told
    assert "Mining beat" in told


def test_a_round_is_chosen_by_episodes_that_are_not_reported():
    """A round that is best where it is reported, and not where rounds are chosen, is not the one."""
    assert results(0.4, [0.3, 0.1], [], chosen_by=[0.4, 0.2, 0.3]).best() == 1
    assert results(0.4, [0.1, 0.1], [], chosen_by=[0.4, 0.5, 0.4]).best() == 0


def test_the_verdict_is_no_where_it_is_no():
    up = results(0.4, [0.3, 0.35], [0.2, 0.2])
    assert not up.fell_each_round()
    assert "did not surely fall" in up.verdict()[0]
    assert "did worse" in " ".join(up.verdict())
    dearer = results(0.4, [0.3, 0.2], [], error=0.05)
    assert dearer.best() == 0, "what gets worse at its own task is not worth keeping"
    assert "surely worse in round 1 (error), round 2 (error)" in " ".join(dearer.verdict())
    same = results(0.4, [0.39, 0.39], [0.39, 0.39])
    assert "cannot be told apart" in " ".join(same.verdict())
