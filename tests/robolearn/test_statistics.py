"""Intervals against published values and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.evaluation.statistics import bootstrap_mean, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (95, 100, 0.8882, 0.9785),
        (15, 148, 0.0624, 0.1605),  # Newcombe 1998, table I, method 3
        (1, 29, 0.0061, 0.1718),
        (0, 20, 0.0, 0.1611),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilson_against_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500), st.data())
def test_wilson_holds_its_share_and_mirrors(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert low < high
    mirrored = wilson(trials - successes, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)
    assert wilson(10 * successes, 10 * trials)[1] - wilson(10 * successes, 10 * trials)[0] < high - low


def test_wilson_without_trials_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_wilson_covers(share: float) -> None:
    rng = np.random.default_rng(0)
    draws = rng.binomial(90, share, 2000)
    covered = np.mean([low <= share <= high for low, high in (wilson(int(k), 90) for k in draws)])
    assert 0.925 <= covered <= 0.98


def test_bootstrap_covers_the_mean_of_a_skewed_quantity() -> None:
    rng = np.random.default_rng(1)
    covered = np.mean([low <= 1.0 <= high for low, high in (bootstrap_mean(rng.exponential(1.0, 60), 400) for _ in range(300))])
    assert 0.88 <= covered <= 0.98


def test_bootstrap_agrees_with_the_normal_interval_and_repeats() -> None:
    values = np.random.default_rng(2).normal(3.0, 2.0, 400)
    half = 1.96 * values.std(ddof=1) / 20
    assert bootstrap_mean(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    assert bootstrap_mean(values) == bootstrap_mean(values)


def test_bootstrap_of_few() -> None:
    assert bootstrap_mean(np.array([2.5])) == (2.5, 2.5)
    assert bootstrap_mean(np.array([])) == (0.0, 0.0)
    assert bootstrap_mean(np.array([1.0, 1.0])) == (1.0, 1.0)
