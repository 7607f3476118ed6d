"""The flight recorder's logs: writing, reading, repair, replay."""
