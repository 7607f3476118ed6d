"""Model-based controllers: they walk by the robot's equations of motion, not by what was learned."""
