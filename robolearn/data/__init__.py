"""Trajectories of robots on disk: one dataset format for rollouts, controllers, people, logs and teleoperation.

The files are a LeRobotDataset v3.0, so that `lerobot` opens them; `docs/data.md` describes the format. This package has the content of an
episode (`columns`, `source`), the writer that survives `kill -9`, the reader, and operations on several datasets.
"""
