"""A setting acts or is refused by name, on every command that takes settings: none is only recorded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.contract.observation import TERMS
from robolearn import cli, demo
from robolearn.config import loading as config
from robolearn.config import schema, settings
from robolearn.errors import ConfigError, UserError
from robolearn.evaluation.study import Study, check_settings, load_study
from robolearn.learning import trainer as loop
from robolearn.learning.run import Run, load_checkpoint
from tests.learning_helpers import make_trainer, tiny_cfg, untimed
from tests.pairs import any_robot

ELSEWHERE = {
    "threads": "speed", "checkpoint_every": "when it is saved", "env.num_threads": "speed", "env.device": "where", "env.engine": "by what",
    "teacher.until": "how long", "student.until": "how long", "teacher.iterations": "how long",
    "env.metrics": "figures that people read",
    "env.action.clip": "no action comes near it", "student.imitation.clipped": "no action of the teacher comes near it",
    "env.command.moving_above": "no command is that slow",
    "env.clock_still_below": "no command is that slow",
    "env.observations.command.delayed": "shows in the step alone in which the command changes",
    **{f"env.observations.{name}.clip": "no reading comes near it" for name in TERMS},
    "env.rewards.joint_limit": "no joint comes near its limit here",
}  # fmt: skip
"""What acts on something that three iterations do not show."""
OTHER_STAGE = {"teacher": "student.", "student": "teacher."}
EVENTFUL = {
    # pushes, new commands and falls in every episode
    "go1-velocity-flat": ("--env.randomization.push_interval_s={low: 0.02, high: 0.06, operation: set}", "--env.command.hold_s=[0.04, 0.1]",
                          "--env.terminations.tilt.max_tilt=0.12", "--env.terminations.height.minimum=0.262",
                          "--teacher.ppo.target_kl=0.001"),
    "panda-reach": ("--env.command.hold_s=[0.04, 0.1]", "--env.rewards.at.sigma=0.3", "--student.imitation.rl_weight=0.5",
                    "--student.imitation.annealed_at=0.5", "--student.ppo.entropy=0.01"),
}  # fmt: skip


def other(name: str, value: Any) -> Any:
    """A value that is valid and different."""
    if name.endswith(".when"):
        return "startup" if value == "reset" else "reset"
    if name.endswith(".distribution"):
        return None  # which values it draws is covered by low and high
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.7 if value else 0.3
    if isinstance(value, list) and value and all(isinstance(x, float) for x in value):
        return [x * 0.8 for x in value]
    return None


def run_on(kind: str, folder: Path, overrides: list[str]) -> list[Any]:
    """What two iterations after a resume with overrides come to: metrics, weights, and what the robot senses."""
    state = load_checkpoint(folder)
    trainer = make_trainer(kind, schema.loads(state["config"], "checkpoint", overrides))
    loop.resume(trainer, state)
    metrics = [untimed(trainer.iterate()) for _ in range(2)]
    weights = float(sum(value.detach().double().abs().sum() for value in trainer.policy.parameters()))
    sensed = trainer.env.step(torch.zeros_like(trainer.env.action)).policy
    return [metrics, weights, float(sensed.double().abs().sum())]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "task"), [("teacher", "go1-velocity-flat"), ("student", "panda-reach")])
def test_every_setting_of_a_resumed_run_acts_or_is_refused(kind: str, task: str, tmp_path: Path) -> None:
    cfg = tiny_cfg(task, "--env.episode_s=0.2", "--student.iterations=8", *EVENTFUL[task])
    trainer = make_trainer(kind, cfg)
    trainer.iterate()
    saved(trainer, tmp_path)
    nothing = run_on(kind, tmp_path, [])
    assert run_on(kind, tmp_path, []) == nothing
    # a setting of the worlds starts them anew, which is an effect of its own: compare with worlds that start anew and are the same
    anew = run_on(
        kind, tmp_path, ["--env.rewards.track_velocity.sigma=0.50000001" if "velocity" in task else "--env.rewards.at.sigma=0.300000001"]
    )
    idle, unnamed, refused = [], [], []
    for name, value in settings.leaves(config.to_dict(cfg)).items():
        changed = other(name, value)
        if name.startswith((*ELSEWHERE, OTHER_STAGE[kind])) or changed is None:
            continue
        try:
            if run_on(kind, tmp_path, [f"--{name}={json.dumps(changed)}"]) in (nothing, anew):
                idle.append(name)
        except (UserError, ValueError) as error:
            refused.append(name)
            if not any(part in str(error) for part in name.split(".")[-2:]) and "does not fit the config" not in str(error):
                unnamed.append((name, str(error)))
    assert not unnamed
    assert not idle, "\n".join(idle)
    assert {"seed", "env.seed", f"{kind}.initial_std"} <= set(refused)


def saved(trainer: Any, folder: Path) -> dict[str, Any]:
    """The state of its checkpoint."""
    run = Run(folder, trainer.cfg)
    loop.save(trainer, run)
    run.close()
    return load_checkpoint(folder)


def test_a_new_learning_rate_of_a_resumed_teacher_is_used(tmp_path: Path) -> None:
    cfg = tiny_cfg("panda-reach", "--teacher.ppo.target_kl=0")
    trainer = make_trainer("teacher", cfg)
    trainer.iterate()
    state = saved(trainer, tmp_path)
    again = make_trainer("teacher", schema.loads(state["config"], "checkpoint", ["--teacher.ppo.learning_rate=3e-5"]))
    assert loop.resume(again, state) == ["teacher.ppo.learning_rate"]
    assert again.iterate()["learning_rate"] == 3e-5
    same = make_trainer("teacher", cfg)
    assert loop.resume(same, state) == []
    assert same.iterate()["learning_rate"] == cfg.teacher.ppo.learning_rate


def test_new_worlds_of_a_resumed_run_are_drawn_anew_and_keep_what_was_reached(tmp_path: Path) -> None:
    ramp = ("--env.randomization.disturbance_ramp=true", "--env.randomization.mass={low: 1.0, high: 1.0, when: startup}")
    trainer = make_trainer("teacher", tiny_cfg("go1-velocity-flat", *ramp))
    trainer.env.disturbances.strength[:] = torch.linspace(0.1, 0.8, 8)
    state = saved(trainer, tmp_path)
    again = make_trainer("teacher", schema.loads(state["config"], "checkpoint", ["--env.randomization.mass.high=1.5"]))
    loop.resume(again, state)
    assert (again.env.randomizer.drawn["mass"] > 1.01).any()  # drawn once a world, so the old draws would have stayed
    assert torch.equal(again.env.disturbances.strength, torch.linspace(0.1, 0.8, 8))
    assert len(set(again.env.episode_steps.tolist())) > 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of each kind."""
    folders = {kind: tmp_path_factory.mktemp("runs") / "panda-reach" / kind for kind in ("teacher", "student")}
    for kind, folder in folders.items():
        saved(make_trainer(kind, tiny_cfg("panda-reach")), folder)
    return folders


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["train", "panda-reach", "--env.seed=3"], "env.seed"),
        (["train", "panda-reach", "--sb3.timesteps=10"], "sb3.timesteps"),
        (["train", "panda-reach", "--student.ppo.target_kl=0.01"], "student.ppo.target_kl"),
        (["train", "panda-reach", "--env.curriculum.terrain=null"], "env.curriculum.terrain"),
        (["train", "go1-velocity-flat", "--env.curriculum.terrain=null"], "env.curriculum.terrain"),
        (["train", "panda-reach", "--init", "TEACHER", "--teacher.initial_std=0.1"], "teacher.initial_std"),
        (["train", "go1-velocity-flat-sb3", "--teacher.iterations=5"], "teacher.iterations"),
        (["train", "go1-velocity-flat-sb3", "--teacher.ppo.learning_rate=1e-5"], "teacher.ppo.learning_rate"),
        (["train", "--resume", "TEACHER", "--seed=5"], "seed"),
        (["train", "--resume", "TEACHER", "--algorithm=sb3"], "algorithm"),
        (["train", "--resume", "TEACHER", "--task=velocity-flat"], "task"),
        (["train", "--resume", "TEACHER", "--runs", "elsewhere"], "--runs"),
        (["distill", "TEACHER", "--teacher.iterations=9"], "teacher.iterations"),
        (["distill", "TEACHER", "--teacher.ppo.discount=0.5"], "teacher.ppo.discount"),
        (["distill", "TEACHER", "--env.seed=1"], "env.seed"),
        (["distill", "--resume", "STUDENT", "--student.initial_std=0.7"], "student.initial_std"),
        (["distill", "--resume", "STUDENT", "--teacher.hidden=[8]"], "teacher.hidden"),
        (["distill", "--resume", "STUDENT", "--seed=7"], "seed"),
        (["evaluate", "panda-reach", "--teacher.iterations=5"], "teacher.iterations"),
        (["evaluate", "panda-reach", "--env.num_worlds=5"], "env.num_worlds"),
        (["evaluate", "panda-reach", "--env.control_dt=0.01"], "env.control_dt"),
        (["evaluate", "panda-reach", "--seed=5", "--env.seed=5"], "env.seed"),
        (["demo", "panda-reach", "--env.seed=5"], "env.seed"),
        (["demo", "go1-velocity-flat-sb3"], "the demo needs robolearn's own algorithm"),
        (["train", "go1-velocity-flat-sb3", "--init", "TEACHER"], "--init is for robolearn's own algorithm"),
        (["train", "--resume", "TEACHER", "--init", "TEACHER"], "give one of them"),
        (["train", "panda-reach", "--teacher.until={velocity_error_xy: 0.2}"], "teacher.until.velocity_error_xy"),
        (["train", "go1-velocity-flat", "--teacher.until.seeds=1"], "give teacher.until.seeds=2"),
        (
            [
                "evaluate",
                "go1-velocity",
                "--suite",
                "locomotion",
                "--env.randomization.push_velocity=null",
                "--env.randomization.push_interval_s=null",
            ],
            "push_velocity",
        ),
        (["play", "panda-reach", "--no-video", "--size", "64x64"], "--size"),
        (["play", "panda-reach", "--port", "9000"], "--port"),
        (["export", "STUDENT", "--no-gate", "--seeds", "3"], "--seeds"),
        (["demo", "panda-reach", "--resume", "TEACHER"], "--resume takes preset and folder"),
    ],
)
def test_a_setting_without_effect_is_refused_by_name(
    arguments: list[str], setting: str, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"TEACHER": str(runs["teacher"]), "STUDENT": str(runs["student"])}
    before = {path: path.read_bytes() for folder in runs.values() for path in folder.iterdir()}
    assert cli.main([names.get(argument, argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert setting in err
    assert {path: path.read_bytes() for folder in runs.values() for path in folder.iterdir()} == before


def test_a_learning_rate_that_is_given_is_used_though_the_config_says_it_already(tmp_path: Path) -> None:
    """What the optimiser has by now is what it adapted to."""
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    trainer.ppo.use_learning_rate(7e-3)
    state = saved(trainer, tmp_path)
    rate = trainer.cfg.teacher.ppo.learning_rate
    overrides = [f"--teacher.ppo.learning_rate={rate}", "--teacher.ppo.target_kl=0"]
    again = make_trainer("teacher", schema.loads(state["config"], "checkpoint", overrides))
    loop.resume(again, state, settings.named(overrides))
    assert again.iterate()["learning_rate"] == rate


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "--teacher.ppo.learning_rate=0.5",
            "teacher.ppo.learning_rate: all of the training's 4 iterations are done",
        ),
        ("--env.rewards.at.weight=3.0", "env.rewards.at.weight"),
        ("--teacher.iterations=2", "the checkpoint is at iteration 4 already, so teacher.iterations=2 is too low"),
    ],
)
def test_nothing_is_recorded_that_no_iteration_is_left_for(override: str, message: str, tmp_path: Path) -> None:
    trainer = make_trainer("teacher", tiny_cfg("panda-reach"))
    trainer.iteration = 4
    state = saved(trainer, tmp_path)
    again = make_trainer("teacher", schema.loads(state["config"], "checkpoint", [override]))
    with pytest.raises(UserError, match=message):
        loop.resume(again, state)


