"""Where events go: nothing written before is lost, whole lines in their order, and a file that cannot be written stops nobody."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from bridge import deploy
from bridge.operator.events import Events, EventsError
from tests.bridge_helpers import REPOSITORY, events
from tests.make_policy import make_policy

MJCF = REPOSITORY / "envs" / "robots" / "go1" / "go1.xml"
TIMING = {"event": "timing", "t_ns": 1}


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def sim(policy: Path, *options: str) -> int:
    return deploy.main([str(policy), "--transport", "sim", "--mjcf", str(MJCF), "--no-log", "--duration", "0.1", *options])


def written(path: Path, *lines: str) -> None:
    """Open `path` for events and write these as texts of events."""
    out = Events(path)
    for line in lines:
        out({"event": "text", "t_ns": 0, "text": line})
    out.close()


def test_each_run_has_its_file_and_none_is_lost(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, before = stand.parent / "run" / "events.jsonl", []
    for number in range(3):
        assert sim(stand, "--events", str(path)) == 0
        assert "stand and start cannot be requested" in events(path)[0]["text"]
        assert events(path)[-2]["text"] == "the policy never ran: it was not requested"
        said = capsys.readouterr().out
        assert (f"the earlier {path} is now {path.with_stem(f'events-{number}')}\n" in said) is (number > 0)
        record = events(path)
        assert [event["event"] for event in record] == ["notice", "armed", "transition", "notice", "timing"]  # of this run alone
        before.append(path.read_bytes())
    kept = [path.with_stem("events-1"), path.with_stem("events-2"), path]
    assert sorted(path.parent.iterdir()) == sorted(kept)
    assert [file.read_bytes() for file in kept] == before


def test_bad_options_leave_the_earlier_file_where_it_is(stand: Path) -> None:
    path = stand.parent / "events.jsonl"
    path.write_text("precious\n")
    for bad in (("--limit", "foo=1"), ("--limit", "max_tilt=-1"), ("--rate", "3"), ("--network-interface", "eth0")):
        assert sim(stand, "--events", str(path), *bad) == 2
    assert path.read_text() == "precious\n"
    assert not path.with_stem("events-1").exists()


def test_a_number_that_is_taken_is_not_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for name in ("events", "events-1", "events-3"):
        (tmp_path / name).write_text(name)
    written(path, "new")
    assert (tmp_path / "events-2").read_text() == "events"
    assert (tmp_path / "events-1").read_text() == "events-1"
    assert (tmp_path / "events-3").read_text() == "events-3"
    assert [event["text"] for event in events(path)] == ["new"]


def test_an_empty_file_a_link_and_a_pipe_are_written_where_they_are(tmp_path: Path) -> None:
    empty, target, link, pipe = (tmp_path / name for name in ("empty", "target", "link", "pipe"))
    empty.touch()  # as mktemp makes one
    target.write_text('{"text": "precious"}\n')
    link.symlink_to(target)
    os.mkfifo(pipe)
    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.append(pipe.read_text()), daemon=True)
    listener.start()
    for path in (empty, link, pipe):
        written(path, "new")
    listener.join(5.0)
    assert sorted(tmp_path.iterdir()) == sorted((empty, target, link, pipe))
    assert [event["text"] for event in events(empty)] == ["new"]
    assert [event["text"] for event in events(target)] == ["precious", "new"]
    assert json.loads(heard[0])["text"] == "new"


def test_a_path_that_cannot_be_written_is_one_line(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EventsError, match="Is a directory"):
        Events(stand.parent)
    assert sim(stand, "--events", str(stand / "events.jsonl")) == 2  # its folder is a file
    error = capsys.readouterr().err
    assert error.startswith(f"deploy: --events: cannot write {stand / 'events.jsonl'}: ")
    assert error.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_ends_the_file_is_told_and_stops_nobody(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sim(stand, "--events", "/dev/full") == 0
    out, error = capsys.readouterr()
    assert "timing: 5 ticks" in out
    assert error == "warning: /dev/full is incomplete: [Errno 28] No space left on device\n"


class Slow(io.StringIO):
    """A terminal that takes its time."""

    def write(self, text: str) -> int:
        time.sleep(0.02)
        return super().write(text)


def test_flush_waits_for_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Events(None)
    terminal = Slow()
    monkeypatch.setattr(sys, "stdout", terminal)
    for number in range(5):
        out.say(str(number))
    out.flush()
    assert terminal.getvalue().split() == ["0", "1", "2", "3", "4"]
    out.close()


def test_all_that_deploy_prints_comes_whole_and_in_order(stand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread prints: two that share a terminal put their lines into one another."""
    terminal = Slow()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert sim(stand, "--limit", "max_tilt=0.9") == 0
    begins = [
        "warning: ",
        f"{stand}: ",
        "warning: safety",
        "warning: stand and start",
        "0.000 s  zero",
        "golden run",
        "the policy never",
        "timing:",
    ]
    lines = terminal.getvalue().splitlines()
    assert len(lines) == len(begins), lines
    assert all(line.startswith(begin) for line, begin in zip(lines, begins, strict=True)), lines


def test_what_never_began_tells_no_end(stand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: object, refusal: object) -> None:
        raise ValueError("no\n robot there")

    monkeypatch.setattr("bridge.transports.sim.SimTransport.open", fails)
    path = stand.parent / "events.jsonl"
    assert sim(stand, "--events", str(path)) == 2
    out, error = capsys.readouterr()
    assert error == "deploy: --transport sim: no robot there\n"
    assert "timing" not in out
    assert "never ran" not in out
    assert [event["event"] for event in events(path)] == ["notice", "armed", "transition"]


def test_a_recorder_hears_all_but_the_timing(tmp_path: Path) -> None:
    heard: list[str] = []

    class Recorder:
        def event(self, event: dict[str, object]) -> None:
            heard.append(str(event["event"]))

    out = Events(tmp_path / "events.jsonl")
    out.recorder = Recorder()  # type: ignore[assignment]
    out({"event": "refused", "t_ns": 0, "request": "start", "cause": "late"})
    out(TIMING)
    out.close()
    assert heard == ["refused"]
    assert [event["event"] for event in events(tmp_path / "events.jsonl")] == ["refused", "timing"]


def test_what_is_written_is_json_to_any_reader(tmp_path: Path) -> None:
    out = Events(tmp_path / "events.jsonl")
    out({"event": "limits", "t_ns": 0, "values": {"heartbeat_timeout_s": float("inf"), "more": [1.5, float("nan")]}})
    out.close()
    assert out.failure is None
    record = json.loads((tmp_path / "events.jsonl").read_text(), parse_constant=pytest.fail)
    assert record["values"] == {"heartbeat_timeout_s": None, "more": [1.5, None]}


def test_its_thread_runs_before_ordinary_work_where_the_control_loop_does(tmp_path: Path) -> None:
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    given = Events(tmp_path / "run.jsonl")
    thread = given._thread.native_id
    assert thread is not None
    try:
        given.hurry()
        assert os.sched_getscheduler(thread) == os.SCHED_OTHER
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
        given.hurry()
        assert os.sched_getscheduler(thread) == os.SCHED_FIFO
        assert 0 < os.sched_getparam(thread).sched_priority < 20
    except PermissionError:
        pytest.skip("no permission for real-time scheduling")
    finally:
        os.sched_setscheduler(0, before, parameters)
        given.close()
