"""Measurements of what robolearn costs, each as a ratio to something else that ran in the same minutes; see docs/benchmarks.md."""
