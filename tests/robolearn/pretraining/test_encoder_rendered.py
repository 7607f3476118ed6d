"""Encoders learn from images that are rendered as it goes: the same ones for the same seed, of looks that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robolearn.pretraining.encoder.config import EncoderCfg
from robolearn.pretraining.encoder.rendered import STEPS, Rendered

pytest.importorskip("mujoco_warp")
pytestmark = pytest.mark.slow
SMALL: dict[str, Any] = {"height": 32, "width": 32, "worlds": 4, "reuse": 2.0, "kept": 128, "readout": "mean"}


@pytest.fixture(scope="module")
def source() -> Rendered:
    return Rendered("panda-reach", EncoderCfg(**SMALL, render=("panda-reach",)), seed=3, rank=0)


def test_a_preset_without_cameras_gets_its_robots_and_the_usual_looks(source: Rendered) -> None:
    about = source.about()
    assert about["cameras"] == ["wrist", "outside"]
    assert {"floor", "sun", "distractors", "grain"} <= set(about["looks"])
    assert source.per_round == STEPS * 4 * 2


def test_a_round_is_a_function_of_seed_and_number(source: Rendered) -> None:
    first = source._roll(5)
    assert first.shape == (source.per_round, 32, 32, 3)
    other = source._roll(6)
    assert not np.array_equal(first, other)
    assert np.array_equal(source._roll(5), first)
    twin = Rendered("panda-reach", EncoderCfg(**SMALL, render=("panda-reach",)), seed=3, rank=0)
    assert np.array_equal(twin._roll(5), first)


def test_worlds_look_different_and_robots_move(source: Rendered) -> None:
    pictures = source._roll(7).reshape(STEPS, 2, 4, 32, 32, 3).astype(float)
    apart = np.abs(pictures[0, 1, 0] - pictures[0, 1, 1:]).mean((1, 2, 3))
    assert apart.min() > 8
    moved = np.abs(np.diff(pictures, axis=0)).mean((3, 4, 5))
    assert moved.min() > 0.1


def test_batches_come_from_the_newest_rounds_and_going_on_draws_the_same(source: Rendered) -> None:
    count = 16
    late = 5 * 2 * source.per_round  # by then five rounds are used up
    batch = source.draw(count, (1, 2), late)
    assert set(source._rounds) == {4, 5}
    pool = {picture.tobytes() for number in (4, 5) for picture in source._rounds[number]}
    assert all(picture.tobytes() in pool for picture in batch)
    source._rounds.clear()  # as after --resume
    assert np.array_equal(source.draw(count, (1, 2), late), batch)
    held = {picture.tobytes() for picture in source.held_out(32)}
    assert not held & pool


def test_a_preset_keeps_its_own_cameras_and_half_follow_a_policy(tmp_path: Path) -> None:
    preset = tmp_path / "seeing.yaml"
    preset.write_text("extends: panda-reach\nenv:\n  observations:\n    room: {camera: outside, height: 48, width: 64, rate: 25}\n")
    how = EncoderCfg(**SMALL, render=(str(preset),), policy="policies/zoo/panda-reach.onnx")
    source = Rendered(str(preset), how, seed=0, rank=0)
    assert source.about()["cameras"] == ["outside"]
    assert source.about()["looks"] == []
    pictures = source._roll(0).reshape(STEPS, 4, 32, 32, 3).astype(float)
    assert np.array_equal(source._roll(0).reshape(STEPS, 4, 32, 32, 3), pictures)
    assert np.abs(np.diff(pictures, axis=0)).mean() > 0.05
