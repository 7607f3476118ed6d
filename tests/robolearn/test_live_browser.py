"""The live viewer in a real browser: what people see, and what happens when they press something."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.chromium import CHROMIUM, Browser
from tests.live_picture import live, still, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]
WIDTH, HEIGHT = 1280, 720
SCENE = slice(0, 900)
"""Columns of the page left of the panel."""
VISIBLE = "[...document.querySelectorAll('label')].filter(l => l.offsetParent).map(l => l.innerText)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pytest.importorskip("mjviser")
    folder = tmp_path_factory.mktemp("live")
    with live("go1-velocity", "--port", "18480") as url, Browser(url, folder / "profile", WIDTH, HEIGHT, patience_s=120.0) as browser:
        until(browser, 1.0)
        yield browser
        assert not browser.errors


def says(browser: Browser, text: str) -> None:
    browser.wait(f"document.body.innerText.includes({text!r})")


def test_ground_and_sky_are_apart_and_the_robot_stands_out(browser: Browser) -> None:
    still(browser)
    picture = browser.picture().astype(int)
    sky, ground = picture[20, 300:500].mean(axis=0), picture[HEIGHT - 20, SCENE].mean(axis=0)
    assert sky[2] > sky[0] + 15, "the sky is blue"
    assert sky.mean() > ground.mean() + 40
    middle = picture[200:620, 150:800]
    stands_out = (np.abs(middle - ground).max(axis=2) > 60).mean()
    assert 0.05 < stands_out < 0.8, "a robot, large"
    green = (picture[..., 1] > picture[..., 0] + 40) & (picture[..., 1] > picture[..., 2] + 30)
    assert green[100:500, 200:800].sum() > 200, "the arrow of the command"
    browser.click("Go on")


def test_the_policy_is_named_once_and_numbers_have_units(browser: Browser) -> None:
    text = browser.text()
    assert "robot go1, task velocity-rough" in text
    assert text.count("go1-velocity") == 1
    for part in ("forward [m/s]", "turn left [rad/s]", "command", "measured", "0.4 m for 1 m/s. Arcs: turning."):
        assert part in text, part
    large = browser.evaluate(
        """[...document.querySelectorAll('.mantine-Button-root')].filter(b => b.offsetParent && b.getBoundingClientRect().height)
            .map(b => [b.innerText, b.dataset.variant ?? 'filled'])"""
    )
    assert [name for name, variant in large if variant == "filled"] == ["Zero command"], "one primary button"
    overlap = browser.evaluate(
        """[...document.querySelectorAll('label')].filter(l => l.offsetParent).flatMap(l => {
            const label = l.getBoundingClientRect();
            return [...document.querySelectorAll('.mantine-Slider-root')].map(s => s.getBoundingClientRect())
                .filter(s => s.left < label.right && label.left < s.right && s.top < label.bottom && label.top < s.bottom)
                .map(() => l.innerText);
        })"""
    )
    assert overlap == [], "labels are clear of the sliders"


def test_zero_command_stops_it(browser: Browser) -> None:
    says(browser, "+0.60")
    browser.click("Zero command")
    browser.wait("/forward\\s+\\+0\\.00/.test(document.body.innerText)")


def test_ground_and_policy_are_chosen_in_the_page(browser: Browser) -> None:
    assert "Difficulty" not in browser.evaluate(VISIBLE)
    browser.choose("Ground", "steps_up")
    browser.wait(f"{VISIBLE}.includes('Difficulty')")
    until(browser, 0.5)
    browser.choose("Policy", "panda-reach")
    says(browser, "Random goal")
    says(browser, "robot panda")
    assert not {"Ground", "Difficulty"} & set(browser.evaluate(VISIBLE))
    until(browser, 0.5)
    browser.click("Random goal")
    assert browser.evaluate("document.body.innerText.includes('Sphere: the goal')")
