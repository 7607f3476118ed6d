"""A student with eyes: what it sees, how it learns from it, how a training goes on, and the file that becomes of it."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.tasks.registry import make_env
from policies.contract.file import PolicyFile
from policies.encoders.shape import VitCfg
from policies.export.encoder import export_encoder
from policies.networks.cnn import Cnn, CnnCfg
from policies.networks.mlp import MlpCfg
from policies.networks.transformer import TransformerCfg
from policies.networks.vision import Seeing, VisionCfg
from policies.networks.vit import VitEncoder
from robolearn.cli import main
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.evaluation.actors import FileActor, StudentActor
from robolearn.evaluation.rollout import Rollout
from robolearn.evaluation.sight import Sight, make_student, worlds_of
from robolearn.evaluation.worlds import env_of
from robolearn.learning import pictures
from robolearn.learning.export import export
from robolearn.learning.student import StudentTrainer, load_student
from robolearn.learning.teacher import TeacherTrainer
from tests.envs.seeing import any_renderer
from tests.learning_helpers import TINY, assert_identical, make_trainer, randomize, tiny_teacher, untimed

VIEWS = {"room": (16, 16, 3), "hand": (12, 16, 1)}
CORES = {
    "mlp": MlpCfg(width=16, layers=1),
    "transformer": TransformerCfg(width=16, layers=2, heads=2, window=4),
}


def pixels(*overrides: str) -> TrainCfg:
    """The preset, shrunk: small images of two rates by any renderer that is there."""
    kind = any_renderer()
    views = (
        f"--env.observations.room={{camera: outside, height: 16, width: 16, rate: 10, renderer: {kind}}}",
        f"--env.observations.hand={{camera: wrist, height: 12, width: 16, rate: 25, modality: depth, renderer: {kind}}}",
    )
    return schema.load("panda-reach-pixels", [*TINY, *views, "--student.vision.cnn.maps=[4,6]", *overrides])


def seeing(core: str = "transformer", **vision: Any) -> Seeing:
    torch.manual_seed(3)
    net = Seeing(9, 5, CORES[core], VisionCfg(cnn=CnnCfg(maps=(4, 6)), width=8, **vision), VIEWS)
    return randomize(net, 1)


def shots(n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    room = torch.randint(0, 256, (n, *VIEWS["room"]), dtype=torch.uint8, generator=generator)
    return {"room": room, "hand": 3.0 * torch.rand(n, *VIEWS["hand"], generator=generator)}


@pytest.mark.parametrize("core", CORES)
def test_a_chunk_with_features_equals_steps_with_images(core: str) -> None:
    """As in a rollout (`stream`), in an update (`forward`) and on the robot (`step`)."""
    net, n, t = seeing(core).requires_grad_(False), 3, 7
    images, state = [shots(n, step) for step in range(t)], torch.randn(n, t, 9)
    features = torch.stack([torch.cat([net.read(name, net.encode(name, shot[name])) for name in VIEWS], dim=-1) for shot in images], dim=1)
    whole, after = net(net.observed(state, features), net.start(n))
    stream, memory, first = net.stream(net.start(n)), net.start(n), torch.zeros(n, dtype=torch.bool)
    for step in range(t):
        torch.testing.assert_close(stream.step(net.observed(state[:, step], features[:, step]), first), whole[:, step], atol=1e-5, rtol=0)
        action, memory = net.step({"state": state[:, step], **images[step]}, memory)
        torch.testing.assert_close(action, whole[:, step], atol=1e-5, rtol=0)
    for name in memory.keys() - {"age"}:  # which is bounded on a robot
        torch.testing.assert_close(memory[name], after[name], atol=1e-5, rtol=0)
    other = net.step({"state": state[:, -1], **shots(n, 99)}, memory)[0]
    assert not torch.allclose(other, net.step({"state": state[:, -1], **images[-1]}, memory)[0], atol=1e-3)


def test_a_latent_tells_where_a_thing_is() -> None:
    """A blob that moves by eight pixels moves the points of the maps that respond to it, and nothing moves them on an even image."""
    net = Cnn((32, 32, 3), CnnCfg(maps=(4, 6)))
    images = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    images[0, 8:12, 8:12], images[1, 8:12, 16:20] = 255, 255
    with torch.no_grad():
        net.sharpness *= 40.0
        columns, rows, _ = net(images).split(6, dim=-1)
    assert ((columns[1] - columns[0] - 0.5).abs() < 0.15).any()  # 8 of 32 pixels, of a range of 2
    assert (rows[1] - rows[0]).abs().max() < 0.15


def test_sight_has_the_features_of_the_present_images_and_encodes_each_once() -> None:
    cfg = pixels("--env.episode_s=0.18")
    env = make_env(cfg.task, cfg.robot, worlds_of(cfg.env, cfg.student))
    env.start_spread()
    net = make_student(env.spec.observation_dim, env.spec.action_dim, cfg.env, cfg.student)
    assert isinstance(net, Seeing)
    sight, encoded = Sight(net, env), 0
    for _ in range(14):
        features = sight.look()
        encoded += len(sight.fresh["room"])
        want = torch.cat([net.read(name, net.encode(name, env.images[name])) for name in net.views], dim=-1).detach()
        torch.testing.assert_close(features, want, atol=1e-5, rtol=0)
        env.step(torch.randn(8, 7))
    assert encoded < 14 * 8 / 2


@pytest.mark.parametrize("frozen", [False, True])
def test_an_update_sees_what_the_rollout_saw_and_teaches_only_encoders_that_learn(frozen: bool) -> None:
    trainer = make_trainer("student", pixels(f"--student.vision.frozen={str(frozen).lower()}", "--student.imitation.rl_weight=1"))
    before = copy.deepcopy(trainer.policy.state_dict())
    seen: list[torch.Tensor] = []
    note = trainer._pictures.note
    trainer._pictures.note = lambda t: (note(t), seen.append(trainer._pictures.features))
    trainer._collect()
    chunk = trainer._pictures.chunk(torch.tensor([5, 2]))
    torch.testing.assert_close(chunk.detach(), torch.stack(seen, dim=1)[[5, 2]], atol=1e-5, rtol=0)
    assert chunk.requires_grad
    trainer.iterate()
    for name, value in trainer.policy.state_dict().items():
        if "encoders" in name:
            assert torch.equal(value, before[name]) == frozen, name
        elif "readouts" in name:
            assert not torch.equal(value, before[name]), name


@pytest.mark.parametrize("frozen", [False, True])
def test_a_resumed_training_equals_an_uninterrupted_one(frozen: bool) -> None:
    cfg = pixels(f"--student.vision.frozen={str(frozen).lower()}", "--env.randomization.grain.func=envs.terms.optics:Noise")
    whole = make_trainer("student", cfg)
    whole.iterate()
    state = copy.deepcopy(whole.state_dict())
    resumed = StudentTrainer(cfg, tiny_teacher(cfg, seed=9))
    resumed.load_state_dict(state)
    for _ in range(2):
        assert untimed(whole.iterate()) == untimed(resumed.iterate())
    assert_identical(whole.state_dict(), resumed.state_dict())


def test_only_a_student_with_eyes_draws_and_only_what_it_sees() -> None:
    cfg = pixels("--student.vision.cameras=[hand]")
    assert TeacherTrainer(cfg).env.cameras is None
    assert make_trainer("student", dataclasses.replace(cfg, student=dataclasses.replace(cfg.student, vision=None))).env.cameras is None
    student = make_trainer("student", cfg)
    assert list(student.env.cameras.terms) == ["hand"]
    assert student.policy.actor.groups == ("state", "hand")
    assert "command" not in [term.name for term in student.env.spec.terms]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("--student.vision.cameras=[hnad]",), "'hnad' is no camera of env.observations; did you mean 'hand'?"),
        (("--env.observations.hand=null", "--env.observations.room=null"), "student.vision needs a camera, and env.observations has none"),
        (("--student.vision.encoder=/nowhere/mae.onnx", "--student.vision.cameras=[room]"), "no encoder at /nowhere/mae.onnx"),
        (("--student.vision.encoder=nano",), "shared by all cameras, so their images must be alike, not 16x16x3, 12x16x1"),
        (("--student.vision.encoder=nano", "--student.vision.cameras=[hand]"), "a transformer encodes colour, and these images have 1"),
    ],
)
def test_eyes_that_cannot_be_are_refused(overrides: tuple[str, ...], message: str) -> None:
    cfg = pixels(*overrides)
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        StudentTrainer(cfg, tiny_teacher(cfg))


def test_images_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(pictures, "MOST_MEMORY", 50_000 / there)
    with pytest.raises(UserError, match=r"images of a rollout would take .*--env.num_worlds.*frozen"):
        make_trainer("student", pixels())
    make_trainer("student", pixels("--student.vision.frozen=true"))  # keeps latents


def test_a_file_acts_as_its_student_does_and_sees_by_itself(tmp_path: Path) -> None:
    cfg = pixels("--student.vision.cameras=[room]", "--env.episode_s=4")
    trainer = make_trainer("student", cfg)
    trainer.iterate()
    net = randomize(load_student(trainer.state_dict(), cfg)).requires_grad_(False)
    file = export(net, cfg, tmp_path / "policy.onnx", 1, "")
    assert [(group.name, group.every) for group in file.spec.observation] == [("state", 1), ("room", 5)]
    assert file.golden.groups["room"].shape == (20, 16, 16, 3)
    assert len({shot.tobytes() for shot in file.golden.groups["room"]}) > 10  # it moved and saw it
    again = env_of(PolicyFile(tmp_path / "policy.onnx"), trainer.env.robot)
    assert [name for name in again.observations if name in ("room", "hand")] == ["room"]
    actions = []
    for actor in (FileActor(file, 2), StudentActor(net, 2)):
        env = make_env(cfg.task, cfg.robot, again, num_worlds=2)
        rollout = Rollout(env, actor)
        rollout.start()
        for _ in range(12):
            rollout.step()
        actions.append(env.action)
    torch.testing.assert_close(*actions, atol=1e-4, rtol=0)


def test_the_commands_distill_resume_and_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = any_renderer()
    views = [f"--env.observations.{name}={{camera: {camera}, height: 12, width: 12, rate: 10, renderer: {kind}}}"
             for name, camera in (("room", "outside"), ("hand", "wrist"))]  # fmt: skip
    own = ["--student.vision.cnn.maps=[4]", "--teacher.iterations=1", "--student.iterations=2"]
    assert main(["train", "panda-reach-pixels", *TINY, *views, *own]) == 0
    assert main(["distill", "runs/panda-reach-pixels", "--runs", "runs"]) == 0
    run = next(Path("runs/panda-reach-pixels-student").iterdir())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(row["pictures_per_s"] > 0 and row["steps_per_s"] > 0 for row in rows)
    assert main(["distill", "--resume", str(run), "--student.iterations=3"]) == 0
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
    assert main(["export", str(run), "--no-gate"]) == 0
    assert PolicyFile(run / "policy.onnx").images == ("room", "hand")
    capsys.readouterr()
    assert main(["distill", "--resume", str(run), "--student.iterations=4", "--student.vision.width=8"]) == 2
    assert "sizes cannot change when resuming" in capsys.readouterr().err


def test_an_encoder_from_a_file_is_shared_frozen_and_named_in_the_policy_file(tmp_path: Path) -> None:
    """Its latents stand in for images in a rollout; the policy file holds it inside and tells its hash, licence and origin."""
    torch.manual_seed(1)
    encoder = VitEncoder(VitCfg(height=32, width=32, patch=8, dim=24, layers=1, heads=3, readout="grid"))
    golden = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    made = export_encoder(encoder, {"licence": "CC0-1.0"}, golden, tmp_path / "encoder.onnx")
    size = f"height: 32, width: 32, renderer: {any_renderer()}"
    views = [
        f"--env.observations.{name}={{camera: {camera}, {size}, rate: 10, modality: rgb}}"
        for name, camera in (("hand", "wrist"), ("room", "outside"))
    ]
    cfg = pixels(*views, f"--student.vision.encoder={tmp_path / 'encoder.onnx'}", "--env.episode_s=1")
    trainer = make_trainer("student", cfg)
    net = trainer.policy.actor
    assert len(net.encoders) == 1
    assert net.frozen
    assert net.widths == {"room": 384, "hand": 384}
    before = copy.deepcopy(net.encoders.state_dict())
    trainer.iterate()
    assert_identical(net.encoders.state_dict(), before)
    assert {name: parts.dtype for name, parts in trainer._pictures._store.items()} == dict.fromkeys(net.views, torch.float32)
    file = export(load_student(trainer.state_dict(), cfg), cfg, tmp_path / "policy.onnx", 1, "")
    told = file.provenance["encoder"]
    assert (told["weights_sha256"], told["licence"], told["frozen"]) == (made.origin["weights_sha256"], "CC0-1.0", True)
    (tmp_path / "encoder.onnx").unlink()
    assert PolicyFile(tmp_path / "policy.onnx").verify() < 1e-4  # it is inside
