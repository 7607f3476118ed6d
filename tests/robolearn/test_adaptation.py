"""The suite of changes: figures against errors whose answer is known, probes against what is there, and the command as small as it goes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from policies.networks.mlp import MlpCfg
from policies.networks.recurrent import LstmCfg
from policies.networks.registry import make_network
from policies.networks.transformer import TransformerCfg
from robolearn import cli
from robolearn.errors import UsageError, UserError
from robolearn.evaluation.actors import Actor, StudentActor
from robolearn.evaluation.adaptation import study as adaptation_study
from robolearn.evaluation.adaptation import suite as adaptation_suite
from robolearn.evaluation.adaptation.figures import LABELS, UNITS, curve, measured, over_seeds, smooth
from robolearn.evaluation.adaptation.kinds import KINDS
from robolearn.evaluation.adaptation.probe import POLICY, RANDOM, RAW, Heads, Listener, again, judged
from robolearn.evaluation.adaptation.suite import UNCHANGED, chosen
from robolearn.evaluation.adaptation.trial import COMMANDS, Trial, commands, run
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.evaluation.locomotion.training import setup_of_training
from robolearn.evaluation.statistics import t_interval
from robolearn.learning.run import Run
from robolearn.learning.trainer import save
from tests.learning_helpers import make_trainer, tiny_cfg

DT = 0.02
AT, STEPS, WORLDS = 200, 500, 40


def trial_of(error: np.ndarray, alive: np.ndarray | None = None) -> Trial:
    """A trial with these planar errors (T, N)."""
    lived = np.ones(error.shape, bool) if alive is None else alive
    nothing = np.zeros((error.shape[1], 1))
    return Trial(dt=DT, at=AT, planar=error, yaw=0.5 * error, alive=lived, value=nothing, changed=nothing > 0)


def jump(after: float, back_s: float, noise: float = 0.0) -> np.ndarray:
    """0.1 m/s, then `after` for `back_s`, then 0.1 again."""
    error = np.full((STEPS, WORLDS), 0.1)
    error[AT : AT + round(back_s / DT)] = after
    return error + noise * np.random.default_rng(0).standard_normal((1, WORLDS))


def number(value: float | None) -> float:
    assert value is not None
    return value


# figures -----------------------------------------------------------------------------------------------------------------


def test_a_running_mean_ends_where_it_stands() -> None:
    error = np.random.default_rng(1).random((60, 3))
    found = smooth(error, DT)
    for t in (0, 5, 24, 25, 59):
        np.testing.assert_allclose(found[t], error[max(0, t - 24) : t + 1].mean(0))


@pytest.mark.parametrize("back_s", [1.0, 3.0])
def test_a_policy_is_back_when_its_error_is_and_stays(back_s: float) -> None:
    """The error of the last half second is within a fifth of 0.1 once no more than a tenth of it is of the jump to 0.3."""
    found = measured(trial_of(jump(0.3, back_s)))
    assert found["before"].value == pytest.approx(0.1)
    assert found["peak"].value == pytest.approx(0.3)
    assert found["soon"].value == pytest.approx(0.1 if back_s < 1.5 else 0.3)
    assert found["later"].value == pytest.approx(0.1)
    assert found["later_ratio"].value == pytest.approx(1.0)
    assert found["back_s"].value == pytest.approx(back_s + 0.9 * 0.5, abs=2 * DT)
    assert found["yaw_later"].value == pytest.approx(0.05)


def test_who_does_not_come_back_has_no_time_for_it() -> None:
    found = measured(trial_of(jump(0.3, 99.0)))
    assert found["back_s"].value is None
    assert found["later_ratio"].value == pytest.approx(3.0)
    assert measured(trial_of(jump(0.11, 99.0)))["back_s"].value == 0.0


def test_intervals_hold_the_figures_and_shrink_with_the_noise() -> None:
    wide, narrow = (measured(trial_of(jump(0.3, 1.0, noise))) for noise in (0.04, 0.01))
    for name in ("before", "peak", "later"):
        widths = []
        for found in (wide, narrow):
            low, value, high = (number(part) for part in (found[name].low, found[name].value, found[name].high))
            assert low <= value <= high
            widths.append(high - low)
        assert widths[0] > 2 * widths[1]


def test_who_fell_before_the_change_is_not_counted() -> None:
    error = jump(0.1, 0.0)
    error[:, :10] = 5.0
    alive = np.ones(error.shape, bool)
    alive[50:, :10] = False  # before the change
    alive[AT + 20 :, 10:20] = False
    found = measured(trial_of(error, alive))
    assert found["before"].value == pytest.approx(0.1)
    assert found["survival"].value == pytest.approx(2 / 3)
    assert found["survival"].count == 30


def test_seeds_are_put_together_with_students_interval() -> None:
    figures = [
        {"later": Figure(value, 0.0, 1.0, 64), "back_s": Figure(end, 0.0, 1.0, 64)} for value, end in ((1.0, 2.0), (2.0, None), (3.0, 1.0))
    ]
    found = over_seeds(figures)
    assert found["later"].value == pytest.approx(2.0)
    assert found["later"].high == pytest.approx(2.0 + 4.303 / np.sqrt(3), rel=1e-3)
    assert found["back_s"].value is None  # one of them never came back
    assert t_interval(np.array([1.0])) == (None, None)
    together = curve([trial_of(jump(0.3, 1.0) * scale) for scale in (0.9, 1.0, 1.1)])
    assert together.mean[-1] == pytest.approx(0.1)
    assert together.time_s[AT - 1] == pytest.approx(0.0)
    assert together.low[-1] < 0.1 < together.high[-1]


def test_every_figure_has_a_name_and_a_unit() -> None:
    assert set(measured(trial_of(jump(0.3, 1.0)))) == set(LABELS) == set(UNITS)


# kinds -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_all_meet_the_same_changes_and_every_entry_has_its_turn(name: str) -> None:
    kind, robot = KINDS[name], get_robot("go1")
    width = {"gravity": 3, "payload": 1, "friction": 1, "action_delay_s": 1}.get(kind.quantity, 12)
    changed, value = kind.draw(48, width, robot, seed=3)
    again_changed, again_value = kind.draw(48, width, robot, seed=3)
    assert torch.equal(changed, again_changed)
    assert torch.equal(value, again_value)
    allowed = list(kind.entries or range(width))
    some = kind.some or len(allowed)
    assert (changed.sum(1) == some).all()
    assert (changed[:, allowed].sum(0) >= 48 * some // len(allowed) - 8).all()
    low, high = kind.bounds(robot)
    assert ((value.abs() >= low - 1e-6) & (value.abs() <= high + 1e-6)).all()
    assert bool((value < 0).any()) == kind.flips


def test_items_are_chosen_by_name() -> None:
    assert chosen(None) == [UNCHANGED, *KINDS]
    assert chosen(["late", "load"]) == ["load", "late"]
    with pytest.raises(UsageError, match="no item 'wek_motor' in the suite adaptation; did you mean 'weak_motor'"):
        chosen(["wek_motor"])


# trials ------------------------------------------------------------------------------------------------------------------


class Standing:
    """Who holds the default pose."""

    def reset(self, ids: torch.Tensor) -> None:
        del ids

    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        del privileged, alive
        return torch.zeros(len(policy), 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that was not trained."""
    trainer = make_trainer("student", tiny_cfg("go1-velocity-flat"))
    where = tmp_path_factory.mktemp("student")
    save(trainer, Run(where, trainer.cfg))
    return where


