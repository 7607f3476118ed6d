"""What a message tells to type next, where a log or a policy cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.control.controller import Controller
from bridge.logs.writer import LogError, LogWriter
from policies.contract.file import PolicyFile, PolicyFileError
from tests.make_policy import make_policy


def test_a_log_that_cannot_be_written_names_the_ways_out(tmp_path: Path) -> None:
    controller = Controller(PolicyFile(make_policy(tmp_path / "linear.onnx")))
    (tmp_path / "file").write_text("")
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    places = [tmp_path / "file" / "run.mcap"] + ([] if os.geteuid() == 0 else [closed / "logs" / "run.mcap"])
    for path in places:
        with pytest.raises(LogError, match=r"--log PATH.*--no-log"):
            LogWriter(path, controller, transport="test", auto_start=False)


def test_a_pointer_of_lfs_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "walk.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(PolicyFileError, match="git lfs pull"):
        PolicyFile(path)
