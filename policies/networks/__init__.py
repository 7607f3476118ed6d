"""The networks that decide."""
