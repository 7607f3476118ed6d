"""Parts of MuJoCo models that the Drake engine cannot represent: refused by name, never left out silently."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.engines.face import EngineError

_JOINT = mujoco.mjtJoint


def refuse_unknown(model: mujoco.MjModel) -> None:
    """Raises `EngineError` for parts of a model that the plant would lack."""
    flag = mujoco.mjtDisableBit
    harmless = (flag.mjDSBL_ISLAND, flag.mjDSBL_WARMSTART, flag.mjDSBL_EULERDAMP, flag.mjDSBL_AUTORESET, flag.mjDSBL_MIDPHASE,
                flag.mjDSBL_NATIVECCD, flag.mjDSBL_MULTICCD)  # fmt: skip
    free = model.dof_jntid[model.jnt_type[model.dof_jntid] == _JOINT.mjJNT_FREE]
    free_dofs = np.isin(model.dof_jntid, free)
    actuated = model.actuator_gear[:, 1:].any() or (model.actuator_trntype != mujoco.mjtTrn.mjTRN_JOINT).any()
    actuated |= np.isin(model.actuator_trnid[:, 0], free).any()
    dynamic = (model.actuator_dyntype != mujoco.mjtDyn.mjDYN_NONE).any() or (model.actuator_gaintype != mujoco.mjtGain.mjGAIN_FIXED).any()
    dynamic |= bool((model.actuator_biastype > int(mujoco.mjtBias.mjBIAS_AFFINE)).any())
    for what, there in {
        "equality constraints": model.neq,
        "tendons": model.ntendon,
        "flexes": model.nflex,
        "mocap bodies": model.nmocap,
        "bodies with several joints": (model.body_jntnum > 1).any(),
        "ball joints": (model.jnt_type == _JOINT.mjJNT_BALL).any(),
        "joint springs": model.jnt_stiffness.any() or model.jnt_stiffnesspoly.any(),
        "damping that is not constant": model.dof_dampingpoly.any() or model.actuator_dampingpoly.any(),
        "damping or armature of actuators": model.actuator_damping.any() or model.actuator_armature.any(),
        "delayed sensors or actuators": model.nhistory,
        "plugins": model.nplugin,
        "surfaces that move like a belt": model.geom_surfacevel.any(),
        "disabled groups of actuators": model.opt.disableactuator,
        "joints whose zero is not at qpos0": _shifted(model),
        "joint limits with a margin": model.jnt_margin.any(),
        "actuatorfrcrange": model.jnt_actfrclimited.any(),
        "actgravcomp": model.jnt_actgravcomp.any(),
        "free joints with damping, armature or dry friction": (
            model.dof_damping[free_dofs].any() or model.dof_armature[free_dofs].any() or model.dof_frictionloss[free_dofs].any()
        ),
        "actuators of anything but a hinge or slide joint": actuated,
        "actuators with dynamics, or gains that are not constant": dynamic,
        "a medium": model.opt.density or model.opt.viscosity,
        "these disableflags": int(model.opt.disableflags) & ~sum(int(one) for one in harmless),
        "these enableflags": int(model.opt.enableflags) & ~int(mujoco.mjtEnableBit.mjENBL_ENERGY),
    }.items():
        if there:
            raise EngineError(f"engine 'drake' cannot represent {what}")


def _shifted(model: mujoco.MjModel) -> bool:
    sliding = model.jnt_type >= int(_JOINT.mjJNT_SLIDE)
    return bool(model.qpos0[model.jnt_qposadr[sliding]].any())
