"""The robot's cameras: pictures off the wire, checked, encoded beside the control loop, and the newest of them for it."""
