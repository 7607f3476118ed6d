"""Recordings of others as episodes: logs of robolearn deploy, ROS 2 bags, CSV and npz."""
