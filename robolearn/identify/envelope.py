"""Joint ranges within which limbs do not collide with each other, which the joints' own ranges do not ensure for a robot held in the air.

The ranges below are chosen so that simulated robots keep 3 cm or more between any two limbs while `robolearn.identify.excitation.sines`
plays (checked by `tests/robolearn/test_identify_motion.py`).
"""

from __future__ import annotations

import numpy as np

from policies.contract.spec import RobotSpec
from robolearn.identify.recording import FloatArray

Ranges = dict[str, tuple[float, float]]
GO1: Ranges = {"thigh": (0.2, 1.6), "calf": (-2.5, -1.1)}
G1: Ranges = {
    "hip_pitch": (-0.9, 0.6),
    "hip_roll": (0.0, 0.6),
    "hip_yaw": (-0.7, 0.7),
    "knee": (0.1, 1.3),
    "waist_yaw": (-0.6, 0.6),
    "waist_roll": (-0.5, 0.5),
    "waist_pitch": (-0.5, 0.5),
    "shoulder_pitch": (0.0, 0.9),
    "shoulder_roll": (0.8, 1.6),
    "shoulder_yaw": (-0.6, 0.6),
    "elbow": (-0.4, 1.0),
}
ENVELOPES: dict[str, Ranges] = {"go1": GO1, "g1": G1}
"""Robot -> joint -> range [rad]; for paired joints the left one's; the right one's is mirrored for roll and yaw."""
SLOWEST_HZ: dict[str, dict[str, float]] = {"g1": {"waist_roll": 1.5, "waist_pitch": 1.5}}
"""Robot -> joint -> slowest motion. A G1's upper body falls with -25 N m/rad and its waist holds it with 28.5, so slow motions come out
eight times as large as commanded."""


def slowest_hz(spec: RobotSpec, otherwise: float) -> FloatArray:
    """Lowest frequency of each joint's motion [Hz], (J,)."""
    listed = SLOWEST_HZ.get(spec.name, {})
    return np.array([max(otherwise, listed.get(name.removesuffix("_joint"), 0.0)) for name in spec.joint_names])


def envelope(spec: RobotSpec) -> tuple[FloatArray, FloatArray]:
    """Middle of a motion and its largest amplitude [rad], (J,) each.

    Joints without a listed range use their own, with the default pose as the middle unless it is close to an end of the range.
    """
    pose = np.array(spec.default_pose)
    lower, upper = np.maximum(spec.position_lower, pose - np.pi), np.minimum(spec.position_upper, pose + np.pi)  # some joints are unlimited
    middle = np.clip(pose, lower + 0.25 * (upper - lower), upper - 0.25 * (upper - lower))
    for j, name in enumerate(spec.joint_names):
        for part, (low, high) in ENVELOPES.get(spec.name, {}).items():
            if name.removesuffix("_joint").endswith(part):
                mirrored = name.startswith("right_") and part.endswith(("roll", "yaw"))
                lower[j], upper[j] = (-high, -low) if mirrored else (low, high)
                middle[j] = (lower[j] + upper[j]) / 2
    return middle, np.minimum(upper - middle, middle - lower)
