"""Whoever drives: keys and sticks, the screen, events."""
