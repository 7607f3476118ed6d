"""Motions of people and of robots, brought onto a robot: readers, retargeting, cleaning and a report of every clip."""
