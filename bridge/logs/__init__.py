"""The flight recorder's logs: written, read, mended, run again."""
