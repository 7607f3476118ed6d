"""Reads the robot of any MJCF file into a draft."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from envs.robots.describe import actuators, dialect, scene
from envs.robots.describe.classes import Classes
from envs.robots.describe.draft import Draft, MeshFile
from envs.robots.describe.includes import expanded, locate
from envs.robots.describe.markup import MUJOCO_ERRORS, number, numbers, written
from envs.robots.describe.mending import Inertial, physical
from envs.robots.describe.notes import Log, listed
from envs.robots.errors import RobotError

UNASKED = ("sensor", "keyframe", "custom", "size", "visual", "statistic", "extension", "deformable")
"""Sections that are not used, so that errors in them do not matter."""
PULLED_MOST = 0.25
"""A robot with this share of its joints on tendons is refused; a gripper at the end of an arm has less."""
SOFT = ("flexcomp", "composite", "flex")
DROPPED_COMPILER = ("discardvisual", "fusestatic", "saveinertial", "usethread")


def draft_mjcf(root: ET.Element, path: Path, log: Log) -> Draft:
    """The robot alone, from a `mujoco` element.

    Raises:
        RobotError: MuJoCo cannot read it, it has no robot, or the robot has parts that cannot be represented.
    """
    tree = expanded(root, path, log)
    files = locate(tree, path)
    if tree.find(".//worldbody//attach") is not None or tree.find(".//worldbody//replicate") is not None:
        tree = _flattened(tree, files, path)
        files = locate(tree, path)
    _refuse_soft(tree, log)
    log.raise_faults(path)
    _drop_plugins(tree, log)
    given_keys = _keyframes(tree)
    _drop(tree, UNASKED)
    dialect.name_all(tree, log)
    dialect.scrub(tree, path, log)
    dialect.to_radians(tree)
    chosen = scene.choose(tree, log)
    log.raise_faults(path)
    assert chosen is not None
    body, frames = chosen

    whole = _whole_spec(tree, path)
    robot = {joint.get("name", "") for tag in scene.JOINTS for joint in body.iter(tag)}
    motors, indirect = actuators.motors(whole, robot, log)
    efforts = actuators.efforts(whole, robot)
    keys = actuators.keys(whole, given_keys, robot, log)
    kinds = {joint.name: joint.type for joint in whole.joints if joint.name in robot}
    _loosen(body, whole, log)

    _say_option(tree, log)
    _drop(tree, ("actuator", "option"))
    scene.isolate(tree, body, frames)
    for joint in body.iter("joint"):
        for key in ("actuatorfrcrange", "actuatorfrclimited", "actuatorgravcomp"):
            joint.attrib.pop(key, None)
    fixed = _fix_pulled(tree, kinds, indirect, set(motors), log)
    kinds = {name: kind for name, kind in kinds.items() if name not in fixed}
    scene.strip_contacts(tree, log)
    mimics, held = scene.strip_equalities(tree, set(motors), log)
    scene.strip_tendons(tree, log)
    passive = _passive(kinds, set(motors), mimics, held, log)
    log.raise_faults(path)
    _mend_inertials(tree, log)
    _tidy_compiler(tree)
    dialect.close_defaults(tree, list(tree.findall("worldbody/*")))
    free = any(kind == mujoco.mjtJoint.mjJNT_FREE for kind in kinds.values())
    _say_planar(body, set(motors), log)
    _say_mount(body, frames, free, log)
    _tidy_assets(tree, files, log)
    return Draft(
        tree=tree,
        root=body.get("name", ""),
        free=free,
        meshes=files,
        efforts={name: effort for name, effort in efforts.items() if name in kinds},
        velocities={name: None for name in efforts if name in kinds},
        motors=motors,
        keys={key: {name: angle for name, angle in angles.items() if name in kinds} for key, angles in keys.items()},
        mimics=mimics,
        passive=passive,
    )


def _loosen(body: ET.Element, whole: mujoco.MjSpec, log: Log) -> None:
    """Removes damping and the like from the robot's free joints, which inherit them from defaults for motors' joints."""
    for element in [*body.iter("joint")]:
        name = element.get("name", "")
        joint = whole.joint(name)
        if joint is None or joint.type != mujoco.mjtJoint.mjJNT_FREE:
            continue
        dragging = (joint.damping, joint.armature, joint.frictionloss, joint.stiffness)
        if any(np.any(np.asarray(value)) for value in dragging):
            what = f"the free joint {name} had damping, armature, friction or stiffness, from a <default> or its own: removed"
            log.mended(what, "write <freejoint/>, which takes no defaults")
        element.tag = "freejoint"
        element.attrib = {key: value for key, value in element.attrib.items() if key in ("name", "group")}


def _drop(tree: ET.Element, tags: Sequence[str]) -> None:
    for tag in tags:
        for section in tree.findall(tag):
            tree.remove(section)


def _flattened(tree: ET.Element, files: dict[str, MeshFile], path: Path) -> ET.Element:
    """The tree after MuJoCo has expanded attached models and replicas."""
    for mesh in tree.findall("asset/mesh"):
        source = files.get(mesh.get("name", ""))
        if source is not None:
            mesh.set("file", str(source.path or source.uri))
    try:
        spec = mujoco.MjSpec.from_string(ET.tostring(tree, encoding="unicode"))
        spec.compile()
        return ET.fromstring(spec.to_xml())
    except (*MUJOCO_ERRORS, ET.ParseError) as error:
        reason = "; ".join(str(error).splitlines())
        raise RobotError(f"{path}: it attaches or replicates parts, and MuJoCo cannot compile it: {reason}") from None


def _refuse_soft(tree: ET.Element, log: Log) -> None:
    for tag in SOFT:
        for element in tree.iter(tag):
            log.fault(f"<{tag} {element.get('name', '')!r}> is a soft body", "robolearn trains rigid robots: remove it from the model")
    for holder in ("body", "geom", "joint"):
        for element in tree.iter(holder):
            if element.find("plugin") is not None:
                log.fault(f"{holder} {element.get('name', '')!r} needs a plugin", "remove the <plugin> from the model")


def _drop_plugins(tree: ET.Element, log: Log) -> None:
    """Removes plugins of actuators, sensors and meshes, with their elements."""
    gone = []
    for section in ("actuator", "sensor"):
        for element in tree.findall(section):
            for plugin in element.findall("plugin"):
                gone.append(plugin.get("name") or plugin.get("joint") or section)
                element.remove(plugin)
    for extension in tree.findall("extension"):
        tree.remove(extension)
    if gone:
        log.dropped(f"plugins: {listed(gone)}", "")


def _keyframes(tree: ET.Element) -> dict[str, list[float]]:
    """Positions of the keyframes by name."""
    found = {}
    for index, key in enumerate(tree.findall("keyframe/key")):
        values = numbers(key.get("qpos"))
        if values is not None:
            found[key.get("name") or f"key_{index}"] = [float(v) for v in values]
    return found


def _whole_spec(tree: ET.Element, path: Path) -> mujoco.MjSpec:
    """The whole file as a spec, without unused parts that might cause errors, such as missing meshes."""
    kept = ET.Element("mujoco")
    kept.extend(copy.deepcopy(section) for section in tree if section.tag != "contact")
    compiler = kept.find("compiler")
    if compiler is not None:
        compiler.attrib.update(boundmass="1e-6", boundinertia="1e-9", balanceinertia="true")
        compiler.attrib.pop("settotalmass", None)
    classes = Classes(kept)
    meshed = [geom for geom in kept.iter("geom") if classes.get(geom, "mesh") or classes.get(geom, "hfield")]
    for parent in [*kept.iter()]:
        for child in [*parent]:
            if child in meshed or (parent.tag == "asset" and child.tag in ("mesh", "hfield", "texture", "skin")):
                parent.remove(child)
    for material in kept.iter("material"):
        material.attrib.pop("texture", None)
        for layer in [*material]:
            material.remove(layer)
    try:
        return mujoco.MjSpec.from_string(ET.tostring(kept, encoding="unicode"))
    except MUJOCO_ERRORS as error:
        raise RobotError(f"{path}: MuJoCo cannot read it: {'; '.join(str(error).splitlines())}") from None


def _say_option(tree: ET.Element, log: Log) -> None:
    """Notes settings of the file that affect the robot's motion and are not used."""
    option = tree.find("option")
    if option is None:
        return
    said = []
    for key in ("wind", "density", "viscosity"):
        values = numbers(option.get(key))
        if values is not None and values.any():
            said.append(f"{key} {option.get(key)}")
    gravity = numbers(option.get("gravity"), 3)
    if gravity is not None and not np.allclose(gravity, (0, 0, -9.81), atol=0.02):
        said.append(f"gravity {option.get('gravity')}")
    flag = option.find("flag")
    if flag is not None:
        said += [f"{key} {flag.get(key)}" for key in ("contact", "gravity", "limit", "constraint", "override") if flag.get(key)]
    said += [f"{key} {option.get(key)}" for key in ("cone", "impratio") if option.get(key) not in (None, "pyramidal")]
    if said:
        log.remark(f"options of the file are not used, since robolearn simulates all robots with the same ones: {listed(said)}")


