"""Checks of datasets, which report each fault in one line."""
