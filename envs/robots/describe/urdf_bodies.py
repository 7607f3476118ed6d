"""Makes MJCF from a URDF's links: fixed frames fused, inertias corrected, mimics as equalities."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from envs.robots.describe import packages as package_paths
from envs.robots.describe.draft import Draft, MeshFile
from envs.robots.describe.markup import unique, written
from envs.robots.describe.mending import Inertial, joined, moved, physical
from envs.robots.describe.notes import Log, listed
from envs.robots.describe.urdf import MOVING, Link, Shape, Urdf, UrdfJoint, parse_urdf


def draft_urdf(robot: ET.Element, path: Path, packages: Sequence[Path], log: Log) -> Draft:
    """The robot of a `robot` element as MJCF.

    Links on fixed joints are fused into their parents, where a site keeps the name of their frame. Colliding ones at the end of a limb (a
    foot, a hand) stay bodies, welded to their parents, so that their contacts can be distinguished from the limb's.

    Raises:
        RobotError: the links do not form one tree, or have joints that cannot be represented.
    """
    urdf = parse_urdf(robot, path, log)
    place, free = _base(urdf, log)
    for joint in urdf.joints.values():
        if joint.kind in ("floating", "planar"):
            log.fault(
                f"joint {joint.name} between {joint.parent} and {joint.child} is {joint.kind}, inside the robot",
                "make it fixed, or write it as revolute and prismatic joints",
            )
    log.raise_faults(path)
    _fuse(urdf)
    _rename_world(urdf, log)
    _mend(urdf, log)
    writer = _Writer(urdf, path, packages, _extension(robot), log)
    return writer.draft(place, free)


def _base(urdf: Urdf, log: Log) -> tuple[tuple[np.ndarray, np.ndarray], bool]:
    """Drops empty frames above the base (`world`, `base_footprint`); returns the base's pose below them, and whether it floats."""
    position, rotation, free = np.zeros(3), np.eye(3), False
    frames: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    dropped = []
    while True:
        link = urdf.links[urdf.root]
        below = [joint for joint in urdf.joints.values() if joint.parent == link.name]
        if len(below) != 1 or link.mass or below[0].kind not in ("fixed", "floating"):
            break
        joint = below[0]
        if link.shapes if joint.kind == "fixed" else link.collides:
            break
        free |= joint.kind == "floating"
        turned = joint.rotation.T
        frames = {name: (turned @ (p - joint.position), turned @ r) for name, (p, r) in frames.items()}
        frames[link.name] = (-turned @ joint.position, turned)
        position, rotation = rotation @ joint.position + position, rotation @ joint.rotation
        dropped.append(link.name)
        urdf.root = joint.child
        del urdf.links[link.name], urdf.joints[joint.name]
    if dropped:
        urdf.links[urdf.root].sites.update(frames)
        log.remark(
            f"the base is {urdf.root}: {listed(dropped)} above it {'is an empty frame' if len(dropped) == 1 else 'are empty frames'}"
        )
    if not free and (np.abs(position).max() > 1e-9 or np.abs(rotation - np.eye(3)).max() > 1e-9):
        turned = "" if np.abs(rotation - np.eye(3)).max() < 1e-9 else f", turned by {written(np.round(quaternion(rotation), 4))} (w x y z),"
        log.remark(f"the base {urdf.root} is at {written(np.round(position, 4))} m{turned} in the file; a fixed base stays there")
    return (position, rotation), free


def _fuse(urdf: Urdf) -> None:
    """Fuses links on fixed joints into their parents, from the leaves up; colliding links at the end of a limb stay bodies."""
    order = _downward(urdf)
    group = {urdf.root: urdf.root}  # links that move together, by the uppermost of them
    for joint in order:
        group[joint.child] = group[joint.parent] if joint.kind == "fixed" else joint.child
    onward = {group[joint.parent] for joint in order if joint.kind != "fixed"}
    for joint in reversed(order):
        link = urdf.links[joint.child]
        if joint.kind != "fixed" or (link.collides and group[joint.child] not in onward):
            continue
        parent, rotation, position = urdf.links[joint.parent], joint.rotation, joint.position
        if link.inertial is not None and link.mass > 0:
            part = moved(link.inertial, rotation, position)
            parent.inertial = part if parent.inertial is None or parent.mass <= 0 else joined([parent.inertial, part])
        for shape in link.shapes:
            shape.position, shape.rotation = rotation @ shape.position + position, rotation @ shape.rotation
            parent.shapes.append(shape)
        parent.sites[link.name] = (position, rotation)
        for name, (p, r) in link.sites.items():
            parent.sites[name] = (rotation @ p + position, rotation @ r)
        for below in urdf.joints.values():
            if below.parent == link.name:
                below.parent = parent.name
                below.position, below.rotation = rotation @ below.position + position, rotation @ below.rotation
        del urdf.links[link.name], urdf.joints[joint.name]


