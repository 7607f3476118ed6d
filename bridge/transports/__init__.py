"""The thin edges between the control loop and a robot: `sim` in process, `ros2` over rclpy, `unitree` over Cyclone DDS."""
