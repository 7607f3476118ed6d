"""Where a robot's IMU sits: a site or a link of the file with a telling name, fixed to the base."""

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
        turned: angle of its axes against the root's [rad], 0 where they are parallel.
    """

    name: str
    position: tuple[float, float, float]
    turned: float

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        given = f"{self.name} of the file, in that body's frame [m]"
        return given if not self.turned else f"{given}; its axes there are turned by {self.turned:.2f} rad, give readings in the base's"


def find_imu(model: mujoco.MjModel, root: str) -> ImuFound | None:
    """The IMU that a model names, a site before a body; None where it names none that is fixed to the root.

    Args:
        model: the robot, compiled.
        root: name of the root body, in whose frame the place is told.
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
