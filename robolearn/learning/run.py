"""A run's folder: `runs/<name>/<time>/` with the resolved config, checkpoints, metrics.jsonl and TensorBoard events.

Important files are written to a temporary name and renamed, so that a stop at any moment leaves whole files. A full disk only causes a
warning: the training continues, and what is missing is tried again.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import time
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bridge.logs.newest import STAMP
from envs.robots.robot import Robot
from policies.files import make_folder, reason, remove_empty, whole, write_text
from robolearn.config import loading as config
from robolearn.config.commented import commented
from robolearn.errors import UserError
from robolearn.learning.finite import listed, not_finite_in
from robolearn.learning.run_folders import newest_last

CHECKPOINT = "checkpoint.pt"
CONFIG, METRICS = "config.yaml", "metrics.jsonl"
HELD = {"kind": str, "config": str, "iteration": int, "policy": dict}
"""Keys of every checkpoint."""


class Run:
    """One training's folder.

    Attributes:
        folder: its path.
        cfg: the resolved config, a dataclass of settings.
    """

    def __init__(self, folder: Path, cfg: Any) -> None:
        """Create the folder, or continue in it.

        Raises:
            policies.files.WriteError: it cannot be written; a new folder is removed.
        """
        from robolearn.learning.growing import EventFile, GrowingFile

        self.folder, self.cfg = folder, cfg
        self._warned = False
        made = make_folder(folder)
        try:
            write_text(folder / CONFIG, commented(cfg))
            self._metrics, self._events = GrowingFile(folder / METRICS), EventFile(folder)
        except OSError:
            for path in folder.iterdir() if folder in made else ():
                path.unlink()
            remove_empty(made)
            raise

    @staticmethod
    def new_folder(name: str, root: Path = Path("runs")) -> Path:
        """`runs/<name>/<time>`, not yet taken."""
        stamp = time.strftime(STAMP)
        folder = root / name / stamp
        number = 1
        while folder.exists():
            number += 1
            folder = root / name / f"{stamp}_{number}"
        return folder

    @property
    def checkpoint(self) -> Path:
        """Path of the newest checkpoint."""
        return self.folder / CHECKPOINT

    def log(self, iteration: int, metrics: dict[str, float]) -> None:
        """Add a line to metrics.jsonl and to TensorBoard; what cannot be written now is kept, and written with a later line."""
        self._metrics.add((json.dumps({"iteration": iteration, **metrics}) + "\n").encode())
        self._events.scalars(metrics, iteration)
        failure = self._metrics.failure or self._events.failure
        if failure is not None and not self._warned:
            warn(f"{failure}; the training continues, and what is missing is written as soon as possible")
        self._warned = failure is not None

    def truncate_metrics(self, iteration: int) -> None:
        """Drop lines of iterations that a resumed run will repeat."""
        from robolearn.learning.growing import GrowingFile

        path = self.folder / METRICS
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole_lines = [line for line in lines if line.endswith("\n")]  # a kill may have cut off the last line
        kept = [line for line in whole_lines if json.loads(line)["iteration"] <= iteration]
        self._metrics.close()
        write_text(path, "".join(kept))
        self._metrics = GrowingFile(path)

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint.

        Raises:
            policies.files.WriteError: it cannot be written; the previous one is kept.
        """
        # through a Python file: after a failure, torch's own writer keeps the file open, and its disk space occupied
        with whole(self.checkpoint) as temporary, temporary.open("wb") as file:
            torch.save(state, file)

    def close(self) -> None:
        """Write what is left, and close.

        Raises:
            policies.files.WriteError: lines are lost, unless another error is being raised.
        """
        failures = []
        for file in (self._metrics, self._events):
            file.close()
            failures += [file.failure] if file.failure is not None else []
        if failures and sys.exc_info()[1] is None:
            raise failures[0]
        for failure in failures:
            warn(str(failure))


def warn(text: str) -> None:
    """One line on standard error, above a progress bar if there is one."""
    tqdm.write(f"robolearn: warning: {text}", file=sys.stderr)


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint that a path names: the file, a run folder, or a folder of runs (its newest).

    Raises:
        UserError: no checkpoint.
    """
    path = Path(path)
    if path.is_file():
        return path
    if (path / CHECKPOINT).is_file():
        return path / CHECKPOINT
    found = newest_last(path, CHECKPOINT)
    if found:
        return found[-1]
    if (path / "model.zip").is_file() or (path.is_dir() and any(path.glob("*/model.zip"))):
        raise UserError(f"{path} is a run of Stable-Baselines3, which cannot be resumed; start it again")
    raise UserError(f"no checkpoint at {path}: give a {CHECKPOINT}, a run folder, or a folder of runs")


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: not a checkpoint of robolearn.
    """
    path = find_checkpoint(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # report the error only once
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its text advises a kind of loading that could run any code
        raise UserError(f"{path} is not a readable checkpoint: it is not torch's, or holds more than numbers") from error
    except Exception as error:  # torch raises many kinds for a broken file
        raise UserError(f"{path} is not a readable checkpoint: {reason(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(state.get(name), kind) for name, kind in HELD.items()):
        raise UserError(f"{path} is not a checkpoint of robolearn")
    if bad := not_finite_in(state):
        raise UserError(
            f"{path} is of a training that diverged: {listed(bad)} not finite; resume from an earlier checkpoint, or train again"
        )
    return state


def other_model(state: Mapping[str, Any], robot: Robot) -> str:
    """A message if a robot's model is not the one that a checkpoint was trained with; empty if it is."""
    if state.get("model_sha256", robot.fingerprint) == robot.fingerprint:
        return ""
    return f"the model of {robot.where} ({robot.model}) is not the one that the checkpoint was trained with"


@contextlib.contextmanager
def readable(path: Path) -> Generator[None]:
    """Turn errors in the body, which makes networks from a checkpoint's weights, into user errors.

    Raises:
        UserError: something is missing in the checkpoint, or has another size.
    """
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not a checkpoint that this version of robolearn can read: {reason(error)}") from error


def check_ours(folder: Path) -> None:
    """Check whether a training may continue in a folder, which it then writes to.

    Raises:
        UserError: the folder has files with a run's names that are not robolearn's.
    """
    settings, metrics = folder / CONFIG, folder / METRICS
    try:
        if settings.is_file():
            str(config.loads_any(settings.read_text(encoding="utf-8"))["task"])
        lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.is_file() else []
        for line in lines:
            if line.endswith("\n"):
                int(json.loads(line)["iteration"])
    except (UserError, ValueError, KeyError, TypeError, OSError) as error:
        why = f"{settings.name} or {metrics.name} there is not a training's ({reason(error)})"
        mend = "put the checkpoint into a separate folder"
        raise UserError(f"{folder} is not a run of robolearn that can be continued: {why}; {mend}") from error
