"""The permutation by name between the policy's joint order and the wire's.

Positions, velocities, torques, gains, limits and commands all pass through the same `JointMap`, so no vector can be in a different order. A
joint set that does not match is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class JointError(ValueError):
    """Joint names or values on the wire that do not match the policy's joints."""


class JointMap:
    """The permutation between J policy joints and W >= J joints on the wire.

    Attributes:
        policy_names: J names in policy order.
        wire_names: W names in wire order.
        index: position on the wire of each policy joint, (J,).
    """

    def __init__(self, policy_names: Sequence[str], wire_names: Sequence[str], extra: Sequence[str] = ()) -> None:
        """Match the names.

        Args:
            policy_names: in policy order.
            wire_names: in wire order.
            extra: wire joints to ignore that are not the policy's, for example a gripper.

        Raises:
            JointError: duplicate, missing or unknown names.
        """
        self.policy_names, self.wire_names = tuple(policy_names), tuple(wire_names)
        for where, names in (("the policy", self.policy_names), ("the wire", self.wire_names)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise JointError(f"joints {twice} occur twice in {where}: {list(names)}")
        missing = [name for name in self.policy_names if name not in self.wire_names]
        unknown = [name for name in self.wire_names if name not in self.policy_names and name not in extra]
        if missing or unknown:
            raise JointError(f"joint set differs: missing {missing}, unknown {unknown}; the policy needs {list(self.policy_names)}")
        self.index = np.array([self.wire_names.index(name) for name in self.policy_names], dtype=np.intp)

    def from_wire(self, values: Any, what: str) -> FloatArray:
        """Reorder W wire values to policy order.

        Args:
            values: sequence of W numbers.
            what: name of the quantity, for the error.

        Returns:
            (J,) float64.

        Raises:
            JointError: the number of values is not W.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (len(self.wire_names),):
            raise JointError(f"{what} has {array.size} values for {len(self.wire_names)} joints")
        return array[self.index]

    def to_wire(self, values: FloatArray, fill: float = 0.0) -> FloatArray:
        """Reorder J policy values to wire order.

        Args:
            values: (J,).
            fill: value of the extra wire joints.

        Returns:
            (W,) float64.
        """
        wire = np.full(len(self.wire_names), fill, dtype=np.float64)
        wire[self.index] = values
        return wire
