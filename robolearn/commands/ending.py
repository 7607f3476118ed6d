"""What a command prints at its end: the results in aligned lines, with no number rounded to zero, and what to type next.

New users do not know what follows a training, and a failed check must say what to try.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LATER = 1.5
"""Factor on the iterations that is suggested for continuing a training."""
_UNITS = {"minutes": "min", "steps_per_s": "1/s", "pictures_per_s": "1/s", "falls_a_minute": "1/min", "velocity_error_xy": "m/s",
          "velocity_error_yaw": "rad/s"}  # fmt: skip


def number(value: float) -> str:
    """A number with four digits, never rounded to zero; integers in full, with separators of thousands."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", " ")
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}".replace(",", " ")


def metrics_lines(metrics: Mapping[str, float]) -> list[str]:
    """The last metrics, one per line: those without a section first, then those of the check for the targets."""
    shown = {name: value for name, value in metrics.items() if "/" not in name}
    shown |= {f"at the check: {name.partition('/')[2]}": value for name, value in metrics.items() if name.startswith("check/")}
    width = max((len(name) for name in shown), default=0)
    told = [(name, number(value), _UNITS.get(name.rpartition(" ")[2], "")) for name, value in shown.items()]
    digits = max((len(value) for _, value, _ in told), default=0)
    return [f"  {name:<{width}}  {value:>{digits}} {unit}".rstrip() for name, value, unit in told]


def next_lines(steps: Sequence[tuple[str, str]]) -> list[str]:
    """What to type next: the purpose and the command, in columns."""
    width = max((len(why) for why, _ in steps), default=0)
    return ["next:", *(f"  {f'{why}:':<{width + 1}} {command}" for why, command in steps)]


def quoted(path: Path) -> str:
    """A path, quoted for the shell."""
    return shlex.quote(str(path))


def of_training(
    trainer: Any, folder: Path, metrics: Mapping[str, float], before: int, steps: Sequence[tuple[str, str]] | None = None
) -> list[str]:
    """What a finished training prints.

    Args:
        trainer: a `robolearn.learning.trainer.Trainer`.
        folder: the run's folder.
        metrics: the last ones; none if the training was finished already.
        before: its iterations when it was started or resumed.
        steps: purpose and command of each next step; None for those after a teacher or a student.
    """
    done, kind = trainer.iteration, trainer.kind
    if done == before:
        first = f"nothing left to do: all {done} iterations of this {kind} are done"
        lines = [first, *metrics_lines({name: value for name, value in metrics.items() if name.startswith("check/")})]
    else:
        targets = [] if trainer.missed is None else [f"targets: {'; '.join(trainer.missed) or 'met'}"]
        lines = [f"done: {kind}, {done} iterations, {trainer.minutes:.1f} min", *targets, *metrics_lines(metrics)]
    return [*lines, *next_lines(after_training(trainer, folder) if steps is None else steps)]


def after_training(trainer: Any, folder: Path) -> list[tuple[str, str]]:
    """What to do after a training: the next stage first, unless targets were missed."""
    here, teacher = quoted(folder), trainer.kind == "teacher"
    verb = "train" if teacher else "distill"
    on = ("distill it", f"robolearn distill {here}") if teacher else ("export it", f"robolearn export {here}")
    longer = f"robolearn {verb} --resume {here} --{trainer.kind}."
    until = getattr(trainer.cfg, trainer.kind).until
    if until is None:
        longer += f"iterations={max(trainer.iteration + 1, round(LATER * trainer.iteration))}"
    else:
        longer += f"until.at_most={number(round(LATER * max(until.at_most, trainer.iteration / trainer.iterations), 1))}"
    runs = folder.parent.parent if folder.parent != folder.parent.parent else folder
    curves = ("look at its curves", f"tensorboard --logdir {quoted(runs)}")
    judge = [("see how it walks", f"robolearn evaluate {here} --gait")] if _walks(trainer) else []
    if trainer.missed:
        return [("train longer", longer), curves, *judge, ("or use it as it is", on[1])]
    return [on, curves, *judge, ("train longer", longer)]


def _walks(trainer: Any) -> bool:
    robot = getattr(getattr(trainer, "env", None), "robot", None)
    return bool(getattr(robot, "feet", None))


def after_export(file: Path, passed: bool | None, why: Sequence[str], folder: Path) -> list[str]:
    """What to do after an export.

    Args:
        file: the policy file.
        passed: the gate's verdict; None if it did not run.
        why: the gate's reasons against it.
        folder: the student's run.
    """
    path = quoted(file)
    look = [("look at it", f"robolearn play {path}  (a video; --live opens the browser)")]
    if passed:
        drive = ("run it in simulation", f"robolearn deploy {path} --transport sim")
        return next_lines([*look, drive, ("evaluate it thoroughly", f"robolearn evaluate {path} --suite locomotion")])
    if passed is None:
        return next_lines([("judge it", f"robolearn evaluate {path}"), *look])
    longer = ("train the student longer", f"robolearn distill --resume {quoted(folder)} --student.until.at_most=5")
    tries: list[tuple[str, str]] = [*look, longer]
    if any("training engine" in text for text in why):
        tries.append(("check its teacher", "robolearn evaluate TEACHER_RUN --gait; if it is poor: train --resume"))
    if any("precise engine" in text for text in why):
        tries.append(("vary the physics more", "robolearn config PRESET env.randomization; train the teacher with wider ranges"))
    tries.append(("evaluate it with more episodes", f"robolearn evaluate {path} --engine all --seeds 8"))
    return ["what to try:", *next_lines(tries)[1:]]


def after_evaluation(policy: str, task_walks: bool, engine: str) -> list[str]:
    """What to look at after an evaluation."""
    path = shlex.quote(policy)
    steps = [("look at it", f"robolearn play {path}")]
    if engine == "mujoco":
        steps.append(("on the exact engine", f"robolearn evaluate {path} --engine precise"))
    if task_walks:
        steps.append(("terrain, pushes, loads", f"robolearn evaluate {path} --suite locomotion"))
    return next_lines(steps)
