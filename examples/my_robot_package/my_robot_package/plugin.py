"""Registers what this package adds. robolearn imports this module also on a robot without torch, so objects are named, not imported."""

from pathlib import Path

from my_robot_package.sensing import joint_error
from robolearn.plugins import register_network, register_observation, register_preset, register_robot, register_task, register_transport

HERE = Path(__file__).parent

register_robot("kitten", HERE / "kitten" / "robot.yaml")
register_task("crouch", "my_robot_package.crouch:CROUCH")
register_preset(HERE / "kitten-crouch.yaml")
register_network("gru", "my_robot_package.gru:GRU")
register_transport("udp", "my_robot_package.udp:UDP")
register_observation("joint_error", joint_error, unit="rad", frame="joint", mirror="joint")
