"""The model as it is sent to the other side: MJCF, the arrays behind it, sizes, options by name, and the user's names for messages."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.engines.elsewhere.mjcf import written

ARRAYS = (
    "qpos0", "qpos_spring", "body_parentid", "body_weldid", "body_jntadr", "body_jntnum", "body_pos", "body_quat", "body_ipos",
    "body_iquat", "body_mass", "body_inertia", "body_gravcomp", "jnt_type", "jnt_bodyid", "jnt_qposadr", "jnt_dofadr", "jnt_pos",
    "jnt_axis", "jnt_limited", "jnt_range", "jnt_solref", "jnt_solimp", "jnt_stiffness", "jnt_margin", "dof_armature", "dof_damping",
    "dof_frictionloss", "dof_solref", "dof_solimp", "geom_type", "geom_bodyid", "geom_pos", "geom_quat", "geom_size", "geom_contype",
    "geom_conaffinity", "geom_condim", "geom_priority", "geom_friction", "geom_solref", "geom_solimp", "geom_solmix", "geom_margin",
    "geom_gap", "geom_rbound", "geom_aabb", "site_type", "site_bodyid", "site_pos", "site_quat", "site_size", "pair_geom1", "pair_geom2",
    "pair_dim", "pair_friction", "pair_solref", "pair_solimp", "actuator_trnid", "actuator_gear", "actuator_gaintype", "actuator_biastype",
    "actuator_gainprm", "actuator_biasprm", "actuator_forcelimited", "actuator_forcerange", "actuator_ctrllimited", "actuator_ctrlrange",
    "sensor_type", "sensor_objtype", "sensor_objid", "sensor_reftype", "sensor_adr", "sensor_dim", "sensor_cutoff", "exclude_signature",
    "opt.gravity", "opt.wind", "opt.magnetic", "hfield_data", "hfield_size", "hfield_nrow", "hfield_ncol",
)  # fmt: skip
"""Fields of mjModel. The types among them are MuJoCo 4's numbers, which are those of all versions but for sensors."""
SIZES = ("nq", "nv", "nu", "nbody", "njnt", "ngeom", "nsite", "nsensor", "nsensordata", "npair", "nhfield", "nmesh")
NUMBERS = ("timestep", "impratio", "tolerance", "ls_tolerance", "noslip_tolerance", "ccd_tolerance", "iterations", "ls_iterations",
           "noslip_iterations", "ccd_iterations", "density", "viscosity")  # fmt: skip
CHOICES = {"integrator": "mjtIntegrator", "cone": "mjtCone", "solver": "mjtSolver", "jacobian": "mjtJacobian"}
FLAGS = {"disableflags": "mjtDisableBit", "enableflags": "mjtEnableBit"}


def described(model: mujoco.MjModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The model as a message and its arrays.

    Raises:
        envs.engines.face.EngineError: it has parts that other engines do not get.
    """
    option = model.opt
    flags = {name: (kind, _set(getattr(mujoco, kind), int(getattr(option, name)))) for name, kind in FLAGS.items()}
    choices = {name: (kind, getattr(mujoco, kind)(getattr(option, name)).name) for name, kind in CHOICES.items()}
    options = {"numbers": {name: getattr(option, name) for name in NUMBERS}, "choices": choices, "flags": flags}
    options["sensors"] = [mujoco.mjtSensor(kind).name.removeprefix("mjSENS_").lower() for kind in model.sensor_type]
    kinds = {
        "body": model.nbody,
        "joint": model.njnt,
        "geom": model.ngeom,
        "site": model.nsite,
        "actuator": model.nu,
        "sensor": model.nsensor,
    }
    names = {kind: [getattr(model, kind)(index).name or f"{kind} {index}" for index in range(count)] for kind, count in kinds.items()}
    message = {"mjcf": written(model), "names": names, "options": options, "sizes": {name: int(getattr(model, name)) for name in SIZES}}
    return message, {name: np.array(_field(model, name)) for name in ARRAYS}


def _field(model: mujoco.MjModel, name: str) -> np.ndarray:
    return getattr(model.opt, name.removeprefix("opt.")) if name.startswith("opt.") else getattr(model, name)


def _set(kind: Any, bits: int) -> list[str]:
    """Names of the flags that are set."""
    names = [name for name in dir(kind) if name.startswith("mj") and not name.startswith("mjN")]
    return [name for name in names if bits & int(getattr(kind, name))]
