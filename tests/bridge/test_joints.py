"""Joints are matched by name: any order gives the same vectors, and a set that differs is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.control.joints import JointError, JointMap

NAMES = tuple("abcdef")


@given(st.permutations(NAMES), st.permutations(("x", "y")))
def test_any_wire_order_gives_policy_order(order: list[str], extra: list[str]) -> None:
    wire = [extra[0], *order, extra[1]]
    joints = JointMap(NAMES, wire, extra=("x", "y"))
    values = {name: float(index) for index, name in enumerate(NAMES)}
    assert joints.from_wire([values.get(name, 99.0) for name in wire], "position").tolist() == [0, 1, 2, 3, 4, 5]
    back = joints.to_wire(np.arange(6.0), fill=-1.0)
    assert dict(zip(wire, back, strict=True)) == {**values, "x": -1.0, "y": -1.0}


@pytest.mark.parametrize(
    ("wire", "message"),
    [(NAMES[:-1], "missing"), ((*NAMES, "gripper"), "unknown"), ((*NAMES, "a"), "twice"), (("A", *NAMES[1:]), "missing"), ((), "missing")],
)
def test_a_differing_joint_set_is_refused(wire: tuple[str, ...], message: str) -> None:
    with pytest.raises(JointError, match=message):
        JointMap(NAMES, wire)


def test_a_vector_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(JointError, match="velocity has 5 values for 6 joints"):
        JointMap(NAMES, NAMES).from_wire([0.0] * 5, "velocity")


def test_an_empty_vector_is_refused() -> None:
    with pytest.raises(JointError, match="0 values"):
        JointMap(NAMES, NAMES).from_wire([], "velocity")
