"""Logs of policies whose command is neither a velocity nor a position: all its numbers, to the bit, and they replay."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.logs.writer import LogError, LogWriter
from policies.contract.file import PolicyFile
from tests.bridge_helpers import FakeTransport
from tests.make_policy import POSE, asking, make_policy

KINDS = [
    pytest.param("motion", ("height",), False, id="one number"),
    pytest.param("motion", ("a", "b", "c", "d"), True, id="four that age"),
    pytest.param("goal_pose", POSE, False, id="a pose"),
]


@pytest.mark.parametrize(("kind", "labels", "ages"), KINDS)
def test_a_command_of_any_kind_is_logged_and_replayed(
    kind: str, labels: tuple[str, ...], ages: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = asking(kind, labels, ages)
    controller = Controller(PolicyFile(make_policy(tmp_path / "arm.onnx", spec)))
    controller.arm()
    controller.auto_start()
    wire, rng, told = FakeTransport(spec), np.random.default_rng(0), []
    read = wire.read

    def ask() -> object:
        told.append(rng.uniform(-2, 2, len(labels)))  # also outside the trained range, and quaternions of any length and sign
        return dataclasses.replace(read(), command=told[-1], command_ns=wire.now_ns())

    monkeypatch.setattr(wire, "read", ask)
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test", auto_start=True)
    controller.on_event = recorder.event
    ControlLoop(controller, wire, recorder).run(4.0)  # type: ignore[arg-type]
    recorder.close()
    assert recorder.failure is None
    log = read_log(tmp_path / "run.mcap")
    np.testing.assert_array_equal(log.ticks["command"], np.array(told)[-len(log.ticks) :])
    result = replay(log)
    assert result.inferred.sum() > 20
    assert result.same(0.0)
    assert result.worst == 0.0
    assert result.command_difference.max() == 0.0
    seen = log.ticks["observation"][result.inferred][:, -len(labels) :]
    assert (np.abs(seen) <= 1).all()
    if kind == "goal_pose":
        np.testing.assert_allclose(np.linalg.norm(seen[:, 3:], axis=1), 1.0, atol=1e-6)


def test_a_policy_of_another_kind_of_command_does_not_run_on_a_log(tmp_path: Path) -> None:
    """Seven numbers are no pose because there are seven."""
    motion, pose = (asking(kind, POSE) for kind in ("motion", "goal_pose"))
    controller = Controller(PolicyFile(make_policy(tmp_path / "motion.onnx", motion)))
    controller.arm()
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test")
    ControlLoop(controller, FakeTransport(motion), recorder).run(0.2)  # type: ignore[arg-type]
    recorder.close()
    with pytest.raises(LogError, match=r"its kind of command is goal_pose, the log's motion"):
        replay(read_log(tmp_path / "run.mcap"), PolicyFile(make_policy(tmp_path / "pose.onnx", pose)))
