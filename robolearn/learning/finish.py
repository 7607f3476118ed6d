"""A training that leaves its folder whole: begun, gone on with, or found done there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from robolearn.learning.run import CHECKPOINT, Run, load_checkpoint
from robolearn.learning.trainer import resume, train


def finished(folder: Path, iterations: int, make: Callable[[bool], Any]) -> dict[str, Any]:
    """The checkpoint after so many iterations; what is done is not done again.

    Args:
        folder: of the run, empty, or left by a training that was stopped or has ended.
        iterations: of the whole training.
        make: the trainer; is told whether the training begins, or is brought to a checkpoint's state afterwards.

    Raises:
        Interrupted: an end was asked for; the same call goes on.
    """
    state = load_checkpoint(folder) if (folder / CHECKPOINT).is_file() else None
    if state is not None and state["iteration"] >= iterations:
        return state
    trainer = make(state is None)
    if state is not None:
        resume(trainer, state)
    run = Run(folder, trainer.cfg)
    try:
        if state is not None:
            run.truncate_metrics(trainer.iteration)
        train(trainer, run)
    finally:
        run.close()
    return load_checkpoint(folder)
