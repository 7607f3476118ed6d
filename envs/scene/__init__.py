"""The ground and objects around a robot."""