def _fix_pulled(tree: ET.Element, kinds: dict[str, mujoco.mjtJoint], pulled: set[str], driven: set[str], log: Log) -> set[str]:
    """Fixes joints that only tendons or cranks move, and their followers; a fault if that is much of the robot."""
    single = [name for name, kind in kinds.items() if kind in actuators.SINGLE]
    followers = scene.followers(tree, pulled)
    leaders = [name for name in single if name in pulled and name not in followers]
    if not leaders:
        return set()
    if len(leaders) >= PULLED_MOST * len(single):
        log.fault(
            f"{len(leaders)} of its {len(single)} joints are moved by tendons or cranks ({listed(leaders)}), but robolearn only drives "
            f"joints",
            "give these joints their own actuators in the model, or use a model of the robot without tendons",
        )
        return set()
    fixed = {*leaders, *followers}
    closed = [joints for _, joints in scene.loops(tree) if not joints & driven]
    while linked := set().union(*(joints for joints in closed if joints & fixed)) - fixed:
        fixed |= linked  # a linkage whose drivers are fixed
    scene.fix(tree, fixed)
    what = f"joints that tendons or cranks move are fixed in place: {listed([name for name in kinds if name in fixed])}"
    log.refused(what, "give them their own actuators in the model if they should move")
    return fixed


