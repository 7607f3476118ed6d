"""The page of what a policy saw: its images, frame by frame, with what it did, in one file."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from robolearn.cli import main
from robolearn.learning.export import export
from robolearn.learning.student import load_student
from tests.learning_helpers import make_trainer, randomize
from tests.make_policy import make_policy
from tests.robolearn.test_pixels import pixels


def frames_of(page: Path) -> list[dict[str, Any]]:
    found = re.search(r"const frames = (\[.*?\]), joints = ", page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def picture(url: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_the_page_shows_each_image_that_the_policy_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = pixels("--student.vision.cameras=[room]", "--env.episode_s=4")
    trainer = make_trainer("student", cfg)
    net = randomize(load_student(trainer.state_dict(), cfg)).requires_grad_(False)
    file = export(net, cfg, tmp_path / "policy.onnx", 1, "")
    page = tmp_path / "seen.html"
    assert main(["play", str(file.path), "--seen", str(page), "--seconds", "0.6"]) == 0
    assert "(6 frames)" in capsys.readouterr().out  # 10 Hz
    frames = frames_of(page)
    shots = [picture(frame["images"]["room"]) for frame in frames]
    assert shots[0].shape == (16, 16, 3)
    assert len({shot.tobytes() for shot in shots}) > 3
    red = [(shot[..., 0].astype(int) - shot[..., 2]).max() for shot in shots]
    assert max(red) > 20  # the ball is there though nothing is randomized
    assert len(frames[0]["action"]) == 7
    assert "not told its command" in page.read_text()
    assert not re.findall(r"(?:src|href)=\"http", page.read_text())
    assert main(["play", str(file.path), "--seen", str(page), "--no-video"]) == 2
    assert "--seen writes a page and nothing else" in capsys.readouterr().err


def test_a_policy_without_eyes_has_no_such_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_policy(tmp_path / "policy.onnx", make_trainer("teacher", pixels()).env.spec, "stand", golden_steps=2)
    assert main(["play", str(tmp_path / "policy.onnx"), "--seen", str(tmp_path / "seen.html")]) == 2
    assert "takes no images; --camera NAME films" in capsys.readouterr().err
    assert main(["play", str(tmp_path / "policy.onnx"), "--mae", "runs/mae"]) == 2
    assert not (tmp_path / "seen.html").exists()
