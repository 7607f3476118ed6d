"""A picture of the live viewer's page in a real browser, for its documentation.

python -m tests.live_picture docs/pictures/live.webp [--size 1280x720] [--after 4] -- go1-velocity --command 0.6 0 0.5
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from policies.files import whole
from tests.chromium import CHROMIUM, Browser

SHOWN = "[...document.querySelectorAll('canvas')].every(c => c.style.opacity === '' || +c.style.opacity > 0.99)"
"""viser lets the scene appear slowly."""
CLOSE = "document.querySelectorAll('.mantine-Notification-closeButton').forEach(button => button.click())"
QUALITY = 80


@contextmanager
def live(*arguments: str) -> Iterator[str]:
    """`robolearn play ... --live` in a process of its own, its address; at the end, Ctrl-C ends it in order."""
    command = [sys.executable, "-m", "robolearn", "play", *arguments, "--live"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        yield next(line.split()[1] for line in process.stdout if line.startswith("open "))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()


def until(browser: Browser, seconds: float) -> None:
    """Wait until the simulation has come so far."""
    browser.wait(f"parseFloat((document.body?.innerText ?? '').match(/([0-9.]+) s ·/)?.[1] ?? 0) >= {seconds}")


def still(browser: Browser) -> None:
    """Pause, and wait until all of the scene is there: a browser without a GPU has no time for it while the robot moves."""
    browser.click("Pause")
    browser.wait(f"document.body.innerText.includes('paused') && {SHOWN}")
    browser.evaluate(CLOSE)
    browser.evaluate("new Promise(done => setTimeout(done, 1500))")


def main() -> None:
    """Make one picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--after", type=float, default=4.0, help="s of simulation")
    parser.add_argument("--choose", nargs=2, action="append", default=[], metavar=("LABEL", "OPTION"))
    parser.add_argument("play", nargs="+")
    args = parser.parse_args()
    if CHROMIUM is None:
        print(f"there is no Chromium here: {args.out} stays as it is")
        return
    width, height = map(int, args.size.split("x"))
    with live(*args.play, "--port", "18490") as url, tempfile.TemporaryDirectory() as folder:
        with Browser(url, Path(folder) / "profile", width, height, patience_s=300.0) as browser:
            until(browser, args.after)
            for label, option in args.choose:
                browser.choose(label, option)
                browser.wait("!document.body.innerText.includes('loading')")
                until(browser, args.after)
            still(browser)
            picture = browser.picture()
        encoded = cv2.imencode(args.out.suffix, picture[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1]
        with whole(args.out) as temporary:
            temporary.write_bytes(encoded.tobytes())
        print(args.out, len(encoded), "bytes")


if __name__ == "__main__":
    main()
