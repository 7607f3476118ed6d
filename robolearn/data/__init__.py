"""Trajectories of robots on disk: one dataset format for rollouts, controllers, people, logs and teleoperation.

The files are a LeRobotDataset v3.0, so that `lerobot` opens them; `docs/data.md` tells the format. Here: what an episode holds
(`columns`, `source`), the writer that survives `kill -9`, the reader, and what is made of several datasets.
"""
