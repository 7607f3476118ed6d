"""Every entry of the table between lens and policy: its effect, measured in the pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from envs.terms import looks, optics
from envs.terms.term import EventTerm
from tests.envs.seeing import at_rest, pictures, seeing, view

EFFECTS: list[tuple[object, Callable[[], None]]] = []


def effect(term: object) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """What a test measures."""

    def mark(test: Callable[[], None]) -> Callable[[], None]:
        EFFECTS.append((term, test))
        return test

    return mark


def shown(*terms: EventTerm, worlds: int = 2, **values: object) -> np.ndarray:
    """What a camera shows of arms that are all in the default pose, float."""
    env = seeing(*terms, worlds=worlds, view=view(**values))
    at_rest(env)
    return pictures(env).astype(float)


@effect(optics.Exposure)
def a_stop_more_is_twice_the_light_until_it_is_white() -> None:
    plain = shown()
    np.testing.assert_allclose(shown(EventTerm(optics.Exposure, stops=(-1.0, -1.0))), plain / 2, atol=0.51)
    np.testing.assert_allclose(shown(EventTerm(optics.Exposure, stops=(1.0, 1.0))), np.minimum(2 * plain, 255), atol=0.51)


@effect(optics.ColorBalance)
def each_color_has_a_gain_of_its_own() -> None:
    plain = shown(worlds=4)
    gain = (shown(EventTerm(optics.ColorBalance, gain=(0.5, 0.9)), worlds=4) / np.maximum(plain, 1))[:, 12:].mean((1, 2))
    assert gain.min() > 0.48
    assert gain.max() < 0.92
    assert np.ptp(gain, axis=1).max() > 0.05
    assert np.ptp(gain, axis=0).max() > 0.05


@effect(optics.Blur)
def blur_takes_edges_and_keeps_the_light() -> None:
    plain, blurred = shown(height=48, width=48), shown(EventTerm(optics.Blur, sigma=(2.0, 2.0)), height=48, width=48)
    assert np.abs(np.diff(blurred, axis=2)).max() < 0.5 * np.abs(np.diff(plain, axis=2)).max()
    assert blurred.mean() == pytest.approx(plain.mean(), rel=0.02)


@effect(optics.Noise)
def noise_has_its_spread_and_is_new_in_each_picture() -> None:
    env = seeing(EventTerm(optics.Noise, spread=(0.04, 0.04)), view=view(height=48, width=48))
    at_rest(env)
    first = pictures(env).astype(float)
    at_rest(env)
    second = pictures(env).astype(float)
    assert (first - second).std() == pytest.approx(np.sqrt(2) * 0.04 * 255, rel=0.08)
    plain = shown(modality="depth")
    share = shown(EventTerm(optics.Noise, spread=(0.02, 0.02)), modality="depth", worlds=2) / np.maximum(plain, 1e-6) - 1
    assert share[plain > 0].std() == pytest.approx(0.02, rel=0.1)


@effect(optics.Jpeg)
def jpeg_is_coarser_the_lower_its_quality() -> None:
    plain = shown(height=64, width=64)
    off = [np.abs(shown(EventTerm(optics.Jpeg, quality=(q, q)), height=64, width=64) - plain).mean() for q in (95.0, 40.0, 8.0)]
    assert 0 < off[0] < off[1] < off[2] < 30


@effect(optics.DepthHoles)
def depth_has_holes_anywhere_and_most_of_what_shines() -> None:
    plain = shown(modality="depth", height=48, width=48)
    holes = shown(EventTerm(optics.DepthHoles, share=(0.1, 0.1), shiny=0.0), modality="depth", height=48, width=48)
    assert ((holes == 0) & (plain > 0)).mean() == pytest.approx(0.1 * (plain > 0).mean(), rel=0.25)
    np.testing.assert_array_equal(holes[holes > 0], plain[holes > 0])
    shine = EventTerm(looks.Textures, on=("robot",), shine=(0.9, 0.9), kinds=("noise",))
    env = seeing(shine, EventTerm(optics.DepthHoles, share=(0.0, 0.0), shiny=0.8), depth=view(modality="depth", height=48, width=48),
                 parts=view(modality="segmentation", height=48, width=48))  # fmt: skip
    at_rest(env)
    robot, gone = pictures(env, "parts") == 2, pictures(env, "depth") == 0
    assert gone[robot].mean() == pytest.approx(0.8, abs=0.1)
    assert gone[pictures(env, "parts") == 1].mean() < 0.05


@effect(optics.Late)
def pictures_come_later_by_so_many() -> None:
    """The picture of step t comes at t + 3; until the fourth there is the first."""
    on_time, late = (
        seeing(*terms, worlds=1, view=view(modality="depth", rate=25)) for terms in ((), (EventTerm(optics.Late, pictures=(3, 3)),))
    )
    want, got = [pictures(on_time)], [pictures(late)]
    for _ in range(12):
        for env, seen in ((on_time, want), (late, got)):
            env.step(torch.full((1, 7), 0.5))
            seen.append(pictures(env))
    for step in range(13):
        assert np.array_equal(got[step], want[max(0, 2 * (step // 2) - 6)]), step


@effect(optics.Lost)
def lost_pictures_leave_the_last_one() -> None:
    env = seeing(EventTerm(optics.Lost, share=(0.4, 0.4)), worlds=16, view=view(modality="depth", height=12, width=12))
    same, before = 0, pictures(env)
    for _ in range(20):
        env.step(torch.full((16, 7), 0.5))
        now = pictures(env)
        same += sum(np.array_equal(a, b) for a, b in zip(now, before, strict=True))
        before = now
    assert same / 320 == pytest.approx(0.4, abs=0.09)


@pytest.mark.parametrize("measure", [test for _, test in EFFECTS], ids=lambda test: test.__name__)
def test_effect(measure: Callable[[], None]) -> None:
    measure()


def test_every_entry_is_measured() -> None:
    there = {
        value
        for value in vars(optics).values()
        if getattr(value, "__module__", "") == optics.__name__ and getattr(getattr(value, "__about__", None), "needs", None) == "camera"
    }
    assert {term for term, _ in EFFECTS} == there


def test_an_effect_is_for_the_cameras_that_it_names() -> None:
    dark = EventTerm(optics.Exposure, on=("hand",), stops=(-2.0, -2.0))
    env = seeing(dark, hand=view("wrist"), room=view("outside"))
    plain = seeing(hand=view("wrist"), room=view("outside"))
    assert pictures(env, "hand").mean() < 0.3 * pictures(plain, "hand").mean()
    assert np.array_equal(pictures(env, "room"), pictures(plain, "room"))


@pytest.mark.parametrize(
    ("term", "told"),
    [
        (EventTerm(optics.Jpeg, quality=(0.0, 50.0)), "quality must lie between 1 and 100"),
        (EventTerm(optics.Late, pictures=(2, 99)), "pictures must lie between 0 and 30"),
        (EventTerm(optics.Lost, share=(0.5, 0.2)), "share must lie between 0 and 1, the lower first"),
        (EventTerm(optics.Noise, spread=(0.2, 0.1)), "give the lower one first"),
        (EventTerm(optics.Blur, sigma=(-1.0, 1.0)), "sigma must not be negative"),
    ],
)
def test_bounds_that_make_no_sense_are_told(term: EventTerm, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        seeing(term, view=view())
