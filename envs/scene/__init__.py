"""What a robot stands on and meets."""
