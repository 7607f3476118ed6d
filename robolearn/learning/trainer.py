"""The loop around a trainer: progress bar, log, checkpoints, an end at any time without loss, and resuming bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from envs.tasks.registry import get_task
from envs.vec_env import VecEnv
from policies.files import WriteError, reason
from robolearn.config import loading as config
from robolearn.config import schema, settings
from robolearn.errors import UserError
from robolearn.learning import distributed
from robolearn.learning.finite import listed, not_finite, not_finite_in
from robolearn.learning.goal import Goal
from robolearn.learning.interruption import Interrupted, noted
from robolearn.learning.ppo import DivergedError, FailedWorldsError
from robolearn.learning.precision import Products
from robolearn.learning.run import Run, other_model, warn

__all__ = ["Interrupted", "Trainer", "resume", "save", "train"]


class Trainer(Protocol):
    """The interface that the loop needs of `TeacherTrainer` and `StudentTrainer`.

    Attributes:
        kind: `teacher`, `student` or `pretrain`, as in the config.
        cfg: the training's config.
        policy: an nn.Module.
        env: its worlds.
        products: the precision of its updates.
        missed: targets that the latest check missed; None before the first.
        iteration, iterations: iterations done, and in total.
        minutes: of training so far [min], over all resumes.
    """

    kind: str
    cfg: Any
    policy: Any
    env: VecEnv
    products: Products
    missed: list[str] | None
    iteration: int
    iterations: int
    minutes: float

    @property
    def steps_per_iteration(self) -> int:
        """Control steps of one iteration."""
        ...

    def iterate(self) -> dict[str, float]:
        """One rollout and one update."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        ...


def train(trainer: Trainer, run: Run, on_iteration: Callable[[dict[str, float]], bool] | None = None) -> dict[str, float]:
    """Iterate to the end, or until Ctrl-C or another signal that ends a process, or until `on_iteration` returns True.

    A checkpoint that cannot be written during the training causes a warning, and is tried again after each iteration.

    The end is after `trainer.iterations`, or, if the config has targets (`until`), when they are met or the largest allowed number of
    iterations is reached; `trainer.missed` then lists missed targets.

    Args:
        trainer: fresh, or loaded from a checkpoint.
        run: the run's folder.
        on_iteration: called with the metrics after each iteration; True stops the training.

    Returns:
        The last metrics.

    Raises:
        Interrupted: an end was requested; the checkpoint is written.
        UserError: the last checkpoint could not be written; the previous one is kept.
    """
    metrics: dict[str, float] = {}
    owed = False  # a checkpoint that could not be written
    saved = trainer.iteration if run.checkpoint.is_file() else None

    def try_to_save() -> None:
        nonlocal owed, saved
        try:
            save(trainer, run)
            saved, owed = trainer.iteration, False
        except WriteError as error:
            if not owed:
                warn(f"no checkpoint of iteration {trainer.iteration}: {error}; the training continues and will try again")
            owed = True

    minutes_before = trainer.minutes
    started = time.monotonic()
    done, quiet = trainer.iteration, distributed.rank() > 0
    bar = tqdm(total=trainer.iterations, initial=done, desc=trainer.kind, unit="it", dynamic_ncols=True, mininterval=1.0, disable=quiet)
    if not quiet:
        bar.write(f"{trainer.kind}: {trainer.products}")
    goal, own = Goal.of(trainer), get_task(trainer.cfg.task).evaluation.curves
    if goal is None:
        trainer.missed = None
    # torchrun forwards a Ctrl-C that the terminal has already sent us, so a second one does not mean insisting
    with noted("iteration", insist=distributed.processes() == 1) as request, bar:
        asked = 0  # the signal of any process
        ended = trainer.iteration >= trainer.iterations and (goal is None or _reached(trainer, goal, metrics, bar))
        while not ended and not asked:
            begin, seen = time.monotonic(), _pictures(trainer)
            metrics = _iterate(trainer, run)
            seconds = time.monotonic() - begin
            trainer.minutes = minutes_before + (time.monotonic() - started) / 60
            steps = trainer.iteration * trainer.steps_per_iteration
            metrics |= {"steps": float(steps), "minutes": trainer.minutes, "steps_per_s": trainer.steps_per_iteration / seconds}
            metrics |= {} if trainer.env.cameras is None else {"pictures_per_s": (_pictures(trainer) - seen) / seconds}
            if owed or trainer.iteration % trainer.cfg.checkpoint_every == 0 or (goal is not None and goal.due()):
                try_to_save()  # before a check, which takes longer than some schedulers wait
            asked = distributed.largest(request.number or 0)
            if not asked and trainer.iteration >= trainer.iterations:
                ended = goal is None or _reached(trainer, goal, metrics, bar)
            if distributed.rank() == 0:
                run.log(trainer.iteration, metrics)
            bar.update(1)
            bar.set_postfix_str(_postfix(metrics, own), refresh=False)
            if on_iteration is not None and on_iteration(metrics):
                break
        try:
            save(trainer, run)
        except WriteError as error:
            kept = "there is no checkpoint" if saved is None else f"the checkpoint there is of iteration {saved}"
            raise UserError(f"the training ended at iteration {trainer.iteration}, which is not saved: {error}; {kept}") from error
    if number := asked or request.number:
        raise Interrupted(str(run.folder), number)
    return metrics


def _pictures(trainer: Trainer) -> int:
    """How many pictures its worlds' cameras have drawn by now."""
    return 0 if trainer.env.cameras is None else trainer.env.cameras.drawn


