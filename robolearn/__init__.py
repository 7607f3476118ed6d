"""How it learns: PPO, distillation, evaluation, the viewer and the command line."""

import policies  # noqa: F401 - says before anything imports ONNX Runtime what that must not do
from robolearn.quiet import keep_home_clean

keep_home_clean()

__version__ = "0.1.0"
