"""The items of the suite by name, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from robolearn.evaluation.gait import item as gait
from robolearn.evaluation.locomotion import arms, corners, course, disturbed, following, impacts, loads, standing, terrain
from robolearn.evaluation.locomotion.result import ItemResult
from robolearn.evaluation.locomotion.setup import Setup


@dataclass(frozen=True)
class Item:
    """One test of the suite: its title and its function."""

    title: str
    run: Callable[[Setup], ItemResult]


ITEMS = {
    "commands": Item("Commands and gait", following.run),
    "gait": Item("How it walks", gait.run),
    "disturbed": Item("All disturbances", disturbed.run),
    "standing": Item("Standing", standing.run),
    "corners": Item("Commands that jump", corners.run),
    "terrain": Item("Terrain", terrain.run),
    "pushes": Item("Pushes", impacts.pushes),
    "throws": Item("Thrown ball", impacts.throws),
    "payload": Item("Payload", loads.payload),
    "friction": Item("Friction", loads.friction),
    "course": Item("A course with a slope, and what the memory encodes", course.run),
    "arms": Item("Arm swing", arms.run),
}

GROUPS = {"withstands": ("commands", "disturbed", "standing", "corners", "terrain", "pushes")}
"""Names for groups of items: `withstands` has the items of `demands`."""
