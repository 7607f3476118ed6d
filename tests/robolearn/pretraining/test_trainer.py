"""A pretraining learns, goes on exactly, and leaves a policy file, a student or another pretraining behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.contract.file import PolicyFile
from robolearn import cli
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.learning.run import Run, load_checkpoint
from robolearn.learning.student import StudentTrainer, load_student
from robolearn.learning.trainer import resume, save
from robolearn.pretraining.objectives import next_errors
from robolearn.pretraining.starting import as_start
from robolearn.pretraining.trainer import PretrainTrainer
from tests.learning_helpers import TINY, assert_identical, tiny_cfg, tiny_teacher, untimed
from tests.robolearn.pretraining.trajectories import episode, source, write
from tests.robolearn.test_distributed import two_processes

SMALL = ("--pretrain.iterations=4", "--pretrain.updates=3", "--pretrain.steps=8", "--pretrain.batch=8", "--pretrain.evaluate_every=0")
OBJECTIVES = {"next": (), "not aligned": ("--pretrain.aligned=false",), "masked": ("--pretrain.objective=masked",)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twelve episodes of a policy, two of a person."""
    people = [episode(100 + index, of=source("mocap")) for index in range(2)]
    return write(tmp_path_factory.mktemp("data") / "d", *(episode(index) for index in range(12)), *people)


def cfg_of(data: str, *overrides: str) -> TrainCfg:
    return tiny_cfg("go1-velocity-flat", *SMALL, f"--pretrain.data=[{data}]", *overrides)


def saved(trainer: PretrainTrainer, folder: Path) -> Path:
    job = Run(folder, trainer.cfg)
    save(trainer, job)
    job.close()
    return folder


@pytest.mark.parametrize("overrides", OBJECTIVES.values(), ids=OBJECTIVES)
def test_a_resumed_pretraining_is_the_uninterrupted_one(overrides: tuple[str, ...], data: str, tmp_path: Path) -> None:
    cfg = cfg_of(data, *overrides)
    whole = PretrainTrainer(cfg)
    told = [untimed(whole.iterate()) for _ in range(4)]
    first = PretrainTrainer(cfg)
    for _ in range(2):
        first.iterate()
    state = load_checkpoint(saved(first, tmp_path / "run"))
    second = PretrainTrainer(cfg)
    resume(second, state)
    assert_identical([untimed(second.iterate()) for _ in range(2)], told[2:])
    assert_identical(second.state_dict(), whole.state_dict())


def test_a_checkpoint_of_other_data_is_refused(data: str, tmp_path: Path) -> None:
    trainer = PretrainTrainer(cfg_of(data))
    state = load_checkpoint(saved(trainer, tmp_path / "run"))
    other = PretrainTrainer(cfg_of(write(tmp_path / "other", episode(0), episode(1))))
    with pytest.raises(UserError, match=r"pretrain\.data"):
        resume(other, state)
    state["datasets"][0]["episodes"] = 99
    with pytest.raises(UserError, match="the datasets have changed since"):
        resume(PretrainTrainer(cfg_of(data)), state)


def test_it_learns_to_predict_episodes_that_it_never_saw(data: str) -> None:
    more = (
        "--pretrain.iterations=40",
        "--pretrain.updates=5",
        "--pretrain.batch=16",
        "--pretrain.learning_rate=5e-3",
        "--pretrain.noise=0",
    )
    trainer = PretrainTrainer(cfg_of(data, "--student.network.width=48", *more))
    before = trainer.check()
    for _ in range(40):
        metrics = trainer.iterate()
    for name in ("held_out/action_error", "held_out/observation_error"):
        assert metrics[name] < 0.7 * before[name]


