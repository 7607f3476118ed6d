"""A log of a policy whose command is neither a velocity nor a goal: it holds as many numbers as the contract says, and replays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.logs.writer import LogWriter
from policies.contract.file import PolicyFile
from policies.contract.spec import CommandSpec, ObservationGroup
from tests.bridge_helpers import FakeTransport
from tests.make_policy import arm_spec, make_policy


@pytest.mark.parametrize("labels", [("height",), ("a", "b", "c", "d")])
def test_a_command_of_ones_own_is_logged_and_replayed(labels: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm, many = arm_spec(), len(labels)
    terms = tuple(dataclasses.replace(term, dim=many) if term.name == "command" else term for term in arm.terms)
    command = CommandSpec(kind="motion", labels=labels, lower=(-1.0,) * many, upper=(1.0,) * many, ages=False)
    spec = dataclasses.replace(arm, command=command, observation=(ObservationGroup(name="state", terms=terms),))
    controller = Controller(PolicyFile(make_policy(tmp_path / "arm.onnx", spec)))
    controller.arm()
    controller.auto_start()
    wire, asked = FakeTransport(spec), np.linspace(0.1, 0.4, many)
    read = wire.read
    monkeypatch.setattr(wire, "read", lambda: dataclasses.replace(read(), command=asked))
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test", auto_start=True)
    controller.on_event = recorder.event
    ControlLoop(controller, wire, recorder).run(4.0)  # type: ignore[arg-type]
    recorder.close()
    assert recorder.failure is None
    log = read_log(tmp_path / "run.mcap")
    assert replay(log).inferred.sum() > 20
    assert replay(log).same(0.0)
    np.testing.assert_array_equal(log.ticks["command"][-1], asked)
