"""A policy that sees: from the worlds' cameras into a policy file and back to its worlds; and looking over its shoulder."""

from __future__ import annotations

import dataclasses
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from policies.contract.file import PolicyFile
from policies.export.onnx_graph import EXPORT_TOLERANCE, export_student
from policies.networks.protocol import Memory, Network, NetworkCfg
from policies.networks.registry import make_network, network_cfg
from robolearn.cli import main
from robolearn.config import loading, schema
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.rollout import Rollout
from robolearn.learning.export import record_sensors
from tests.envs.seeing import any_renderer, pictures, seeing, view
from tests.learning_helpers import make_trainer, tiny_cfg
from tests.make_policy import make_policy

ROOT = Path(__file__).resolve().parents[2]


class Bright(Network):
    """Moves by how bright its camera's picture is."""

    groups = ("state", "view")

    def __init__(self, observation_dim: int, action_dim: int) -> None:
        super().__init__()
        self.cfg = NetworkCfg(kind="bright")
        self.head = torch.nn.Linear(observation_dim + 3, action_dim)

    @property
    def history_steps(self) -> int:
        return 1

    def start(self, worlds: int) -> Memory:
        return {}

    def step(self, observations: Any, memory: Memory) -> tuple[torch.Tensor, Memory]:
        color = observations["view"].float().mean(dim=(1, 2)) / 255
        return self.head(torch.cat([observations["state"], color], dim=1)), memory


def exported(folder: Path) -> PolicyFile:
    env, blind = seeing(worlds=1, view=view(rate=10, camera="wrist")), seeing(worlds=1)
    torch.manual_seed(0)
    net = Bright(env.spec.observation_dim, env.spec.action_dim)
    sensors = record_sensors(blind, make_network(env.spec.observation_dim, env.spec.action_dim, network_cfg("mlp")()), 12)
    shots = np.random.default_rng(0).integers(0, 255, (3, *env.spec.group("view").shape), np.uint8)
    return export_student(net, env.spec, sensors, {}, folder / "policy.onnx", {"view": shots})


def test_a_policy_file_tells_how_its_camera_sees_and_is_shown_that(tmp_path: Path) -> None:
    file = exported(tmp_path)
    image = file.spec.group("view").image
    assert image is not None
    assert (file.images, image.frame, image.kind, file.spec.group("view").every) == (("view",), "wrist", "rgb", 5)
    assert image.fx == pytest.approx(12 / np.tan(np.radians(29)))
    assert (image.cx, image.cy) == (11.5, 11.5)
    assert file.verify() <= EXPORT_TOLERANCE
    env = seeing(worlds=2, view=view(rate=10, camera="wrist"))
    rollout = Rollout(env, FileActor(file, 2))
    rollout.start()
    want = [file.fork().act(rollout.policy[i].numpy(), {"view": pictures(env, "view")[i]}).copy() for i in range(2)]
    rollout.step()
    np.testing.assert_allclose(env.action.numpy(), want, atol=1e-6)
    assert not np.allclose(want[0], file.fork().act(rollout.policy[0].numpy(), {"view": np.zeros((24, 24, 3), np.uint8)}))


def test_a_teacher_learns_beside_cameras_as_without(tmp_path: Path) -> None:
    """It reads vectors alone, so that nothing is drawn for it; what is learned is the same to the bit."""
    look = f"--env.observations.hand={{camera: wrist, height: 12, width: 12, renderer: {any_renderer()}}}"
    seen, blind = (make_trainer("teacher", tiny_cfg("panda-reach", *more)) for more in ((look,), ()))
    for _ in range(2):
        ours, theirs = seen.iterate(), blind.iterate()
    assert seen.env.cameras is None
    for name, value in blind.policy.state_dict().items():
        assert torch.equal(seen.policy.state_dict()[name], value), name
    assert ours["reward"] == theirs["reward"]
    cfg = schema.loads(loading.dump(seen.cfg), "the text")
    assert list(cfg.env.blind().observations) == list(blind.cfg.env.observations)


def test_play_writes_what_a_camera_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    any_renderer()
    env = seeing(worlds=1)
    make_policy(tmp_path / "policy.onnx", env.spec, "stand", golden_steps=2)
    args = ["play", str(tmp_path / "policy.onnx"), "--seconds", "0.2", "--size", "160x96", "--out", str(tmp_path / "a.webm")]
    assert main([*args, "--camera", "wrist", "--json", str(tmp_path / "a.json")]) == 0
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["camera_video"] == str(tmp_path / "a-wrist.webm")
    reader = cv2.VideoCapture(told["camera_video"])
    frames = []
    while (read := reader.read())[0]:
        frames.append(read[1])
    assert len(frames) == 10  # one a control step
    assert frames[0].shape == (384, 384, 3)
    assert frames[0].std() > 5
    assert main([*args, "--camera", "wirst"]) == 2
    assert "there is no camera 'wirst'; did you mean 'wrist'?; valid: wrist, outside" in capsys.readouterr().err
    assert main([*args[:2], "--no-video", "--camera", "wrist"]) == 2
    assert "--camera is for a video" in capsys.readouterr().err


def test_the_example_writes_its_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(ROOT / "examples/cameras.py"))
    kind = any_renderer()
    monkeypatch.setitem(example["main"].__globals__, "STEPS", 3)
    small = {name: dataclasses.replace(term, height=16, width=16, renderer=kind) for name, term in example["CAMERAS"].items()}
    monkeypatch.setitem(example["main"].__globals__, "CAMERAS", small)
    example["main"](tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (64, 64, 3)
    said = capsys.readouterr().out
    assert "hand: rgb 16 x 16, every 5 steps" in said
    assert f"drawn by the {kind}" in said
    assert sys.argv  # the example takes its path from there
