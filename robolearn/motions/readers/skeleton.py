"""Forward kinematics of a tree of joints with offsets and rotations, as in BVH, ASF and SMPL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def joint_positions(parents: Sequence[int], offsets: np.ndarray, turns: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Positions of B joints in the world, (T, B, 3), in the unit of the offsets.

    Args:
        parents: parent of each joint; -1 for the root, which comes first. A parent comes before its children.
        offsets: offset of each joint from its parent, in the parent's frame, (B, 3) or (T, B, 3).
        turns: attitude of each joint in its parent's frame, (T, B, 3, 3).
        root: position of the first joint, (T, 3).
    """
    offsets = np.broadcast_to(offsets, (len(turns), len(parents), 3))
    position, attitude = np.empty(offsets.shape), np.empty(turns.shape)
    for joint, parent in enumerate(parents):
        if parent < 0:
            position[:, joint], attitude[:, joint] = root, turns[:, joint]
            continue
        position[:, joint] = position[:, parent] + (attitude[:, parent] @ offsets[:, joint, :, None])[..., 0]
        attitude[:, joint] = attitude[:, parent] @ turns[:, joint]
    return position
