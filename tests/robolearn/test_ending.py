"""Every signal that asks a process to end is obeyed without loss, and one that is ignored is ignored."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.logs.reader import read_log
from bridge.program import ENDING
from robolearn.learning.interruption import Interrupted, noted
from robolearn.learning.run import load_checkpoint
from tests.learning_helpers import TINY
from tests.robolearn.test_distributed import loopback

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ENDLESS = [*(setting for setting in TINY if "iterations" not in setting), "--teacher.iterations=100000", "--checkpoint_every=100000"]
SYSTEMS = [number for number in ENDING if number != signal.SIGINT]


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A command line as a process of its own, with the signals as a shell gives them."""

    def as_in_a_shell() -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)

    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": REPOSITORY, "preexec_fn": as_in_a_shell}
    return subprocess.Popen([sys.executable, "-m", "robolearn", *arguments], **(given | options))


def wait_for(done: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def trains(runs: Path, count: int = 1) -> Callable[[], bool]:
    """Whether `count` trainings in a folder of runs have done an iteration."""
    return lambda: sum(bool(path.stat().st_size) for path in runs.glob("*/*/metrics.jsonl")) == count


def iterations(folder: Path) -> list[int]:
    return [json.loads(line)["iteration"] for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_saved(folder: Path) -> int:
    """The checkpoint holds every iteration that was done; returns how many."""
    done = load_checkpoint(folder)["iteration"]
    assert iterations(folder) == list(range(1, done + 1))
    assert not [path for path in folder.iterdir() if ".tmp" in path.name]
    return done


@pytest.mark.slow
@pytest.mark.parametrize("number", SYSTEMS, ids=lambda number: number.name)
def test_a_training_that_the_system_ends_loses_nothing(number: signal.Signals, tmp_path: Path) -> None:
    process = start("train", "panda-reach", "--runs", str(tmp_path), *ENDLESS)
    try:
        wait_for(trains(tmp_path), process)
        process.send_signal(number)
        process.send_signal(number)  # a service manager that sends several is no reason to tear anything
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert f"{number.name}: stopping after this iteration" in err
    (folder,) = (tmp_path / "panda-reach").iterdir()
    assert f"saved at iteration {assert_saved(folder)}; continue with: robolearn train --resume {folder}" in out


@pytest.mark.slow
def test_a_distillation_and_a_study_keep_their_work(tmp_path: Path) -> None:
    quick = [*TINY, "--teacher.iterations=1", "--student.iterations=100000", "--checkpoint_every=100000"]
    subprocess.run([sys.executable, "-m", "robolearn", "train", "panda-reach", "--runs", str(tmp_path), *quick], check=True, cwd=REPOSITORY)
    study, teacher = tmp_path / "walk.yaml", str(tmp_path / "panda-reach")
    study.write_text('question: "which"\ntask: reach\nseeds: [0]\nvariants: {one: []}\n', encoding="utf-8")
    for arguments, runs, said in (
        (["distill", teacher, "--runs", str(tmp_path)], "panda-reach-student/*", "robolearn distill"),
        (["study", str(study), "--teacher", teacher, "--out", str(tmp_path / "studies")], "studies/trainings/*", "the same command"),
    ):
        process = start(*arguments)
        try:
            wait_for(lambda runs=runs: any(path.stat().st_size for path in tmp_path.glob(f"{runs}/metrics.jsonl")), process)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        assert process.returncode == 0, err
        assert f"continue with: {said}" in out or f"continue with {said}" in out
        (folder,) = tmp_path.glob(runs)
        assert_saved(folder)


@pytest.mark.slow
def test_a_training_of_stable_baselines3_is_saved(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    sizes = ["--env.num_worlds=8", "--env.num_threads=1", "--sb3.hidden=[8]", "--sb3.batch_size=64", "--sb3.steps=8"]
    process = start("train", "panda-reach", "--algorithm=sb3", "--runs", str(tmp_path), *sizes, "--sb3.timesteps=100000000")
    try:
        wait_for(trains(tmp_path), process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    (folder,) = (tmp_path / "panda-reach").iterdir()
    assert (folder / "model.zip").stat().st_size > 0
    assert f"saved what it learned so far: {folder}" in out


@pytest.mark.slow
def test_nohup_is_respected_and_output_that_nobody_takes_costs_nothing(tmp_path: Path) -> None:
    """SIGHUP is ignored as the user asked, and a reader that is gone does not end the training."""

    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = start("train", "panda-reach", "--runs", str(tmp_path), *ENDLESS, preexec_fn=nohup)
    try:
        wait_for(trains(tmp_path), process)
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        process.stderr.close()  # the progress bar's reader
        (folder,) = (tmp_path / "panda-reach").iterdir()
        before = len(iterations(folder))
        wait_for(lambda: len(iterations(folder)) > before + 3, process)
        time.sleep(1.2)  # the bar is drawn once a second
        wait_for(lambda: len(iterations(folder)) > before + 20, process)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    assert_saved(folder)


@pytest.mark.slow
def test_a_terminal_that_is_closed_loses_nothing(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(
        "train",
        "panda-reach",
        "--runs",
        str(tmp_path),
        *ENDLESS,
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        preexec_fn=own_terminal,
    )
    os.close(theirs)
    try:
        wait_for(lambda: drain(ours) and trains(tmp_path)(), process)
        os.close(ours)
        process.wait(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    (folder,) = (tmp_path / "panda-reach").iterdir()
    assert_saved(folder)


def own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def drain(terminal: int) -> bool:
    """Read what was written to it, as a screen does."""
    while select.select([terminal], [], [], 0)[0]:
        os.read(terminal, 4096)
    return True


@pytest.mark.slow
def test_processes_of_torchrun_stop_after_the_same_iteration(tmp_path: Path) -> None:
    """As the elastic agent ends them: each gets the signal at another time, and none may wait for one that is gone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["train", "panda-reach", "--runs", str(tmp_path), *ENDLESS]
    processes = [start(*arguments, env=loopback(rank, port)) for rank in range(2)]
    try:
        wait_for(trains(tmp_path), processes[0])
        for process in processes:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        told = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], told
    (folder,) = (tmp_path / "panda-reach").iterdir()
    assert_saved(folder)
    assert len({re.findall(r"saved at iteration (\d+)", out)[0] for out, _ in told}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "waited_for"),
    [
        (["evaluate", "panda-reach", "--seeds", "500", "--json", "{out}/e.json"], "--"),
        (["play", "go1-velocity", "--seconds", "3600", "--out", "{out}/a.mp4"], "a.mp4"),
        (["identify", "--demo", "go1", "--seconds", "600", "--json", "{out}/i.json"], "--"),
        (["bench", "sim", "--seconds", "600", "--json", "{out}/b.json"], "--"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_what_has_no_answer_yet_says_so(arguments: list[str], waited_for: str, number: signal.Signals, code: int, tmp_path: Path) -> None:
    """Neither 0 nor 1, which are answers; one line, nothing half written."""
    process = start(*(argument.format(out=tmp_path) for argument in arguments))
    try:
        if waited_for == "--":
            time.sleep(3.0)
        else:
            wait_for(lambda: any(tmp_path.iterdir()), process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == ("robolearn: interrupted" if number == signal.SIGINT else f"robolearn: ended by {number.name}")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_twice_stops_at_once_and_other_signals_never_do() -> None:
    previous = signal.getsignal(signal.SIGTERM)
    with noted("step") as request:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert request.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with noted("step", insist=False) as request:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert request.number == signal.SIGINT
    assert signal.getsignal(signal.SIGTERM) is previous
    assert Interrupted("x", signal.SIGINT).code == 130
    assert Interrupted("x", signal.SIGTERM).code == 0


@pytest.mark.parametrize(("error", "code"), [("ImportError", 0), ("ValueError", 70)])
def test_a_signal_that_an_import_hides_is_no_defect_and_an_error_after_one_is(error: str, code: int) -> None:
    work = f"""
import os, signal
from bridge.program import run_program
def main():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    except KeyboardInterrupt:
        pass
    raise {error}("initialization failed")
raise SystemExit(run_program("it", main))
"""
    done = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert done.returncode == code, done.stderr
    assert ("Traceback" in done.stderr) is (code != 0)


def test_a_host_keeps_its_handlers() -> None:
    """A program that trains (a scheduler's plugin, Ray) may handle signals itself; outside its main thread none can be handled."""

    def theirs(number: int, frame: Any) -> None:
        raise AssertionError

    previous = signal.signal(signal.SIGUSR1, theirs)
    try:
        with noted("step"):
            assert signal.getsignal(signal.SIGUSR1) is theirs
    finally:
        signal.signal(signal.SIGUSR1, previous)
    inside: list[bool] = []

    def train() -> None:
        with noted("step") as request:
            inside.append(request.number is None)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert inside == [True]


@pytest.mark.slow
@pytest.mark.parametrize("number", [*SYSTEMS, signal.SIGTSTP], ids=lambda number: number.name)
def test_deploy_ends_in_damping_at_every_signal(number: signal.Signals, tmp_path: Path) -> None:
    """Who is killed damps nobody; the log has its end, and the process was asked to."""
    sim = ["--transport", "sim", "--realtime", "--ungated", "--log", str(tmp_path / "a.mcap")]
    process = start("deploy", "panda-reach", *sim, "--events", str(tmp_path / "events.jsonl"), "--auto-start")
    try:
        wait_for(lambda: "stand" in read(tmp_path / "events.jsonl"), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err  # it was asked to end
    assert "the loop ends" in out
    assert '"to": "damping"' in read(tmp_path / "events.jsonl")
    assert read_log(tmp_path / "a.mcap").complete


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
