"""How a policy deploys: joint map, safety, control loop, transports and the simulated robot. Needs numpy and ONNX Runtime alone."""

import robolearn_rooms

robolearn_rooms.check()  # before anything of ours is imported by its plain name

import policies  # noqa: E402, F401 # pyright: ignore[reportUnusedImport] (tells the libraries what they are to do before they are loaded)
