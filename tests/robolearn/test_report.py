"""The HTML report: whole, self-contained, and honest about what was not run."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from robolearn.report import opening, plots
from robolearn.report import page as report
from robolearn.report.page import ReportData, Target, number, write_report
from tests.results import result

SECTIONS = ("video", "summary", "learning", "tracking", "evaluation", "loop", "ros", "provenance")
VOID = {"meta", "link", "br", "hr", "img", "source", "input", "path", "use", "rect", "circle", "line", "image"}


class Page(HTMLParser):
    """Checks nesting and collects ids, addresses and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.sections: dict[str, str] = {}
        self._section = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if "id" in values:
            self.ids.append(str(values["id"]))
        self.addresses += [str(v) for k, v in attrs if k in ("href", "src", "xlink:href", "srcset", "data", "action", "poster")]
        if tag == "section":
            self._section = str(values["id"])
            self.sections[self._section] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._section:
            self.sections[self._section] += data


def evaluation(engine: str, survival: float) -> dict:
    figures = {"velocity_error_xy": (0.123, 0.1, 0.15), "velocity_error_yaw": (0.2, 0.1, 0.3), "cost_of_transport": 0.5}
    return result(episodes=90, survival=(survival, survival - 0.05, survival), **figures).to_dict() | {"engine": engine}


