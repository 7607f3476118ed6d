"""Physics: the interface of engines, and the engines."""
