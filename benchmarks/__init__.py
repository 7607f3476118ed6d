"""Measurements of what robolearn costs, each as a ratio to something else that ran in the same minutes; see docs/benchmarks.md."""

import policies  # noqa: F401 (tells the libraries what they are to do before they are loaded)