@pytest.fixture
def full(tmp_path: Path) -> ReportData:
    curves = {}
    for name in ("teacher", "student"):
        curves[name] = tmp_path / f"{name}.jsonl"
        rows = [
            {"iteration": i, "steps": 1000 * i, "minutes": i / 60, "reward": i * 0.01, "velocity_error_xy": 1 / (i + 1)} for i in range(50)
        ]
        curves[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    video = tmp_path / "play.mp4"
    video.write_bytes(b"0123456789")
    time_s = np.arange(100) * 0.02
    tracked = result(velocity_error_xy=0.1234).to_dict()["figures"]
    series = {"time_s": time_s, "labels": ["vx", "vy", "yaw_rate"], "command": np.ones((100, 3)), "measured": np.zeros((100, 3))}
    return ReportData(
        title="A & B <walks>",
        summary="What came of it.",
        targets=[
            Target(name="time", target="8 min", reached="7 min", passed=True),
            Target(name="x", target="1", reached="2", passed=False),
        ],
        curves=curves,
        metrics={"velocity_error_xy": "planar velocity error [m/s]"},
        tracking=series | {"units": ["m/s", "m/s", "rad/s"], "figures": tracked, "falls": 2},
        evaluations={"training": evaluation("mujoco", 0.98), "precise": evaluation("precise", 0.91)},
        deployable=False,
        loop=[{"name": "p99 jitter", "value": 87.5, "unit": "us", "against": "period", "ratio": 0.0044}],
        jitter_us=list(np.random.default_rng(0).gamma(2, 10, 1000)),
        ros={"stayed_up": True, "timing": {"overruns": 3}},
        ros_tracking=series,
        minutes={"teacher": 7.0, "student": 4.5},
        provenance={"git_commit": "abc123", "seeds": [0, 1], "config": "a: 1\nb: 2\n"},
        video=video,
    )


def page_of(data: ReportData, folder: Path) -> tuple[str, Page]:
    path = write_report(folder, data)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_a_full_report_has_every_part(full: ReportData, tmp_path: Path) -> None:
    text, page = page_of(full, tmp_path / "out")
    assert tuple(page.sections) == SECTIONS
    assert "not run" not in text
    assert "A &amp; B &lt;walks&gt;" in text
    for section, wanted in {
        "summary": ("7 min", "✓ met", "✗ missed", "11.5 min"),
        "learning": ("teacher", "student", "planar velocity error [m/s]", "million control steps"),
        "tracking": ("vx [m/s]", "yaw rate [rad/s]", "planar velocity error 0.123 m/s", "Falls: 2"),
        "evaluation": ("98.0", "91.0", "86.0 to 91.0", "0.123", "0.100 to 0.150", "✗ not deployable"),
        "loop": ("p99 jitter", "87.5", "0.0044", "median"),
        "ros": ("stayed up", "yes", "timing.overruns", "3"),
        "provenance": ("abc123", "a: 1"),
    }.items():
        for piece in wanted:
            assert piece in page.sections[section], f"{piece!r} is missing in {section}"
    assert "goals reached" not in page.sections["evaluation"]
    assert text.count("<svg") == 4
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


def test_it_opens_with_the_verdict_and_three_numbers(full: ReportData, tmp_path: Path) -> None:
    text, page = page_of(full, tmp_path / "out")
    assert text.index("Not deployable: the policy file did not pass the gate.") < text.index("<section")
    assert all(piece in page.sections["video"] for piece in ("98.0 %", "91.0 %", "0.123 m/s"))
    passed = page_of(dataclasses.replace(full, deployable=True), tmp_path / "other")[0]
    assert "Deployable: the policy file passed the gate. 1 of the 2 targets was missed: targets ask for more than the gate does." in passed
    met = [line for line in full.targets if line.passed]
    assert "and all targets were met" in page_of(dataclasses.replace(full, deployable=True, targets=met), tmp_path / "third")[0]


def test_columns_that_nothing_fills_are_left_out(full: ReportData, tmp_path: Path) -> None:
    assert "against" in page_of(full, tmp_path / "out")[1].sections["loop"]
    bare = dataclasses.replace(full, loop=[{"name": "overruns", "value": 0, "unit": "", "against": None, "ratio": None}])
    loop = page_of(bare, tmp_path / "other")[1].sections["loop"]
    assert "against" not in loop
    assert "ratio" not in loop


def test_the_poster_is_a_picture_out_of_the_video(tmp_path: Path) -> None:
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for shade in range(0, 200, 20):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    address = opening.poster(tmp_path / "v.avi")
    assert address.startswith("data:image/jpeg;base64,")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert 40 <= picture.mean() <= 80  # the fourth of ten
    assert opening.poster(tmp_path / "none.mp4") == ""


def test_an_empty_report_says_of_each_part_that_it_was_not_run(tmp_path: Path) -> None:
    _, page = page_of(ReportData(title="nothing"), tmp_path)
    assert tuple(page.sections) == SECTIONS
    assert all("not run" in content for content in page.sections.values())


@pytest.mark.parametrize("filled", [True, False])
def test_the_page_needs_nothing_else(filled: bool, full: ReportData, tmp_path: Path) -> None:
    text, page = page_of(full if filled else ReportData(title="t"), tmp_path)
    assert not re.search(r"https?:|//[a-z]+\.|@import|<script|<link", text)
    assert all(address.startswith(("#", "data:video/mp4;base64,")) for address in page.addresses)
    assert str(tmp_path) not in text
    inner = {address[1:] for address in page.addresses if address.startswith("#")} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert inner <= set(page.ids), f"point nowhere: {sorted(inner - set(page.ids))[:5]}"
    assert set(SECTIONS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"


def test_a_large_video_stands_beside_the_page(full: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "EMBEDDED_VIDEO_BYTES", 5)
    text, page = page_of(full, tmp_path / "out")
    assert "play.mp4" in page.addresses
    assert (tmp_path / "out" / "play.mp4").read_bytes() == b"0123456789"
    assert "data:video" not in text


def test_a_metrics_file_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"iteration": 1, "reward": 0.5}\n{"iteration": 2, "reward": 0.6, "kl": 1}\n{"iteration": 3, "rew')
    columns = plots.read_metrics(path)
    np.testing.assert_array_equal(columns["reward"], [0.5, 0.6])
    np.testing.assert_array_equal(columns["kl"], [np.nan, 1.0])


def test_smoothing_keeps_length_and_constants() -> None:
    for count in (1, 2, 49, 50, 500):
        np.testing.assert_allclose(plots.smooth(np.full(count, 3.0)), np.full(count, 3.0))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (3, "3"), (12345.6, "12\u202f346"), (0.012345, "0.0123"), ("x", "x"), (-1e6, "-1\u202f000\u202f000")],
)
def test_numbers_for_people(value: object, text: str) -> None:
    assert number(value) == text
