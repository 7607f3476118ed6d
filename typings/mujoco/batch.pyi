# MuJoCo's names come from a compiled module that type checkers cannot read; without this they call each of them unknown.
from typing import Any

def __getattr__(name: str) -> Any: ...
