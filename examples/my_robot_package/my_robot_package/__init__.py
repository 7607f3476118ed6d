"""A robot, a task, a network and a transport for robolearn, from outside."""