def test_statistics_are_of_each_source_and_a_robot_acts_by_its_own(data: str) -> None:
    trainer = PretrainTrainer(cfg_of(data))
    assert trainer.statistics.names == ["go1/position_offset", "go1/mocap"]
    assert not torch.allclose(trainer.statistics.mean[0], trainer.statistics.mean[1])
    normalizer = trainer.policy.net.normalizer
    torch.testing.assert_close(normalizer.mean.float(), trainer.statistics.mean[0])
    torch.testing.assert_close(normalizer.std.float(), trainer.statistics.std[0])
    x = torch.randn(3, 2, trainer.env.spec.observation_dim)
    here = trainer.policy.normalized(x, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(here, normalizer(x), atol=1e-4, rtol=1e-4)
    pooled = PretrainTrainer(cfg_of(data, "--pretrain.normalize=robot"))
    assert pooled.statistics.names == ["go1"]


def test_what_is_exported_acts_as_what_was_trained(data: str, tmp_path: Path) -> None:
    """The mean of the trainer's head, of windows whose start is an episode's, against the network that a checkpoint gives."""
    trainer = PretrainTrainer(cfg_of(data, "--pretrain.noise=0"))
    trainer.iterate()
    state = load_checkpoint(saved(trainer, tmp_path / "run"))
    student = load_student(state, trainer.cfg)
    tokens = trainer.sources.cut(0, np.array([0, 1]), np.array([0, 0]), 8)
    model = trainer.policy
    with torch.no_grad():
        x = model.normalized(tokens.observation[:, :-1], tokens.source)
        ours = model.net.head(model.encode(x, ~tokens.known[:, :-1]))
        theirs, _ = student(tokens.observation[:, :-1], student.start(2))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_behind_a_fold_a_mirrored_world_is_the_same(data: str, tmp_path: Path) -> None:
    """What is asked is the same on both sides, and the exported network acts as it was asked."""
    trainer = PretrainTrainer(cfg_of(data, "--student.ppo.symmetry=fold", "--pretrain.noise=0"))
    trainer.iterate()
    model, mirrors = trainer.policy, trainer.env.mirror()
    assert mirrors is not None
    tokens = trainer.sources.cut(0, np.array([0, 1]), np.array([0, 3]), 8)
    (order, sign), (joints, flips) = mirrors["policy"], mirrors["action"]
    other = dataclasses.replace(tokens, observation=tokens.observation[..., order] * sign, action=tokens.action[..., joints] * flips)
    with torch.no_grad():
        one, two = next_errors(model, tokens), next_errors(model, other)
    torch.testing.assert_close(one.action, two.action)
    torch.testing.assert_close(one.observation, two.observation)
    student = load_student(load_checkpoint(saved(trainer, tmp_path / "run")), trainer.cfg)
    with torch.no_grad():
        now, _, wanted = model.folded(tokens)
        asked = model.net.head(model.encode(model.normalized(now, tokens.source), ~tokens.known[:, :-1])) - wanted
        acted = student(tokens.observation[:, :-1], student.start(2))[0] - tokens.action
    torch.testing.assert_close(asked.abs().sum(-1), acted.abs().sum(-1), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_two_processes_write_one_run(data: str, tmp_path: Path) -> None:
    tiny = [item for item in TINY if item.startswith(("--threads", "--env", "--student.network"))]
    arguments = ["pretrain", "go1-velocity-flat", "--data", data, "--runs", str(tmp_path / "runs"), *tiny, *SMALL]
    two_processes(["-m", "robolearn", *arguments])
    (run,) = (tmp_path / "runs" / "go1-velocity-flat-pretrain").iterdir()
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["steps"] for line in lines] == [step * 3 * 8 * 8 * 2 for step in (1, 2, 3, 4)]


def test_next_goes_on_from_masked_with_its_statistics(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = PretrainTrainer(cfg_of(data, "--pretrain.objective=masked"))
    first.iterate()
    state = load_checkpoint(saved(first, tmp_path / "run"))
    assert cli.main(["export", str(tmp_path / "run")]) == 2
    assert "was pretrained to use past and future" in capsys.readouterr().err
    mine = write(tmp_path / "mine", *(episode(50 + index) for index in range(3)))
    second = PretrainTrainer(cfg_of(mine), state)
    assert torch.equal(second.statistics.mean[0], first.statistics.mean[0]), "its weights see through those of its data"
    people = write(tmp_path / "people", *(episode(60 + index, of=source("video", robot="go1")) for index in range(3)))
    third = PretrainTrainer(cfg_of(people), state)
    torch.testing.assert_close(third.policy.net.normalizer.mean, first.policy.net.normalizer.mean)
    assert third.statistics.names == ["go1/position_offset", "go1/mocap", "go1/video"]
    third.iterate()
    again = load_checkpoint(saved(third, tmp_path / "third"))
    fourth = PretrainTrainer(third.cfg, again)  # as --resume makes it
    resume(fourth, again)
    assert_identical(untimed(fourth.iterate()), untimed(third.iterate()))
    assert_identical(second.policy.actor.state_dict(), first.policy.actor.state_dict())
    with pytest.raises(UserError, match=r"does not fit student\.network"):
        PretrainTrainer(cfg_of(mine, "--student.network.width=32"), state)


def test_a_student_starts_as_the_pretrained_network(data: str, tmp_path: Path) -> None:
    """Sizes and normaliser are the pretrained network's; the critic is the teacher's."""
    trainer = PretrainTrainer(cfg_of(data, "--student.network.width=24"))
    trainer.iterate()
    run = saved(trainer, tmp_path / "run")
    cfg, network, state = as_start(run, cfg_of(data))
    assert cfg.student.network.width == 24  # pyright: ignore[reportAttributeAccessIssue]
    student = StudentTrainer(cfg, tiny_teacher(cfg), network)
    assert_identical(dict(student.policy.actor.state_dict()), dict(network.state_dict()))
    assert state["datasets"][0]["episodes"] == 14
    student.iterate()
    assert not torch.equal(student.policy.actor.head[-1].weight, network.head[-1].weight)  # pyright: ignore


def test_the_kl_to_the_pretrained_network_holds_a_student_near_it_and_goes_on_exactly(data: str, tmp_path: Path) -> None:
    trainer = PretrainTrainer(cfg_of(data))
    run = saved(trainer, tmp_path / "run")

    def student(weight: float) -> StudentTrainer:
        cfg, network, _ = as_start(run, cfg_of(data, "--student.imitation.weight=0", f"--student.imitation.pretrained_weight={weight}"))
        return StudentTrainer(cfg, tiny_teacher(cfg), network)

    loose, tight = student(1e-6), student(30.0)
    kl = {}
    for name, each in (("loose", loose), ("tight", tight)):
        for _ in range(3):
            kl[name] = each.iterate()["pretrained_kl"]
    assert kl["tight"] < 0.3 * kl["loose"]
    job = Run(tmp_path / "student", tight.cfg)
    save(tight, job)
    job.close()
    state = load_checkpoint(tmp_path / "student")
    again = StudentTrainer(tight.cfg, tiny_teacher(tight.cfg))
    resume(again, state)
    assert_identical(untimed(again.iterate()), untimed(tight.iterate()))


def test_on_the_command_line(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pretrain, go on, export, and what would have no effect is refused."""
    tiny = [item for item in TINY if item.startswith(("--threads", "--env", "--student.network"))]
    common = ["pretrain", "go1-velocity-flat", "--data", data, "--runs", str(tmp_path / "runs"), *tiny, *SMALL]
    assert cli.main(common) == 0
    (run,) = (tmp_path / "runs" / "go1-velocity-flat-pretrain").iterdir()
    out = capsys.readouterr()
    assert "export it: robolearn export" in out.out
    assert "14 episodes, 840 rows" in out.err
    assert cli.main(["pretrain", "--resume", str(run), "--pretrain.iterations=5"]) == 0
    assert load_checkpoint(run)["iteration"] == 5
    assert cli.main(["export", str(run), "--no-gate", "--out", str(tmp_path / "p.onnx")]) == 0
    file = PolicyFile(tmp_path / "p.onnx")
    assert file.provenance["datasets"][0]["licences"] == ["Apache-2.0"]
    capsys.readouterr()
    assert cli.main([*common, "--teacher.iterations=3"]) == 2
    assert "no effect in a pretraining: teacher.iterations" in capsys.readouterr().err
    assert cli.main(["distill", str(run)]) == 2
    assert "checkpoint of a pretrain" in capsys.readouterr().err
