"""Datasets for other programs: MCAP files of standard ROS 2 messages, which Foxglove shows and ROS plays."""
