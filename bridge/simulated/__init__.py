"""Robots made of MuJoCo behind the wires of real ones."""