def _rename_world(urdf: Urdf, log: Log) -> None:
    """Rename a link `world`, a name that MuJoCo reserves."""
    link = urdf.links.pop("world", None)
    if link is None:
        return
    link.name = unique("world_link", set(urdf.links))
    urdf.links = {link.name: link, **urdf.links}
    for joint in urdf.joints.values():
        joint.parent = link.name if joint.parent == "world" else joint.parent
        joint.child = link.name if joint.child == "world" else joint.child
    urdf.root = link.name if urdf.root == "world" else urdf.root
    log.mended(f"link world is renamed {link.name}: MuJoCo reserves that name")


def _downward(urdf: Urdf) -> list[UrdfJoint]:
    """Joints, each after its parent joint."""
    order, waiting = [], [urdf.root]
    while waiting:
        name = waiting.pop()
        below = [joint for joint in urdf.joints.values() if joint.parent == name]
        order += below
        waiting += [joint.child for joint in below]
    return order


def _mend(urdf: Urdf, log: Log) -> None:
    """Gives each body a physically possible inertia."""
    total = sum(link.mass for link in urdf.links.values())
    smallest = max(1e-3, 1e-4 * total)
    moving = {joint.child for joint in urdf.joints.values() if joint.kind in MOVING}
    moving.add(urdf.root)
    for link in urdf.links.values():
        if link.name not in moving and link.mass <= 0:
            link.inertial = None
            continue
        if link.mass <= 0 and any(
            j.parent == link.name and j.kind == "fixed" and urdf.links[j.child].mass > 0 for j in urdf.joints.values()
        ):
            link.inertial = None  # a body welded to it has the mass
            continue
        given = link.inertial or Inertial(mass=0.0, position=np.zeros(3), matrix=np.zeros((3, 3)))
        link.inertial, changes = physical(given, smallest)
        if link.name in moving or link.mass > 0.01 * total:  # for welded bodies, rounding is not reported
            for change in changes:
                log.each("mended", f"links {change}: {{}}", link.name, "write their true <inertial>")


