"""Reads a URDF's links and joints tolerantly and checks that they form one tree. `urdf_bodies` makes MJCF from them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from envs.robots.describe.markup import number, numbers, unique, xacro_message
from envs.robots.describe.mending import Inertial
from envs.robots.describe.notes import Log, listed
from envs.robots.errors import RobotError

MOVING = ("revolute", "continuous", "prismatic")
KNOWN = (*MOVING, "fixed", "floating", "planar")


@dataclass(kw_only=True)
class Shape:
    """A visual or colliding shape of link `owner`: MuJoCo's type and sizes, or a mesh, with its pose in the link's frame."""

    owner: str
    collides: bool
    kind: str
    size: tuple[float, ...] = ()
    uri: str = ""
    scale: tuple[float, float, float] = (1, 1, 1)
    position: np.ndarray
    rotation: np.ndarray
    rgba: tuple[float, ...] | None = None


@dataclass(kw_only=True)
class Link:
    """A link; `sites` are the frames of the links that were fused into it: name -> (position, rotation)."""

    name: str
    inertial: Inertial | None
    shapes: list[Shape]
    sites: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @property
    def mass(self) -> float:
        return self.inertial.mass if self.inertial else 0.0

    @property
    def collides(self) -> bool:
        return any(shape.collides for shape in self.shapes)


@dataclass(kw_only=True)
class UrdfJoint:
    """A joint; position and rotation are the child's frame in the parent's."""

    name: str
    kind: str
    parent: str
    child: str
    position: np.ndarray
    rotation: np.ndarray
    axis: np.ndarray
    range: tuple[float, float] | None = None
    effort: float | None = None
    velocity: float | None = None
    damping: float = 0.0
    friction: float = 0.0
    mimic: tuple[str, float, float] | None = None


@dataclass(kw_only=True)
class Urdf:
    """A robot's links and joints by name, one tree under `root`."""

    name: str
    links: dict[str, Link]
    joints: dict[str, UrdfJoint]
    root: str


def parse_urdf(robot: ET.Element, path: Path, log: Log) -> Urdf:
    """Links and joints of a `robot` element.

    Raises:
        RobotError: it is a xacro file, or its links do not form one tree; lists all faults.
    """
    if _is_xacro(robot, path):
        raise RobotError(xacro_message(path))
    materials = {m.get("name", ""): rgba for m in robot.findall("material") if (rgba := _colour(m)) is not None}
    links: dict[str, Link] = {}
    for element in robot.findall("link"):
        name = _name(element)
        if name is None:
            log.fault("a link has no name", "give every <link> a name")
        elif name in links:
            log.fault(f"two links have the name {name!r}", "give each a unique name, since joints could mean either")
        else:
            links[name] = Link(name=name, inertial=_inertial(element, log), shapes=_shapes(element, materials, log))
    joints = _joints(robot, log)
    if not links:
        srdf = robot.find("group") is not None or robot.find("disable_collisions") is not None
        mend = "it is an SRDF: give the URDF that it belongs to" if srdf else "a URDF robot consists of <link> and <joint> elements"
        log.fault("it has no links", mend)
    root = _root(links, joints, log)
    if (joints and not any(joint.kind in MOVING for joint in joints.values())) or (links and not joints):
        log.fault("it has no joints that move", "give the file that describes the robot")
    log.raise_faults(path)
    return Urdf(name=(robot.get("name") or path.stem).strip() or "robot", links=links, joints=joints, root=root)


def _is_xacro(robot: ET.Element, path: Path) -> bool:
    """Whether the robot's elements still contain macros or substitutions."""
    if path.suffix == ".xacro" or any("xacro" in str(child.tag) for child in robot.iter()):
        return True
    parts = [element for tag in ("link", "joint") for part in robot.findall(tag) for element in part.iter()]
    return any("${" in value or value.startswith("$(") for element in parts for value in element.attrib.values())


def _name(element: ET.Element, key: str = "name") -> str | None:
    return (element.get(key) or "").strip() or None


