"""Benchmarks: the arithmetic of their ratios in closed form, and figures of tiny runs that must agree. No time is judged."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from benchmarks import common, pretrain, sim
from benchmarks.common import Entry, Options, alternate, entry, rate_ratio, time_ratio
from envs.snapshot import restore
from robolearn.cli import main
from robolearn.commands.bench import NAMES, table
from robolearn.errors import UsageError
from tests.learning_helpers import constant_policy
from tests.pairs import PAIRS, make_env

KEYS = {"name", "value", "unit", "against", "ratio"}


def test_ratios_are_taken_within_a_repetition() -> None:
    """A computer that is three times as slow in one repetition changes no ratio."""
    times = {"ours": [1.0, 3.0, 1.0], "theirs": [2.0, 6.0, 2.0]}
    assert time_ratio(times, "ours", "theirs") == 0.5
    assert rate_ratio(times, "ours", "theirs") == 2.0
    assert rate_ratio(times, "ours", "theirs", work=3.0) == 6.0
    assert entry("a", 123456.0, "x")["value"] == 123500.0


def test_things_that_are_compared_run_in_turns_and_the_first_turn_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.cumsum(np.arange(1.0, 200.0)))
    monkeypatch.setattr(common.time, "perf_counter", lambda: next(clock))
    calls: list[str] = []
    prepared: list[int] = []
    functions = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = alternate(functions, quick=True, before=lambda: prepared.append(len(calls)))
    assert calls == ["a", "b"] * 3
    assert prepared == list(range(6)), "before each run, outside its time"
    assert [len(values) for values in times.values()] == [2, 2]
    assert all(late > early for values in times.values() for early, late in pairwise(values))


def test_the_bare_engine_does_what_the_environment_does(tmp_path: Path) -> None:
    """It begins from the environment's own states, is told the targets that the same actions ask for, and steps as long."""
    env = make_env("go1-velocity-flat", num_worlds=3, num_threads=1, episode_s=1e6)
    state, actions = sim.policy_actions(env, constant_policy(tmp_path / "stand.onnx"), 4)
    restore(env, state)
    bare = sim.BareBatch(env)
    bare.follow()
    np.testing.assert_allclose(bare._live["qpos"], env.engine.qpos.numpy(), atol=1e-6)
    assert actions.shape == (4, 3, env.spec.action_dim)
    assert torch.equal(actions, torch.zeros_like(actions)), "those of the policy"
    targets = bare.targets(actions)
    np.testing.assert_allclose(targets, np.broadcast_to(env.default_pose.numpy(), targets.shape), atol=1e-6)
    before = bare._live["qpos"].copy()
    bare.run(targets)
    assert bare._live["time"][0] == pytest.approx(float(bare._theirs["time"][0]) + 4 * env.cfg.control_dt)
    assert np.abs(bare._live["qpos"] - before).max() > 1e-5


def test_what_sim_measures_is_chosen_by_name() -> None:
    assert sim.PAIRS == PAIRS
    assert list(sim.chosen(Options())) == list(PAIRS)
    assert sim.chosen(Options(task="panda-reach")) == {"panda-reach": ("reach", "panda")}
    assert sim.chosen(Options(task="reach", robot="panda")) == {"reach, panda": ("reach", "panda")}
    for wrong in (Options(task="reach"), Options(task="panda-reach", robot="go1")):
        with pytest.raises(UsageError, match="robot"):
            sim.chosen(wrong)


