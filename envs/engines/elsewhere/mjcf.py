"""A compiled model written as MJCF that every MuJoCo from 3.0 reads, with nothing left to a compiler's defaults.

Objects are called by kind and number (`b3`, `j0`, `g12`, `s1`, `a0`, `n4`), so that names of users, which may be missing or repeat, do
not matter, and so that the other side finds each by its place in our arrays.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import mujoco
import numpy as np

from envs.engines.face import EngineError

_OBJECT, _JOINT, _GEOM, _SENSOR = mujoco.mjtObj, mujoco.mjtJoint, mujoco.mjtGeom, mujoco.mjtSensor

SENSORS: dict[int, tuple[str, str | None]] = {
    int(_SENSOR.mjSENS_TOUCH): ("touch", "site"),
    int(_SENSOR.mjSENS_ACCELEROMETER): ("accelerometer", "site"),
    int(_SENSOR.mjSENS_VELOCIMETER): ("velocimeter", "site"),
    int(_SENSOR.mjSENS_GYRO): ("gyro", "site"),
    int(_SENSOR.mjSENS_FORCE): ("force", "site"),
    int(_SENSOR.mjSENS_TORQUE): ("torque", "site"),
    int(_SENSOR.mjSENS_JOINTPOS): ("jointpos", "joint"),
    int(_SENSOR.mjSENS_JOINTVEL): ("jointvel", "joint"),
    int(_SENSOR.mjSENS_ACTUATORFRC): ("actuatorfrc", "actuator"),
    int(_SENSOR.mjSENS_FRAMEPOS): ("framepos", None),
    int(_SENSOR.mjSENS_FRAMEQUAT): ("framequat", None),
    int(_SENSOR.mjSENS_FRAMEXAXIS): ("framexaxis", None),
    int(_SENSOR.mjSENS_FRAMEYAXIS): ("frameyaxis", None),
    int(_SENSOR.mjSENS_FRAMEZAXIS): ("framezaxis", None),
    int(_SENSOR.mjSENS_FRAMELINVEL): ("framelinvel", None),
    int(_SENSOR.mjSENS_FRAMEANGVEL): ("frameangvel", None),
    int(_SENSOR.mjSENS_FRAMELINACC): ("framelinacc", None),
    int(_SENSOR.mjSENS_FRAMEANGACC): ("frameangacc", None),
    int(_SENSOR.mjSENS_SUBTREECOM): ("subtreecom", "body"),
    int(_SENSOR.mjSENS_SUBTREELINVEL): ("subtreelinvel", "body"),
    int(_SENSOR.mjSENS_SUBTREEANGMOM): ("subtreeangmom", "body"),
}
"""Type -> element, and the attribute that names its object; None for a frame, which has a type and a name."""

FRAMES = {
    int(_OBJECT.mjOBJ_BODY): "body",
    int(_OBJECT.mjOBJ_XBODY): "xbody",
    int(_OBJECT.mjOBJ_GEOM): "geom",
    int(_OBJECT.mjOBJ_SITE): "site",
}
PREFIX = {"body": "b", "xbody": "b", "geom": "g", "site": "s", "joint": "j", "actuator": "a"}


def refuse(model: mujoco.MjModel) -> None:
    """Raises `EngineError` for parts that are not written."""
    for what, there in {
        "tendons": model.ntendon,
        "equality constraints": model.neq,
        "flexes": model.nflex,
        "plugins": model.nplugin,
        "mocap bodies": model.nmocap,
        "skins": model.nskin,
        "delayed sensors or actuators": model.nhistory,
        "actuators with dynamics": (model.actuator_dyntype != mujoco.mjtDyn.mjDYN_NONE).any(),
        "actuators of anything but a joint": (model.actuator_trntype != mujoco.mjtTrn.mjTRN_JOINT).any(),
        "actuator gains of MuJoCo's muscles or users": (model.actuator_gaintype > int(mujoco.mjtGain.mjGAIN_AFFINE)).any()
        or (model.actuator_biastype > int(mujoco.mjtBias.mjBIAS_AFFINE)).any(),
        "damping or armature of actuators": model.actuator_damping.any() or model.actuator_armature.any(),
        "damping or springs that are not linear": model.dof_dampingpoly.any() or model.jnt_stiffnesspoly.any(),
        "surfaces that move like a belt": model.geom_surfacevel.any(),
        "sticky surfaces": model.geom_adhesion.any() or model.pair_adhesion.any(),
        "disabled groups of actuators": model.opt.disableactuator,
    }.items():
        if there:
            raise EngineError(f"an engine in another Python does not get {what}; valid for this model: --engine=mujoco or precise")


def written(model: mujoco.MjModel) -> str:
    """The model as MJCF.

    Raises:
        EngineError: it has parts that other engines do not get.
    """
    refuse(model)
    root = ET.Element("mujoco", model="robolearn")
    _add(root, "compiler", angle="radian", autolimits="false", inertiafromgeom="false", fusestatic="false", discardvisual="false")
    _add(root, "size", memory="64M")
    _assets(model, _add(root, "asset"))
    bodies = {0: _add(root, "worldbody")}
    _contents(model, 0, bodies[0])
    for body in range(1, model.nbody):
        bodies[body] = _body(model, body, bodies[int(model.body_parentid[body])])
        _contents(model, body, bodies[body])
    contact = _add(root, "contact")
    for pair in range(model.npair):
        _pair(model, pair, contact)
    for signature in model.exclude_signature:
        _add(contact, "exclude", body1=f"b{int(signature) >> 16}", body2=f"b{int(signature) & 0xFFFF}")
    actuators, sensors = _add(root, "actuator"), _add(root, "sensor")
    for actuator in range(model.nu):
        _actuator(model, actuator, actuators)
    for sensor in range(model.nsensor):
        _sensor(model, sensor, sensors)
    return ET.tostring(root, encoding="unicode")


def _add(parent: ET.Element, tag: str, **values: Any) -> ET.Element:
    return ET.SubElement(parent, tag, {name.rstrip("_"): _text(value) for name, value in values.items()})


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if np.ndim(value) == 0:
        return repr(int(value)) if isinstance(value, int | np.integer) else repr(float(value))
    return " ".join(_text(one) for one in np.asarray(value).ravel())


def _assets(model: mujoco.MjModel, assets: ET.Element) -> None:
    for mesh in sorted({int(model.geom_dataid[geom]) for geom in _colliding_meshes(model)}):
        vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]]
        faces = model.mesh_face[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
        _add(assets, "mesh", name=f"m{mesh}", vertex=vertices.astype(float), face=faces)
    for field in range(model.nhfield):
        rows, columns = int(model.hfield_nrow[field]), int(model.hfield_ncol[field])
        heights = model.hfield_data[model.hfield_adr[field] :][: rows * columns].reshape(rows, columns)
        elevation = heights[::-1].astype(float)  # the attribute's rows go from the top of a picture down
        _add(assets, "hfield", name=f"h{field}", nrow=rows, ncol=columns, size=model.hfield_size[field], elevation=elevation)


def _colliding_meshes(model: mujoco.MjModel) -> list[int]:
    touching = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    touching[[*model.pair_geom1, *model.pair_geom2]] = True
    return [int(geom) for geom in np.flatnonzero(touching & (model.geom_type == int(_GEOM.mjGEOM_MESH)))]


def _body(model: mujoco.MjModel, body: int, parent: ET.Element) -> ET.Element:
    gravcomp = model.body_gravcomp[body]
    element = _add(parent, "body", name=f"b{body}", pos=model.body_pos[body], quat=model.body_quat[body], gravcomp=gravcomp)
    if model.body_mass[body] > 0:
        place = {"pos": model.body_ipos[body], "quat": model.body_iquat[body]}
        _add(element, "inertial", mass=model.body_mass[body], diaginertia=model.body_inertia[body], **place)
    for joint in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]):
        _joint(model, joint, element)
    return element


def _joint(model: mujoco.MjModel, joint: int, body: ET.Element) -> None:
    kind, dof, at = model.jnt_type[joint], model.jnt_dofadr[joint], model.jnt_qposadr[joint]
    more: dict[str, Any] = {}
    if kind in (int(_JOINT.mjJNT_HINGE), int(_JOINT.mjJNT_SLIDE)):
        more = {"axis": model.jnt_axis[joint], "ref": model.qpos0[at], "springref": model.qpos_spring[at]}
    _add(
        body, "joint", name=f"j{joint}", type=mujoco.mjtJoint(kind).name.removeprefix("mjJNT_").lower(), pos=model.jnt_pos[joint],
        limited=bool(model.jnt_limited[joint]), range=model.jnt_range[joint], margin=model.jnt_margin[joint],
        stiffness=model.jnt_stiffness[joint], damping=model.dof_damping[dof], armature=model.dof_armature[dof],
        frictionloss=model.dof_frictionloss[dof], solreflimit=model.jnt_solref[joint], solimplimit=model.jnt_solimp[joint],
        solreffriction=model.dof_solref[dof], solimpfriction=model.dof_solimp[dof], actuatorfrclimited=bool(model.jnt_actfrclimited[joint]),
        actuatorfrcrange=model.jnt_actfrcrange[joint], actuatorgravcomp=bool(model.jnt_actgravcomp[joint]), **more,
    )  # fmt: skip


def _contents(model: mujoco.MjModel, body: int, element: ET.Element) -> None:
    """A body's geoms and sites."""
    meshes = set(_colliding_meshes(model))
    for geom in np.flatnonzero(model.geom_bodyid == body):
        shape = mujoco.mjtGeom(model.geom_type[geom])
        more = {"type": shape.name.removeprefix("mjGEOM_").lower(), "size": model.geom_size[geom]}
        if shape == _GEOM.mjGEOM_MESH:
            more = {"type": "mesh", "mesh": f"m{model.geom_dataid[geom]}"} if int(geom) in meshes else {"type": "sphere", "size": [0.01]}
        elif shape == _GEOM.mjGEOM_HFIELD:
            more = {"type": "hfield", "hfield": f"h{model.geom_dataid[geom]}"}
        elif shape in (_GEOM.mjGEOM_SDF, _GEOM.mjGEOM_FLEX, _GEOM.mjGEOM_SKIN):
            raise EngineError(f"an engine in another Python does not get geom {model.geom(geom).name!r}, a {shape.name}")
        _add(
            element, "geom", name=f"g{geom}", pos=model.geom_pos[geom], quat=model.geom_quat[geom], mass=0.0,
            contype=model.geom_contype[geom], conaffinity=model.geom_conaffinity[geom], condim=model.geom_condim[geom],
            priority=model.geom_priority[geom], friction=model.geom_friction[geom], solmix=model.geom_solmix[geom],
            solref=model.geom_solref[geom], solimp=model.geom_solimp[geom], margin=model.geom_margin[geom],
            gap=model.geom_gap[geom], **more,
        )  # fmt: skip
    for site in np.flatnonzero(model.site_bodyid == body):
        kind = mujoco.mjtGeom(model.site_type[site]).name.removeprefix("mjGEOM_").lower()
        place = {"pos": model.site_pos[site], "quat": model.site_quat[site]}
        _add(element, "site", name=f"s{site}", type=kind, size=model.site_size[site], **place)


