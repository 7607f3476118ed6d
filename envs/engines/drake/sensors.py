"""MuJoCo's sensors, read from Drake's state.

Kinematic sensors come from Drake's own poses and velocities of the bodies. `touch` sums the normal forces of Drake's contacts on the
site's body that lie in the site's volume, or whose force points into it, by MuJoCo's own ray test: the same rule as in `mj_sensorAcc`.
"""

# Drake's type stubs swap shape and dtype of numpy arrays, and lack some names.
# pyright: reportReturnType=false, reportOperatorIssue=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from pydrake.multibody.plant import ContactResults, MultibodyPlant
from pydrake.multibody.tree import RigidBody
from pydrake.systems.framework import Context

from envs.engines.face import EngineError

_SENSOR, _OBJECT = mujoco.mjtSensor, mujoco.mjtObj


@dataclass(slots=True)
class Reading:
    """The state that sensors are read from.

    Attributes:
        model: the world's model, for sites.
        data: kinematics of the same state, only used for the signs of quaternions.
        plant, context, bodies: Drake's world and its bodies in MuJoCo's order.
        actuator_force: (nu,).
        contacts: contacts of this state.
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    plant: MultibodyPlant
    context: Context
    bodies: list[RigidBody]
    actuator_force: np.ndarray
    contacts: ContactResults

    def frame(self, kind: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rotation (3, 3), position, angular and linear velocity of a MuJoCo object in the world."""
        model, R_bo = self.model, np.zeros(9)
        if kind == _OBJECT.mjOBJ_SITE:
            body, position, quat = model.site_bodyid[index], model.site_pos[index], model.site_quat[index]
        elif kind == _OBJECT.mjOBJ_GEOM:
            body, position, quat = model.geom_bodyid[index], model.geom_pos[index], model.geom_quat[index]
        elif kind == _OBJECT.mjOBJ_BODY:
            body, position, quat = index, model.body_ipos[index], model.body_iquat[index]
        else:
            body, position, quat = index, np.zeros(3), np.array([1.0, 0, 0, 0])
        mujoco.mju_quat2Mat(R_bo, quat)
        pose = self.plant.EvalBodyPoseInWorld(self.context, self.bodies[body])
        velocity = self.plant.EvalBodySpatialVelocityInWorld(self.context, self.bodies[body])
        R, angular = pose.rotation().matrix(), velocity.rotational()
        lever = R @ position
        linear = velocity.translational() + np.cross(angular, lever)
        return R @ R_bo.reshape(3, 3), pose.translation() + lever, angular, linear

    def quat_wxyz(self, kind: int, index: int) -> np.ndarray:
        """The frame's quaternion, with the sign of MuJoCo's kinematics."""
        quat, signed = np.zeros(4), np.zeros(4)
        mujoco.mju_mat2Quat(quat, self.frame(kind, index)[0].ravel())
        if kind == _OBJECT.mjOBJ_SITE:
            mujoco.mju_mulQuat(signed, self.data.xquat[self.model.site_bodyid[index]], self.model.site_quat[index])
        elif kind == _OBJECT.mjOBJ_GEOM:
            mujoco.mju_mulQuat(signed, self.data.xquat[self.model.geom_bodyid[index]], self.model.geom_quat[index])
        elif kind == _OBJECT.mjOBJ_BODY:
            mujoco.mju_mulQuat(signed, self.data.xquat[index], self.model.body_iquat[index])
        else:
            signed = self.data.xquat[index]
        return quat if quat @ signed >= 0 else -quat

    def touch(self, site: int) -> float:
        """Sum of the normal forces in a site's volume [N]."""
        body, model = self.bodies[self.model.site_bodyid[site]].index(), self.model
        total, frame = 0.0, None
        for index in range(self.contacts.num_point_pair_contacts()):
            contact = self.contacts.point_pair_contact_info(index)
            if body not in (contact.bodyA_index(), contact.bodyB_index()):
                continue
            outward = contact.point_pair().nhat_BA_W if body == contact.bodyB_index() else -contact.point_pair().nhat_BA_W
            normal = abs(float(contact.contact_force() @ outward))
            frame = frame or self.frame(_OBJECT.mjOBJ_SITE, site)
            place = frame[1], frame[0].ravel(), model.site_size[site], contact.contact_point(), outward
            if normal > 0 and mujoco.mju_rayGeom(*place, int(model.site_type[site])) >= 0:
                total += normal
        return total


Read = Callable[[Reading, int, int], object]
_READ: dict[int, Read] = {
    int(_SENSOR.mjSENS_FRAMEPOS): lambda r, kind, index: r.frame(kind, index)[1],
    int(_SENSOR.mjSENS_FRAMEQUAT): lambda r, kind, index: r.quat_wxyz(kind, index),
    int(_SENSOR.mjSENS_FRAMEXAXIS): lambda r, kind, index: r.frame(kind, index)[0][:, 0],
    int(_SENSOR.mjSENS_FRAMEYAXIS): lambda r, kind, index: r.frame(kind, index)[0][:, 1],
    int(_SENSOR.mjSENS_FRAMEZAXIS): lambda r, kind, index: r.frame(kind, index)[0][:, 2],
    int(_SENSOR.mjSENS_FRAMEANGVEL): lambda r, kind, index: r.frame(kind, index)[2],
    int(_SENSOR.mjSENS_FRAMELINVEL): lambda r, kind, index: r.frame(kind, index)[3],
    int(_SENSOR.mjSENS_GYRO): lambda r, kind, index: (f := r.frame(kind, index))[0].T @ f[2],
    int(_SENSOR.mjSENS_VELOCIMETER): lambda r, kind, index: (f := r.frame(kind, index))[0].T @ f[3],
    int(_SENSOR.mjSENS_TOUCH): lambda r, kind, index: r.touch(index),
    int(_SENSOR.mjSENS_ACTUATORFRC): lambda r, kind, index: r.actuator_force[index],
    int(_SENSOR.mjSENS_JOINTPOS): lambda r, kind, index: r.data.qpos[r.model.jnt_qposadr[index]],
    int(_SENSOR.mjSENS_JOINTVEL): lambda r, kind, index: r.data.qvel[r.model.jnt_dofadr[index]],
}


class DrakeSensors:
    """All sensors of a model.

    Raises:
        EngineError: a sensor cannot be read from Drake.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        valid = ", ".join(mujoco.mjtSensor(kind).name.removeprefix("mjSENS_").lower() for kind in _READ)
        self._sensors: list[tuple[slice, Read, int, int]] = []
        for sensor in range(model.nsensor):
            kind, name = int(model.sensor_type[sensor]), model.sensor(sensor).name
            if kind not in _READ or model.sensor_reftype[sensor] != _OBJECT.mjOBJ_UNKNOWN or model.sensor_cutoff[sensor]:
                raise EngineError(f"engine 'drake' cannot read sensor {name!r}; valid, without reference frame and cutoff: {valid}")
            place = slice(int(model.sensor_adr[sensor]), int(model.sensor_adr[sensor] + model.sensor_dim[sensor]))
            self._sensors.append((place, _READ[kind], int(model.sensor_objtype[sensor]), int(model.sensor_objid[sensor])))

    def read(self, reading: Reading, out: np.ndarray) -> None:
        """Fill `sensordata` (nsensordata,)."""
        for place, read, kind, index in self._sensors:
            out[place] = read(reading, kind, index)