@pytest.fixture(scope="module")
def setup(folder: Path) -> Setup:
    return dataclasses.replace(setup_of_training(folder), seeds=1)


def test_a_change_comes_at_its_time_to_all_and_for_all_the_same(setup: Setup) -> None:
    """Two that act alike until then have the same worlds; after it the one with weak motors sinks."""
    standing = dataclasses.replace(setup, make_actor=lambda worlds: Standing())
    kind = dataclasses.replace(KINDS["weak_motor"], some=0, low=0.05, high=0.05)
    plain, weak, again_weak = (run(standing, one, 8, before_s=0.4, after_s=0.6) for one in (None, kind, kind))
    assert weak.at == 20
    np.testing.assert_array_equal(weak.planar, again_weak.planar)
    np.testing.assert_array_equal(weak.planar[:20], plain.planar[:20])
    assert not np.allclose(weak.planar[20:], plain.planar[20:])
    assert weak.changed.all()
    np.testing.assert_allclose(weak.value, 0.05)
    some = run(standing, KINDS["weak_motor"], 8, before_s=0.02, after_s=0.04, healthy=4)
    assert some.changed.sum(1).tolist() == [0, 1, 1, 1, 0, 1, 1, 1]


def test_who_fell_counts_as_standing_still(setup: Setup) -> None:
    class Jerking(Standing):
        def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
            return super().act(policy, privileged, alive) + 5.0 * (torch.rand(len(policy), 12) - 0.5)

    torch.manual_seed(0)
    trial = run(dataclasses.replace(setup, make_actor=lambda worlds: Jerking()), None, 8, before_s=0.2, after_s=4.0)
    size = commands(setup, 8)[:, :2].norm(dim=1).numpy()
    fell = np.flatnonzero(~trial.alive[-1])
    assert len(fell)
    np.testing.assert_allclose(trial.planar[-1, fell], size[fell], rtol=1e-6)


