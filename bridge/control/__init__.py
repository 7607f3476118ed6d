"""The control loop: from readings to one safe joint command."""
