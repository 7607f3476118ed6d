"""From a network in torch to the ONNX graph of a policy file."""
