"""The terms of tasks."""
