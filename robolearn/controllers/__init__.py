"""Model-based controllers: they walk by the robot's equations of motion, without learning."""