def _pair(model: mujoco.MjModel, pair: int, contact: ET.Element) -> None:
    _add(
        contact, "pair", geom1=f"g{model.pair_geom1[pair]}", geom2=f"g{model.pair_geom2[pair]}", condim=model.pair_dim[pair],
        friction=model.pair_friction[pair], solref=model.pair_solref[pair], solreffriction=model.pair_solreffriction[pair],
        solimp=model.pair_solimp[pair], margin=model.pair_margin[pair], gap=model.pair_gap[pair],
    )  # fmt: skip


def _actuator(model: mujoco.MjModel, actuator: int, actuators: ET.Element) -> None:
    gain, bias = mujoco.mjtGain(model.actuator_gaintype[actuator]), mujoco.mjtBias(model.actuator_biastype[actuator])
    _add(
        actuators, "general", name=f"a{actuator}", joint=f"j{model.actuator_trnid[actuator, 0]}", gear=model.actuator_gear[actuator],
        ctrllimited=bool(model.actuator_ctrllimited[actuator]), ctrlrange=model.actuator_ctrlrange[actuator],
        forcelimited=bool(model.actuator_forcelimited[actuator]), forcerange=model.actuator_forcerange[actuator], dyntype="none",
        gaintype=gain.name.removeprefix("mjGAIN_").lower(), biastype=bias.name.removeprefix("mjBIAS_").lower(),
        gainprm=model.actuator_gainprm[actuator], biasprm=model.actuator_biasprm[actuator],
    )  # fmt: skip