def rotation_of(rpy: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of roll, pitch, yaw about fixed axes [rad]."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(rpy), np.cos(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def _origin(element: ET.Element, where: str, log: Log) -> tuple[np.ndarray, np.ndarray]:
    origin = element.find("origin")
    if origin is None:
        return np.zeros(3), np.eye(3)
    position, rpy = numbers(origin.get("xyz", "0 0 0"), 3), numbers(origin.get("rpy", "0 0 0"), 3)
    if position is None or rpy is None:
        log.fault(f"the origin of {where} is not three finite numbers each", 'write <origin xyz="x y z" rpy="r p y"/>')
        return np.zeros(3), np.eye(3)
    return position, rotation_of(rpy)


def _inertial(link: ET.Element, log: Log) -> Inertial | None:
    element = link.find("inertial")
    if element is None:
        return None
    where = f"link {link.get('name')}"
    position, rotation = _origin(element, f"the inertial of {where}", log)
    mass_element, tensor = element.find("mass"), element.find("inertia")
    mass = number(mass_element.get("value")) if mass_element is not None else None
    keys = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
    values = [number(tensor.get(key, "0")) if tensor is not None else None for key in keys]
    if mass is None:
        log.mended(f"{where} has an inertial without a mass: treated as having none", "write its mass, or leave out the <inertial>")
        return None
    if any(value is None for value in values):
        log.mended(f"{where} has an inertia that is not six numbers: treated as zero", "write ixx, ixy, ixz, iyy, iyz and izz")
    xx, xy, xz, yy, yz, zz = (value or 0.0 for value in values)
    matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return Inertial(mass=mass, position=position, matrix=rotation @ matrix @ rotation.T)


def _colour(element: ET.Element) -> tuple[float, ...] | None:
    color = element.find("color")
    values = numbers(color.get("rgba"), 4) if color is not None else None
    return None if values is None else tuple(float(v) for v in values)


def _shapes(link: ET.Element, materials: dict[str, tuple[float, ...]], log: Log) -> list[Shape]:
    shapes = []
    for element in link:
        if element.tag not in ("visual", "collision"):
            continue
        where = f"a {element.tag} of link {link.get('name')}"
        position, rotation = _origin(element, where, log)
        shape = Shape(owner=_name(link) or "", collides=element.tag == "collision", kind="", position=position, rotation=rotation)
        material = element.find("material")
        if material is not None:
            shape.rgba = _colour(material) or materials.get(material.get("name", ""))
        if fault := _geometry(element.find("geometry"), shape):
            log.dropped(f"{where} is left out: {fault}")
        else:
            shapes.append(shape)
    return shapes


def _geometry(geometry: ET.Element | None, shape: Shape) -> str:
    """Writes kind and size into `shape`; returns what is wrong, if anything is."""
    element = next(iter(geometry), None) if geometry is not None else None
    if element is None:
        return "it has no geometry"
    if element.tag == "mesh":
        scale = numbers(element.get("scale", "1 1 1"))
        if scale is not None and scale.size == 1:
            scale = np.repeat(scale, 3)
        if not (element.get("filename") or "").strip():
            return "its mesh has no filename"
        if scale is None or scale.size != 3 or not scale.all():
            return f"its scale is {element.get('scale')!r}, not three non-zero numbers"
        shape.kind, shape.uri = "mesh", element.get("filename", "")
        shape.scale = (float(scale[0]), float(scale[1]), float(scale[2]))
        return ""
    radius, length = number(element.get("radius")) or 0.0, number(element.get("length")) or 0.0
    box = numbers(element.get("size"), 3)
    sizes: dict[str, tuple[float, ...]] = {
        "box": tuple(float(v) / 2 for v in box) if box is not None else (0.0,),
        "sphere": (radius,),
        "cylinder": (radius, length / 2),
        "capsule": (radius, length / 2),
    }
    if element.tag not in sizes:
        return f"its geometry is a <{element.tag}>; known are box, sphere, cylinder, capsule and mesh"
    shape.kind, shape.size = element.tag, sizes[element.tag]
    if shape.kind == "capsule" and radius > 0 and length == 0:
        shape.kind, shape.size = "sphere", (radius,)
    return "" if min(shape.size) > 0 else f"its <{element.tag}> has a size that is not positive"


def _joints(robot: ET.Element, log: Log) -> dict[str, UrdfJoint]:
    joints: dict[str, UrdfJoint] = {}
    taken: set[str] = set()
    for element in robot.findall("joint"):
        parent, child = element.find("parent"), element.find("child")
        ends = [(_name(end, "link") if end is not None else None) for end in (parent, child)]
        if ends[0] is None or ends[1] is None:
            log.fault(f"joint {element.get('name')!r} has no parent or no child link", 'write <parent link="..."/> and <child link="..."/>')
            continue
        given = _name(element)
        name = unique(given or f"{ends[1]}_joint", taken)
        if given is None:
            log.mended(f"the joint between {ends[0]} and {ends[1]} has no name: named {name}", "name it")
        elif name != given:
            log.mended(f"two joints have the name {given!r}: the one of {ends[1]} is renamed {name}", "give each a unique name")
        kind = (element.get("type") or "").strip()
        if kind not in KNOWN:
            log.fault(f"joint {name} is of type {kind!r}", f"valid types: {', '.join(KNOWN)}")
            continue
        joints[name] = _joint(
            element,
            UrdfJoint(
                name=name, kind=kind, parent=ends[0], child=ends[1], position=np.zeros(3), rotation=np.eye(3), axis=np.array([1.0, 0, 0])
            ),
            log,
        )
    _resolve_mimics(joints, log)
    return joints


def _joint(element: ET.Element, joint: UrdfJoint, log: Log) -> UrdfJoint:
    joint.position, joint.rotation = _origin(element, f"joint {joint.name}", log)
    if joint.kind not in MOVING:
        return joint
    axis = element.find("axis")
    direction = numbers(axis.get("xyz", "1 0 0"), 3) if axis is not None else joint.axis
    if direction is None or not (length := float(np.linalg.norm(direction))) > 0:
        log.fault(f"joint {joint.name} has a zero axis", 'write <axis xyz="0 0 1"/>')
    else:
        joint.axis = direction / length if abs(length - 1) > 1e-6 else direction
    limit = element.find("limit")
    if limit is not None:
        low, high = number(limit.get("lower", "0")), number(limit.get("upper", "0"))
        joint.effort, joint.velocity = (_limit(limit.get(key)) for key in ("effort", "velocity"))
        if joint.kind != "continuous":
            if low is not None and high is not None and low < high:
                joint.range = (low, high)
            elif limit.get("lower") is not None or limit.get("upper") is not None:
                said = f"lower {limit.get('lower', '0')}, upper {limit.get('upper', '0')}"
                log.each(
                    "mended",
                    "joints whose limits are not a range: treated as unlimited: {}",
                    f"{joint.name} ({said})",
                    "write lower < upper",
                )
    if joint.kind != "continuous" and joint.range is None:
        log.each("remark", "joints without limits of motion: {}", joint.name, "write <limit lower=... upper=.../> into them")
    dynamics = element.find("dynamics")
    if dynamics is not None:
        joint.damping = max(number(dynamics.get("damping", "0")) or 0.0, 0.0)
        joint.friction = max(number(dynamics.get("friction", "0")) or 0.0, 0.0)
    mimic = element.find("mimic")
    if mimic is not None and (leader := _name(mimic, "joint")):
        factor, offset = number(mimic.get("multiplier", "1")), number(mimic.get("offset", "0"))
        joint.mimic = (leader, 1.0 if factor is None else factor, offset or 0.0)
    return joint


def _limit(text: str | None) -> float | None:
    """An effective limit: None if it is missing, zero, or practically infinite."""
    value = number(text)
    return value if value is not None and 0 < value < 1e6 else None


def _resolve_mimics(joints: dict[str, UrdfJoint], log: Log) -> None:
    """Makes each mimic joint follow a joint that is not a mimic itself."""
    for joint in joints.values():
        seen = {joint.name}
        while joint.mimic is not None:
            leader, factor, offset = joint.mimic
            target = joints.get(leader)
            if target is None or target.kind not in MOVING or leader in seen:
                what = "itself" if leader in seen else f"{leader!r}, which is not a moving joint"
                log.mended(f"joint {joint.name} mimics {what}: treated as an independent joint", "fix its <mimic>")
                joint.mimic = None
                break
            if target.mimic is None:
                break
            seen.add(leader)
            joint.mimic = (target.mimic[0], factor * target.mimic[1], factor * target.mimic[2] + offset)


def _root(links: dict[str, Link], joints: dict[str, UrdfJoint], log: Log) -> str:
    for joint in joints.values():
        for end in (joint.parent, joint.child):
            if end not in links:
                log.fault(f"joint {joint.name} joins link {end!r}, which does not exist", "add the link, or correct its name in the joint")
    parents = Counter(joint.child for joint in joints.values())
    for name, count in parents.items():
        if count > 1:
            above = [joint.name for joint in joints.values() if joint.child == name]
            log.fault(f"link {name} has {count} parent joints ({listed(above)})", "a URDF is a tree: keep one of them; close loops in MJCF")
    roots = [name for name in links if name not in parents]
    if len(roots) > 1:
        alone = [name for name in roots if all(joint.parent != name for joint in joints.values())]
        trees = [name for name in roots if name not in alone]
        if len(trees) == 1 and not any(links[name].shapes or links[name].mass for name in alone):
            for name in alone:
                del links[name]
            log.dropped(f"links without a joint, mass or shape: {listed(alone)}")
            return trees[0]
        log.fault(f"it has {len(roots)} roots ({listed(roots)})", "join them by fixed joints under one link, or keep only one")
    if not roots and links:
        log.fault(f"its links form a circle ({listed(list(links))})", "one link must not be the child of any joint")
    return roots[0] if roots else ""
