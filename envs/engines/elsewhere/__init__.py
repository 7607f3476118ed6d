"""Engines that live elsewhere: in a process with its own Python and packages, behind the same interface as all others.

Our side. What runs in the other process is `envs.engines.worker`.
"""
