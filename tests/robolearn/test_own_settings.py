"""A policy is judged and shown in the worlds that it was trained in: what a training changed is in its file, and acts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from envs.robots.registry import get_robot
from envs.terms.randomization import without_randomization
from policies.contract.file import PROVENANCE_KEY, PolicyFile
from robolearn import cli
from robolearn.config import loading as config
from robolearn.config.schema import TrainCfg
from robolearn.evaluation.locomotion.setup import make_setup
from robolearn.evaluation.worlds import env_of, trained_as
from robolearn.learning.export import export, gate
from robolearn.viewer.playback import Playback
from tests.learning_helpers import constant_policy, edit_metadata, make_trainer, tiny_cfg

FLAT = "go1-velocity-flat"
CHANGES = {
    "an observation the less": ("--env.observations.clock=null",),
    "an observation the more": ("--env.observations.energy={func: 'tests.envs.my_terms:joint_energy', scale: 0.1}",),
    "another action law": ("--env.action.mode=position_delta", "--env.action.clip=3.0"),
}


def exported(cfg: TrainCfg, path: Path) -> PolicyFile:
    """The file of a student that learned nothing."""
    return export(make_trainer("student", cfg).policy.actor, cfg, path, 1, "by hand")


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_changed_contract_goes_all_the_way(changes: tuple[str, ...], tmp_path: Path) -> None:
    cfg = tiny_cfg(FLAT, *changes)
    path = exported(cfg, tmp_path / "policy.onnx").path
    file, training, precise, _ = gate(path, seeds=1, seconds=1.1)
    assert training.episodes == precise.episodes == 45
    assert [told["engine"] for told in file.provenance["evaluation"]] == ["mujoco", "precise"]
    shown = Playback(file)
    shown.step((0.3, 0.0, 0.0))
    names = [term.name for term in shown.env.spec.terms]
    assert names == [term.name for term in file.spec.terms] == list(cfg.env.observations)
    assert shown.env.spec.action.mode == file.spec.action.mode == cfg.env.action.mode
    make_setup(file, env_of(file, get_robot("go1")))  # raises where the worlds are not those of the file


def test_the_worlds_are_those_of_the_training_and_not_its_machine(tmp_path: Path) -> None:
    """Ranges, randomization and terms are what was learned; how many worlds there were, where and by what engine is not."""
    own = ("--env.command.vx=[-0.3, 0.4]", "--env.randomization.mass=null", "--env.randomization.disturbance_ramp=true")
    cfg = tiny_cfg(FLAT, *own)
    cfg = dataclasses.replace(cfg, env=dataclasses.replace(cfg.env, clock_hz=1.7, seed=5))
    file = exported(cfg, tmp_path / "policy.onnx")
    elsewhere = ("num_worlds: 8", "num_worlds: 123"), ("engine: mujoco", "engine: warp"), ("device: cpu", "device: cuda")

    def moved(provenance: dict[str, str]) -> dict[str, str]:
        for ours, theirs in elsewhere:
            assert ours in provenance["config"]
            provenance["config"] = provenance["config"].replace(ours, theirs)
        return provenance

    env = env_of(PolicyFile(edit_metadata(file.path, PROVENANCE_KEY, moved)), get_robot("go1"))
    plain = {field.name: field.default for field in dataclasses.fields(env)}
    assert all(getattr(env, name) == plain[name] for name in ("num_worlds", "engine", "device", "num_threads", "seed"))
    assert env.randomization == dataclasses.replace(cfg.env.randomization, disturbance_ramp=False)
    assert env.command == cfg.env.command
    assert env.clock_hz == 1.7
    assert Playback(file, randomize=True).env.cfg.randomization.range("mass") is None
    assert Playback(file).env.cfg.randomization == without_randomization()


def test_an_override_is_laid_over_the_training(tmp_path: Path) -> None:
    file = exported(tiny_cfg(FLAT, "--env.observations.clock=null"), tmp_path / "policy.onnx")
    found = trained_as(file, get_robot("go1"), ["--env.randomization.mass=null", "--env.device=cuda"])
    assert found is not None
    assert found.env.randomization.range("mass") is None
    assert "clock" not in found.env.observations
    assert found.env.device == "cuda"
    assert cli.main(["evaluate", str(file.path), "--seeds", "1", "--seconds", "1.1", "--env.randomization.mass=null"]) == 0


def test_a_file_whose_training_does_not_read_here_is_judged_by_its_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.dump(tiny_cfg(FLAT)).replace("rewards:track_velocity", "rewards:no_such_term")
    path = edit_metadata(constant_policy(tmp_path / "policy.onnx"), PROVENANCE_KEY, lambda told: told | {"config": text})
    file = PolicyFile(path)
    assert trained_as(file, get_robot("go1")) is None
    assert "track_velocity" in env_of(file, get_robot("go1")).rewards
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "no_such_term" in err
    assert "the task's own settings are used" in err
