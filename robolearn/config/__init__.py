"""Configuration: the schema, presets, overrides, errors."""
