"""The contract between training and robot: spec, observation and policy file. Needs only numpy and ONNX Runtime."""
