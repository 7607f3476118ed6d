"""The start of everything: are `policies`, `envs`, `bridge` and `robolearn` the packages that belong together?

Their names are plain, and every second project has a folder `envs/` of its own. One that lies earlier on Python's path hides ours, and what
follows would be an ImportError from the insides of this program. So each of the four asks here before it imports another. This file is
a module by itself, because whatever lies in one of the four may be hidden.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from types import ModuleType

ROOMS = ("policies", "envs", "bridge", "robolearn")
HOUSE = os.path.dirname(os.path.abspath(__file__))
"""The folder that holds all four."""


class HiddenPackageError(ImportError):
    """A package of somebody else's is found under the name of one of ours."""


def check() -> None:
    """Look whether each of the four is found here, and not elsewhere.

    Raises:
        HiddenPackageError: names what hides which, and the mend.
        SystemExit: the same as one line and exit code 2, where `python -m` is about to run one of ours.
    """
    for name in ROOMS:
        found = _found(name)
        if found is None or _same(found, os.path.join(HOUSE, name)):
            continue
        message = f"{found} hides robolearn's package {name!r}, which lies in {HOUSE}: {_mend(name, found)}"
        if sys.argv[:1] == ["-m"]:  # as it stands while Python looks for the module
            print(f"robolearn: error: {message}", file=sys.stderr)
            raise SystemExit(2)
        raise HiddenPackageError(message, name=name, path=found)


def main() -> int:
    """The command `robolearn`. Returns its exit code."""
    try:
        check()
    except HiddenPackageError as error:
        print(f"robolearn: error: {error}", file=sys.stderr)
        return 2
    from robolearn.cli import main

    return main()


def _found(name: str) -> str | None:
    """The folder or file that an import of `name` gives, None where there is none."""
    module = sys.modules.get(name)
    if isinstance(module, ModuleType):
        places = [*getattr(module, "__path__", ())]
        return str(places[0]) if places else getattr(module, "__file__", None)
    spec = PathFinder.find_spec(name)
    if spec is None:
        return None
    places = [*(spec.submodule_search_locations or ())]
    return str(places[0]) if places else spec.origin


def _same(one: str, other: str) -> bool:
    return os.path.abspath(one) == other or os.path.realpath(one) == os.path.realpath(other)


def _mend(name: str, found: str) -> str:
    folder = os.path.dirname(os.path.abspath(found))
    given = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if folder in given:
        return f"rename it, or take {folder} out of PYTHONPATH"
    if folder == os.path.abspath(os.curdir) and sys.argv[:1] == ["-m"]:
        return "rename it, or start from another folder, or by the command `robolearn`, which does not look into the one that it starts in"
    return f"rename it, or take {folder} from before {HOUSE} in sys.path"
