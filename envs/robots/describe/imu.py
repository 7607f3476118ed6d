"""Finds a robot's IMU: a site or a link of the file with a usual name, fixed to the base."""

from __future__ import annotations

import re
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.faults import PARALLEL, fixed_to

NAMED = re.compile(r"(^|[_\W])imu($|[_\W\d])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ImuFound:
    """An IMU of the file.

    Attributes:
        name: of the site or body.
        position: in the root's frame [m].
        turned: angle of its axes relative to the root's [rad], 0 if they are parallel.
    """

    name: str
    position: tuple[float, float, float]
    turned: float

    @property
    def source(self) -> str:
        """Its origin, in words."""
        given = f"{self.name} of the file, in that body's frame [m]"
        return given if not self.turned else f"{given}; its axes there are turned by {self.turned:.2f} rad, give readings in the base's"


def find_imu(model: mujoco.MjModel, root: str) -> ImuFound | None:
    """The IMU that a model names, preferably a site, otherwise a body; None if none is fixed to the root.

    Args:
        model: the robot, compiled.
        root: name of the root body, whose frame the position is in.
    """
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    base = model.body(root).id
    sites = [(model.site(i).name, int(model.site_bodyid[i]), data.site_xpos[i], data.site_xmat[i]) for i in range(model.nsite)]
    bodies = [(model.body(i).name, i, data.xpos[i], data.xmat[i]) for i in range(1, model.nbody)]
    for name, body, place, axes in (*sites, *bodies):
        if body == 0 or not NAMED.search(name) or not fixed_to(model, body, base):
            continue
        rotation = data.xmat[base].reshape(3, 3)
        x, y, z = (round(float(value), 4) + 0.0 for value in rotation.T @ (place - data.xpos[base]))
        cosine = (float(np.trace(rotation.T @ axes.reshape(3, 3))) - 1) / 2
        angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
        return ImuFound(name=name, position=(x, y, z), turned=angle if angle > PARALLEL else 0.0)
    return None