def test_settings_of_a_users_own_file_act_or_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, name in (
        ("env: {seed: 7}", "env.seed"),
        ("sb3: {timesteps: 5}", "sb3.timesteps"),
        ("student: {ppo: {target_kl: 0.02}}", "student.ppo.target_kl"),
    ):
        (tmp_path / "my.yaml").write_text(f"task: reach\nrobot: panda\n{text}\n", encoding="utf-8")
        assert cli.main(["train", str(tmp_path / "my.yaml"), "--runs", str(tmp_path)]) == 2
        assert f"{name} (" in capsys.readouterr().err
    for preset in config.preset_names():
        cfg = schema.load(preset, any_robot(preset))
        if cfg.algorithm == "ppo":
            settings.refuse(schema.defaults(cfg.task, cfg.robot), cfg, settings.OWN, preset)


def test_a_study_refuses_what_would_have_no_effect(tmp_path: Path) -> None:
    state = saved(make_trainer("teacher", tiny_cfg("panda-reach")), tmp_path)
    plain = {"question": "?", "task": "reach", "variants": {"a": ()}}
    check_settings(Study(**plain), state)
    for change, name in (
        ({"common": ("seed=9",)}, "seed"),
        ({"variants": {"b": ("teacher.iterations=500",)}}, "teacher.iterations"),
        ({"variants": {"b": ("student.until={score_ratio: 0.5}",)}}, "student.until"),
        ({"conditions": {"c": ("student.iterations=7",)}}, "student.iterations"),
        ({"conditions": {"c": ("env.num_worlds=3",)}}, "env.num_worlds"),
    ):
        with pytest.raises(ConfigError, match=name):
            check_settings(Study(**plain | change), state)
    for path in sorted((config.presets_dir() / "studies").glob("*.yaml")):
        study = load_study(path)
        check_settings(study, {"config": config.dump(schema.load(study.task, any_robot(study.task)))})


