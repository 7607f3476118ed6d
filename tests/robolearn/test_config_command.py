"""Settings can be found: each has its sentence, the page and the comments are true, and a typing error says where it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from envs.tasks.registry import TASKS
from envs.terms import rewards
from envs.terms.term import RewardTerm
from robolearn import cli
from robolearn.config import loading, schema
from robolearn.config.catalogue import catalogue
from robolearn.config.commented import commented
from robolearn.config.doubts import doubts, other_kind
from robolearn.config.functions import TABLES, functions
from robolearn.config.loading import preset_names
from robolearn.config.page import page
from robolearn.config.signs import PENALTIES, REWARDS, doubtful
from robolearn.errors import ConfigError
from tests.pairs import any_robot

ROOT = Path(__file__).resolve().parent.parent.parent
PRESETS = ("go1-velocity-flat", "g1-velocity-rough", "panda-reach", "go1-velocity-flat-sb3")


def config_of(preset: str, *overrides: str) -> schema.TrainCfg:
    return schema.load(preset, overrides)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_setting_has_a_sentence(preset: str) -> None:
    silent = [setting.name for setting in catalogue(config_of(preset)) if len(setting.sentence) < 4]
    assert not silent, f"write what these are into `Attributes:` or `Args:` where they are defined: {silent}"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_setting_is_listed_by_the_name_and_value_that_change_it(preset: str) -> None:
    cfg = config_of(preset)
    settings = [s for s in catalogue(cfg) if not s.table and not s.absent and s.value not in ({}, None)]
    again = schema.load(preset, [f"--{s.name}={s.text}" for s in settings if not s.name.endswith(".func")])
    assert loading.dump(again) == loading.dump(cfg)
    assert {s.name for s in catalogue(cfg)} >= set(_leaves(yaml.safe_load(loading.dump(cfg)), ""))


def _leaves(tree: object, name: str) -> list[str]:
    if not isinstance(tree, dict) or not tree:
        return [name]
    return [leaf for key, value in tree.items() for leaf in _leaves(value, f"{name}.{key}".removeprefix("."))]


@pytest.mark.parametrize("preset", PRESETS)
def test_comments_change_nothing(preset: str) -> None:
    cfg = config_of(preset, "--robot=panda" if "reach" in preset else "--seed=4")
    text = commented(cfg)
    assert loading.dump(schema.loads(text, "commented")) == loading.dump(cfg)
    assert yaml.safe_load(text) == yaml.safe_load(loading.dump(cfg))
    assert "episode_s: 20.0  # [s] length" in text or "episode_s: 10.0  # [s] length" in text


def test_the_page_is_up_to_date() -> None:
    told = "docs/settings.md is not what the code says; write it anew: python -m robolearn.config.page"
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == page(), told


def test_changed_names_value_default_and_the_line_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "go1-velocity-flat", "--changed", "--teacher.ppo.clip=0.3", "--env.rewards.pose=null"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["teacher.ppo.clip"].split() == ["teacher.ppo.clip", "0.3", "(default", "0.2)", "--teacher.ppo.clip=0.3"]
    assert rows["env.rewards.pose"].split()[1] == "null"
    place = rows["teacher.ppo.discount"].split()[-1]
    file, _, line = place.rpartition(":")
    assert "discount: 0.97" in Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert "teacher.ppo.gae_lambda" not in rows


def test_a_section_is_shown_alone_and_a_wrong_one_is_mended(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "go1-velocity-flat", "env.rewards"]) == 0
    out = capsys.readouterr().out
    assert "env.rewards.foot_slip.weight" in out
    assert "teacher" not in out
    assert "envs.terms.rewards:trunk_rate" in out  # which the task does not use
    assert cli.main(["config", "go1-velocity-flat", "foot_slip"]) == 2
    assert "did you mean 'env.rewards.foot_slip'?" in capsys.readouterr().err


def test_json_has_all_about_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "go1-velocity-flat", "env.episode_s", "--json", "-"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"name": "env.episode_s", "value": 20.0, "unit": "s", "sentence": told["sentence"], "table": False}


@pytest.mark.parametrize("command", [["config", "go1-velocity-flat", "--yaml"], ["train", "go1-velocity-flat", "--print-config"]])
def test_the_printed_configuration_is_a_preset(command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main([*command, "--seed=5"]) == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert loading.dump(schema.load(tmp_path / "mine.yaml")) == loading.dump(config_of("go1-velocity-flat", "--seed=5"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 1\ntask: velocity-rugh\nrobot: go1\n", "mine.yaml:2: "),
        ("task: velocity-flat\nrobot: go11\n", "mine.yaml:2: "),
        ("task: go1-velocity-rugh\n", "mine.yaml:1: "),
        ("task: go1-velocity-rough\n", "mine.yaml:1: "),
        ("task: velocity-flat\nrobot: go1\nseeed: 2\n", "mine.yaml:3: "),
        ("extends: go1-base\n", "mine.yaml:1: "),
    ],
)
def test_a_typing_error_says_where_it_stands(text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert cli.main(["train", str(tmp_path / "mine.yaml"), "--print-config"]) == 2
    assert line in capsys.readouterr().err


def test_every_function_of_rewards_is_told_apart_and_the_tasks_agree() -> None:
    assert not PENALTIES & REWARDS
    for task, robots in (("velocity-flat", ("go1", "g1")), ("velocity-rough", ("go1", "g1")), ("reach", ("panda",))):
        assert task in TASKS
        for robot in robots:
            assert not doubtful(schema.defaults(task, robot))
    used = {term.func for task, robot in (("velocity-flat", "g1"), ("reach", "panda")) for term in _terms(task, robot)}
    assert used <= PENALTIES | REWARDS | {func for func in used if func.__module__ != rewards.__name__}


def _terms(task: str, robot: str) -> list[RewardTerm]:
    return list(schema.defaults(task, robot).env.rewards.values())


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("--env.rewards.foot_slip.weight=0.2", "env.rewards.foot_slip.weight=0.2 rewards what foot_slip is meant to penalise"),
        ("--env.rewards.track_velocity.weight=-1", "penalises what track_velocity is meant to reward"),
        ("--env.rewards.foot_slip.weight=0", ""),
        ("--env.rewards.foot_slip.weight=-9", ""),
    ],
)
def test_a_weight_of_the_other_sign_is_warned_of(override: str, told: str) -> None:
    assert told in "; ".join(doubtful(config_of("go1-velocity-flat", override)))
    assert bool(doubtful(config_of("go1-velocity-flat", override))) == bool(told)


def test_functions_of_ours_are_found() -> None:
    assert all(functions(table) for table in TABLES)
    assert rewards.trunk_lean in functions("env.rewards")
    assert functions("env.scene") == []


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("--env.randomization.payload.high=4000", "env.randomization.payload.high=4000 [kg]: go1 has 12.7 kg"),
        ("--env.randomization.push_velocity.high=50", "env.randomization.push_velocity.high=50 [m/s]"),
        ("--env.randomization.kp.high=90", "env.randomization.kp.high=90 is a factor"),
        ("--env.command.vx=[-1.0,36.0]", "env.command.vx=[-1.0, 36.0] [m/s]"),
        ("--env.randomization.payload.high=4", ""),
        ("--env.command.vx=[-1.0,3.0]", ""),
    ],
)
def test_a_size_that_does_not_fit_the_robot_is_warned_of(override: str, told: str) -> None:
    found = doubts(config_of("go1-velocity-flat", override))
    assert told in "; ".join(found)
    assert bool(found) == bool(told)


def test_no_preset_of_ours_is_doubted() -> None:
    for preset in preset_names():
        cfg = config_of(preset, *any_robot(preset))
        assert not doubts(cfg), preset
        assert not other_kind(preset, cfg), preset


def test_a_preset_of_another_kind_of_robot_is_warned_of(tmp_path: Path) -> None:
    told = other_kind("go1-velocity-flat", config_of("go1-velocity-flat", "--robot=g1"))
    assert "robolearn train velocity-flat --robot g1" in told[0]
    assert "extends: velocity-flat-biped" in told[0]
    (tmp_path / "mine.yaml").write_text("extends: go1-velocity-flat\n", encoding="utf-8")
    assert other_kind(tmp_path / "mine.yaml", config_of(str(tmp_path / "mine.yaml"), "--robot=g1"))
    assert not other_kind("go1-velocity-flat", config_of("go1-velocity-flat"))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("--env.command.vx=[1.0,-1.0]", "--env.command.vx=[1.0,-1.0]: env.command.vx is a range, [low, high], and 1 is above -1"),
        ("--env.rewards.torque=-1e-3", "did you mean 'env.rewards.torque.weight'?"),
    ],
)
def test_an_error_names_the_key_that_was_typed(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        config_of("go1-velocity-flat", override)
