"""Normalises MJCF: no obsolete attributes, angles in radians, a name for everything, and no defaults that affect other elements."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import mujoco

from envs.robots.describe.classes import Classes
from envs.robots.describe.markup import MUJOCO_ERRORS, numbers, unique, written
from envs.robots.describe.notes import Log, listed
from envs.robots.errors import RobotError

KEPT_DEFAULTS = {"default", "joint", "geom", "site", "mesh", "material", "equality", "tendon", "pair"}
OUTSIDE_BODIES = {"mesh", "material", "pair", "connect", "weld", "joint", "tendon", "spatial", "fixed"}


def scrub(tree: ET.Element, path: Path, log: Log) -> None:
    """Removes attributes and elements that this MuJoCo's schema does not know (older or newer ones), with a note.

    Raises:
        RobotError: MuJoCo cannot read the file for another reason.
    """
    gone: list[str] = []
    for _ in range(200):
        ET.indent(tree)
        text = ET.tostring(tree, encoding="unicode")
        try:
            mujoco.MjSpec.from_string(text)
        except MUJOCO_ERRORS as error:
            message = str(error)
            place = re.search(r"Element '([^']*)', line (\d+)", message)
            element = element_at(tree, text, int(place[2])) if place else None
            attribute = re.search(r"unrecognized attribute: '([^']*)'", message)
            if attribute and element is not None:
                for twin in tree.iter(element.tag):
                    twin.attrib.pop(attribute[1], None)
                gone.append(f"{attribute[1]} of <{element.tag}>")
                continue
            if "unrecognized element" in message and element is not None and _remove(tree, element):
                gone.append(f"<{element.tag}>")
                continue
            reason = " ".join((message.splitlines() or ["no reason given"])[0].split()).removeprefix("XML Error: ").removeprefix("Error: ")
            where = f" (<{element.tag}{' ' + repr(element.get('name')) if element.get('name') else ''}>)" if element is not None else ""
            raise RobotError(f"{path}: MuJoCo cannot read it: {reason}{where}; fix that element") from None
        break
    if gone:
        log.dropped(f"this MuJoCo ({mujoco.__version__}) does not know {listed(gone)}", "write the file for this MuJoCo")


def element_at(tree: ET.Element, text: str, line: int) -> ET.Element | None:
    """The element that begins at a given line of an indented tree's text."""
    starts = [number for number, content in enumerate(text.splitlines(), 1) if re.match(r"\s*<[A-Za-z_]", content)]
    return next((element for element, start in zip(tree.iter(), starts, strict=False) if start == line), None)


def _remove(tree: ET.Element, element: ET.Element) -> bool:
    for parent in tree.iter():
        if element in list(parent):
            parent.remove(element)
            return True
    return False


def to_radians(tree: ET.Element) -> None:
    """Writes all angles in radians."""
    compiler = tree.find("compiler")
    if compiler is None:
        compiler = ET.Element("compiler")
        tree.insert(0, compiler)
    degrees = compiler.get("angle", "degree") == "degree"
    compiler.set("angle", "radian")
    if not degrees:
        return
    classes = Classes(tree)
    kinds = {joint: classes.get(joint, "type", "hinge") for world in tree.findall("worldbody") for joint in world.iter("joint")}
    for name, default in classes.defaults.items():
        joint = default.find("joint")
        if joint is not None:
            kinds[joint] = next((kind for d in classes.defaults_of(name, "joint") if (kind := d.get("type"))), "hinge")
    for joint, kind in kinds.items():
        keys = {"hinge": ("range", "ref", "springref"), "ball": ("range",)}.get(kind, ())
        for key in keys:
            _turn(joint, key, slice(None))
    for element in tree.iter():
        if element.tag != "replicate":
            _turn(element, "euler", slice(None))
            _turn(element, "axisangle", slice(3, 4))


def _turn(element: ET.Element, key: str, which: slice) -> None:
    values = numbers(element.get(key))
    if values is not None:
        values[which] *= math.pi / 180
        element.set(key, written(values))


def name_all(tree: ET.Element, log: Log) -> None:
    """Gives every body, joint, geom and site of the tree a name of its own; of several with one name, the first keeps it."""
    taken: dict[str, set[str]] = {}
    for tag in ("body", "joint", "geom", "site"):
        names = {element.get("name", "") for world in tree.findall("worldbody") for element in world.iter(tag)}
        taken[tag] = {"world"} if tag == "body" else set()
        taken[f"all {tag}"] = names
    twins: list[str] = []
    for world in tree.findall("worldbody"):
        _name_inside(world, "world", taken, twins)
    if twins:
        log.mended(f"duplicate names: {listed(twins)}; the later ones now have a number", "give each a unique name")


def _name_inside(holder: ET.Element, body: str, taken: dict[str, set[str]], twins: list[str]) -> None:
    for element in holder:
        if element.tag == "frame":
            _name_inside(element, body, taken, twins)
            continue
        tag = {"freejoint": "joint"}.get(element.tag, element.tag)
        if tag not in ("body", "joint", "geom", "site"):
            continue
        given = element.get("name", "")
        if given and given not in taken[tag]:
            taken[tag].add(given)
        else:
            if given:
                twins.append(f"{tag} {given}")
            stem = given or (f"{body}_body" if tag == "body" else f"{body}_{'free' if element.tag == 'freejoint' else tag}")
            blocked = taken[tag] | taken[f"all {tag}"]
            name = unique(stem, blocked)
            taken[tag].add(name)
            element.set("name", name)
        if element.tag == "body":
            _name_inside(element, element.get("name", ""), taken, twins)


def close_defaults(tree: ET.Element, roots: list[ET.Element]) -> None:
    """Moves the main defaults into a class that only the robot uses, so that objects added by a task do not inherit them.

    Args:
        tree: the robot.
        roots: the elements directly in the worldbody.
    """
    default = tree.find("default")
    if default is None:
        return
    for inner in default.iter("default"):
        for child in [*inner]:
            if child.tag not in KEPT_DEFAULTS:
                inner.remove(child)
        for joint in inner.findall("joint"):
            joint.attrib.pop("actuatorfrcrange", None)
            joint.attrib.pop("actuatorfrclimited", None)
            joint.attrib.pop("actuatorgravcomp", None)
    old = default.get("class", "main")
    if all(child.tag == "default" for child in default):
        return
    name = unique("robot", {inner.get("class", "") for inner in default.iter("default")})
    default.set("class", name)
    outer = ET.Element("default")
    index = list(tree).index(default)
    tree.remove(default)
    outer.append(default)
    tree.insert(index, outer)
    for element in tree.iter():
        if element.get("class") == old and element.tag != "default":
            element.set("class", name)
        if element.get("childclass") == old:
            element.set("childclass", name)
    for element in roots:
        if element.get("childclass") is None:
            element.set("childclass", name)
    for section in ("asset", "contact", "equality", "tendon"):
        for element in tree.findall(f"{section}/*"):
            if element.tag in OUTSIDE_BODIES and element.get("class") is None:
                element.set("class", name)
