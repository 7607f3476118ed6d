"""How a policy deploys: joint map, safety, control loop, transports and the simulated robot. Needs numpy and ONNX Runtime alone."""
