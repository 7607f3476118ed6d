"""Small robots as text, and meshes made by code, for the tests of reading models."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

INERTIAL = '<inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>'
LIMIT = '<limit lower="-1" upper="1" effort="20" velocity="10"/>'


def link(name: str, inside: str = INERTIAL) -> str:
    return f'<link name="{name}">{inside}</link>'


def joint(name: str, parent: str, child: str, kind: str = "revolute", inside: str = LIMIT, origin: str = "0 0 -0.2") -> str:
    return (
        f'<joint name="{name}" type="{kind}"><origin xyz="{origin}"/><parent link="{parent}"/><child link="{child}"/>'
        f'<axis xyz="0 1 0"/>{inside}</joint>'
    )


def collision(geometry: str, tag: str = "collision") -> str:
    return f"<{tag}><geometry>{geometry}</geometry></{tag}>"


def mesh(filename: str, tag: str = "collision", scale: str = "") -> str:
    return collision(f'<mesh filename="{filename}"{f" scale={scale!r}" if scale else ""}/>', tag)


def urdf(folder: Path, *parts: str, name: str = "robot.urdf") -> Path:
    """Writes a URDF of these links and joints."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f'<?xml version="1.0"?>\n<robot name="tester">{"".join(parts)}</robot>', encoding="utf-8")
    return path


def leg(*more: str) -> tuple[str, ...]:
    """A base with one thigh and one shin."""
    return (link("base"), link("thigh"), link("shin"), joint("hip", "base", "thigh"), joint("knee", "thigh", "shin"), *more)


def mjcf(folder: Path, text: str, name: str = "robot.xml") -> Path:
    """Writes an MJCF file from what stands inside `<mujoco>`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f'<mujoco model="tester">{text}</mujoco>', encoding="utf-8")
    return path


def box_triangles(half: Sequence[float] = (0.1, 0.2, 0.3), centre: Sequence[float] = (0, 0, 0)) -> np.ndarray:
    """The twelve triangles of a box, shape (12, 3, 3) [m], outward."""
    faces = []
    for axis in range(3):
        for sign in (-1, 1):
            corner = np.zeros((4, 3))
            u, v = (axis + 1) % 3, (axis + 2) % 3
            corner[:, axis] = sign
            corner[:, u] = (-1, 1, 1, -1)
            corner[:, v] = (-1, -1, 1, 1)
            if sign < 0:
                corner = corner[::-1]
            faces += [corner[[0, 1, 2]], corner[[0, 2, 3]]]
    return np.array(faces) * np.array(half) + np.array(centre)


def write_stl(path: Path, triangles: np.ndarray) -> Path:
    """A binary STL of triangles (F, 3, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = np.zeros(len(triangles), dtype=np.dtype([("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")]))
    record["c"] = triangles
    path.write_bytes(b"solid exported by a tool that should not say so".ljust(80) + struct.pack("<I", len(triangles)) + record.tobytes())
    return path


def write_text_stl(path: Path, triangles: np.ndarray) -> Path:
    """The same as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facets = [
        "facet normal 0 0 0\nouter loop\n" + "".join("vertex {:.9g} {:.9g} {:.9g}\n".format(*v) for v in t) + "endloop\nendfacet\n"
        for t in triangles
    ]
    path.write_text("solid box\n" + "".join(facets) + "endsolid box\n", encoding="ascii")
    return path


def write_obj(path: Path, triangles: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    vertices = triangles.reshape(-1, 3)
    lines = ["v {:.9g} {:.9g} {:.9g}".format(*v) for v in vertices] + [
        f"f {3 * i + 1} {3 * i + 2} {3 * i + 3}" for i in range(len(triangles))
    ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def write_dae(
    path: Path, triangles: np.ndarray, meter: float = 1.0, up: str = "Z_UP", matrix: str = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"
) -> Path:
    """A COLLADA file with one geometry in one node."""
    path.parent.mkdir(parents=True, exist_ok=True)
    points = " ".join(f"{v:.9g}" for v in triangles.ravel())
    path.write_text(
        f"""<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
 <asset><unit name="u" meter="{meter}"/><up_axis>{up}</up_axis></asset>
 <library_geometries><geometry id="g"><mesh>
  <source id="p"><float_array id="pa" count="{triangles.size}">{points}</float_array></source>
  <vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
 </mesh></geometry></library_geometries>
 <library_visual_scenes><visual_scene id="s"><node id="n"><matrix>{matrix}</matrix><instance_geometry url="#g"/></node></visual_scene>
 </library_visual_scenes>
</COLLADA>""",
        encoding="utf-8",
    )
    return path
