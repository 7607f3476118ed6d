"""Descriptions: from somebody's MJCF or URDF to a robot that trains."""
