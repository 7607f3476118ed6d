"""What a training leaves in its folder beside the checkpoint: the encoder's file and the page of reconstructions."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.contract.file import ONNX_RUNTIME
from policies.encoders.file import EncoderFile
from policies.export.encoder import export_encoder
from robolearn.config import loading
from robolearn.learning.export import source_commit
from robolearn.pretraining.encoder import page
from robolearn.pretraining.encoder.making import licence_of
from robolearn.pretraining.encoder.trainer import EncoderTrainer

FILE = "encoder.onnx"
GOLDEN = 2
"""Images by which the file tests itself."""


def finish(trainer: EncoderTrainer, folder: Path, held_out_loss: float | None) -> EncoderFile:
    """Write `encoder.onnx`, `reconstructions.html` and `reconstructions.png`.

    Args:
        trainer: at its end.
        folder: of the run.
        held_out_loss: the last one; None where nothing is held out.

    Returns:
        The encoder's file.
    """
    trainer.policy.cpu()
    images = trainer.tested()
    if len(images) < GOLDEN:
        images = trainer.mixture.draw(GOLDEN, trainer.cfg.seed, 0, 0)
    golden = np.ascontiguousarray(images[:: max(1, len(images) // GOLDEN)][:GOLDEN].numpy())
    file = export_encoder(trainer.policy.encoder, origin(trainer, held_out_loss), golden, folder / FILE)
    page.write(trainer, folder, str(file.origin["weights_sha256"]), file.licence)
    return file


def origin(trainer: EncoderTrainer, held_out_loss: float | None) -> dict[str, Any]:
    """Where the encoder comes from, as plain JSON values."""
    about = [source.about() for source in trainer.mixture.sources]
    before = trainer.started_from
    licences = [*about, {"licence": str(before.get("licence", "unknown"))}] if before else about
    config = loading.dump(trainer.cfg)
    return {
        "licence": licence_of(licences),
        "data": about,
        "started_from": before,
        "config": config,
        "command": "save `config` as encoder.yaml; robolearn pretrain encoder encoder.yaml",
        "seed": trainer.cfg.seed,
        "steps": trainer.iteration * trainer.cfg.encoder.updates,
        "pictures": trainer.iteration * trainer.pictures_per_iteration,
        "minutes": trainer.minutes,
        "held_out_loss": held_out_loss,
        "precision": trainer.products.name,
        "commit": source_commit(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "torch": torch.__version__,
        "onnxruntime": ONNX_RUNTIME,
        "python": platform.python_version(),
    }
