"""The operator's side: keys and sticks, the screen, events."""
