"""How it learns: PPO, distillation, evaluation, the viewer and the command line."""

__version__ = "0.1.0"
