"""Shapes of a robot and poses of its bodies, for programs that draw frames and markers."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.robots.robot import Robot
from robolearn.data.export import messages

CUBE, SPHERE, CYLINDER, TRIANGLES = 1, 2, 3, 11
"""Kinds of markers."""
GREY, GROUND = np.array([0.6, 0.6, 0.65, 1.0]), np.array([0.3, 0.32, 0.35, 1.0])
GROUND_M = 40.0


class Shape:
    """A robot's bodies.

    Attributes:
        frames: names of the bodies, B.
    """

    def __init__(self, robot: Robot) -> None:
        """Read them from a robot's scene."""
        self._model = model = robot.compiled
        self._data = mujoco.MjData(model)
        self._floating = robot.floating_base
        self._in_qpos = [int(model.jnt_qposadr[model.joint(name).id]) for name in robot.joint_names]
        self._rest = np.array(model.key("stand").qpos)
        self.frames = [model.body(index).name or f"body_{index}" for index in range(1, model.nbody)]

    def place(self, position: np.ndarray | None, wxyz: np.ndarray | None, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The poses of the bodies.

        Args:
            position: position of the base in the world [m]; None for its standing place.
            wxyz: attitude of the base; None for upright.
            joints: positions [rad], in the robot's order.

        Returns:
            Positions (B, 3) [m] and quaternions wxyz (B, 4) in the world.
        """
        qpos = self._rest.copy()
        if self._floating:
            qpos[:3] = qpos[:3] if position is None else position
            qpos[3:7] = (1.0, 0.0, 0.0, 0.0) if wxyz is None else wxyz
        qpos[self._in_qpos] = joints
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        return self._data.xpos[1:].copy(), self._data.xquat[1:].copy()

    def markers(self) -> Any:
        """The shapes of all bodies and a ground, as one message."""
        model, items = self._model, []
        for geom in range(model.ngeom):
            body = int(model.geom_bodyid[geom])
            kind = int(model.geom_type[geom])
            if body == 0:
                continue
            frame = model.body(body).name or f"body_{body}"
            items += self._geom(geom, kind, frame, len(items))
        thin = np.array([0.0, 0.0, -0.01])
        items.append(messages.marker("world", len(items), CUBE, thin, np.array([1.0, 0, 0, 0]), (GROUND_M, GROUND_M, 0.02), GROUND))
        return messages.markers(items)

    def _geom(self, geom: int, kind: int, frame: str, number: int) -> list[Any]:
        model, sorts = self._model, mujoco.mjtGeom
        position, wxyz, size = model.geom_pos[geom], model.geom_quat[geom], model.geom_size[geom]
        rgba = model.geom_rgba[geom] if model.geom_matid[geom] < 0 else model.mat_rgba[model.geom_matid[geom]]
        rgba = GREY if rgba[3] < 0.05 else rgba
        if kind == sorts.mjGEOM_BOX:
            return [messages.marker(frame, number, CUBE, position, wxyz, 2 * size, rgba)]
        if kind in (sorts.mjGEOM_SPHERE, sorts.mjGEOM_ELLIPSOID):
            widths = 2 * (np.repeat(size[0], 3) if kind == sorts.mjGEOM_SPHERE else size)
            return [messages.marker(frame, number, SPHERE, position, wxyz, widths, rgba)]
        if kind in (sorts.mjGEOM_CYLINDER, sorts.mjGEOM_CAPSULE):
            found = [messages.marker(frame, number, CYLINDER, position, wxyz, (2 * size[0], 2 * size[0], 2 * size[1]), rgba)]
            if kind == sorts.mjGEOM_CAPSULE:
                turned = np.zeros(9)
                mujoco.mju_quat2Mat(turned, wxyz)
                for end, sign in enumerate((-1.0, 1.0), 1):
                    tip = position + sign * size[1] * turned.reshape(3, 3)[:, 2]
                    found.append(messages.marker(frame, number + end, SPHERE, tip, wxyz, np.repeat(2 * size[0], 3), rgba))
            return found
        if kind == sorts.mjGEOM_MESH:
            return [self._mesh(int(model.geom_dataid[geom]), messages.marker(frame, number, TRIANGLES, position, wxyz, (1, 1, 1), rgba))]
        return []

    def _mesh(self, mesh: int, marker: Any) -> Any:
        model = self._model
        vertices = model.mesh_vert[model.mesh_vertadr[mesh] : model.mesh_vertadr[mesh] + model.mesh_vertnum[mesh]]
        faces = model.mesh_face[model.mesh_faceadr[mesh] : model.mesh_faceadr[mesh] + model.mesh_facenum[mesh]]
        marker.points.extend(messages.point(vertices[index]) for index in faces.ravel())
        return marker
