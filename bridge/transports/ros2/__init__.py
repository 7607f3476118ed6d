"""ROS 2 by rclpy."""
