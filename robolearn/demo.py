"""The whole path in one go: teacher, student, policy file, gate, ROS 2, report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policies.contract.file import PolicyFile
from policies.files import reason, write_text
from policies.install import install_command
from robolearn import ros_walk
from robolearn.config import schema, settings
from robolearn.config.schema import TrainCfg
from robolearn.evaluation.actors import TeacherActor
from robolearn.evaluation.evaluate import evaluate
from robolearn.evaluation.table import show
from robolearn.learning import export
from robolearn.learning.run import CHECKPOINT, Run, load_checkpoint
from robolearn.learning.student import StudentTrainer, load_student
from robolearn.learning.teacher import TeacherTrainer, load_teacher
from robolearn.learning.trainer import resume, train
from robolearn.report import demo as demo_report
from robolearn.report.demo import DemoResult, Learned


class Stages:
    """Announces and times the stages."""

    def __init__(self, count: int) -> None:
        self._count, self._number = count, 0
        self.minutes: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str, text: str) -> Any:
        """Time the body under `name`."""
        self._number += 1
        print(f"\n[{self._number}/{self._count}] {text}", flush=True)
        begin = time.monotonic()
        yield
        self.minutes[name] = (time.monotonic() - begin) / 60
        print(f"      {self.minutes[name]:.1f} min", flush=True)


def learn(cfg: TrainCfg, folder: Path, seeds: int, stages: Stages) -> Learned:
    """Train a teacher and a student, and judge both.

    Args:
        cfg: of the training.
        folder: where everything is written; an interrupted demo in it is continued.
        seeds: episodes per command in evaluations.
        stages: announces and times the stages.

    Raises:
        robolearn.learning.trainer.Interrupted: after Ctrl-C or another signal that ends a process; the checkpoint is written.
    """
    with stages.stage("teacher", f"teacher: PPO on privileged state, {cfg.env.num_worlds} worlds, full randomization"):
        teacher_state = _train(lambda: TeacherTrainer(cfg), cfg, folder / "teacher")
        teacher = load_teacher(teacher_state, cfg)
    with stages.stage("student", "student: causal transformer that sees only what the robot senses, by imitation and PPO"):
        student_state = _train(lambda: StudentTrainer(cfg, teacher), cfg, folder / "student")
        student = load_student(student_state, cfg)
    path = folder / "policy.onnx"
    with stages.stage("gate", "policy file: export, golden run, evaluation on the training engine and on the precise one"):
        export.export(student, cfg, path, student_state["iteration"], "make demo")
        judged = evaluate(lambda worlds: TeacherActor(teacher), cfg.task, cfg.robot, cfg.env.engine, seeds=seeds, env=cfg.env)
        _, training, precise, passed = export.gate(path, seeds)
        show([judged, training, precise], titles=["teacher", training.engine, precise.engine])
        print(f"      deployable: {'yes' if passed else 'no'}")
    missed = tuple(f"{state['kind']}: {what}" for state in (teacher_state, student_state) for what in state["missed"] or ())
    return Learned(policy=path, teacher=judged, training=training, precise=precise, deployable=passed, missed=missed)


def run_demo(cfg: TrainCfg, folder: Path, seeds: int = 1) -> DemoResult:
    """Train, distill, export, check, walk over ROS 2.

    Args:
        cfg: of the training.
        folder: where everything is written; an interrupted demo in it is continued.
        seeds: episodes per command in evaluations.

    Raises:
        robolearn.learning.trainer.Interrupted: after Ctrl-C; the checkpoint is written.
    """
    stages = Stages(5)
    found = learn(cfg, folder, seeds, stages)
    path = found.policy
    ros = ros_error = None
    with stages.stage("ros", "ROS 2: simulated robot, policy node and operator as three processes, joints permuted on the wire"):
        spec = PolicyFile(path).spec
        if not ros_walk.available():
            print(f"      not run: rclpy is not installed ({install_command('ros')})")
        elif spec.command.kind != "velocity":
            print("      not run: the schedule of commands is for walking robots")
        else:
            try:
                ros = ros_walk.walk(path)
                ros_error = ros.failure
                print(f"      20 s under a changing command: planar velocity error {ros.velocity_error_xy:.3f} m/s")
            except Exception as error:  # any failure: what was trained is kept, and the report states the error
                ros_error = reason(error)
            print("      stayed up" if ros_error is None else f"      FAILED: {ros_error}")
    with stages.stage("report", "video and report"):
        result = DemoResult(
            folder=folder,
            **{item.name: getattr(found, item.name) for item in dataclasses.fields(found)},
            ros=ros,
            ros_error=ros_error,
            minutes=stages.minutes,
        )
        summary = {
            "teacher": found.teacher.to_dict(),
            "training": found.training.to_dict(),
            "precise": found.precise.to_dict(),
            "deployable": found.deployable,
            "missed": list(found.missed),
            "ros_error": ros_error,
            "minutes": stages.minutes,
        }
        write_text(folder / "summary.json", json.dumps(summary, indent=1))
        report = demo_report.write(result)
    for what in found.missed:
        print(f"target missed by the {what}", file=sys.stderr)
    print(f"\nreport: {report}\npolicy: {path}\nplay it: robolearn play {path}\nall in {sum(stages.minutes.values()):.1f} min")
    return result


def check_resume(cfg: TrainCfg, folder: Path) -> None:
    """Check, before anything is written, that the demo in a folder can continue with this config.

    Raises:
        UserError: a changed setting would have no effect, since its stage is done.
    """
    student = (folder / "student" / CHECKPOINT).is_file()
    for kind in ("teacher", "student"):
        if not (folder / kind / CHECKPOINT).is_file():
            continue
        state = load_checkpoint(folder / kind / CHECKPOINT)
        table = settings.RESUME[kind] | (settings.DISTILL if kind == "teacher" and (student or _finished(state, cfg)) else {})
        settings.refuse(schema.loads(state["config"], "the checkpoint's config"), cfg, table, "demo --resume")


def _finished(state: dict[str, Any], cfg: TrainCfg) -> bool:
    """Whether a stage's checkpoint is its last one."""
    stage = getattr(cfg, state["kind"])
    return state["iteration"] >= stage.iterations and (stage.until is None or not state["missed"])


def _train(make: Callable[[], Any], cfg: TrainCfg, folder: Path) -> dict[str, Any]:
    """Train to the end in a folder, from its checkpoint if there is one; a finished training is left unchanged.

    Returns:
        The final state.
    """
    state = load_checkpoint(folder / CHECKPOINT) if (folder / CHECKPOINT).is_file() else None
    if state is not None and _finished(state, cfg):
        return state
    trainer = make()
    if state is not None:
        resume(trainer, state)  # before anything is written, so that a config that does not fit leaves the folder unchanged
    job = Run(folder, trainer.cfg)
    job.truncate_metrics(trainer.iteration)
    try:
        train(trainer, job)
    finally:
        job.close()
    return trainer.state_dict() | {"missed": trainer.missed}