# probes ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cfg", [TransformerCfg(width=16, layers=2, heads=2, window=4), LstmCfg(width=16, layers=1), MlpCfg(width=16, layers=1)]
)
def test_hidden_states_are_what_the_head_is_given(cfg) -> None:
    """Through the head they are the action; an untrained network has the same normaliser and other weights."""
    torch.manual_seed(7)
    net: Any = make_network(10, 3, cfg)
    net.normalizer.mean.fill_(0.3)
    heads = Heads(net)
    actor = StudentActor(net, 5)
    action = actor.act(torch.randn(5, 10), torch.zeros(5, 0), torch.ones(5, dtype=torch.bool))
    given = torch.from_numpy(heads.last)
    assert given.shape == (5, 16)
    heads.close()
    torch.testing.assert_close(net.head(given), action)
    fresh = again(net)
    assert torch.equal(fresh.normalizer.mean, net.normalizer.mean)
    assert not torch.equal(fresh.embed[0].weight, net.embed[0].weight)


@pytest.mark.parametrize("known", [True, False])
def test_probes_find_what_a_memory_knows(known: bool) -> None:
    """Of 60 worlds, one of four entries changed in most; a hidden direction tells each of them, or none does."""
    rng = np.random.default_rng(0)
    value = np.zeros((60, 4))
    value[np.arange(60), rng.integers(0, 4, 60)] = rng.uniform(0.5, 1.0, 60)
    value[::3] = 0.0
    world = np.repeat(np.arange(60), 10)
    hidden = rng.standard_normal((600, 20))
    if known:
        hidden = hidden + 6.0 * value[world] @ rng.standard_normal((4, 20))
    listener = object.__new__(Listener)
    listener.world, listener.samples = [world], {POLICY: [hidden], RANDOM: [], RAW: [rng.standard_normal((600, 5))]}
    found = judged(listener, value)
    assert found[RANDOM].value is None
    assert number(found[RAW].value) < 0.2
    assert (number(found[POLICY].value) > 0.8) == known


def test_both_halves_of_a_probe_are_asked_all_commands() -> None:
    """What is felt depends on the command, so a probe must not be judged under others than it was fitted under."""
    rng, turns = np.random.default_rng(0), len(COMMANDS)
    worlds = 4 * turns
    value = rng.uniform(0.5, 1.0, (worlds, 1))
    world = np.repeat(np.arange(worlds), 10)
    asked = np.eye(turns)[world % turns]
    listener = object.__new__(Listener)  # what is felt of a world is its value, moved by what its command does
    felt = value[world] + 5.0 * asked @ rng.standard_normal((turns, 1))
    listener.world, listener.samples = [world], {POLICY: [], RANDOM: [], RAW: [np.concatenate([felt, asked], axis=1)]}
    assert number(judged(listener, value)[RAW].value) > 0.9


