"""The loop around an encoder's training: progress bar, log, checkpoints, an end at any time without loss, and going on from there."""

from __future__ import annotations

import math
import time
from typing import Any

from tqdm import tqdm

from policies.files import WriteError
from robolearn.config import loading
from robolearn.errors import UserError
from robolearn.learning import distributed
from robolearn.learning.finite import listed, not_finite_in
from robolearn.learning.interruption import Interrupted, noted
from robolearn.learning.run import Run, warn
from robolearn.pretraining.encoder.trainer import EncoderTrainer


def train(trainer: EncoderTrainer, run: Run) -> dict[str, float]:
    """Iterate to the end, or until Ctrl-C or another signal that ends a process.

    Returns:
        The last metrics.

    Raises:
        Interrupted: an end was requested; the checkpoint is written.
        UserError: it diverged, or the last checkpoint could not be written.
    """
    metrics: dict[str, float] = {}
    first, before, started = distributed.rank() == 0, trainer.minutes, time.monotonic()
    bar = tqdm(
        total=trainer.iterations,
        initial=trainer.iteration,
        desc="encoder",
        unit="it",
        dynamic_ncols=True,
        mininterval=1.0,
        disable=not first,
    )
    if first:
        bar.write(f"encoder: {trainer.products}")
    with noted("iteration", insist=distributed.processes() == 1) as request, bar:
        asked = 0  # the signal of any process
        while trainer.iteration < trainer.iterations and not asked:
            begin = time.monotonic()
            metrics = trainer.iterate()
            seconds = time.monotonic() - begin
            trainer.minutes = before + (time.monotonic() - started) / 60
            _check(trainer, metrics, run)
            last = trainer.iteration >= trainer.iterations
            due = last or trainer.iteration % trainer.cfg.checkpoint_every == 0
            metrics |= {"pictures": float(trainer.iteration * trainer.pictures_per_iteration), "minutes": trainer.minutes}
            metrics |= {"images_per_s": trainer.pictures_per_iteration / seconds}
            asked = distributed.largest(request.number or 0)
            if due and not asked:
                metrics |= trainer.check()
                _try_to_save(trainer, run)
            if first:
                run.log(trainer.iteration, metrics)
            bar.update(1)
            shown = {"loss": "loss", "held_out/loss": "held_out", "images_per_s": "images/s"}
            bar.set_postfix_str(" ".join(f"{word}={metrics[name]:.3g}" for name, word in shown.items() if name in metrics), refresh=False)
        try:
            save(trainer, run)
        except WriteError as error:
            raise UserError(f"the training ended at iteration {trainer.iteration}, which is not saved: {error}") from error
    if number := asked or request.number:
        raise Interrupted(str(run.folder), number)
    return metrics


def _check(trainer: EncoderTrainer, metrics: dict[str, float], run: Run) -> None:
    bad = sorted(name for name, value in metrics.items() if not math.isfinite(value)) or not_finite_in(trainer.state_dict())
    if distributed.largest(len(bad)):
        kept = (
            f"{run.checkpoint} holds the last checkpoint before it" if run.checkpoint.is_file() else "no checkpoint was written before it"
        )
        raise UserError(
            f"the encoder's training diverged in iteration {trainer.iteration}: "
            f"{listed(bad) or 'something in another process'} not finite; "
            f"{kept}; try a smaller --encoder.learning_rate"
        )


def _try_to_save(trainer: EncoderTrainer, run: Run) -> None:
    try:
        save(trainer, run)
    except WriteError as error:
        warn(f"no checkpoint of iteration {trainer.iteration}: {error}; the training continues and will try again")


def save(trainer: EncoderTrainer, run: Run) -> None:
    """Write a checkpoint; only the first of several processes does.

    Raises:
        policies.files.WriteError: it cannot be written; the previous one is kept.
    """
    if not distributed.rank():
        run.save(trainer.state_dict() | {"config": loading.dump(trainer.cfg)})


def resumed(state: dict[str, Any], path: str, overrides: list[str]) -> Any:
    """The config of a checkpoint, with overrides that may only make it longer or say how it runs.

    Raises:
        UserError: an override that would make it another training.
    """
    from robolearn.pretraining.encoder.config import EncoderTraining

    may = ("--encoder.iterations", "--checkpoint_every", "--threads", "--device", "--precision")
    for override in overrides:
        if override.partition("=")[0] not in may:
            raise UserError(f"--resume continues the same training: {override} cannot change; what can: {', '.join(may)}")
    cfg = loading.loads(EncoderTraining, state["config"], path, overrides)
    if cfg.encoder.iterations < state["iteration"]:
        raise UserError(
            f"the checkpoint is at iteration {state['iteration']} already, so encoder.iterations={cfg.encoder.iterations} is too low"
        )
    return cfg
