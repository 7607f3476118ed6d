"""The loop around a trainer: progress bar, log, checkpoints, an end at any time without loss, exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from tqdm import tqdm

from policies.files import WriteError, reason
from robolearn import config, distributed
from robolearn.ending import Interrupted, noted
from robolearn.errors import UserError
from robolearn.run import Run, warn

__all__ = ["Interrupted", "Trainer", "resume", "save", "train"]


class Trainer(Protocol):
    """What the loop needs of `TeacherTrainer` and `StudentTrainer`."""

    kind: str
    cfg: Any
    iteration: int
    iterations: int

    @property
    def steps_per_iteration(self) -> int:
        """Control steps of one iteration."""
        ...

    def iterate(self) -> dict[str, float]:
        """One rollout and one update."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        ...


def train(trainer: Trainer, run: Run, on_iteration: Callable[[dict[str, float]], bool] | None = None) -> dict[str, float]:
    """Iterate to the end, or until Ctrl-C or another signal that asks for an end, or until `on_iteration` returns True.

    A checkpoint that cannot be written on the way costs a warning, and is tried again after each iteration.

    Args:
        trainer: fresh, or loaded from a checkpoint.
        run: where to write.
        on_iteration: called with the metrics after each iteration; True stops the training.

    Returns:
        The last metrics.

    Raises:
        Interrupted: an end was asked for; the checkpoint is written.
        UserError: the last checkpoint could not be written; the one before stays.
    """
    metrics: dict[str, float] = {}
    minutes_before = getattr(trainer, "minutes", 0.0)
    started = time.monotonic()
    done, quiet = trainer.iteration, distributed.rank() > 0
    saved, owed = (done if run.checkpoint.is_file() else None), False
    bar = tqdm(total=trainer.iterations, initial=done, desc=trainer.kind, unit="it", dynamic_ncols=True, mininterval=1.0, disable=quiet)
    # torchrun passes a Ctrl-C on that the terminal has sent us already, so the second one is nobody's insisting
    with noted("iteration", insist=distributed.processes() == 1) as request, bar:
        asked = 0  # the signal, of whichever process
        while trainer.iteration < trainer.iterations and not (asked := distributed.largest(request.number or 0)):
            begin = time.monotonic()
            metrics = trainer.iterate()
            _check_finite(trainer, metrics, run)
            seconds = time.monotonic() - begin
            minutes = minutes_before + (time.monotonic() - started) / 60
            trainer.minutes = minutes  # type: ignore[attr-defined]
            steps = trainer.iteration * trainer.steps_per_iteration
            metrics |= {"steps": float(steps), "minutes": minutes, "steps_per_s": trainer.steps_per_iteration / seconds}
            if distributed.rank() == 0:
                run.log(trainer.iteration, metrics)
            bar.update(1)
            bar.set_postfix_str(_postfix(metrics), refresh=False)
            if owed or trainer.iteration % trainer.cfg.checkpoint_every == 0:
                try:
                    save(trainer, run)
                    saved, owed = trainer.iteration, False
                except WriteError as error:
                    if not owed:
                        warn(f"no checkpoint of iteration {trainer.iteration}: {error}; the training goes on, and tries again")
                    owed = True
            if on_iteration is not None and on_iteration(metrics):
                break
        try:
            save(trainer, run)
        except WriteError as error:
            kept = "there is no checkpoint" if saved is None else f"the checkpoint there is of iteration {saved}"
            raise UserError(f"the training ended at iteration {trainer.iteration}, which is not saved: {error}; {kept}") from error
    if ended := asked or request.number:
        raise Interrupted(str(run.folder), ended)
    return metrics


def _check_finite(trainer: Trainer, metrics: dict[str, float], run: Run) -> None:
    """Stop a training that has left the numbers.

    Raises:
        UserError: a metric is not finite; the last checkpoint is from before.
    """
    bad = sorted(name for name, value in metrics.items() if not math.isfinite(value))
    if bad:
        raise UserError(
            f"the {trainer.kind}'s training diverged in iteration {trainer.iteration}: {', '.join(bad)} not finite; "
            f"{run.checkpoint} holds the last checkpoint before it; try a smaller learning rate"
        )


def save(trainer: Trainer, run: Run) -> None:
    """Write a checkpoint that `resume` goes on from."""
    if distributed.rank():
        return
    state = trainer.state_dict()
    state |= {"config": config.dump(trainer.cfg), "minutes": getattr(trainer, "minutes", 0.0)}
    run.save(state)


def resume(trainer: Any, state: dict[str, Any]) -> None:
    """Bring a fresh trainer of the same config to a checkpoint's state.

    Raises:
        UserError: the config makes other shapes than the checkpoint has.
    """
    try:
        trainer.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"the checkpoint does not fit the config; sizes cannot change when resuming: {reason(error)}") from error
    trainer.minutes = state.get("minutes", 0.0)


def _postfix(metrics: dict[str, float]) -> str:
    shown = ("reward", "velocity_error_xy", "distance", "at_goal", "falls_a_minute", "steps_per_s")
    return " ".join(f"{name}={metrics[name]:.3g}" for name in shown if name in metrics)