def _sensor(model: mujoco.MjModel, sensor: int, sensors: ET.Element) -> None:
    kind, name = int(model.sensor_type[sensor]), model.sensor(sensor).name
    if kind not in SENSORS or (SENSORS[kind][1] is None and int(model.sensor_objtype[sensor]) not in FRAMES):
        valid = ", ".join(element for element, _ in SENSORS.values())
        raise EngineError(f"an engine in another Python does not get sensor {name!r}; valid: {valid}")
    tag, of = SENSORS[kind]
    thing = int(model.sensor_objid[sensor])
    if of is None:
        frame = FRAMES[int(model.sensor_objtype[sensor])]
        more: dict[str, Any] = {
            "objtype": frame,
            "objname": f"{PREFIX[frame]}{thing}" if thing or frame not in ("body", "xbody") else "world",
        }
        if model.sensor_reftype[sensor] != _OBJECT.mjOBJ_UNKNOWN:
            reference = FRAMES[int(model.sensor_reftype[sensor])]
            more |= {"reftype": reference, "refname": f"{PREFIX[reference]}{model.sensor_refid[sensor]}"}
    else:
        more = {of: f"{PREFIX[of]}{thing}"}
    _add(sensors, tag, name=f"n{sensor}", noise=0.0, cutoff=model.sensor_cutoff[sensor], **more)
