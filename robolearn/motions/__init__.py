"""Motions of people and robots, retargeted to a robot: readers, retargeting, cleaning and a report of every clip."""