def _passive(
    kinds: dict[str, mujoco.mjtJoint], driven: set[str], mimics: dict[str, tuple[str, float, float]], held: set[str], log: Log
) -> tuple[str, ...]:
    """Joints that cannot be controlled, or that have no motor in a file in which others have one."""
    balls = [name for name, kind in kinds.items() if kind == mujoco.mjtJoint.mjJNT_BALL]
    if balls:
        log.remark(f"ball joints stay passive: {listed(balls)}")
    idle = [n for n, kind in kinds.items() if kind in actuators.SINGLE and n not in driven and n not in mimics and n not in held]
    if not driven:
        idle = []
    if idle:
        log.remark(f"joints without an actuator in the file are passive: {listed(idle)}", "give them one if they have a motor")
    wanted = {*balls, *idle, *mimics, *held}
    return tuple(name for name in kinds if name in wanted)


def _mend_inertials(tree: ET.Element, log: Log) -> None:
    """Corrects inertias of the file that MuJoCo would refuse."""
    compiler = tree.find("compiler")
    if compiler is not None and (compiler.get("balanceinertia") == "true" or compiler.get("inertiafromgeom") == "true"):
        return
    for body in tree.iter("body"):
        inertial = body.find("inertial")
        if inertial is None:
            continue
        mass, full, diagonal = (
            number(inertial.get("mass")),
            numbers(inertial.get("fullinertia"), 6),
            numbers(inertial.get("diaginertia"), 3),
        )
        if mass is None or (full is None and diagonal is None):
            continue
        matrix = np.diag(diagonal) if diagonal is not None else np.zeros((3, 3))
        if full is not None:
            xx, yy, zz, xy, xz, yz = full
            matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        moving = any(child.tag in scene.JOINTS for child in body)
        if mass <= 0 and not moving:
            continue
        result, changes = physical(Inertial(mass=mass, position=np.zeros(3), matrix=matrix), 1e-3)
        if result.matrix is matrix:
            continue
        inertial.set("mass", written([result.mass]))
        if full is not None:
            m = result.matrix
            inertial.set("fullinertia", written((m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2])))
        else:
            inertial.set("diaginertia", written(np.diag(result.matrix)))
        for change in changes:
            log.each("mended", f"bodies {change}: {{}}", body.get("name", ""), "write their true <inertial>")


