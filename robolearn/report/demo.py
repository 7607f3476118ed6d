"""The results of the demo, and its report: targets and figures, curves, tracking, the gate, ROS 2, timing and the video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.tasks.registry import get_task
from policies.contract.file import PolicyFile
from policies.files import reason
from robolearn import ros_walk
from robolearn.evaluation.gate import KEPT
from robolearn.evaluation.result import EvaluationResult
from robolearn.report.page import ReportData, Target, write_report
from robolearn.viewer.film import record_policy

LABELS, UNITS = ("vx", "vy", "yaw_rate"), ("m/s", "m/s", "rad/s")
WORSE = 1.3  # largest ratio of the student's errors to the teacher's


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The results of teacher and student.

    Attributes:
        policy: the policy file.
        teacher, training, precise: evaluations of the teacher and of the policy file on both engines.
        deployable: verdict of the gate.
        missed: targets that the trainings missed at their caps, in words.
    """

    policy: Path
    teacher: EvaluationResult
    training: EvaluationResult
    precise: EvaluationResult
    deployable: bool
    missed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DemoResult(Learned):
    """The results of the demo.

    Attributes:
        folder: folder of the run: teacher, student, policy file, report.
        ros: the run over ROS 2; None without rclpy, for an arm, or if it failed.
        ros_error: why it failed; None if the robot stayed up.
        minutes: wall-clock of each stage.
    """

    folder: Path
    ros: ros_walk.RosWalk | None
    ros_error: str | None
    minutes: dict[str, float]


def write(result: DemoResult) -> Path:
    """Record the video and write report.html into the demo's folder. Returns the report's path."""
    file = PolicyFile(result.policy)
    video, no_video = result.folder / "video.mp4", None
    try:
        recorded = record_policy(file, video, seconds=16.0, width=640, height=360)
    except Exception as error:  # any error of graphics and codecs: the report is useful without a video
        no_video = reason(error)
        print(f"      no video: {no_video}")
        recorded = record_policy(file, None, seconds=16.0)
    ros = result.ros
    loop = timing_rows(ros.timing if ros else {})
    data = ReportData(
        title=f"{file.spec.task}: from physics to ROS 2",
        summary=f"Teacher, transformer student, policy file, precise-engine gate and ROS 2 in {sum(result.minutes.values()):.1f} minutes.",
        targets=targets(result, no_video),
        curves={name: result.folder / name / "metrics.jsonl" for name in ("teacher", "student")},
        metrics=get_task(file.spec.task).evaluation.curves,
        tracking=recorded,
        evaluations={
            "teacher": result.teacher.to_dict(),
            "policy file, training engine": result.training.to_dict(),
            "policy file, precise engine": result.precise.to_dict(),
        },
        deployable=result.deployable,
        loop=loop,
        jitter_us=ros.late_us if ros else [],
        ros=None
        if ros is None
        else {
            "planar velocity error [m/s]": ros.velocity_error_xy,
            "yaw rate error [rad/s]": ros.velocity_error_yaw,
            "stayed up": ros.stayed_up,
        },
        ros_tracking=None
        if ros is None
        else {
            "time_s": ros.time_s[::5].tolist(),
            "labels": list(LABELS),
            "units": list(UNITS),
            "command": ros.command[::5].tolist(),
            "measured": ros.measured[::5].tolist(),
        },
        minutes=result.minutes,
        provenance={name: value for name, value in file.provenance.items() if name != "evaluation"},
        video=Path(recorded["video"]) if recorded.get("video") else None,
    )
    return write_report(result.folder, data)


def timing_rows(timing: Mapping[str, float]) -> list[dict[str, Any]]:
    """The figures of a control loop in plain words, with their units."""
    counts = {
        "ticks": "control steps",
        "missed": "missed control steps",
        "overruns": "control steps that took too long",
    }
    parts = {"late": "lateness of a control step's start", "busy": "work of a control step", "inference": "the policy's share of it"}
    ends = {"_p50_ms": "median", "_p99_ms": "99 of 100 below", "_max_ms": "largest"}
    rows = []
    for name, value in timing.items():
        part, end = next(((name.removesuffix(end), word) for end, word in ends.items() if name.endswith(end)), (name, ""))
        text = counts.get(name) or f"{parts.get(part, part.replace('_', ' '))}{f', {end}' if end else ''}"
        rows.append({"name": text, "value": value, "unit": "ms" if name.endswith("_ms") else ""})
    return rows


def targets(result: DemoResult, no_video: str | None = None) -> list[Target]:
    """Targets and results; `no_video` is why there is no video."""
    rows: list[Any] = [("target of the training", "met", f"missed by the {what}", False) for what in result.missed]
    if result.ros_error is not None:
        rows.append(("20 s over ROS 2", "stays up", f"failed: {result.ros_error}", False))
    elif result.ros is not None:
        rows.append(("20 s over ROS 2", "stays up", "stayed up", True))
    if no_video is not None:
        rows.append(("video", "recorded", f"failed: {no_video}", False))
    return [*learned(result.teacher, result.training, result.precise), *_targets(rows)]


def learned(teacher: EvaluationResult, training: EvaluationResult, precise: EvaluationResult) -> list[Target]:
    """Targets and results of teacher and policy file, by their evaluations and their task's own goals."""
    rows: list[Any] = []
    for name, of_teacher in teacher.figures.items():
        if of_teacher.goal is None:
            continue
        of_student = training.figures[name]
        more = of_teacher.better == "more"
        sign, unit = (">=" if more else "<="), of_teacher.unit
        met = of_teacher.value is not None and (of_teacher.value >= of_teacher.goal if more else of_teacher.value <= of_teacher.goal)
        rows.append((f"teacher's {of_teacher.label}", f"{sign} {of_teacher.text_of(of_teacher.goal)}", of_teacher.text(), met))
        if name != teacher.score_name and of_teacher.value and unit != "%":
            ratio = of_student.value / of_teacher.value if of_student.value is not None else float("inf")
            wanted = 1 / WORSE if more else WORSE
            passed = ratio >= wanted if more else ratio <= wanted
            rows.append((f"student's {of_teacher.label}", f"{sign} {wanted:.2g}x the teacher's", f"{ratio:.2f}x", passed))
    kept = training.score / max(teacher.score, 1e-9)
    borne = precise.score / max(training.score, 1e-9)
    what = teacher.figures[teacher.score_name].label
    rows += [
        (f"student's {what}", ">= 95 % of the teacher's", f"{100 * kept:.1f} %", kept >= KEPT),
        (f"precise engine's {what}", ">= 95 % of the training engine's", f"{100 * borne:.1f} %", borne >= KEPT),
    ]
    return _targets(rows)


def _targets(rows: list[Any]) -> list[Target]:
    return [Target(name=name, target=target, reached=reached, passed=passed) for name, target, reached, passed in rows]
