"""Deliberate faults, for tests."""
