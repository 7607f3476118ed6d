"""Meshes of a draft: those that can be loaded stay; of the others, visual ones are dropped and colliding ones become primitives."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import mujoco
import numpy as np

from envs.robots.describe import mesh_files
from envs.robots.describe.classes import Classes
from envs.robots.describe.draft import Draft, MeshFile
from envs.robots.describe.markup import MUJOCO_ERRORS, number, numbers, written
from envs.robots.describe.mending import Inertial, equal_box
from envs.robots.describe.mesh_files import MOST_FACES, MeshError
from envs.robots.describe.notes import Log

LOADED = (".obj", ".stl", ".msh")
INLINE_FACES = 20_000
"""Largest number of faces of a mesh that is written into the MJCF itself."""
FALLBACK_HALF = 0.02  # [m] if the size of a shape is unknown


def settle(draft: Draft, log: Log) -> None:
    """Gives each mesh asset its file, or triangles, or replaces the geoms that use it."""
    bad: dict[str, str] = {}
    for mesh in draft.tree.findall("asset/mesh"):
        name = mesh.get("name", "")
        if (source := draft.meshes.get(name)) is None:
            continue  # its vertices are in the file
        if fault := _give_file(mesh, source, log):
            bad[name] = fault
    if bad:
        replace(draft, bad, log)


def find_broken(draft: Draft, log: Log) -> tuple[dict[str, str], bool]:
    """Mesh assets that MuJoCo cannot compile in their use, each tested alone: name -> reason; and whether others were fixed."""
    classes = Classes(draft.tree)
    colliding = {geom.get("mesh", "") for geom in draft.tree.iter("geom") if geom.get("mesh") and classes.collides(geom)}
    broken: dict[str, str] = {}
    mended = False
    for mesh in draft.tree.findall("asset/mesh"):
        tree = ET.Element("mujoco")
        tree.extend(draft.tree.findall("compiler") + draft.tree.findall("default"))
        asset = ET.SubElement(tree, "asset")
        for other in draft.tree.find("asset") or ():
            if other.tag in ("material", "texture"):
                asset.append(other)
        asset.append(mesh)
        body = ET.SubElement(ET.SubElement(tree, "worldbody"), "body")
        contype = "1" if mesh.get("name") in colliding else "0"
        ET.SubElement(body, "geom", type="mesh", mesh=mesh.get("name", ""), contype=contype, conaffinity=contype, mass="1")
        fault = _compile_fault(tree)
        if "inertia" in fault:  # a surface without volume: compute its mass as a shell
            before = mesh.get("inertia")
            mesh.set("inertia", "shell")
            if not (shell_fault := _compile_fault(tree)):
                log.each("remark", "meshes without volume get the mass of a shell, if they have mass: {}", mesh.get("name", ""))
                mended = True
                continue
            fault = shell_fault
            mesh.attrib.pop("inertia") if before is None else mesh.set("inertia", before)
        if fault:
            broken[mesh.get("name", "")] = fault
    return broken, mended


def _compile_fault(tree: ET.Element) -> str:
    """Why MuJoCo cannot compile a tree; empty if it can."""
    try:
        mujoco.MjSpec.from_string(ET.tostring(tree, encoding="unicode")).compile()
    except MUJOCO_ERRORS as error:
        return " ".join(str(error).splitlines()[:1]).removeprefix("Error: ")
    return ""


def _give_file(mesh: ET.Element, source: MeshFile, log: Log) -> str:
    """Writes the file or the triangles into a mesh element; returns why that is not possible, if so."""
    if source.path is None:
        return "not found"
    suffix = source.path.suffix.lower()
    if suffix not in LOADED:
        return f"of a kind that MuJoCo does not load ({', '.join(LOADED)})"
    try:
        if suffix == ".stl":
            ascii_file = mesh_files.is_ascii_stl(source.path)
            if ascii_file or mesh_files.stl_faces(source.path) > MOST_FACES:
                corners = mesh_files.read_stl(source.path)
                vertices, faces = mesh_files.thinned(corners, INLINE_FACES)
                mesh.set("vertex", written(vertices.ravel()))
                mesh.set("face", " ".join(str(int(i)) for i in faces.ravel()))
                thin = f", thinned to {len(faces)}" if len(faces) < len(corners) else ""
                kind = "a text STL" if ascii_file else "an STL"
                log.mended(f"mesh {source.path.name} ({kind} of {len(corners)} faces): its triangles are in the model itself{thin}")
                return ""
        elif not source.path.stat().st_size:
            return "an empty file"
    except MeshError as error:
        return str(error)
    except OSError as error:
        return f"unreadable ({error.strerror or error})"
    mesh.set("file", str(source.path.resolve()))
    return ""


def replace(draft: Draft, bad: dict[str, str], log: Log) -> None:
    """Drops the visual geoms of unusable meshes and replaces the colliding ones by primitives."""
    classes = Classes(draft.tree)
    needed = {e.get(key) for top in ("contact", "tendon") for e in draft.tree.findall(f"{top}//*") for key in ("geom", "geom1", "geom2")}
    for body in [*draft.tree.iter("body")]:
        for holder in _holders(body):
            for geom in [*holder.findall("geom")]:
                name = classes.get(geom, "mesh")
                if name not in bad:
                    continue
                _say_lost_mass(body, geom, classes, draft.tree, log)
                if classes.collides(geom) or geom.get("name") in needed:
                    how = _primitive(draft, body, geom, name, classes)
                    what = f"colliding meshes, {bad[name]}, are replaced by {how}: {{}}"
                    file = _file_name(draft, name)
                    mend = f"put the meshes where the model expects them, as {' or '.join(LOADED)}"
                    log.each("mended", what, f"{body.get('name')} ({file})", mend)
                else:
                    holder.remove(geom)
                    log.each("dropped", f"visual meshes, {bad[name]}, are not shown: {{}}", _file_name(draft, name))
    for asset in draft.tree.findall("asset"):
        for mesh in [*asset.findall("mesh")]:
            if mesh.get("name") in bad:
                asset.remove(mesh)
    for name in bad:
        draft.meshes.pop(name, None)


def _say_lost_mass(body: ET.Element, geom: ET.Element, classes: Classes, tree: ET.Element, log: Log) -> None:
    """Notes bodies whose mass came from the mesh of a geom that is replaced or dropped."""
    compiler = tree.find("compiler")
    infers = compiler.get("inertiafromgeom", "auto") if compiler is not None else "auto"
    if infers == "false" or (infers == "auto" and body.find("inertial") is not None):
        return
    if not classes.get(geom, "mass") and number(classes.get(geom, "density", "1000")) != 0:
        what = "bodies whose mass came from unusable meshes and is wrong now: {}"
        log.each("mended", what, body.get("name", ""), "write their true <inertial>")


def _file_name(draft: Draft, mesh: str) -> str:
    """The name of a mesh in notes: its file's name, or the model's full path of a missing file."""
    source = draft.meshes.get(mesh)
    return mesh if source is None else source.uri if source.path is None else source.path.name


def _holders(body: ET.Element) -> list[ET.Element]:
    """The body and the frames directly in it."""
    found = [body]
    for holder in found:
        found += holder.findall("frame")
    return found


def _primitive(draft: Draft, body: ET.Element, geom: ET.Element, name: str, classes: Classes) -> str:
    """Makes a primitive from a colliding mesh geom: the mesh's bounding box, or that of a visual mesh on the same body, or the box of its
    inertia.
    """
    own = _box(draft, name, classes)
    if own is not None:
        _become_box(geom, *own, classes)
        return "their bounding boxes"
    for other in body.findall("geom"):
        seen = classes.get(other, "mesh")
        box = _box(draft, seen, classes) if other is not geom and seen and not classes.collides(other) else None
        if box is not None:
            for key in ("pos", "quat", "euler", "axisangle", "xyaxes", "zaxis"):
                geom.attrib.pop(key, None)
                if other.get(key) is not None:
                    geom.set(key, other.get(key, ""))
            _become_box(geom, *box, classes)
            return "the bounding boxes of the visual meshes"
    for key in ("pos", "quat", "euler", "axisangle", "xyaxes", "zaxis", "fromto"):
        geom.attrib.pop(key, None)
    inertial = body.find("inertial")
    half = np.full(3, FALLBACK_HALF)
    if inertial is None:
        _become_box(geom, half, np.zeros(3), classes)
        return f"cubes of {2 * FALLBACK_HALF:g} m, since there is no inertia"
    half = _inertia_box(inertial, geom)
    _become_box(geom, half, np.zeros(3), classes)
    return "boxes of their bodies' inertia"


def _inertia_box(inertial: ET.Element, geom: ET.Element) -> np.ndarray:
    """Half sizes of the box with that inertia [m]; writes its pose into the geom."""
    mass = number(inertial.get("mass")) or 0.0
    full, diagonal = numbers(inertial.get("fullinertia"), 6), numbers(inertial.get("diaginertia"), 3)
    position = numbers(inertial.get("pos"), 3)
    matrix = np.diag(diagonal) if diagonal is not None else np.zeros((3, 3))
    if full is not None:
        xx, yy, zz, xy, xz, yz = full
        matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    half, _, axes = equal_box(Inertial(mass=mass, position=np.zeros(3), matrix=matrix))
    if position is not None:
        geom.set("pos", written(position))
    if full is not None:
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, axes.flatten())
        geom.set("quat", written(quat))
        return half
    for key in ("quat", "euler", "axisangle", "xyaxes", "zaxis"):
        if inertial.get(key) is not None:
            geom.set(key, inertial.get(key, ""))
    return np.abs(axes) @ half  # diagonal: the axes are a permutation


def _box(draft: Draft, name: str, classes: Classes) -> tuple[np.ndarray, np.ndarray] | None:
    """Half sizes and centre of a mesh asset's bounding box [m]; None if its file cannot be read."""
    source = draft.meshes.get(name)
    if source is None or source.path is None:
        return None
    try:
        points = mesh_files.outline(source.path)
    except (MeshError, OSError, ValueError):
        return None
    asset = next((mesh for mesh in draft.tree.findall("asset/mesh") if mesh.get("name") == name), None)
    scale = numbers(classes.get(asset, "scale", "1 1 1"), 3) if asset is not None else None
    points = points * (scale if scale is not None else 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.maximum((high - low) / 2, 1e-3), (high + low) / 2


def _become_box(geom: ET.Element, half: np.ndarray, centre: np.ndarray, classes: Classes) -> None:
    """Turns a geom into a box whose centre lies at `centre` in the geom's frame."""
    rotation = _rotation(geom, classes)
    position = numbers(geom.get("pos") or classes.get(geom, "pos", "0 0 0"), 3)
    position = np.zeros(3) if position is None else position
    for key in ("mesh", "fitscale"):
        geom.attrib.pop(key, None)
    geom.set("type", "box")
    geom.set("size", written(half))
    if centre.any():
        geom.set("pos", written(position + rotation @ centre))


def _rotation(geom: ET.Element, classes: Classes) -> np.ndarray:
    """Rotation (3, 3) of a geom in its body, as MuJoCo reads its orientation."""
    tree = ET.Element("mujoco")
    ET.SubElement(tree, "compiler", angle="radian")
    body = ET.SubElement(ET.SubElement(tree, "worldbody"), "body")
    site = ET.SubElement(body, "site")
    for key in ("quat", "euler", "axisangle", "xyaxes", "zaxis"):
        if value := classes.get(geom, key):
            site.set(key, value)
            break
    try:
        model = mujoco.MjSpec.from_string(ET.tostring(tree, encoding="unicode")).compile()
    except MUJOCO_ERRORS:
        return np.eye(3)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.site_quat[0])
    return rotation.reshape(3, 3)
