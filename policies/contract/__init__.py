"""The contract between training and robot: spec, observation and policy file. Needs numpy and ONNX Runtime alone."""
