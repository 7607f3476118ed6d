"""Reads triangles of mesh files that MuJoCo cannot read: ASCII STL, STL with too many faces, and the outlines of COLLADA."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

MOST_FACES = 200_000
"""Largest number of faces of an STL that MuJoCo reads."""
STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


class MeshError(ValueError):
    """A mesh file cannot be read; the text says why, without the file's name."""


def is_ascii_stl(path: Path) -> bool:
    """Whether an STL is text: binary files may begin with `solid` too, so their length decides."""
    raw = path.read_bytes()
    if len(raw) >= 84 and len(raw) == 84 + 50 * int.from_bytes(raw[80:84], "little"):
        return False
    return raw[:512].lstrip().lower().startswith(b"solid") and b"facet" in raw[:4096]


def stl_faces(path: Path) -> int:
    """Number of faces that a binary STL states."""
    with path.open("rb") as file:
        file.seek(80)
        return int.from_bytes(file.read(4), "little")


def read_stl(path: Path) -> np.ndarray:
    """Corners of the triangles, shape (F, 3, 3), from text or binary.

    Raises:
        MeshError: it is neither.
    """
    raw = path.read_bytes()
    if is_ascii_stl(path):
        values = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", raw, re.IGNORECASE)
        try:
            corners = np.array(values, dtype=np.float64).reshape(-1, 3, 3)
        except ValueError:
            raise MeshError("an ASCII STL with vertices that are not three numbers each") from None
    else:
        if len(raw) < 84:
            raise MeshError("too short for an STL")
        count = min(int.from_bytes(raw[80:84], "little"), (len(raw) - 84) // 50)
        corners = np.frombuffer(raw, STL_RECORD, count=count, offset=84)["corners"].astype(np.float64)
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    if not len(corners):
        raise MeshError("no triangles")
    return corners


def indexed(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and faces (F, 3) of triangles (F, 3, 3), without faces that have no area."""
    vertices, inverse = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    faces = inverse.reshape(-1, 3)
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    return vertices, faces[keep]


def thinned(corners: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces after moving the vertices to the finest grid that leaves at most `most` faces."""
    if len(corners) <= most:
        return indexed(corners)
    points = corners.reshape(-1, 3)
    low, high = points.min(axis=0), points.max(axis=0)
    cells = int(math.sqrt(most))
    while True:
        step = max(float((high - low).max()) / cells, 1e-9)
        cell = np.round((points - low) / step).astype(np.int64)
        codes, inverse = np.unique((cell[:, 0] << 40) + (cell[:, 1] << 20) + cell[:, 2], return_inverse=True)
        faces = inverse.reshape(-1, 3)
        faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
        ordered = np.sort(faces, axis=1).astype(np.int64)
        faces = faces[np.unique((ordered[:, 0] << 40) + (ordered[:, 1] << 20) + ordered[:, 2], return_index=True)[1]]
        if len(faces) <= most:
            grid = np.stack([codes >> 40, (codes >> 20) & 0xFFFFF, codes & 0xFFFFF], axis=-1)
            return low + grid * step, faces
        cells = int(cells / 1.4)


def outline(path: Path) -> np.ndarray:
    """Points (V, 3) that span the mesh, for a bounding box.

    Raises:
        MeshError: this kind of file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix == ".stl":
        return read_stl(path).reshape(-1, 3)
    if suffix == ".obj":
        points = re.findall(rb"^\s*v\s+(\S+)\s+(\S+)\s+(\S+)", path.read_bytes(), re.MULTILINE)
        try:
            values = np.array(points, dtype=np.float64).reshape(-1, 3)
        except ValueError:
            raise MeshError("vertices that are not three numbers each") from None
        if not len(values):
            raise MeshError("no vertices")
        return values
    if suffix == ".dae":
        return _collada(path)
    raise MeshError(f"of a kind ({suffix or 'no suffix'}) that cannot be read")


def _collada(path: Path) -> np.ndarray:
    """Vertices of a COLLADA file in metres, z up, with each geometry placed as in the scene."""
    try:
        root = ET.fromstring(path.read_bytes())
    except (ET.ParseError, ValueError):
        raise MeshError("not valid XML") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    unit = root.find("asset/unit")
    scale = float(unit.get("meter", "1")) if unit is not None else 1.0
    points = {geometry.get("id", ""): _positions(geometry) for geometry in root.iter("geometry")}
    placed: list[np.ndarray] = []

    def walk(node: ET.Element, above: np.ndarray) -> None:
        here = above @ _transform(node)
        for instance in node.findall("instance_geometry"):
            found = points.get(instance.get("url", "").lstrip("#"))
            if found is not None and len(found):
                placed.append(found @ here[:3, :3].T + here[:3, 3])
        for inner in node.findall("node"):
            walk(inner, here)

    for scene in root.iter("visual_scene"):
        for node in scene.findall("node"):
            walk(node, np.eye(4))
    everything = placed or [found for found in points.values() if len(found)]
    if not everything:
        raise MeshError("no vertices")
    vertices = np.concatenate(everything) * scale
    if (root.findtext("asset/up_axis") or "Z_UP").strip() == "Y_UP":
        vertices = vertices @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    return vertices


def _positions(geometry: ET.Element) -> np.ndarray:
    """Vertices of a COLLADA geometry, shape (V, 3)."""
    sources = {source.get("id", ""): source for source in geometry.iter("source")}
    for entry in geometry.iter("input"):
        if entry.get("semantic") == "POSITION":
            source = sources.get(entry.get("source", "").lstrip("#"))
            text = source.findtext("float_array") if source is not None else None
            values = np.array((text or "").split(), dtype=np.float64)
            return values[: len(values) // 3 * 3].reshape(-1, 3)
    return np.zeros((0, 3))


def _transform(node: ET.Element) -> np.ndarray:
    """Pose of a COLLADA node in its parent, shape (4, 4): its matrix, translations, rotations and scales in their order."""
    result = np.eye(4)
    for child in node:
        values = np.array((child.text or "").split(), dtype=np.float64) if child.tag in ("matrix", "translate", "rotate", "scale") else None
        if values is None:
            continue
        step = np.eye(4)
        if child.tag == "matrix" and values.size == 16:
            step = values.reshape(4, 4)
        elif child.tag == "translate" and values.size == 3:
            step[:3, 3] = values
        elif child.tag == "scale" and values.size == 3:
            step[:3, :3] = np.diag(values)
        elif child.tag == "rotate" and values.size == 4 and np.linalg.norm(values[:3]) > 0:
            x, y, z = values[:3] / np.linalg.norm(values[:3])
            angle = np.radians(values[3])
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            step[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        result = result @ step
    return result
