"""Faults that recordings have, put into good episodes: name -> what it does, and the check that must find it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from envs.robots.go1 import GO1
from robolearn.data.check.findings import Seen
from robolearn.data.check.order import other_orders
from robolearn.data.columns import ACTION, CONTACT, DONE, IS_VALID, ROOT, STATE

J = 12
BY_KIND = other_orders(GO1)["sorted by kind of joint (as in Isaac)"]
SWAPPED = other_orders(GO1)["with left and right exchanged"]
Change = Callable[[dict[str, np.ndarray]], None]


def _state(change: Callable[[np.ndarray], None]) -> Change:
    return lambda columns: change(columns[STATE])


def _nan(columns: dict[str, np.ndarray]) -> None:
    columns[STATE][40, 3] = np.nan


def _infinite_action(columns: dict[str, np.ndarray]) -> None:
    columns[ACTION][40, 3] = np.inf


def _frozen_joint(state: np.ndarray) -> None:
    state[50:75, 4] = state[50, 4]


def _frozen_joints(state: np.ndarray) -> None:
    state[50:75, : 2 * J] = state[50, : 2 * J]


def _frozen_imu(state: np.ndarray) -> None:
    state[50:75, 2 * J :] = state[50, 2 * J :]


def _jump(state: np.ndarray) -> None:
    state[60, 7] += 0.9


def _leap(columns: dict[str, np.ndarray]) -> None:
    columns[ROOT][80:, 0] += 0.5


def _hole(columns: dict[str, np.ndarray]) -> None:
    for name in columns:
        columns[name] = np.concatenate([columns[name][:60], columns[name][66:]])


def _degrees(state: np.ndarray) -> None:
    state[:, :J] = np.degrees(state[:, :J])


def _speeds_in_degrees(state: np.ndarray) -> None:
    state[:, J : 2 * J] = np.degrees(state[:, J : 2 * J])


def _all_in_degrees(state: np.ndarray) -> None:
    state[:, : 2 * J] = np.degrees(state[:, : 2 * J])


def _spin_in_degrees(state: np.ndarray) -> None:
    state[:, -3:] = np.degrees(state[:, -3:])


def _other_axes(state: np.ndarray) -> None:
    state[:, -3:] = state[:, [-2, -3, -1]] * [1, -1, 1]


def _speeds_backward(state: np.ndarray) -> None:
    state[:, J : 2 * J] *= -1


def _another_rate(state: np.ndarray) -> None:
    state[:, J : 2 * J] *= 2.5


def _speeds_in_another_order(state: np.ndarray) -> None:
    state[:, J : 2 * J] = state[:, J : 2 * J][:, SWAPPED]


def _actions_in_another_order(columns: dict[str, np.ndarray]) -> None:
    columns[ACTION] = columns[ACTION][:, BY_KIND]


def _isaac(columns: dict[str, np.ndarray]) -> None:
    state = columns[STATE]
    state[:, :J], state[:, J : 2 * J] = state[:, BY_KIND], state[:, J + np.array(BY_KIND)]
    columns[ACTION] = columns[ACTION][:, BY_KIND]


def _beyond(state: np.ndarray) -> None:
    state[:, 5] -= 1.5


def _xyzw(columns: dict[str, np.ndarray]) -> None:
    columns[ROOT][:, 3:7] = columns[ROOT][:, [4, 5, 6, 3]]


def _acceleration(state: np.ndarray) -> None:
    state[:, 2 * J : -3] *= 9.81


def _forces(columns: dict[str, np.ndarray]) -> None:
    columns[CONTACT] *= 40.0


def _two_in_one(columns: dict[str, np.ndarray]) -> None:
    columns[DONE][70] = True


def _lying_mark(columns: dict[str, np.ndarray]) -> None:
    columns[ACTION + IS_VALID] = np.arange(len(columns[ACTION])) < 100


def _zeros(columns: dict[str, np.ndarray]) -> None:
    columns[ACTION] = np.zeros_like(columns[ACTION])


def _no_actions(columns: dict[str, np.ndarray]) -> None:
    del columns[ACTION]


FAULTS: dict[str, tuple[Change, str]] = {
    "NaN in the state": (_nan, "nan"),
    "infinity in the action": (_infinite_action, "nan"),
    "an encoder that hangs": (_state(_frozen_joint), "frozen"),
    "all encoders hang": (_state(_frozen_joints), "frozen"),
    "an IMU that hangs": (_state(_frozen_imu), "frozen"),
    "a joint that jumps": (_state(_jump), "jumps"),
    "a base that leaps": (_leap, "jumps"),
    "six frames that are missing": (_hole, "clock"),
    "positions in degrees": (_state(_degrees), "units"),
    "positions and velocities in degrees": (_state(_all_in_degrees), "units"),
    "velocities in degrees": (_state(_speeds_in_degrees), "units"),
    "angular velocity in degrees": (_state(_spin_in_degrees), "units"),
    "an acceleration in place of gravity's direction": (_state(_acceleration), "units"),
    "angular velocity about other axes": (_state(_other_axes), "rates"),
    "velocities of the opposite sign": (_state(_speeds_backward), "rates"),
    "velocities of another rate": (_state(_another_rate), "rates"),
    "velocities with left and right exchanged": (_state(_speeds_in_another_order), "order"),
    "actions in Isaac's order": (_actions_in_another_order, "order"),
    "everything in Isaac's order": (_isaac, "order"),
    "a joint beyond its range": (_state(_beyond), "limits"),
    "a quaternion in the order xyzw": (_xyzw, "attitude"),
    "forces in place of contacts": (_forces, "marks"),
    "two episodes in one": (_two_in_one, "marks"),
    "values that are marked as missing": (_lying_mark, "marks"),
    "actions that are all zero": (_zeros, "empty"),
    "a policy without actions": (_no_actions, "empty"),
}


def broken(seen: Seen, name: str) -> Seen:
    """A copy of an episode with the fault."""
    columns = {key: values.copy() for key, values in seen.columns.items()}
    FAULTS[name][0](columns)
    return dataclasses.replace(seen, columns=columns)
