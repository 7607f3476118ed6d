"""A part of a log identifies as a part: readings without their commands, or without their motion, tell nothing and count for nothing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from robolearn import cli
from robolearn.identify.log import from_log
from robolearn.identify.recording import RecordingError
from tests.log_edits import Recording, load, save

pytestmark = pytest.mark.slow


def deploy(policy: str, log: str, *options: str) -> None:
    assert cli.main(["deploy", policy, "--transport", "sim", "--auto-start", "--log", log, *options]) == 0


@pytest.fixture(scope="module")
def swinging(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """All readings of a G1 that hangs and plays sines for 4 s, after 2 s of standing up."""
    folder = tmp_path_factory.mktemp("sines")
    deploy("g1-velocity", str(folder / "run.mcap"), "--motion", "sines", "--motion-seconds", "4", "--gantry", "always")
    return load(folder / "run.mcap")


def test_a_cut_log_gives_the_readings_whose_commands_it_has(swinging: Recording, tmp_path: Path) -> None:
    whole, _ = from_log(save(swinging, tmp_path / "whole.mcap"))
    shuffled = random.Random(2).sample(swinging.pieces, len(swinging.pieces))
    mixed, _ = from_log(save(Recording(shuffled, swinging.metadata, swinging.attachments), tmp_path / "mixed.mcap"))
    np.testing.assert_array_equal(mixed.position, whole.position)
    np.testing.assert_array_equal(mixed.imu_quat_wxyz, whole.imu_quat_wxyz)
    np.testing.assert_array_equal(mixed.target, whole.target)
    first = min(piece.log_ns for piece in swinging.pieces)
    holed = swinging.keep(lambda piece: not 5.5e9 < piece.log_ns - first < 5.8e9)
    part, _ = from_log(save(holed, tmp_path / "holed.mcap"))
    assert len(part.notes) == 1
    assert "lacks control steps in 1 places; steps 0 to " in part.notes[0]
    assert part.time_s[-1] < 5.6
    assert np.diff(part.time_s).max() < 0.01
    np.testing.assert_array_equal(part.position, whole.position[: len(part.position)])


@pytest.mark.parametrize("topic", ["/impedance_command", "/sensors/imu"])
def test_a_log_without_a_topic_is_refused_by_its_name(topic: str, swinging: Recording, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=f"lacks {topic}"):
        from_log(save(swinging.without(topic), tmp_path / "run.mcap"))


def test_a_part_in_which_the_motion_does_not_play_is_refused(swinging: Recording, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="without the motion sines"):
        from_log(save(swinging.cut(0.0, 1.5), tmp_path / "run.mcap"))


def test_the_lowering_after_squats_is_left_out_of_a_part_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deploy("go1-velocity", "squats.mcap", "--motion", "squats", "--motion-seconds", "8")
    whole, _ = from_log(Path("squats.mcap"))
    recorded = load(Path("squats.mcap"))
    part, _ = from_log(save(recorded.cut(4.0), Path("part.mcap")))
    end_s = [r.time_s[-1] - r.command_time_s[-1] for r in (whole, part)]  # both end with the same control step
    assert end_s[1] == pytest.approx(end_s[0], abs=0.05)
    part, _ = from_log(save(recorded.cut(4.0, 9.0), Path("middle.mcap")))
    assert part.time_s[-1] - part.command_time_s[-1] == pytest.approx(-2.0, abs=0.05)
