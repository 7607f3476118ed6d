"""Keeps what packages remember between runs out of the user's home folder, for the commands of robolearn."""

from __future__ import annotations

import os
import stat
import sys

CONFIGURATIONS = (".config/matplotlib", ".matplotlib")


def keep_home_clean() -> None:
    """Have matplotlib keep its list of fonts beside the installation, before anything imports it.

    Not where the user has a configuration of matplotlib's, in the home folder or by the variable. Another user could have made a folder for
    temporary files under the same name, so that it must be this user's own.
    """
    home = os.path.expanduser("~")
    if "MPLCONFIGDIR" in os.environ or any(os.path.exists(os.path.join(home, name)) for name in CONFIGURATIONS):
        return
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        os.environ["MPLCONFIGDIR"] = os.path.join(sys.prefix, "var", "matplotlib")
        return
    import tempfile

    folder = os.path.join(tempfile.gettempdir(), f"robolearn-{os.getuid()}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        found = os.lstat(folder)
    except OSError:
        return
    if found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode):
        os.environ["MPLCONFIGDIR"] = os.path.join(folder, "matplotlib")
