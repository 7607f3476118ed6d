"""A run's folder: `runs/<name>/<time>/` with the resolved config, checkpoints, metrics.jsonl and TensorBoard events.

Everything that matters is written to a temporary name and renamed, so a stop at any moment leaves whole files.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from robolearn import config
from robolearn.errors import UserError
from robolearn.finite import listed, not_finite_in
from robolearn.schema import TrainCfg

CHECKPOINT = "checkpoint.pt"


class Run:
    """One training's folder.

    Attributes:
        folder: where it is.
        cfg: the resolved config.
    """

    def __init__(self, folder: Path, cfg: TrainCfg) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.cfg = folder, cfg
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(config.dump(cfg), encoding="utf-8")
        self._metrics = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._writer = SummaryWriter(str(folder))

    @staticmethod
    def new_folder(name: str, root: Path = Path("runs")) -> Path:
        """`runs/<name>/<time>`, not yet taken."""
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        folder = root / name / stamp
        number = 1
        while folder.exists():
            number += 1
            folder = root / name / f"{stamp}_{number}"
        return folder

    @property
    def checkpoint(self) -> Path:
        """Where the newest checkpoint is."""
        return self.folder / CHECKPOINT

    def log(self, iteration: int, metrics: dict[str, float]) -> None:
        """Add a line to metrics.jsonl and to TensorBoard."""
        self._metrics.write(json.dumps({"iteration": iteration, **metrics}) + "\n")
        self._metrics.flush()
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, iteration)

    def truncate_metrics(self, iteration: int) -> None:
        """Drop lines of iterations that a resumed run will do again."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]  # a kill may have cut the last one
        kept = [line for line in whole if json.loads(line)["iteration"] <= iteration]
        self._metrics.close()
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text("".join(kept), encoding="utf-8")
        temporary.replace(path)
        self._metrics = path.open("a", encoding="utf-8")

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint."""
        temporary = self.checkpoint.with_suffix(f".{os.getpid()}.tmp")
        try:
            torch.save(state, temporary)
            temporary.replace(self.checkpoint)
        finally:
            temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Flush and close."""
        self._metrics.close()
        self._writer.close()


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint that a path names: the file, a run folder, or a folder of runs, whose newest counts.

    Raises:
        UserError: there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    if (path / CHECKPOINT).is_file():
        return path / CHECKPOINT
    found = sorted(path.glob(f"*/{CHECKPOINT}"), key=lambda p: p.stat().st_mtime) if path.is_dir() else []
    if found:
        return found[-1]
    if (path / "model.zip").is_file() or (path.is_dir() and any(path.glob("*/model.zip"))):
        raise UserError(f"{path} is a run of Stable-Baselines3, which cannot be gone on with; start it again")
    raise UserError(f"no checkpoint at {path}: give a {CHECKPOINT}, a run folder, or a folder of runs")


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: not a checkpoint of robolearn.
    """
    path = find_checkpoint(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken file
        raise UserError(f"{path} is not a checkpoint that can be read: {error}") from error
    if not isinstance(state, dict) or "kind" not in state:
        raise UserError(f"{path} is not a checkpoint of robolearn")
    if bad := not_finite_in(state):
        raise UserError(f"{path} is of a training that diverged: {listed(bad)} not finite; go on from an earlier checkpoint, or train anew")
    return state
