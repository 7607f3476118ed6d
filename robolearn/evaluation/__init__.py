"""Evaluation of policies, with 95 % intervals."""
