"""Simulation: physics engines, robots, tasks and their randomization."""

import robolearn_rooms

robolearn_rooms.check()  # before anything of ours is imported by its plain name

import policies  # noqa: E402, F401 (configures the libraries before they are loaded)
