"""A sky for the browser: an unlit dome, pale at the horizon and blue above, so that the ground has a visible end.

viser sends glTF to the page; a material without light (`KHR_materials_unlit`) has exactly the colours given here, whatever the lights.
Below the horizon the dome has the colour of the haze into which the ground fades.
"""

from __future__ import annotations

import json
import struct

import numpy as np
import viser

RADIUS_M = 400.0
HAZE, ZENITH = (178, 210, 250), (48, 112, 224)
"""Colours at the horizon and below, and straight above: bluer than they look after the page's tone mapping."""
RISE = 0.22  # share of the way from the horizon to the zenith, above which the dome has the colour of the zenith
RINGS, SECTORS = 24, 32


def add_sky(server: viser.ViserServer) -> None:
    """Add the dome, which stays in place around the camera."""
    server.scene.add_glb("/sky", dome(), cast_shadow=False, receive_shadow=False)


def dome() -> bytes:
    """The dome as binary glTF, z up, around the origin."""
    elevation = np.linspace(-np.pi / 2, np.pi / 2, RINGS + 1)
    azimuth = np.linspace(0.0, 2 * np.pi, SECTORS + 1)
    up, around = np.meshgrid(elevation, azimuth, indexing="ij")
    points = RADIUS_M * np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)
    share = np.clip(up / (RISE * np.pi / 2), 0.0, 1.0)[..., None]
    colors = (1 - share) * _linear(HAZE) + share * _linear(ZENITH)
    corner = (np.arange(RINGS)[:, None] * (SECTORS + 1) + np.arange(SECTORS)[None]).ravel()
    right, above = corner + 1, corner + SECTORS + 1
    faces = np.stack([corner, above, right, right, above, above + 1], axis=1)
    return _glb(points.reshape(-1, 3), colors.reshape(-1, 3), faces.ravel())


def _linear(color: tuple[int, int, int]) -> np.ndarray:
    """A screen colour, 0 to 255, in glTF's form: linear in light."""
    value = np.asarray(color) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _glb(points: np.ndarray, colors: np.ndarray, indices: np.ndarray) -> bytes:
    """One mesh with colours (P, 3) of its points (P, 3), triangles by their corners, without light and seen from both sides."""
    parts = [points.astype("<f4").tobytes(), colors.astype("<f4").tobytes(), indices.astype("<u4").tobytes()]
    starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    bounds = {"min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()}
    told = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [{"doubleSided": True, "extensions": {"KHR_materials_unlit": {}}}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(points), "type": "VEC3", **bounds},
            {"bufferView": 1, "componentType": 5126, "count": len(colors), "type": "VEC3"},
            {"bufferView": 2, "componentType": 5125, "count": len(indices), "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteOffset": starts[index], "byteLength": len(part)} for index, part in enumerate(parts)],
        "buffers": [{"byteLength": starts[-1]}],
    }  # fmt: skip
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    data = b"".join(parts)
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
