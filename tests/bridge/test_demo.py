"""The demo's stage over ROS 2 and its report when things go wrong: nothing that was trained is lost. No ROS and no graphics here."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
import pytest

from envs.robots.registry import get_robot
from robolearn import demo, ros_walk
from robolearn.config import loading as config
from robolearn.errors import UserError
from robolearn.learning.run import CHECKPOINT, Run
from robolearn.learning.teacher import TeacherTrainer
from robolearn.policy_path import zoo
from robolearn.report import demo as demo_report
from robolearn.ros_walk import RosWalk, RosWalkError
from tests.learning_helpers import tiny_cfg
from tests.results import result as evaluated

POLICY = zoo()["go1-velocity-flat"]
SCHEDULE = ((0.5, 0.0, 0.0, 1.0),)
TRIP = {"event": "transition", "t_ns": 1, "from": "policy", "to": "fault", "cause": "tilt: 1.2 rad"}
TIMING = {"event": "timing", "t_ns": 2, "ticks": 50, "late_us": [3.0]}


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """Stands in for the three processes; the operator hangs, or writes what the test says."""

    class Child:
        hangs = False
        heights: tuple[float, ...] = (0.28, 0.27)
        log = json.dumps(TRIP) + "\n" + json.dumps(TIMING) + "\n"

        def __init__(self, command: list[str], **_: Any) -> None:
            self.returncode: int | None = None
            if "--events" in command:
                Path(command[command.index("--events") + 1]).write_text(self.log)
            if "--out" in command and not self.hangs:
                count = len(self.heights)
                series: dict[str, Any] = {name: [[0.5, 0.0, 0.0]] * count for name in ("command", "measured")}
                data = {"time_s": [0.1] * count, **series, "height_m": self.heights, "states": ["policy"]}
                Path(command[command.index("--out") + 1]).write_text(json.dumps(data))
                self.returncode = 0

        def poll(self) -> int | None:
            return self.returncode

        def send_signal(self, number: int) -> None:
            self.returncode = -number

        def wait(self, timeout: float | None = None) -> int:
            if self.returncode is None:
                raise subprocess.TimeoutExpired("operator", timeout or 0.0)
            return self.returncode

    monkeypatch.setattr(subprocess, "Popen", Child)
    return Child


def test_an_operator_that_hangs_is_a_failed_walk(children: type[Any]) -> None:
    children.hangs = True
    with pytest.raises(RosWalkError, match="the run over ROS 2 failed"):
        ros_walk._walk_once(POLICY, SCHEDULE)


def test_no_heights_are_a_failed_walk(children: type[Any]) -> None:
    for heights in ((), (float("nan"),)):
        children.heights = heights
        with pytest.raises(RosWalkError, match="received nothing from the robot"):
            ros_walk._walk_once(POLICY, SCHEDULE)


def test_half_of_the_standing_height_is_up(children: type[Any]) -> None:
    height = 0.278  # m, a standing Go1's
    for lowest, up in ((0.51 * height, True), (0.49 * height, False)):
        children.heights = (float("nan"), height, lowest)
        walked = ros_walk._walk_once(POLICY, SCHEDULE)
        assert walked.stayed_up is up
        assert walked.failure == (None if up else "the robot did not stay up (tilt: 1.2 rad)")


def test_a_cut_event_log_is_read_to_its_last_whole_line(children: type[Any]) -> None:
    children.log += '{"event": "tra'
    walked = ros_walk._walk_once(POLICY, SCHEDULE)
    assert walked.events == [TRIP, TIMING]
    assert (walked.timing, walked.late_us) == ({"ticks": 50}, [3.0])
    children.log = json.dumps(TIMING) + "\n" + json.dumps(TRIP) + "\n"  # the timing need not be last, nor be there
    assert ros_walk._walk_once(POLICY, SCHEDULE).timing == {"ticks": 50}
    children.log = ""
    assert ros_walk._walk_once(POLICY, SCHEDULE).timing == {}


def walked(up: bool) -> RosWalk:
    series = np.zeros((10, 3))
    return RosWalk(np.arange(10.0), series, series, 0.1, 0.1, up, [TRIP, TIMING])


@pytest.mark.parametrize("outcomes", [[True], [None, True], [False, None, True], [None, None, False], [False, False, None]])
def test_a_walk_is_tried_three_times(monkeypatch: pytest.MonkeyPatch, outcomes: list[bool | None]) -> None:
    """True: stays up; False: falls; None: comes to nothing."""
    left = list(outcomes)

    def once(*_: Any) -> RosWalk:
        up = left.pop(0)
        if up is None:
            raise RosWalkError("nothing came")
        return walked(up)

    monkeypatch.setattr(ros_walk, "_walk_once", once)
    if outcomes[-1] is None:
        with pytest.raises(RosWalkError, match="nothing came"):
            ros_walk.walk(POLICY, "go1")
    else:
        assert ros_walk.walk(POLICY, "go1").stayed_up is outcomes[-1]
    assert not left


EVALUATION = evaluated(episodes=8, survival=1.0, velocity_error_xy=0.1, velocity_error_yaw=0.1, cost_of_transport=0.5)


def result(folder: Path, ros: RosWalk | None, error: str | None) -> demo.DemoResult:
    engines = {"teacher": EVALUATION, "training": EVALUATION, "precise": EVALUATION}
    return demo.DemoResult(
        folder=folder, policy=POLICY, **engines, deployable=True, missed=(), ros=ros, ros_error=error, minutes={"teacher": 1.0}
    )


def test_the_report_tells_what_failed_and_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = demo_report.record_policy

    def no_graphics(file: Any, path: Path | None, **options: Any) -> Any:
        if path is not None:
            raise mujoco.FatalError("gladLoadGL error")
        return record(file, path, **options | {"seconds": 1.0})

    monkeypatch.setattr(demo_report, "record_policy", no_graphics)
    text = demo_report.write(result(tmp_path, None, "nothing came")).read_text(encoding="utf-8")
    assert "failed: nothing came" in text
    assert "failed: gladLoadGL error" in text


@pytest.mark.parametrize("up", [True, False])
def test_one_row_tells_of_ros(tmp_path: Path, up: bool) -> None:
    walk = walked(up)
    rows = [row for row in demo_report.targets(result(tmp_path, walk, walk.failure)) if "ROS" in row.name]
    assert [(row.reached, row.passed) for row in rows] == [("stayed up" if up else f"failed: {walk.failure}", up)]


class FakeTrainer:
    """Trains nothing."""

    kind = "teacher"

    def __init__(self, cfg: Any) -> None:
        self.env = SimpleNamespace(robot=get_robot("go1"))
        self.cfg, self.iteration, self.iterations, self.minutes, self.missed = cfg, 0, cfg.teacher.iterations, 0.0, None

    def load_state_dict(self, state: dict[str, Any], changed: Any = ()) -> None:
        self.iteration = state["iteration"]

    def state_dict(self) -> dict[str, Any]:
        return {"iteration": self.iteration}


def test_training_goes_on_from_the_checkpoint_or_forgets_old_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, str]] = []
    monkeypatch.setattr(demo, "train", lambda trainer, job: seen.append((trainer.iteration, (tmp_path / "metrics.jsonl").read_text())))
    cfg = tiny_cfg("go1-velocity-flat")
    lines = ['{"iteration": 1}\n', '{"iteration": 2}\n']
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    job = Run(tmp_path, cfg)
    job.close()
    demo._train(lambda: FakeTrainer(cfg), cfg, tmp_path)
    assert seen == [(0, "")]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    job.save({"kind": "teacher", "iteration": 1, "missed": None, "config": config.dump(cfg), "policy": {}})
    demo._train(lambda: FakeTrainer(cfg), cfg, tmp_path)
    assert seen[1] == (1, lines[0])
    job.save({"kind": "teacher", "iteration": cfg.teacher.iterations, "missed": None, "config": config.dump(cfg), "policy": {}})
    before = (tmp_path / "config.yaml").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes()
    assert demo._train(lambda: pytest.fail("made"), cfg, tmp_path)["iteration"] == cfg.teacher.iterations
    assert ((tmp_path / "config.yaml").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes()) == before


def test_a_checkpoint_that_does_not_fit_leaves_its_config(tmp_path: Path) -> None:
    cfg = tiny_cfg("go1-velocity-flat")
    job = Run(tmp_path, cfg)
    job.save(TeacherTrainer(cfg).state_dict() | {"missed": None, "config": config.dump(cfg)})
    job.close()
    before = (tmp_path / "config.yaml").read_bytes()
    other = dataclasses.replace(cfg, teacher=dataclasses.replace(cfg.teacher, hidden=(8, 8)))
    with pytest.raises(UserError, match="does not fit the config"):
        demo._train(lambda: TeacherTrainer(other), other, tmp_path)
    assert (tmp_path / "config.yaml").read_bytes() == before
    assert (tmp_path / CHECKPOINT).is_file()
