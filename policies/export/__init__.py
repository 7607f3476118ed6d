"""Exports a torch network to the ONNX graph of a policy file."""
