"""Real to sim: the parameters of a robot's joints, delay and load from a log of it, with 95 % intervals. See docs/identification.md."""
