"""MuJoCo robots behind the wires of real ones."""
