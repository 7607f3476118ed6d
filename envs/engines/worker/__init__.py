"""The far side of an engine that lives in another Python: what runs there.

It needs Python 3.8 and numpy, and nothing of robolearn: `start.py` is run by its path with the other interpreter. Nothing here may import
from outside this package but the standard library, numpy and, in one file each, a physics engine. Our side is `envs.engines.elsewhere`.
"""
