"""What moves: physics engines, robots, tasks and their randomization."""

import policies  # noqa: F401 (tells the libraries what they are to do before they are loaded)
