"""Training, distillation, evaluation, the viewer and the command line."""

import robolearn_rooms

robolearn_rooms.check()  # before anything of ours is imported by its plain name

import policies  # noqa: E402, F401 (configures the libraries before they are loaded)
from robolearn.quiet import keep_home_clean  # noqa: E402

keep_home_clean()

__version__ = "0.1.0"
