"""MuJoCo's sensors from poses and velocities of bodies, for engines that have none of their own: all worlds at once, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kinematics as k
from .face import Model, Refused

BODY, XBODY, GEOM, SITE = 1, 2, 5, 6
"""mjtObj; the same in all versions."""
REACH = 0.005  # m: how far outside a touch sensor's volume a contact still counts; soles yield


class Poses:
    """Where the bodies of all worlds are: origins and centres of mass, world frame.

    Attributes:
        position, quat: of the bodies' frames (N, nbody, 3), (N, nbody, 4).
        velocity: of their centres of mass (N, nbody, 3) [m/s].
        turn: angular velocity (N, nbody, 3) [rad/s].
        center: centres of mass in the bodies' frames (N, nbody, 3).
    """

    def __init__(self, position: np.ndarray, quat: np.ndarray, velocity: np.ndarray, turn: np.ndarray, center: np.ndarray) -> None:
        self.position, self.quat, self.velocity, self.turn, self.center = position, quat, velocity, turn, center

    def frame(self, body: int, position: np.ndarray, quat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Position, quaternion, linear and angular velocity of a frame that is fixed to a body."""
        own = self.quat[:, body]
        lever = k.turned(own, position) - k.turned(own, self.center[:, body])
        turn = self.turn[:, body]
        velocity = self.velocity[:, body] + np.cross(turn, lever)
        return self.position[:, body] + k.turned(own, position), k.product(own, np.broadcast_to(quat, own.shape)), velocity, turn


class Sensors:
    """All sensors of a model.

    Attributes:
        site_pos, geom_pos: places in the bodies, (..., count, 3) with the worlds before if they differ.
        touched: sites of the touch sensors.

    Raises:
        Refused: one of them cannot be read like this.
    """

    KINDS = ("touch", "velocimeter", "gyro", "jointpos", "jointvel", "actuatorfrc", "framepos", "framequat", "framexaxis", "frameyaxis",
             "framezaxis", "framelinvel", "frameangvel")  # fmt: skip

    def __init__(self, model: Model) -> None:
        self._model = model
        self.site_pos, self.geom_pos = model.site_pos, model.geom_pos  # or with worlds before
        self._all: list[tuple[slice, str, int, int]] = []
        self.touched: list[int] = []
        for sensor, kind in enumerate(model.options["sensors"]):
            if kind not in self.KINDS or model.sensor_reftype[sensor] != 0 or model.sensor_cutoff[sensor]:
                valid = ", ".join(self.KINDS)
                raise Refused(
                    "cannot read sensor {!r}; valid, without reference frame and cutoff: {}".format(model.names["sensor"][sensor], valid)
                )
            place = slice(int(model.sensor_adr[sensor]), int(model.sensor_adr[sensor] + model.sensor_dim[sensor]))
            self._all.append((place, kind, int(model.sensor_objtype[sensor]), int(model.sensor_objid[sensor])))
            if kind == "touch":
                self.touched.append(int(model.sensor_objid[sensor]))

    def _fixed(self, kind: int, thing: int) -> tuple[int, np.ndarray, np.ndarray]:
        """Body, position and quaternion in it of an object."""
        model = self._model
        if kind == SITE:
            return int(model.site_bodyid[thing]), self.site_pos[..., thing, :], model.site_quat[thing]
        if kind == GEOM:
            return int(model.geom_bodyid[thing]), self.geom_pos[..., thing, :], model.geom_quat[thing]
        if kind == BODY:
            return thing, model.body_ipos[thing], model.body_iquat[thing]
        return thing, np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])

    def read(self, poses: Poses, qpos: np.ndarray, qvel: np.ndarray, motors: np.ndarray, touch: Any, out: np.ndarray) -> None:
        """Fill sensordata (N, nsensordata).

        Args:
            poses: of the bodies.
            qpos, qvel: in MuJoCo's form.
            motors: the actuators' forces (N, nu).
            touch: site -> normal force in its volume (N,).
            out: filled.
        """
        model = self._model
        for place, kind, of, thing in self._all:
            if kind == "actuatorfrc":
                out[:, place] = motors[:, thing : thing + 1]
            elif kind == "touch":
                out[:, place] = touch[thing][:, None]
            elif kind == "jointpos":
                out[:, place] = qpos[:, model.jnt_qposadr[thing], None]
            elif kind == "jointvel":
                out[:, place] = qvel[:, model.jnt_dofadr[thing], None]
            else:
                position, quat, velocity, turn = poses.frame(*self._fixed(of if of in (BODY, XBODY, GEOM, SITE) else SITE, thing))
                out[:, place] = {
                    "framepos": lambda: position,  # noqa: B023
                    "framequat": lambda: quat,  # noqa: B023
                    "framexaxis": lambda: k.matrix(quat)[..., 0],  # noqa: B023
                    "frameyaxis": lambda: k.matrix(quat)[..., 1],  # noqa: B023
                    "framezaxis": lambda: k.matrix(quat)[..., 2],  # noqa: B023
                    "framelinvel": lambda: velocity,  # noqa: B023
                    "frameangvel": lambda: turn,  # noqa: B023
                    "velocimeter": lambda: k.turned_back(quat, velocity),  # noqa: B023
                    "gyro": lambda: k.turned_back(quat, turn),  # noqa: B023
                }[kind]()

    def inside(self, site: int, points: np.ndarray, worlds: np.ndarray) -> np.ndarray:
        """Whether points (n, 3) of a site's body frame in worlds (n,) lie in its volume."""
        model = self._model
        size = model.site_size[site] + REACH
        quat = np.broadcast_to(model.site_quat[site], (len(points), 4))
        places = self.site_pos[..., site, :]
        local = k.turned_back(quat, points - (places if places.ndim == 1 else places[worlds]))
        shape = int(model.site_type[site])
        if shape == 6:  # box
            return (np.abs(local) <= size).all(1)
        if shape == 4:  # ellipsoid
            return ((local / size) ** 2).sum(1) <= 1.0
        if shape in (3, 5):  # capsule, cylinder
            along = np.abs(local[:, 2])
            if shape == 5:
                return (np.hypot(local[:, 0], local[:, 1]) <= size[0]) & (along <= size[1])
            beyond = np.maximum(along - model.site_size[site][1], 0.0)
            return local[:, 0] ** 2 + local[:, 1] ** 2 + beyond**2 <= size[0] ** 2
        return (local**2).sum(1) <= size[0] ** 2
