"""The robots: one folder each, with its MJCF and constants."""
