"""Every benchmark runs at tiny sizes and gives the documented form. No figure is judged here."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from robolearn.cli import main
from robolearn.commands.bench import NAMES

KEYS = {"name", "value", "unit", "against", "ratio"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_bench_writes_its_form(name: str, tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    assert main(["bench", name, "--quick", "--json", str(target)]) == 0
    entries = json.loads(target.read_text())
    assert entries
    for entry in entries:
        assert set(entry) == KEYS
        assert math.isfinite(entry["value"])
        assert entry["ratio"] is None or (math.isfinite(entry["ratio"]) and entry["against"])
