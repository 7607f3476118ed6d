"""A real browser for tests: Chromium without a window, driven by its DevTools protocol over a web socket."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
"""Where it is; None where there is none."""
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--remote-debugging-port=0",
)


class Browser:
    """One page. Used as a context manager.

    Attributes:
        errors: what the page threw and did not catch.
    """

    def __init__(self, url: str, folder: Path, width: int = 1500, height: int = 1000, patience_s: float = 30.0) -> None:
        """Open `url` in a fresh profile under `folder`."""
        from websockets.sync.client import connect

        assert CHROMIUM is not None
        self._patience_s = patience_s
        self.errors: list[str] = []
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port_file = folder / "DevToolsActivePort"
            self._until(lambda: port_file.is_file() and len(port_file.read_text().split()) > 1, "a browser")
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=patience_s) as answer:
                target = next(item for item in json.load(answer) if item["type"] == "page")
            self._socket = connect(target["webSocketDebuggerUrl"], max_size=None, ping_interval=None)
            self._number = 0
            self._call("Runtime.enable")
            self._call("Page.enable")
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self._call("Emulation.setDeviceMetricsOverride", **metrics)
            self._call("Page.navigate", url=url)
        except BaseException:
            self._process.kill()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        result = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script: str) -> Any:
        """Until an expression is true; its value."""
        return self._until(lambda: self.evaluate(script), script)

    def text(self) -> str:
        """What stands on the page."""
        return self.evaluate("document.body?.innerText ?? ''")

    def click(self, text: str) -> None:
        """Press the first button that contains a text."""
        self.wait(f"{_button(text)} !== undefined")
        self.evaluate(f"{_button(text)}.click()")

    def choose(self, label: str, option: str) -> None:
        """Open the dropdown beside a label and take one of its options."""
        self.wait(f"{_input(label)} !== undefined")
        self.evaluate(f"{_input(label)}.click()")
        self.wait(f"{_option(option)} !== undefined")
        self.evaluate(f"{_option(option)}.click()")

    def press(self, script: str, right: float = 0.5) -> None:
        """Press the mouse on an element that a script finds, `right` being the share of its width from its left."""
        self.wait(f"!!({script})")
        box = self.evaluate(f"(r => [r.x, r.y, r.width, r.height])(({script}).getBoundingClientRect())")
        place = {"x": box[0] + right * box[2], "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, **place)

    def type(self, label: str, text: str) -> None:
        """Write into the field beside a label, in place of what is there."""
        self.wait(f"{_input(label)} !== undefined")
        self.evaluate(f"(field => {{ field.focus(); field.select(); }})({_input(label)})")
        if text:
            self._call("Input.insertText", text=text)
        else:
            self._call("Input.dispatchKeyEvent", type="keyDown", key="Backspace", code="Backspace", windowsVirtualKeyCode=8)

    def picture(self) -> np.ndarray:
        """What is to be seen, (H, W, 3) uint8 RGB."""
        return cv2.imdecode(np.frombuffer(self._shot(), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].copy()  # type: ignore[index]

    def screenshot(self, path: Path) -> Path:
        """Write what is to be seen, as PNG."""
        path.write_bytes(self._shot())
        return path

    def _shot(self) -> bytes:
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=self._patience_s))
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"])[:500])
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def _until(self, condition: Any, what: str) -> Any:
        end = time.monotonic() + self._patience_s
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.1)
        raise AssertionError(f"waited {self._patience_s:g} s for {what}")


def _button(text: str) -> str:
    return f"[...document.querySelectorAll('button')].find(b => b.innerText.includes({json.dumps(text)}))"


def _input(label: str) -> str:
    """The field of a label: by its id, or the first in the nearest surroundings of the label that have one."""
    labels = f"[...document.querySelectorAll('label')].find(l => l.innerText === {json.dumps(label)})"
    around = "for (let e = label; e; e = e.parentElement) if (e.querySelector('input')) return e.querySelector('input')"
    body = f"if (!label) return undefined; const own = document.getElementById(label.htmlFor); if (own) return own; {around}"
    return f"((label) => {{ {body} }})({labels})"


def _option(text: str) -> str:
    return f"[...document.querySelectorAll('[role=option]')].find(o => o.offsetParent && o.innerText.includes({json.dumps(text)}))"
