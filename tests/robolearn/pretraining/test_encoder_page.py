"""The page of reconstructions in a real browser: every image is there, nothing is fetched, and nothing goes wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from robolearn import cli
from tests.chromium import CHROMIUM, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]
IMAGES = "[...document.querySelectorAll('.triple img')]"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    generator = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for index in range(30):
        picture = cv2.resize(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "pictures" / f"{index}.png"), picture)
    small = ["--encoder.iterations=2", "--encoder.updates=2", "--encoder.batch=8", "--encoder.held_out=0.5"]
    options = ["--images", str(folder / "pictures"), "--licence", "MIT", "--runs", str(folder)]
    assert cli.main(["pretrain", "encoder", *options, *small]) == 0
    return next((folder / "encoder-nano").iterdir())


def test_the_page_shows_all_pictures(run: Path, tmp_path: Path) -> None:
    with Browser((run / "reconstructions.html").as_uri(), tmp_path) as browser:
        browser.wait("document.readyState === 'complete'")
        assert browser.evaluate(f"{IMAGES}.length") == 3 * 15
        assert browser.wait(f"{IMAGES}.every(image => image.complete && image.naturalWidth === 64)")
        text = browser.text()
        assert "1.22 million parameters" in text
        assert "MIT" in text
        assert browser.evaluate("document.querySelectorAll('svg').length") == 1
        assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert not browser.errors


def test_the_strip_has_the_same_pictures(run: Path) -> None:
    strip = cv2.imread(str(run / "reconstructions.png"))
    assert strip is not None
    assert strip.shape == (2 * (4 * 64 + 3 * 2), 2 * (4 * (3 * 64 + 6) - 2), 3)
