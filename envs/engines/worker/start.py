"""Run by the other interpreter, by its path: `python start.py SOCKET ENGINE`, with the socket's number. Makes this folder a package."""

import importlib
import importlib.util
import os
import sys


def main():
    """Serve until the trainer has gone."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != here]  # its files are no top-level modules
    name = "robolearn_worker"
    spec = importlib.util.spec_from_file_location(name, os.path.join(here, "__init__.py"), submodule_search_locations=[here])
    package = importlib.util.module_from_spec(spec)  # pyright: ignore[reportArgumentType]
    sys.modules[name] = package
    spec.loader.exec_module(package)  # pyright: ignore[reportOptionalMemberAccess]
    return importlib.import_module(name + ".serve").main(int(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
