"""The tutorial is true: its commands run in its order, made small, and print the lines that it shows, numbers and times aside."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from robolearn import cli
from robolearn.learning.export import gate
from tests.learning_helpers import TINY
from tests.test_documentation import blocks

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/tutorial.md"
SMALL = {
    "train": [*TINY, "--env.episode_s=1.0", "--teacher.iterations=2", "--student.iterations=2"],
    "distill": [],
    "export": ["--seeds", "1"],
    "evaluate": ["--seconds", "1.2"],
    "config": [],
}
"""Commands that are run, with what makes them small; others are taken apart by tests/test_documentation.py."""
ONCE = ("robolearn train go1-velocity-flat --env.rewards.gait.swing_height=0.1",)
"""Trains as before, under another reward."""


def steps() -> list[tuple[list[str], list[str]]]:
    """Commands, and the lines that are shown after them; several commands share what follows in order."""
    found: list[tuple[list[str], list[str]]] = []
    waiting: list[list[str]] = []
    for block in blocks(PAGE):
        if block.language == "bash":
            waiting = []
            for line in block.text.splitlines():
                found.append((shlex.split(line, comments=True), []))
                waiting.append(found[-1][1])
        elif block.language == "text":
            waiting.pop(0).extend(block.text.splitlines())
    return found


def pattern(line: str) -> re.Pattern[str]:
    """A line of the tutorial with any numbers, times and run folders in place of its own, and any spaces."""
    parts = re.split(r"(\.\.\.|\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d|\d[\d ]*(?:\.\d+)?(?:e-?\d+)?)", line)
    anything = {"...": r".*"}
    made = "".join(
        anything.get(
            part, r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\S*?" if "_" in part and i % 2 else r"[-+\d][-+\d .e]*" if i % 2 else _loose(part)
        )
        for i, part in enumerate(parts)
    )
    return re.compile(made + r"\s*")


def _loose(text: str) -> str:
    return r"\s*".join(re.escape(word) for word in re.split(r"\s+", text))


def test_every_step_shows_what_it_prints() -> None:
    shown = {" ".join(command[:3]) for command, lines in steps() if lines}
    assert {command.split()[1] for command in shown} == set(SMALL)


@pytest.mark.parametrize(
    ("line", "printed", "same"),
    [
        ("minutes   3.2 min", "  minutes             0.01 min", True),
        ("steps 2 703 360", "steps   128", True),
        ("reward ...", "reward -1e-05", True),
        ("run: runs/a/2026-11-30_10-15-02", "run: runs/a/2027-01-02_03-04-05_2", True),
        ("deployable: yes", "deployable: no: poor", False),
        ("survival 1.000 [0.921, 1.000]", "survival 0.5 [0.1, 0.9]", True),
        ("survival 1.000 [0.921, 1.000]", "survival -", False),
    ],
)
def test_lines_are_the_same_but_for_their_numbers(line: str, printed: str, same: bool) -> None:
    assert bool(pattern(line).fullmatch(printed.strip())) == same


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("robolearn.evaluation.gate.shortcomings", lambda training, precise: [])  # a tiny training walks nowhere
    monkeypatch.setattr(gate, "__defaults__", (1, 1.2))  # seeds, seconds
    for command, lines in steps():
        assert command[0] == "robolearn"
        if command[1] not in SMALL or shlex.join(command) in ONCE or "--transport" in command:
            continue
        capsys.readouterr()
        code = cli.main([*command[1:], *SMALL[command[1]]])
        out, err = capsys.readouterr()
        assert code == 0, (command, out, err)
        printed = [line.strip() for line in out.replace(f"{ROOT}/", "").splitlines()]
        at = -1
        for line in lines:
            wanted = pattern(line.strip())
            found = [i for i, real in enumerate(printed) if i > at and wanted.fullmatch(real)]
            assert found, f"{shlex.join(command)} does not print {line!r} after {printed[at]!r}:\n{out}"
            at = found[0]


def test_it_is_the_first_page_of_the_documentation() -> None:
    first = re.search(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/README.md").read_text(encoding="utf-8"))
    assert first is not None
    assert first[1] == "tutorial.md"