def _extension(robot: ET.Element) -> dict[str, str]:
    """Compiler attributes in the file's `<mujoco>` extension."""
    compiler = robot.find("mujoco/compiler")
    return dict(compiler.attrib) if compiler is not None else {}


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion (w, x, y, z) of a rotation (3, 3)."""
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, rotation.flatten())
    return quat


class _Writer:
    """Writes MJCF elements and records their sources."""

    def __init__(self, urdf: Urdf, path: Path, packages: Sequence[Path], extension: dict[str, str], log: Log) -> None:
        self.urdf, self.path, self.packages, self.log = urdf, path, packages, log
        self.meshdir = extension.get("meshdir", "")
        self.taken: dict[str, set[str]] = {"mesh": set(), "geom": set(), "site": set()}
        self.files: dict[str, MeshFile] = {}
        self.assets: dict[tuple[str, tuple[float, float, float]], str] = {}
        self.tree = ET.Element("mujoco", model=urdf.name)
        ET.SubElement(self.tree, "compiler", angle="radian", autolimits="true", inertiafromgeom="false")
        default = ET.SubElement(self.tree, "default")
        visual = ET.SubElement(default, "default", {"class": unique("visual", set())})
        ET.SubElement(visual, "geom", contype="0", conaffinity="0", group="2")
        collision = ET.SubElement(default, "default", {"class": "collision"})
        ET.SubElement(collision, "geom", group="3")
        self.asset = ET.SubElement(self.tree, "asset")

    def draft(self, place: tuple[np.ndarray, np.ndarray], free: bool) -> Draft:
        world = ET.SubElement(self.tree, "worldbody")
        root = self._body(world, self.urdf.links[self.urdf.root], *place)
        if free:
            root.insert(0, ET.Element("freejoint", name=unique("floating_base", set(self.urdf.joints))))
        moving = [joint for joint in self.urdf.joints.values() if joint.kind in MOVING]
        mimics = {joint.name: joint.mimic for joint in moving if joint.mimic is not None}
        if mimics:
            equality = ET.SubElement(self.tree, "equality")
            for name, (leader, factor, offset) in mimics.items():
                ET.SubElement(equality, "joint", joint1=name, joint2=leader, polycoef=written((offset, factor, 0, 0, 0)))
            self.log.remark(f"mimic joints follow their leaders by equality constraints and are not controlled: {listed(list(mimics))}")
        return Draft(
            tree=self.tree,
            root=self.urdf.root,
            free=free,
            meshes=self.files,
            efforts={joint.name: joint.effort for joint in moving},
            velocities={joint.name: joint.velocity for joint in moving},
            mimics=mimics,
            passive=tuple(mimics),
        )

    def _body(
        self, above: ET.Element, link: Link, position: np.ndarray, rotation: np.ndarray, joint: UrdfJoint | None = None
    ) -> ET.Element:
        body = ET.SubElement(above, "body", name=link.name)
        _pose(body, position, rotation)
        if link.inertial is not None:
            m = link.inertial.matrix
            full = written((m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2]))
            ET.SubElement(body, "inertial", pos=written(link.inertial.position), mass=written([link.inertial.mass]), fullinertia=full)
        if joint is not None and joint.kind in MOVING:
            body.append(_joint_element(joint))
        for shape in link.shapes:
            self._geom(body, shape)
        for name, (p, r) in link.sites.items():
            site = ET.SubElement(body, "site", name=unique(name, self.taken["site"]), group="5", size="0.005")
            _pose(site, p, r)
        for below in self.urdf.joints.values():
            if below.parent == link.name:
                self._body(body, self.urdf.links[below.child], below.position, below.rotation, below)
        return body

    def _geom(self, body: ET.Element, shape: Shape) -> None:
        role = "collision" if shape.collides else "visual"
        geom = ET.SubElement(body, "geom", {"name": unique(f"{shape.owner}_{role}", self.taken["geom"]), "class": role, "type": shape.kind})
        if shape.kind == "mesh":
            geom.set("mesh", self._mesh(shape))
        else:
            geom.set("size", written(shape.size))
        _pose(geom, shape.position, shape.rotation)
        if shape.rgba is not None:
            geom.set("rgba", written(shape.rgba))

    def _mesh(self, shape: Shape) -> str:
        key = (shape.uri, shape.scale)
        if key not in self.assets:
            stem = shape.uri.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or "mesh"
            name = self.assets[key] = unique(stem, self.taken["mesh"])
            self.files[name] = MeshFile(uri=shape.uri, path=self._find(shape.uri))
            mesh = ET.SubElement(self.asset, "mesh", name=name)
            if shape.scale != (1, 1, 1):
                mesh.set("scale", written(shape.scale))
        return self.assets[key]

    def _find(self, uri: str) -> Path | None:
        found = package_paths.find(uri, self.path.parent, self.packages)
        if found is None and self.meshdir:
            inside = uri.partition("://")[2] or uri
            tries = (f"{self.meshdir}/{inside}", f"{self.meshdir}/{inside.rpartition('/')[2]}")
            found = next((path for t in tries if (path := package_paths.find(t, self.path.parent)) is not None), None)
        return found


def _pose(element: ET.Element, position: np.ndarray, rotation: np.ndarray) -> None:
    if position.any():
        element.set("pos", written(position))
    if not np.array_equal(rotation, np.eye(3)):
        element.set("quat", written(quaternion(rotation)))


def _joint_element(joint: UrdfJoint) -> ET.Element:
    element = ET.Element("joint", name=joint.name, type="slide" if joint.kind == "prismatic" else "hinge", axis=written(joint.axis))
    if joint.range is not None:
        element.set("range", written(joint.range))
    if joint.damping:
        element.set("damping", written([joint.damping]))
    if joint.friction:
        element.set("frictionloss", written([joint.friction]))
    return element
