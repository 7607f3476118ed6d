"""Commands to install missing packages, for this copy of robolearn.

The name `robolearn` on the Python package index belongs to another project: installing it would put foreign code into a robot's
environment. So every command here names a path, or the packages themselves.
"""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

DISTRIBUTION = "robolearn-sim2real"
"""Name of this project for pip; it is not on the package index. The package and the command are named `robolearn`."""


def install_command(*extras: str) -> str:
    """The command that installs extras: from this copy's checkout or wheel, or else their packages by name.

    Args:
        extras: names of optional dependencies in pyproject.toml.
    """
    wanted = ",".join(extras)
    checkout = Path(__file__).absolute().parent.parent  # without following links: those of a colcon workspace lead to a checkout
    found = _distribution()
    if (checkout / "pyproject.toml").is_file() and (checkout / "setup.py").is_file():
        return f"pip install -e {shlex.quote(f'{checkout}[{wanted}]')}"
    wheel = None if found is None else _origin(found)
    if wheel is not None:
        return f"pip install {shlex.quote(f'{wheel}[{wanted}]')}"
    packages = [] if found is None else _packages(found, extras)
    if found is not None and found.read_text("INSTALLER") is None and "ros" in extras:  # installed by colcon, with the system's ROS 2
        return "source /opt/ros/DISTRIBUTION/setup.bash"
    if packages:
        return f"pip install {shlex.join(packages)}"
    return f"pip install -e '.[{wanted}]' in a checkout of this project"


def _distribution() -> Distribution | None:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return None


def _origin(found: Distribution) -> Path | None:
    """The wheel, archive or folder that was installed, if it is still there."""
    text = found.read_text("direct_url.json")
    if text is None:
        return None
    url = urlparse(str(json.loads(text).get("url", "")))
    path = Path(unquote(url.path))
    return path if url.scheme == "file" and path.exists() else None


def _packages(found: Distribution, extras: tuple[str, ...]) -> list[str]:
    """The requirements of the extras for pip, for a colcon workspace or a wheel that no longer exists."""
    lines = [line.partition(";") for line in found.requires or []]
    names = [re.findall(r"""extra == ['"]([^'"]+)""", marker) for _, _, marker in lines]
    return [line.strip() for (line, _, _), own in zip(lines, names, strict=True) if set(own) & set(extras)]
