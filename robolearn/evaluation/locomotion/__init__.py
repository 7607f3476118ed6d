"""The locomotion suite: measures what a velocity policy can do and how it moves, item by item, with one report.

An item (`items.ITEMS`) is a function from a `Setup` to an `ItemResult`; it rolls the policy file out (`rollout`) and turns the record into
figures with 95 % intervals (`result`). docs/evaluation.md defines every figure.
"""
