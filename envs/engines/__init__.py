"""Physics: what an engine is, and the engines there are."""
