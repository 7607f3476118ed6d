"""Markers of optical motion capture (.c3d), with the package ezc3d if it is installed: markers of the Plug-in Gait set become landmarks.

A hip's centre is placed between the front and back markers of the pelvis after Harrington et al. 2007 (their regression on the pelvis'
width and depth); knees, ankles, elbows and wrists are their markers, moved inward by half of a joint's breadth if the inner marker is
missing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from policies.files import reason
from robolearn.errors import UserError
from robolearn.motions.person import Person, person_of
from robolearn.motions.rotation import frame_of

PELVIS = ("LASI", "RASI", "LPSI", "RPSI")
MARKERS = {
    "knee": ("KNE", "KNM"),
    "ankle": ("ANK", "MED"),
    "toe": ("TOE",),
    "shoulder": ("SHO",),
    "elbow": ("ELB",),
    "wrist": ("WRA", "WRB"),
}
BREADTH = {"knee": 0.05, "ankle": 0.035, "elbow": 0.035, "shoulder": 0.0, "wrist": 0.0, "toe": 0.0}
"""Half of a joint's breadth [m]."""
SCALES = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def read(path: Path, fps: float | None = None) -> Person:
    """Read a .c3d.

    Raises:
        UserError: no such file, or it has other markers.
        ModuleNotFoundError: ezc3d is not installed; the command says how to install it.
    """
    import ezc3d  # pyright: ignore[reportMissingImports]

    try:
        file = ezc3d.c3d(str(path))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a readable C3D file: {reason(error)}") from error
    points = file["parameters"]["POINT"]
    labels = [str(label).rpartition(":")[2].strip().upper() for label in points["LABELS"]["value"]]
    units = str((points["UNITS"]["value"] or ["mm"])[0]).strip().lower()
    data = np.moveaxis(np.asarray(file["data"]["points"], float)[:3], 0, -1).swapaxes(0, 1) * SCALES.get(units, 0.001)
    data = np.where((data == 0).all(-1, keepdims=True), np.nan, data)  # C3D's mark for invisible markers
    rate = float((points["RATE"]["value"] or [0.0])[0]) if "RATE" in points else 0.0
    rate = rate if rate > 0 else fps or 0.0
    if not rate:
        raise UserError(f"{path} does not say its rate; give it: --fps 100")
    found = {label: data[:, i] for i, label in reversed([*enumerate(labels[: data.shape[1]])])}
    return person_of(path.stem, rate, *_landmarks(path, found), remarks=("hips after Harrington 2007",))


def _landmarks(path: Path, found: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray]:
    """Names and positions (T, K, 3) of landmarks."""
    wanted = [*PELVIS, *(f"{side}{MARKERS[name][0]}" for side in "LR" for name in ("knee", "ankle", "shoulder"))]
    lacking = [label for label in wanted if label not in found]
    if lacking:
        raise UserError(f"{path} lacks the markers {', '.join(lacking)} of Plug-in Gait; it has {', '.join(sorted(found)[:40])}")
    left, right, back = found["LASI"], found["RASI"], (found["LPSI"] + found["RPSI"]) / 2
    front = (left + right) / 2
    across = left - right
    up = np.cross(front - back, across)
    pelvis = frame_of(up, across)
    width, depth = (float(np.nanmedian(np.linalg.norm(v, axis=-1))) for v in (across, front - back))
    names, places = ["pelvis"], [(front + back) / 2]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        local = np.array([-0.24 * depth - 0.0099, sign * (0.33 * width + 0.0073), -0.30 * width - 0.0109])
        names.append(f"{side}_hip")
        places.append(front + pelvis @ local)
        for name, markers in MARKERS.items():
            own = [found[f"{side[0].upper()}{marker}"] for marker in markers if f"{side[0].upper()}{marker}" in found]
            if own:
                inward = 0.0 if len(own) > 1 else -sign * BREADTH[name]
                names.append(f"{side}_{name}")
                places.append(np.mean(own, axis=0) + inward * pelvis[..., :, 1])
    return names, np.stack(places, 1)
