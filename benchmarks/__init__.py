"""Benchmarks: each module's `run(quick)` returns entries that compare against a peer or a limit measured in the same process."""