def _reached(trainer: Trainer, goal: Goal, metrics: dict[str, float], bar: Any) -> bool:
    """Whether a training that has done its iterations may end; adds the checked figures to `metrics`."""
    if not goal.due():
        return False
    if distributed.rank() == 0:
        metrics |= goal.check()
        if goal.missed:
            bar.write(f"targets after {trainer.iteration} iterations: {'; '.join(goal.missed)}")
    met = distributed.largest(int(distributed.rank() == 0 and not goal.missed))
    trainer.missed = (goal.missed or ["reported by the first process"]) if not met else []
    ended = bool(met) or trainer.iteration >= goal.last
    bar.total = max(trainer.iteration, trainer.iterations) if ended else min(trainer.iteration + goal.every, goal.last)
    return ended


def _iterate(trainer: Trainer, run: Run) -> dict[str, float]:
    """One iteration, with a check that the result is finite.

    Raises:
        UserError: a metric, a weight or a statistic is not finite, or nothing could be learned; the checkpoint is from before that.
    """
    number = trainer.iteration + 1
    try:
        metrics = trainer.iterate()
    except FailedWorldsError as error:
        raise _diverged(trainer, number, str(error), run, "check what happens in those worlds (see the warnings above)") from error
    except DivergedError as error:
        raise _diverged(trainer, number, str(error), run) from error
    bad = sorted(name for name, value in metrics.items() if not math.isfinite(value)) or not_finite(trainer.policy.state_dict(), "policy")
    if distributed.largest(len(bad)):  # in any process: all of them end
        raise _diverged(trainer, number, f"{listed(bad) or 'something in another process'} not finite", run)
    return metrics


def _diverged(trainer: Trainer, iteration: int, what: str, run: Run, advice: str = "try a smaller learning rate") -> UserError:
    kept = f"{run.checkpoint} holds the last checkpoint before it" if run.checkpoint.is_file() else "no checkpoint was written before it"
    return UserError(f"the {trainer.kind}'s training diverged in iteration {iteration}: {what}; {kept}; {advice}")


def save(trainer: Trainer, run: Run) -> None:
    """Write a checkpoint that `resume` continues from.

    Raises:
        UserError: a learned value is not finite; the existing checkpoint is kept.
    """
    if distributed.rank():
        return
    state = trainer.state_dict()
    if bad := not_finite_in(state):
        raise _diverged(trainer, trainer.iteration, f"{listed(bad)} not finite", run)
    state |= {
        "config": config.dump(trainer.cfg),
        "model_sha256": trainer.env.robot.fingerprint,
        "minutes": trainer.minutes,
        "missed": trainer.missed,
    }
    run.save(state)


def resume(trainer: Any, state: dict[str, Any], given: Sequence[str] = ()) -> list[str]:
    """Bring a fresh trainer to a checkpoint's state.

    Args:
        trainer: made with the checkpoint's config, except for changes.
        state: the checkpoint's state.
        given: names of settings that were given again. A given learning rate replaces the adapted one.

    Returns: The settings that differ from the checkpoint's.

    Raises:
        UserError: the robot's model has changed since, or a changed setting would have no effect or does not fit the checkpoint's shapes.
    """
    if changed := other_model(state, trainer.env.robot):
        raise UserError(f"{changed}; restore the original, or start another training (train --init starts from this one's teacher)")
    before = schema.loads(state["config"], "the checkpoint's config")
    names = settings.refuse(before, trainer.cfg, settings.RESUME[trainer.kind], "--resume")
    names += [name for name in given if name == "teacher.ppo.learning_rate" and name not in names]
    _check_fold(trainer, before)
    _check_length(trainer, int(state["iteration"]), names)
    try:
        trainer.load_state_dict(state, names)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"the checkpoint does not fit the config; sizes cannot change when resuming: {reason(error)}") from error
    trainer.minutes, trainer.missed = state.get("minutes", 0.0), state.get("missed")
    return names


def _check_fold(trainer: Trainer, before: schema.TrainCfg) -> None:
    """Refuse to resume with a fold if the training had none, or the other way round, since the network's input would change.

    Raises:
        UserError: names the checkpoint's symmetry.
    """
    kind = "student" if trainer.kind == "pretrain" else trainer.kind
    old, new = (getattr(cfg, kind).ppo.symmetry for cfg in (before, trainer.cfg))
    if (old == "fold") != (new == "fold"):
        raise UserError(f"the checkpoint was trained with {kind}.ppo.symmetry={old} and cannot continue with {new}; leave it out")


def _check_length(trainer: Any, done: int, names: list[str]) -> None:
    """Refuse settings if no iteration is left for them.

    Raises:
        UserError: names them, or the number of iterations that is below what is done.
    """
    kind, planned = trainer.kind, trainer.iterations
    if f"{kind}.iterations" in names and planned < done:
        raise UserError(
            f"the checkpoint is at iteration {done} already, so {kind}.iterations={planned} is too low; give more, or leave it out"
        )
    if done < planned or getattr(getattr(trainer.cfg, kind), "until", None) is not None:
        return
    others = (f"{kind}.until", f"{kind}.iterations", *(("student.",) if kind == "teacher" else ()))
    if idle := [name for name in names if not name.startswith(others)]:
        why = f"all of the training's {done} iterations are done; give more with --{kind}.iterations=..."
        raise UserError(f"no effect in --resume: {', '.join(idle)}: {why}")


def _postfix(metrics: dict[str, float], own: Iterable[str]) -> str:
    """The figures beside the bar; `own` are the task's metrics."""
    shown = ("reward", "action_error", *own, "falls_a_minute", "steps_per_s", "pictures_per_s")
    wrong = [name for name in ("skipped_updates", "failed_worlds") if metrics.get(name)]
    return " ".join(f"{name}={metrics[name]:.3g}" for name in (*shown, *wrong) if name in metrics)
