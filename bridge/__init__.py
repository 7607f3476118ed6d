"""How a policy deploys: joint map, safety, control loop, transports and the simulated robot. Needs numpy and ONNX Runtime alone."""

import policies  # noqa: F401 # pyright: ignore[reportUnusedImport] (tells the libraries what they are to do before they are loaded)