def test_the_table_shows_what_there_is() -> None:
    lines = table([entry("one", 12345.6, "steps/s", "bare", 0.5), entry("other name", None, "ms", "not installed")]).splitlines()
    assert lines == ["one            12,350 steps/s  = 0.5 x bare", "other name          - ms  (not installed)"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_bench_writes_figures_that_agree(name: str, tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    assert main(["bench", name, "--quick", "--json", str(target)]) == 0
    entries: list[Entry] = json.loads(target.read_text())
    assert len({(each["name"], each["against"]) for each in entries}) == len(entries) > 0
    by_name = {each["name"]: each for each in entries}
    for each in entries:
        assert set(each) == KEYS
        assert each["name"].startswith(f"{name}: ")
        value, ratio = each["value"], each["ratio"]
        assert value is not None
        assert math.isfinite(value)
        if ratio is not None:
            assert math.isfinite(ratio)
            assert ratio >= 0
            assert each["against"]
    CHECKS[name](by_name)


def _number(entries: dict[str, Entry], name: str, key: Literal["value", "ratio"] = "value") -> float:
    """A number that must be there."""
    value = entries[name][key]
    assert value is not None, name
    return value


def _values(entries: dict[str, Entry], part: str) -> list[float]:
    found = [each["value"] for name, each in entries.items() if part in name]
    assert found, part
    return [value for value in found if value is not None]


def _agrees(entries: dict[str, Entry], ours: str, theirs: str) -> None:
    """A ratio is of what stands beside it, but for what the computer did meanwhile."""
    found = _number(entries, ours) / _number(entries, theirs) / _number(entries, ours, "ratio")
    assert 1 / 5 < found < 5, ours


def _sim(entries: dict[str, Entry]) -> None:
    for pair in PAIRS:
        assert entries[f"sim: {pair}"]["against"] == sim.BARE
        _agrees(entries, f"sim: {pair}", f"sim: {pair}, {sim.BARE}")
    assert all(0 < value < 50 for value in _values(entries, "memory a world")), "MiB"


def _cameras(entries: dict[str, Entry]) -> None:
    for what in ("", ", looks and lens randomized"):
        looking = f"cameras: pixels to observation{what}"
        assert 0 < _number(entries, looking, "ratio") < 2, "of the renderer's kernel alone, which draws the same images"
        assert _number(entries, f"cameras: what overlap could save{what}") < 1


def _train(entries: dict[str, Entry]) -> None:
    own, bare = "train: whole teacher iterations", f"train: {sim.BARE}"
    assert _number(entries, own) < _number(entries, bare), "who also observes, rewards and learns is slower than the physics alone"
    _agrees(entries, own, bare)


def _policy(entries: dict[str, Entry]) -> None:
    for name in entries:
        if "ONNX Runtime step" in name and name.endswith("median"):
            assert _number(entries, name) <= _number(entries, name.replace("median", "p99"))
    (training,) = [name for name in entries if name.startswith("policy: training, ")]
    assert _number(entries, training, "ratio") > 0, "of what its matrix products alone take"


def _loop(entries: dict[str, Entry]) -> None:
    for rate in (50, 500):
        p50, p99, most = (_number(entries, f"loop: {rate} Hz, start-time error, {what}") for what in ("p50", "p99", "max"))
        assert 0 <= p50 <= p99 <= most
        (overruns,) = [name for name in entries if name.startswith(f"loop: {rate} Hz, overruns of")]
        ticks = int(overruns.split(" of ")[1].split()[0])
        assert 0 <= _number(entries, overruns) <= ticks
        assert ticks <= round(0.2 * rate) + 1, "no more ticks than fit into the time"
        work, inference = (_number(entries, f"loop: {rate} Hz, {what}, median") for what in ("a tick's work", "inference in it"))
        assert 0 < inference <= work


def _latency(entries: dict[str, Entry]) -> None:
    assert all(value > 0 for value in _values(entries, "latency: "))


def _faults(entries: dict[str, Entry]) -> None:
    (missed,) = [each for name, each in entries.items() if name.endswith("injected, missed")]
    assert missed["value"] == 0, "every fault above its threshold is answered"
    (trips,) = [each for name, each in entries.items() if name.endswith("below a threshold, false trips")]
    assert trips["value"] == 0


def _soak(entries: dict[str, Entry]) -> None:
    for part in ("ticks out of policy", "missed deadlines", "deadlines' drift"):
        assert all(value == 0 for value in _values(entries, part)), part
    for name in entries:
        if "difference of an action" in name:
            assert _number(entries, name, "ratio") <= 1, name


def _loader(entries: dict[str, Entry]) -> None:
    size = "transformer 16 x 1"
    assert entries["loader: windows of 16 steps"]["against"] == size
    _agrees(entries, "loader: windows of 16 steps", f"loader: training, {size}")


def _pretrain(entries: dict[str, Entry]) -> None:
    (plain,) = (name for name in entries if name.startswith(f"pretrain: {pretrain.PLAIN_MEDIUM}, "))
    for name in entries:
        if "next token in" in name:
            _agrees(entries, name, plain)  # of the two ratios under one name the last, which is to this one


CHECKS: dict[str, Any] = {
    "pretrain": _pretrain,
    "cameras": _cameras,
    "sim": _sim, "train": _train, "policy": _policy, "loader": _loader, "loop": _loop, "latency": _latency, "faults": _faults, "soak": _soak
}  # fmt: skip