def test_a_demo_is_gone_on_with_only_where_its_settings_act(tmp_path: Path) -> None:
    teacher, student = (make_trainer(kind, tiny_cfg("panda-reach")) for kind in ("teacher", "student"))
    cfg = teacher.cfg
    teacher.iteration = cfg.teacher.iterations
    saved(teacher, tmp_path / "teacher")
    demo.check_resume(cfg, tmp_path)
    demo.check_resume(dataclasses.replace(cfg, student=dataclasses.replace(cfg.student, iterations=9)), tmp_path)
    longer = dataclasses.replace(cfg, teacher=dataclasses.replace(cfg.teacher, iterations=9))
    demo.check_resume(longer, tmp_path)  # the teacher goes on
    saved(student, tmp_path / "student")
    with pytest.raises(ConfigError, match=r"teacher.iterations \(the teacher is trained already"):
        demo.check_resume(longer, tmp_path)


def test_a_setting_that_stays_as_it_is_is_no_change(runs: dict[str, Path]) -> None:
    state = load_checkpoint(runs["teacher"])
    before = schema.loads(state["config"], "checkpoint")
    assert settings.changed(before, schema.loads(state["config"], "checkpoint", ["--seed=0"])) == []
    assert settings.changed(before, dataclasses.replace(before, seed=1)) == ["seed"]


def test_what_is_drawn_when_it_is_due_has_no_when() -> None:
    with pytest.raises(ConfigError, match="push_velocity is drawn each time it is due"):
        tiny_cfg("go1-velocity-flat", "--env.randomization.push_velocity.when=startup")
