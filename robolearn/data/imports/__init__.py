"""Converts recordings from other sources to episodes: logs of robolearn deploy, ROS 2 bags, CSV and npz."""