def test_who_all_fell_before_the_change_has_no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means of nobody are no numbers, and JSON has no name for them."""
    fallen = trial_of(np.ones((STEPS, WORLDS)), np.zeros((STEPS, WORLDS), bool))
    for module in (adaptation_suite, adaptation_study):
        monkeypatch.setattr(module, "run", lambda *_: fallen)
    found = adaptation_suite.look_at(cast(Setup, None), UNCHANGED, WORLDS, probes=False)
    assert found.curve is None
    assert all(figure.value is None for figure in found.figures.values())
    told = adaptation_study._of_kind(cast(Setup, None), UNCHANGED, WORLDS, probes=False)
    json.dumps([told, found.to_dict()], allow_nan=False)


def test_a_teacher_has_no_memory_to_probe(setup: Setup) -> None:
    actor: Actor = Standing()
    with pytest.raises(UserError, match="has no hidden state: probes are for students"):
        Listener(actor, setup, 4, 0, DT)


# the command and the study -----------------------------------------------------------------------------------------------


def test_the_command_compares_policies_and_writes_page_and_json(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = [
        "evaluate",
        str(folder),
        "--suite",
        "adaptation",
        "--against",
        str(folder),
        "--only",
        "late",
        "--seeds",
        "1",
        "--out",
        str(tmp_path),
    ]
    code = cli.main([*told, "--json", str(tmp_path / "x.json")])
    out = capsys.readouterr().out
    assert code == 0, out
    data = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert data == json.loads((tmp_path / "adaptation.json").read_text(encoding="utf-8"))
    assert len(data["policies"]) == len(set(data["policies"])) == 2
    (item,) = data["items"]
    one, other = item["policies"].values()
    assert one == other  # the same student in the same worlds
    assert len(one["curve"]["mean"]) == STEPS
    assert set(one["figures"]) == set(UNITS)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "adaptation suite" in page
    assert page.count("<svg") == 1


def test_options_of_the_suite_are_refused_without_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(folder), "--probe"]) == 2
    assert "--probe is for the suite adaptation" in capsys.readouterr().err


def test_a_study_pools_its_seeds() -> None:
    figures = {name: {"value": 1.0, "low": 0.5, "high": 1.5, "count": 40} for name in UNITS} | {
        "survival": {"value": 0.9, "low": 0.7, "high": 1.0, "count": 40}
    }
    runs = [
        {"figures": figures | {"later": {**figures["later"], "value": float(k)}}, "curve": [0.1 * k] * 5, "dt": DT, "at": 2}
        for k in (1, 2, 3)
    ]
    found = adaptation_study.pooled(runs)
    assert found["figures"]["later"]["value"] == pytest.approx(2.0)
    assert found["figures"]["survival"]["count"] == 120
    assert found["figures"]["survival"]["value"] == pytest.approx(0.9)
    assert found["curve"]["mean"] == pytest.approx([0.2] * 5)
    lines = adaptation_study.rows({"a": {"late": found}}, ["late"])
    assert len({line.count("|") for line in lines}) == 1
    assert "2.000 [" in lines[2]


@pytest.mark.parametrize("memory", ["episode", "life"])
def test_a_memory_of_a_life_outlasts_falls_and_not_the_end_of_time(memory: str) -> None:
    """In worlds that fall at the slightest tilt, and whose time is up after twelve steps."""
    easy = ("--env.terminations.tilt.max_tilt=0.02", "--env.terminations.height=null")
    trainer = make_trainer("student", tiny_cfg("go1-velocity-flat", *easy, f"--student.memory={memory}"))
    fell, cut, began = [], [], []
    for _ in range(3):
        trainer.iterate()
        fell.append(trainer._rollout.terminated.clone())
        cut.append(trainer._rollout.truncated.clone())
        began.append(trainer._first.clone())
    fell, cut, began = (torch.cat(parts) for parts in (fell, cut, began))
    assert fell.any()
    assert cut.any()
    assert torch.equal(began[1:], cut[:-1] | fell[:-1] if memory == "episode" else cut[:-1])