def _tidy_compiler(tree: ET.Element) -> None:
    for compiler in tree.findall("compiler"):
        for key in DROPPED_COMPILER:
            compiler.attrib.pop(key, None)
        for child in [*compiler]:
            compiler.remove(child)


def _say_mount(body: ET.Element, frames: tuple[ET.Element, ...], free: bool, log: Log) -> None:
    if free:
        return
    position = numbers(body.get("pos", "0 0 0"), 3)
    turned = any(body.get(key) for key in ("quat", "euler", "axisangle", "xyaxes", "zaxis"))
    if frames or turned or (position is not None and position.any()):
        log.remark(f"the base {body.get('name')} is mounted at {body.get('pos', '0 0 0')} m in the file; a fixed base stays there")


def _say_planar(body: ET.Element, driven: set[str], log: Log) -> None:
    """Notes a base on slides, which is neither fixed nor floating."""
    joints = [joint for joint in body.findall("joint") if joint.get("name") not in driven]
    if any(joint.get("type") == "slide" for joint in joints):
        names = listed([joint.get("name", "") for joint in joints])
        log.refused(
            f"the base {body.get('name')} moves on its own joints ({names}), which stay passive: it is neither fixed nor floating",
            f"replace {names} by <freejoint/>, or remove them",
        )


def _tidy_assets(tree: ET.Element, files: dict[str, MeshFile], log: Log) -> None:
    """Keeps only assets that the robot uses and whose files exist."""
    asset = tree.find("asset")
    if asset is None:
        return
    used = {
        key: {e.get(key) for top in ("worldbody", "default", "tendon") for s in tree.findall(top) for e in s.iter()}
        for key in ("mesh", "material")
    }
    missing: list[str] = []
    for element in [*asset]:
        kept = element.tag in ("mesh", "material") and element.get("name") in used[element.tag]
        if element.tag == "texture":
            absent = [value for value in element.attrib.values() if value.startswith("missing:")]
            missing += [value.removeprefix("missing:") for value in absent]
            kept = not absent
        if element.tag == "mesh" and not kept:
            files.pop(element.get("name", ""), None)
        if not kept:
            asset.remove(element)
    textures = {texture.get("name") or Path(texture.get("file", "")).stem for texture in asset.findall("texture")}
    for material in asset.findall("material"):
        if material.get("texture") is not None and material.get("texture") not in textures:
            del material.attrib["texture"]
        for layer in [*material]:
            if layer.get("texture") not in textures:
                material.remove(layer)
    used_textures = {e.get("texture") for m in asset.findall("material") for e in m.iter()} - {None}
    for texture in [*asset.findall("texture")]:
        if (texture.get("name") or Path(texture.get("file", "")).stem) not in used_textures:
            asset.remove(texture)
    if missing:
        log.dropped(f"textures with missing files: {listed(missing)}")
