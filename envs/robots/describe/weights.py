"""Corrects masses that only compiling shows to be wrong: moving bodies without one, and a total mass that the file's compiler should scale
to.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from envs.robots.describe.classes import Classes
from envs.robots.describe.markup import number, numbers, written
from envs.robots.describe.notes import Log

LIGHT_MASS = 1e-3  # [kg] of a moving body without mass
LIGHT_INERTIA = 1e-7  # [kg m^2], as of a ball with a radius of 15 mm


def give_mass(tree: ET.Element, message: str, log: Log) -> bool:
    """Gives an inertia to the body that MuJoCo reports as moving without one, and to all similar ones; False for any other error."""
    named = re.search(r"mass and inertia of moving bodies.*Element name '([^']*)'", message)
    if named is None:
        return False
    given = False
    for body in tree.iter("body"):
        moves = body.find("joint") is not None or body.find("freejoint") is not None
        empty = moves and body.find("inertial") is None and body.find(".//geom") is None
        if body.get("name") == named[1] or empty:
            light = ET.Element("inertial", pos="0 0 0", mass=written([LIGHT_MASS]), diaginertia=written([LIGHT_INERTIA] * 3))
            old = body.find("inertial")
            if old is not None and old.attrib == light.attrib:
                return False  # the compiler's settings overrule it
            if old is not None:
                body.remove(old)
            body.insert(0, light)
            what = f"bodies without a mass: set to {LIGHT_MASS} kg: {{}}"
            log.each("mended", what, body.get("name", ""), "write their true <inertial>")
            given = True
    return given


def wanted_total(tree: ET.Element) -> float | None:
    """Removes `settotalmass`, which MuJoCo has abandoned, from the compiler's settings; returns its mass [kg]."""
    compiler = tree.find("compiler")
    total = number(compiler.attrib.pop("settotalmass", None)) if compiler is not None else None
    return total if total is not None and total > 0 else None


def scale(tree: ET.Element, factor: float) -> None:
    """Multiplies all masses and inertias of the tree."""
    classes = Classes(tree)
    for inertial in tree.iter("inertial"):
        for key in ("mass", "diaginertia", "fullinertia"):
            if (values := numbers(inertial.get(key))) is not None:
                inertial.set(key, written(values * factor))
    for world in tree.findall("worldbody"):
        for geom in world.iter("geom"):
            key = "mass" if classes.get(geom, "mass") else "density"
            value = number(classes.get(geom, key, "1000"))
            if value is not None:
                geom.set(key, written([value * factor]))
