"""The page that shows datasets in a real browser: what people see, and what happens when they press something.

`ROBOLEARN_SCREENSHOTS=FOLDER` keeps pictures of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.chromium import CHROMIUM, Browser
from tests.robolearn.data.showing import dataset, strangers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]
CHARTS = "Object.values(window.__viserTestpoints?.uplots ?? {}).map(item => item.chart)"
TRACK = "document.querySelectorAll('.mantine-Slider-track')[0]"
BRIGHT = """(image => {
    if (!image || !image.complete || !image.naturalWidth) return null;
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const row = context.getImageData(0, canvas.height / 2, canvas.width, 1).data;
    const found = [...Array(canvas.width).keys()].filter(at => row[4 * at] > 200 && row[4 * at + 2] < 120);
    return found.length ? found.reduce((a, b) => a + b) / found.length : null;
})(IMAGE)"""
"""Where in a picture the bar stands [pixels]; null where there is none."""
MIDDLE = (slice(200, 800), slice(480, 980))
"""Where the robots are on a page of 1500 x 1000 pixels."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mjviser")
    return tmp_path_factory.mktemp("show")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    """The page of two datasets; at the end, Ctrl-C ends the server in order."""
    paths = [str(dataset(folder / "made")), str(strangers(folder / "strangers"))]
    command = [sys.executable, "-m", "robolearn", "data", "show", *paths, "--port", "18460"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        url = next(line.split()[1] for line in process.stdout if line.startswith("open "))
        with Browser(url, folder / "profile") as browser:
            browser.wait(
                "(document.body?.innerText ?? '').includes('nothing to say') || (document.body?.innerText ?? '').includes('note empty')"
            )
            yield browser
            assert not browser.errors
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()


def keep(browser: Browser, folder: Path, name: str) -> None:
    where = Path(os.environ.get("ROBOLEARN_SCREENSHOTS", folder))
    where.mkdir(parents=True, exist_ok=True)
    browser.screenshot(where / f"{name}.png")


def says(browser: Browser, text: str) -> None:
    browser.wait(f"document.body.innerText.includes({text!r})")


def show_alone(browser: Browser, name: str) -> None:
    if "Show the first alone" in browser.text():
        browser.click("Show the first alone")
        browser.wait("!document.body.innerText.includes('Show the first alone')")
    browser.click(name)
    browser.evaluate("new Promise(done => setTimeout(done, 800))")  # widgets that are drawn anew meanwhile lose a click


def moved(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the pixels in the middle that changed."""
    return float((np.abs(before[MIDDLE].astype(int) - after[MIDDLE]).max(axis=2) > 30).mean())


def test_the_list_tells_source_licence_and_flags(browser: Browser, folder: Path) -> None:
    says(browser, "made 1 · 1 fault · log go1 · LicenseRef-own · 2.4 s")
    says(browser, "made 2 · no faults · mocap go1 · CC-BY-NC-4.0 · 1.6 s")
    says(browser, "page 1 of 2; 16 of 16 episodes")
    says(browser, "no robot 'nobody knows it' is known here")
    says(browser, "<i>circle</i>")
    keep(browser, folder, "list")
    browser.type("Find", "nc-4")
    says(browser, "1 of 16 episodes")
    browser.type("Find", "")
    says(browser, "16 of 16 episodes")


def test_the_robot_moves_when_it_is_played_and_stands_when_it_is_not(browser: Browser, folder: Path) -> None:
    show_alone(browser, "made 0")
    browser.choose("Speed", "0.5")
    still = browser.picture()
    browser.click("Play")
    browser.wait("/first row [3-9][0-9] /.test(document.body.innerText)")
    browser.click("Pause")
    says(browser, "Play")
    after = browser.picture()
    assert moved(still, after) > 0.002, "nothing moves"
    row = browser.evaluate("document.body.innerText.match(/first row (\\d+)/)[1]")
    browser.evaluate("new Promise(done => setTimeout(done, 700))")
    assert browser.evaluate("document.body.innerText.match(/first row (\\d+)/)[1]") == row
    assert moved(after, browser.picture()) < 0.002, "it moves though it is paused"
    keep(browser, folder, "played")


def test_gaps_are_grey_in_the_series_and_the_slider_leads_into_them(browser: Browser, folder: Path) -> None:
    show_alone(browser, "made 0")
    browser.choose("Term", "action")
    browser.wait(f"{CHARTS}.length === 1 && {CHARTS}[0].data.at(-2).includes(1)")
    chart = f"{CHARTS}[0]"
    pixel = (
        "((chart, at) => [...chart.ctx.getImageData(Math.round(chart.valToPos(at, 'x', true)), Math.round(chart.bbox.top + 5), 1, 1).data])"
        f"({chart}, %s)"
    )
    browser.wait(f"{pixel % 1.5}[0] === 222")
    assert browser.evaluate(pixel % 1.5)[:3] == [222, 222, 222], "no gap is drawn"
    assert browser.evaluate(pixel % 2.2)[:3] != [222, 222, 222], "a gap where there is none"
    browser.press(TRACK, 0.5)
    says(browser, "(base not known)")
    now = f"(chart => chart.data[0][[...chart.data.at(-1)].indexOf(1)])({chart})"
    assert 1.2 <= browser.wait(f"(at => at > 1 && at)({now})") < 1.8
    says(browser, "80\u00a0%")
    keep(browser, folder, "gap")


def test_pictures_go_with_the_time(browser: Browser, folder: Path) -> None:
    show_alone(browser, "made 0")
    says(browser, "first: observation.images.front")
    image = "[...document.querySelectorAll('img')].find(i => i.src.startsWith('blob:') || i.src.startsWith('data:image/jpeg'))"
    bright = BRIGHT.replace("IMAGE", image)
    for share in (0.3, 0.9, 0.5):
        browser.press(TRACK, share)
        browser.wait(f"(at => at !== null && Math.abs(at - {80 * share + 8}) < 6)({bright})")
    keep(browser, folder, "camera")


def test_two_episodes_stand_side_by_side(browser: Browser, folder: Path) -> None:
    show_alone(browser, "made 2")
    says(browser, "first row 0 of 80")
    alone = browser.picture()
    browser.choose("Show as", "second")
    browser.click("made 1")
    says(browser, "second row 0 of 120")
    browser.wait(f"{CHARTS}.length === 2")
    browser.evaluate("new Promise(done => setTimeout(done, 1500))")
    both = browser.picture()
    orange = (both[MIDDLE][..., 0].astype(int) - both[MIDDLE][..., 2]) > 50
    assert orange.mean() > 0.004, "the second robot is not there"
    assert moved(alone, both) > 0.004
    ends = browser.evaluate(f"{CHARTS}.map(chart => chart.scales.x.max)")
    assert ends == pytest.approx([2.4, 2.4]), "both have the time of the longer one"
    browser.click("on")
    keep(browser, folder, "two")
    browser.choose("Show as", "first")
