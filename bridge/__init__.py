"""Deployment of policies: joint map, safety, control loop, transports and the simulated robot. Needs only numpy and ONNX Runtime."""

import robolearn_rooms

robolearn_rooms.check()  # before anything of ours is imported by its plain name

import policies  # noqa: E402, F401 # pyright: ignore[reportUnusedImport] (configures the libraries before they are loaded)
