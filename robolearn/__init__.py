"""How it learns: PPO, distillation, evaluation, the viewer and the command line."""

import policies  # noqa: F401 (tells the libraries what they are to do before they are loaded)
from robolearn.quiet import keep_home_clean

keep_home_clean()

__version__ = "0.1.0"
