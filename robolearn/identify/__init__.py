"""Real to sim: estimates the parameters of a robot's joints, delay and load from its logs, with 95 % intervals. See
docs/identification.md.
"""
