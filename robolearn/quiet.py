"""Keeps the caches of packages out of the user's home folder, for the commands of robolearn."""

from __future__ import annotations

import os
import stat
import sys

CONFIGURATIONS = (".config/matplotlib", ".matplotlib")


def keep_home_clean() -> None:
    """Make matplotlib keep its font cache beside the installation; call it before matplotlib is imported.

    Does nothing if the user has a matplotlib configuration, in the home folder or by the environment variable. The temporary folder must
    belong to this user, since another user could have made one of the same name.
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
