"""The table of randomization in YAML, on the command line, in checkpoints and in policy files: one table, and what was another is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from envs.env_cfg import EnvCfg
from envs.robots.registry import get_robot
from envs.terms.about import about
from envs.terms.randomization import QUANTITIES, Range, without_randomization
from envs.terms.term import EventTerm, TermError
from policies.contract.file import PROVENANCE_KEY, PolicyFile
from robolearn import cli
from robolearn.config import loading as config
from robolearn.config import schema, settings
from robolearn.errors import ConfigError
from robolearn.evaluation.locomotion.setup import make_setup
from robolearn.evaluation.worlds import env_of, trained_as
from robolearn.learning import trainer as loop
from robolearn.policy_path import zoo
from robolearn.policy_robot import robot_of
from tests.envs import my_terms
from tests.learning_helpers import constant_policy, edit_metadata, make_trainer, tiny_cfg
from tests.pairs import cfg_of
from tests.robolearn.test_settings import saved

GO1 = "go1-velocity-flat"
MINE = "tests.envs.my_terms"
SLIPPERY = f"--env.randomization.slippery={{func: '{MINE}:slippery', when: startup, by: {{low: 0.2, high: 0.9, operation: set}}}}"
FRICTIONLESS = "--env.randomization.friction=null"
WIND = f"--env.randomization.wind={{func: '{MINE}:Wind', most: 20.0}}"
KICK = f"--env.randomization.kick={{func: '{MINE}:kick', when: interval, interval_s: [0.05, 0.1], speed: 0.2}}"


def load(*overrides: str, preset: str = GO1) -> EnvCfg:
    return schema.load(preset, [f"--env.{override}" for override in overrides]).env


def test_entries_are_changed_added_and_removed_by_name() -> None:
    plain = cfg_of(GO1).randomization
    table = load(
        "randomization.friction.low=0.7",
        "randomization.mass=null",
        "randomization.joint_friction={low: 0.0, high: 0.2, operation: add}",
        f"randomization.wind={{func: '{MINE}:Wind', most: 3}}",
        "randomization.wind.most=4",
        "randomization.noise=0.5",
    ).randomization
    assert table.range("friction") == Range(low=0.7, high=2.0)
    assert table.range("joint_friction") == Range(low=0.0, high=0.2, operation="add")
    assert table.terms() == {"wind": EventTerm(my_terms.Wind, most=4.0)}
    assert table.noise == 0.5
    assert set(table.entries) == (set(plain.entries) - {"mass"}) | {"joint_friction", "wind"}
    assert all(table.entries[name] == plain.entries[name] for name in set(plain.entries) - {"mass", "friction"})
    slippery = load(SLIPPERY.removeprefix("--env."), "randomization.slippery.by.low=0.4").randomization.terms()["slippery"]
    assert slippery.params["by"] == Range(low=0.4, high=0.9, operation="set")
    off = load(*(f"randomization.{name}=null" for name in plain.entries), "randomization.noise=0.0").randomization
    assert off == without_randomization()
    swapped = load(f"randomization.friction={{func: '{MINE}:kick'}}").randomization
    assert swapped.entries["friction"] == EventTerm(my_terms.kick)


def test_a_resolved_table_comes_back_from_its_text_in_its_order() -> None:
    own = [KICK, SLIPPERY, WIND, f"--env.randomization.kp={{func: '{MINE}:heavier'}}", "--env.randomization.mass=null"]
    cfg = schema.load(GO1, own)
    text = config.dump(cfg)
    again = schema.loads(text, "the text")
    assert again.env == cfg.env
    assert list(again.env.randomization.terms()) == list(cfg.env.randomization.terms())
    assert config.dump(again) == text
    plain = config.to_dict(cfg)["env"]["randomization"]
    assert set(plain) == {*QUANTITIES, "kick", "slippery", "wind", "disturbance_ramp", "noise"}
    assert plain["mass"] is None
    assert plain["slippery"]["by"]["operation"] == "set"
    less = schema.loads(text, "the text", ["--env.randomization.wind=null"]).env.randomization
    assert list(less.terms()) == [name for name in cfg.env.randomization.terms() if name != "wind"]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("randomization.fricton.low=1", r"unknown key .*; did you mean 'env.randomization.friction'\?; valid: friction,"),
        ("randomization.fricton=null", r"did you mean 'env.randomization.friction'\?"),
        ("randomization.slope={low: 1, high: 2}", "unknown key 'env.randomization.slope'.*; a new entry says func: package.module"),
        ("randomization.nois=0.5", r"did you mean 'env.randomization.noise'\?"),
        ("randomization.friction=0.5", "env.randomization.friction must be a table with keys from low, high"),
        ("randomization.friction.lo=1", r"did you mean 'env.randomization.friction.low'\?"),
        ("randomization.friction.low=5", "env.randomization.friction: randomization range is empty"),
        ("randomization.payload.operation=scale", "env.randomization.payload: payload has operation 'add', not 'scale'"),
        ("randomization.joint_friction.low=0.1", "env.randomization.joint_friction.high is missing"),
        ("randomization=null", "must be a table .*, not null; null removes one entry: env.randomization.mass=null"),
        (f"randomization.wind={{func: '{MINE}:Wnd', most: 3}}", r"env.randomization.wind.func: .* did you mean 'Wind'\?"),
        (f"randomization.wind={{func: '{MINE}:Wind'}}", "env.randomization.wind.most is missing"),
        (f"randomization.wind={{func: '{MINE}:Wind', mst: 3}}", r"did you mean 'env.randomization.wind.most'\?"),
        (f"randomization.wind={{func: '{MINE}:spin', sigma: 1}}", "takes env, sigma, power; an entry here takes env, ids, then"),
        (f"randomization.wind={{func: '{MINE}:kick', when: reset_}}", r"did you mean 'reset'\?"),
        (f"randomization.wind={{func: '{MINE}:kick', when: interval}}", "a term at intervals needs interval_s"),
        (f"randomization.wind={{func: '{MINE}:slippery', by: 3}}", "env.randomization.wind.by must be a table with keys from low, high"),
        ("randomization.wind={func: ''}", "env.randomization.wind.func: '' is not a function's name"),
        ("randomization.push_velocity=null", "push_interval_s without push_velocity: they are needed together"),
        ("events.kick.speed=2", "env.events.kick.speed is env.randomization.kick.speed now"),
        (f"events.kick={{func: '{MINE}:kick'}}", "env.events.kick.func is env.randomization.kick.func now"),
        ("events=null", "env.events is part of env.randomization now"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_is_valid(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load(override)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"--env.{override}: ")


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    head = "task: velocity-flat\nrobot: go1\nenv:\n"
    for text, told in (
        (f"  events:\n    kick:\n      func: '{MINE}:kick'\n", ":4: env.events.kick.func is env.randomization.kick.func now"),
        ("  randomization:\n    mass: null\n    fricton: {low: 1}\n", ":6: unknown key 'env.randomization.fricton'"),
        ("  randomization:\n    payload: {operation: scale}\n", ":5: env.randomization.payload: payload has operation 'add'"),
        ("  observations:\n    comand: {func: ''}\n", r":5: env.observations.comand: .* did you mean 'command'\?"),
    ):
        (tmp_path / "my.yaml").write_text(head + text, encoding="utf-8")
        with pytest.raises(ConfigError, match=told):
            schema.load(tmp_path / "my.yaml")
    (tmp_path / "my.yaml").write_text(head + "  events: {}\n", encoding="utf-8")
    assert schema.load(tmp_path / "my.yaml").env == cfg_of(GO1)


# files of before ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo())
def test_the_shipped_files_tell_the_table_that_they_were_trained_with(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = PolicyFile(zoo()[name])
    told = trained_as(file, robot_of(file, None))
    assert told is not None
    assert capsys.readouterr().err == ""
    written = config.loads_any(str(file.provenance["config"]))["env"]["randomization"].value
    for quantity in QUANTITIES:
        entry, given = told.env.randomization.range(quantity), written[quantity].value
        assert (entry is None) == (given is None), quantity
        if entry is not None:
            assert dataclasses.asdict(entry) == {key: node.value for key, node in given.items()}


def test_a_file_with_events_of_its_own_is_told_where_they_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.dump(tiny_cfg(GO1))
    for events, readable in (("{}", True), (f"{{kick: {{func: '{MINE}:kick', when: reset, speed: 1.0}}}}", False)):
        old = text.replace("\n  randomization:", f"\n  events: {events}\n  randomization:")
        path = edit_metadata(constant_policy(tmp_path / "policy.onnx"), PROVENANCE_KEY, lambda told, old=old: told | {"config": old})
        assert (trained_as(PolicyFile(path), get_robot("go1")) is not None) == readable
        err = capsys.readouterr().err
        assert ("env.events.kick.func is env.randomization.kick.func now" in err) == (not readable)
        assert err.count("\n") == (not readable)
        if not readable:
            with pytest.raises(ConfigError, match=r"^checkpoint:\d+: env.events.kick.func is env.randomization.kick.func now$"):
                schema.loads(old, "checkpoint")


# a term of one's own, all the way ----------------------------------------------------------------------------------------


def test_a_training_with_terms_of_its_own_is_resumed_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """What a term drew once a world is the same after it, and the draws that follow are those that would have followed."""
    cfg = tiny_cfg(GO1, SLIPPERY, FRICTIONLESS, WIND, KICK)
    trainer = make_trainer("teacher", cfg)
    trainer.iterate()
    state = saved(trainer, tmp_path)
    friction = trainer.env.engine.field("geom_friction")
    expected = trainer.iterate()
    again = make_trainer("teacher", schema.loads(state["config"], "checkpoint"))
    again.env.reseed(99)  # other worlds than those of the checkpoint
    assert (again.env.engine.field("geom_friction") != friction).any()
    loop.resume(again, state)
    assert (again.env.engine.field("geom_friction") == friction).all()
    assert again.iterate()["reward"] == expected["reward"]
    assert (again.env.generator.get_state() == trainer.env.generator.get_state()).all()


def test_a_judge_has_the_terms_of_the_training_and_the_suite_none_at_intervals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = config.dump(tiny_cfg(GO1, SLIPPERY, FRICTIONLESS, KICK))
    path = edit_metadata(constant_policy(tmp_path / "policy.onnx"), PROVENANCE_KEY, lambda known: known | {"config": told})
    file = PolicyFile(path)
    env = env_of(file, get_robot("go1"))
    assert list(env.randomization.terms()) == ["slippery", "kick"]
    setup = make_setup(file, env)
    assert list(setup.cfg.randomization.terms()) == ["slippery"]
    measured = setup.env(2, friction=Range(low=0.5, high=0.5, operation="set"))
    measured.reset()
    assert (measured.engine.field("geom_friction")[:, -1, 0] == 0.5).all()  # what the item sets, not what the term drew
    assert list(setup.env(2, payload=Range(low=1.0, high=1.0, operation="add", when="startup")).events.fields) == ["slippery"]
    for change, setting in (("=null", "kick"), (".speed=3.0", "kick.speed")):
        assert cli.main(["evaluate", str(path), "--suite", "locomotion", f"--env.randomization.kick{change}"]) == 2
        assert f"env.randomization.{setting} (the suite brings its own disturbances" in capsys.readouterr().err


def test_a_term_that_is_not_computed_takes_no_settings() -> None:
    plain, changed = (
        tiny_cfg(GO1, f"--env.randomization.rough={{func: '{MINE}:on_rough_ground', when: {when}}}") for when in ("startup", "reset")
    )
    with pytest.raises(ConfigError, match=r"env.randomization.rough.when \(there is no terrain\)"):
        settings.refuse(plain, changed, {}, "train")


def test_a_suite_refuses_what_happens_by_its_name_and_not_what_begins_alike() -> None:
    kick_low = f"--env.randomization.kick_low={{{{func: '{MINE}:heavier', factor: {{}}}}}}"
    plain, changed = (tiny_cfg(GO1, KICK, kick_low.format(factor)) for factor in ("1.1", "1.2"))
    assert settings.refuse(plain, changed, settings.suite(plain.env, changed.env), "evaluate") == ["env.randomization.kick_low.factor"]


def test_a_penalty_grows_only_where_disturbances_do() -> None:
    grows = "--env.rewards.foot_slip.grows=true"
    with pytest.raises(ConfigError, match=r"env.rewards.foot_slip.grows \(env.randomization.disturbance_ramp is off\)"):
        settings.refuse(tiny_cfg(GO1), tiny_cfg(GO1, grows), {}, "train")
    ramp = "--env.randomization.disturbance_ramp=true"
    assert settings.refuse(tiny_cfg(GO1, ramp), tiny_cfg(GO1, ramp, grows), {}, "train") == ["env.rewards.foot_slip.grows"]


def test_a_penalty_eases_only_where_there_is_terrain() -> None:
    hardest = "--env.rewards.foot_slip.hardest=0.5"
    with pytest.raises(ConfigError, match=r"env.rewards.foot_slip.hardest \(there is no terrain\)"):
        settings.refuse(tiny_cfg(GO1), tiny_cfg(GO1, hardest), {}, "train")


# the other tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["rewards", "terminations", "privileged", "metrics", "curriculum", "scene"])
@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{}", "unknown key .*; a new entry says func: package.module:function"),
        ("{func: ''}", "'' is not a function's name; write package.module:function"),
        ("{func: null}", "must be text, package.module:function, not null"),
        (f"{{func: '{MINE}:heavier'}}", "heavier takes env, ids, factor; an entry here takes env"),
        (f"{{func: '{MINE}:Heading', limit: 1}}", r"Heading must have a method __call__\(self, env"),
    ],
)
def test_an_entry_that_nobody_could_compute_is_refused_in_the_config(table: str, entry: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load(f"{table}.mine={entry}")
    assert str(error.value).startswith(f"--env.{table}.mine={entry}: ")
    assert f"env.{table}.mine" in str(error.value).partition(": ")[2]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("observations.comand={func: ''}", r"there is no observation 'comand'; did you mean 'command'\?; valid: base_angular_velocity"),
        ("observations.comand={func: ''}", "to add your own, write env.observations.comand.func: package.module:function"),
        ("observations.energy={func: joint_energy}", "env.observations.energy.func: 'joint_energy' is not a function's name"),
        (f"observations.energy={{func: '{MINE}:joint_enrgy'}}", r"did you mean 'joint_energy'\?"),
        (f"observations.command.func={MINE}:joint_energy", "an observation 'command' with another function exists already"),
        ("command={func: 'envs.terms.rewards:tilt'}", "is not a class of commands; derive yours from envs.terms.commands:Command"),
        ("reset={func: 'envs.terms.rewards:tilt'}", "takes env; an entry here takes env, ids"),
        ("reset={func: 'envs.terms.curriculum:terrain_levels'}", "says needs='terrain', but this entry cannot be left out"),
        ("success={func: 'envs.terms.curriculum:terrain_levels'}", "takes env, ids, succeeded; an entry here takes env"),
        (
            "rewards.mine={func: 'tests.envs.broken_terms:nothing'}",
            "tests.envs.broken_terms cannot be imported: TermError: about: there is no",
        ),
    ],
)
def test_what_would_fail_when_the_worlds_are_made_is_refused_in_the_config(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load(override)
    assert str(error.value).startswith(f"--env.{override}: env.")


def test_a_function_says_only_what_there_is() -> None:
    with pytest.raises(TermError, match=r"there is no needs='terain'; did you mean 'terrain'\?; valid: terrain, ramp"):
        about(needs="terain")
    with pytest.raises(TermError, match=r"there is no mirror='vectr'; did you mean 'vector'\?; valid: keep, flip"):
        about(mirror=("keep", "vectr"))
