"""What moves: physics engines, robots, tasks and their randomization."""
