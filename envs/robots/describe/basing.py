"""The base's frame as tasks expect it: x forward and z up, and at the origin of the world if the base is fixed.

A model that faces along y, or whose y is up, as often exported by CAD programs, gets an additional, rotated body above its base. The knees'
axes point sideways, which leaves two directions for forward; toes of the feet, or names of legs (front, hind), decide.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import mujoco
import numpy as np

from envs.robots.describe.frames import limbs_sideways
from envs.robots.describe.limbs import Limbs, neutral
from envs.robots.describe.links import root_body
from envs.robots.describe.reading import Reading

FRONT = re.compile(r"(^|[_\W])(f[lr]|[lr]f|front)($|[_\W])", re.IGNORECASE)
HIND = re.compile(r"(^|[_\W])([rhb][lr]|[lr][hb]|rear|hind|back)($|[_\W])", re.IGNORECASE)
UPRIGHT = 0.99  # cosine of a base's tilt; an arm that hangs from a ceiling is left alone
_POSES = ("pos", "quat", "euler", "axisangle", "xyaxes", "zaxis")


def _root(tree: ET.Element, name: str) -> ET.Element:
    return next(element for element in tree.findall("worldbody/body") if element.get("name") == name)


def _changed(reading: Reading, tree: ET.Element, root: str) -> Reading:
    text = ET.tostring(tree, encoding="unicode")
    return replace(reading, xml=text, spec=mujoco.MjSpec.from_string(text), root=root)


def held(reading: Reading) -> Reading:
    """The robot without a free joint and with its base at the origin: goals are given in the base's frame, which is then the world's."""
    model = reading.spec.compile()
    upright = np.empty(9)
    mujoco.mju_quat2Mat(upright, model.body(reading.root).quat)
    tree = ET.fromstring(reading.xml)
    element = _root(tree, reading.root)
    _take_free(element)
    for key in _POSES if upright[8] > UPRIGHT else ("pos",):
        element.attrib.pop(key, None)
    return _changed(reading, tree, reading.root)


def _take_free(body: ET.Element) -> list[ET.Element]:
    """Remove the free joints of a body."""
    found = [child for child in body if child.tag == "freejoint" or (child.tag == "joint" and child.get("type") == "free")]
    for free in found:
        body.remove(free)
    return found


def turned(reading: Reading, yaw: float) -> Reading:
    """The robot with a new base above its own, whose x is the old one's direction `yaw` [rad]."""
    return rebased(reading, (math.cos(yaw / 2), 0.0, 0.0, math.sin(-yaw / 2)), "base_forward")


def rebased(reading: Reading, quat_wxyz: tuple[float, float, float, float], name: str) -> Reading:
    """The robot with a new base of that name above its own, which gets this attitude in the new one."""
    tree = ET.fromstring(reading.xml)
    world = tree.find("worldbody")
    assert world is not None
    old = _root(tree, reading.root)
    place = list(world).index(old)
    world.remove(old)
    names = {element.get("name") for element in tree.iter("body")}
    while name in names:
        name += "_"
    new = ET.Element("body", name=name)
    for key in ("pos", "childclass"):
        if old.get(key):
            new.set(key, old.get(key, ""))
    for key in _POSES:
        old.attrib.pop(key, None)
    new.extend(_take_free(old))
    old.set("quat", " ".join(f"{value + 0.0:.9g}" for value in quat_wxyz))
    new.append(old)
    world.insert(place, new)
    return _changed(reading, tree, name)


def upright(reading: Reading) -> Reading:
    """The robot with a new base above its own, whose z is up, if its limbs reach along another axis than -z; otherwise unchanged."""
    down = limbs_sideways(reading.spec.compile(), reading.root)
    if down is None:
        return reading
    half = math.sqrt(0.5)
    return rebased(reading, (half, -half * float(down[1]), half * float(down[0]), 0.0), "base_upright")


def walks_sideways(model: mujoco.MjModel, limbs: Limbs) -> bool:
    """Whether the legs bend about the base's x axis, so that they walk along y."""
    data = mujoco.MjData(model)
    data.qpos[:] = neutral(model)
    mujoco.mj_kinematics(model, data)
    rotation = data.xmat[root_body(model)].reshape(3, 3)
    along = np.zeros(2)
    for chain in limbs.legs:
        for link in chain.own[1:] if len(chain.own) <= 4 else chain.own[2:-1]:
            axis = np.abs(rotation.T @ data.xaxis[link.joint])
            along += axis[:2] * (axis[2] < 0.5)
    return bool(along[0] > 2 * along[1] and along[0] > 0.5)


def looks_back(model: mujoco.MjModel, limbs: Limbs) -> bool:
    """Whether the robot's front is at negative x, by the toes of flat feet, or else the names of its legs."""
    data = mujoco.MjData(model)
    data.qpos[:] = neutral(model)
    mujoco.mj_kinematics(model, data)
    root = root_body(model)
    rotation = data.xmat[root].reshape(3, 3)
    ahead = 0.0
    for chain in limbs.legs:
        hip = rotation.T @ (data.xanchor[chain.own[0].joint] - data.xpos[root])
        names = [link.name for link in chain.own] + [model.body(body).name for body in chain.tip.bodies]
        front, hind = (sum(bool(pattern.search(name)) for name in names) for pattern in (FRONT, HIND))
        ahead += np.sign(front - hind) * np.sign(hip[0]) if len(limbs.legs) > 2 else 0.0
        if len(limbs.legs) == 2 and len(chain.own) >= 5:
            body, home = next(iter(chain.tip.bodies.items()))
            tip = data.xmat[body].reshape(3, 3) @ home[:3, :3].T
            toes = rotation.T @ tip @ ((chain.cloud.points.min(axis=0) + chain.cloud.points.max(axis=0)) / 2 - chain.tip.anchor)
            ahead += float(toes[0]) / max(chain.reach, 1e-6) if abs(toes[0]) > 0.02 * chain.reach else 0.0
    return ahead < 0
