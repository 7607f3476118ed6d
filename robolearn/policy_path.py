"""Finds the policy file that the user means: by a path, a run folder, or the name of one that ships with robolearn."""

from __future__ import annotations

from pathlib import Path

import policies
from robolearn.errors import UserError, suggestion
from robolearn.learning.run_folders import newest_last

POLICY_FILE = "policy.onnx"
CONTROLLER = "controller:"
"""Prefix of a model-based controller's name when it is given in place of a policy."""


def zoo() -> dict[str, Path]:
    """The policy files that ship with robolearn, by name."""
    folder = Path(next(iter(policies.__path__))) / "zoo"
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def is_controller(text: str) -> bool:
    """Whether a text given in place of a policy names a model-based controller."""
    return text.startswith(CONTROLLER)


def find_policy(text: str | Path) -> Path:
    """The policy file for a path or a name.

    Args:
        text: a file; a run folder that holds `policy.onnx`; a folder of runs, for its newest policy; or a shipped policy's name. An
            existing path takes precedence over a name.

    Raises:
        UserError: no such policy; lists the shipped names and the nearest.
    """
    path = Path(text)
    if path.is_file():
        return path
    shipped = zoo()
    if path.is_dir():
        if (path / POLICY_FILE).is_file():
            return path / POLICY_FILE
        found = newest_last(path, POLICY_FILE)
        if found:
            return found[-1]
        if str(text) not in shipped:
            raise UserError(
                f"no {POLICY_FILE} in the folder {path}; write one with: robolearn export {path} (a teacher is distilled first)"
            )
    if str(text) in shipped:
        return shipped[str(text)]
    names = ", ".join(shipped) if shipped else "none"
    if is_controller(str(text)):
        raise UserError(
            f"{text} is a model-based controller, which `robolearn evaluate`, `collect` and `play` take; "
            f"give a file, a run folder, or a shipped policy: {names}"
        )
    raise UserError(f"no policy file at {path}{suggestion(str(text), shipped)}; give a file, a run folder, or a shipped policy: {names}")
