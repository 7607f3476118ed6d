"""A policy's robot as another author modelled it, so that the policy can be evaluated in that model too (`evaluate --mjcf`).

Joints are matched by name, as on a wire. Links, joints and shapes are taken from the file: masses, inertias, lengths, ranges,
armature, damping, dry friction, gravity compensation, and how shapes touch the ground. Motors, default pose, sensors, the physics step,
the ground, and whether links collide with each other are taken from the policy and its task.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import mujoco
import numpy as np

from bridge.simulated.model_check import lacks_of, notes_of
from envs.robots import scene
from envs.robots.describe.description import describe
from envs.robots.describe.reading import read
from envs.robots.robot import Camera, Foot, Imu, Robot, Tool, Vector
from envs.robots.spots import lowest_point
from policies.contract.spec import RobotSpec
from robolearn.errors import UserError
from robolearn.simulated_model import based

CONTACT = ("friction", "condim", "priority", "solmix", "solref", "solimp", "margin", "gap")
"""Attributes of a shape that determine its contacts."""


@dataclass(frozen=True, kw_only=True)
class OtherModel(Robot):
    """A robot whose contacts are as the author of its model wrote them, not as tasks set them."""

    @cached_property
    def built(self) -> scene.Built:
        """As `Robot.built`."""
        built = scene.build(self)
        theirs = {body.name: body.geoms for body in read(self.model).spec.bodies if body.name != "world"}
        for body in built.spec.bodies:
            for geom, told in zip(body.geoms, theirs.get(body.name, ()), strict=False):  # a foot's new attributes come after its own
                for name in CONTACT:
                    setattr(geom, name, getattr(told, name))
        return built


def in_model(robot: Robot, path: Path, spec: RobotSpec) -> OtherModel:
    """A robot in another author's model.

    Feet are found by their shapes, on the links that carry those of the robot; base, trunk, IMU and tool are placed as on the robot.

    Args:
        robot: the policy's robot.
        path: the model, MJCF or URDF.
        spec: the robot as the policy knows it.

    Raises:
        UserError: no such file, it cannot be read, or it is not a model of this robot; lists what it has and lacks.
    """
    if not path.is_file():
        raise UserError(f"no robot model at {path}")
    model = based(read(path), spec).compile()
    if lacks := lacks_of(mujoco, model, spec):
        raise UserError(f"{path} is no model of {spec.name}: {'; '.join(lacks)}")
    for note in notes_of(mujoco, model, spec, [model.joint(name).id for name in spec.joint_names], []):
        print(f"note: {path.name}: {note}", file=sys.stderr)
    ours, theirs = Placed(robot.compiled, robot), Placed(model, robot)
    constants = {field.name: getattr(robot, field.name) for field in fields(Robot)}
    constants |= {
        "model": path,
        "base": theirs.place(ours, robot.base)[0],
        "joints": {name: replace(joint, range=None, armature=None, damping=None, friction=None) for name, joint in robot.joints.items()},
    }
    if robot.trunk is not None:
        constants["trunk"] = theirs.place(ours, robot.trunk)[0]
    if robot.imu is not None:
        body, position = theirs.place(ours, robot.imu.body, robot.imu.position)
        constants["imu"] = Imu(body=body, position=position)
    if robot.tool is not None:
        body, position = theirs.place(ours, robot.tool.body, robot.tool.position)
        constants["tool"] = Tool(body=body, position=position)
    constants["cameras"] = {name: theirs.camera(ours, camera) for name, camera in robot.cameras.items()}
    if robot.feet:
        constants["feet"] = dict(_feet(robot, path, ours, theirs))
    other = OtherModel(**constants)
    if robot.stand_height is None or not robot.feet:
        return other
    return replace(other, stand_height=robot.stand_height + _depth(other) - _depth(robot))


LENGTH, MASS, RANGE = 0.08, 0.25, 0.1
"""A model is another robot's if distances between joints differ by this share of the largest, masses by this share, or limits of ranges by
this much [rad] on at least half of the joints. Models of one robot by different authors lie within these bounds."""


def refuse_other_robot(robot: Robot, path: Path) -> None:
    """Refuse a model with the robot's joint names that is of another robot: the policy would run on it, and fall.

    Args:
        robot: the policy's robot.
        path: the model, MJCF.

    Raises:
        UserError: says what differs, and how to run on that robot even so. A file that cannot be read passes: loading it reports the error.
    """
    try:
        model = mujoco.MjModel.from_xml_path(str(path))
        theirs = Placed(model, robot)
    except (ValueError, KeyError, OSError):
        return
    if differs := _other_robot(Placed(robot.compiled, robot), theirs):
        mend = "`robolearn robot new` describes it, and `--robot its/robot.yaml` runs the policy on it even so"
        raise UserError(f"{path} is the model of another robot than {robot.name}: {'; '.join(differs)}; {mend}")


def _other_robot(ours: Placed, theirs: Placed) -> list[str]:
    """The differences that make a model another robot's, in words; empty for a model of the same robot."""
    found: list[str] = []
    names = list(ours.robot.joints)
    places = [np.array([model.anchor(name) for name in names]) for model in (ours, theirs)]
    distances = [np.linalg.norm(at[:, None] - at, axis=2) for at in places]
    apart = np.abs(distances[1] - distances[0])
    if apart.max(initial=0.0) > LENGTH * distances[0].max(initial=1e-9):
        one, other = np.unravel_index(int(apart.argmax()), apart.shape)
        here, there = (float(distance[one, other]) for distance in distances)
        found.append(f"{names[one]} and {names[other]} are {there:.3f} m apart there, {here:.3f} m in {ours.robot.name}")
    masses = [float(model.model.body_subtreemass[model.carried(None)]) for model in (ours, theirs)]
    if abs(masses[1] - masses[0]) > MASS * masses[0]:
        found.append(f"it weighs {masses[1]:.1f} kg, {ours.robot.name} {masses[0]:.1f} kg")
    ids = [[model.model.joint(name).id for name in names] for model in (ours, theirs)]
    limited = np.all([model.model.jnt_limited[joints] for model, joints in zip((ours, theirs), ids, strict=True)], axis=0)
    ends = [model.model.jnt_range[joints] for model, joints in zip((ours, theirs), ids, strict=True)]
    off = limited.astype(bool) & (np.abs(ends[1] - ends[0]).max(axis=1) > RANGE)
    if 2 * off.sum() >= len(names):
        worst = int(np.where(off, np.abs(ends[1] - ends[0]).max(axis=1), 0.0).argmax())
        (low, high), (here_low, here_high) = ends[1][worst], ends[0][worst]
        told = f"{names[worst]} [{low:.2f}, {high:.2f}] rad there, [{here_low:.2f}, {here_high:.2f}] in {ours.robot.name}"
        found.append(f"{int(off.sum())} of {len(names)} joints have other ranges, e.g. {told}")
    return found


class Placed:
    """A compiled model in the default pose of a robot, its root at the origin."""

    def __init__(self, model: mujoco.MjModel, robot: Robot) -> None:
        self.model, self.data, self.robot = model, mujoco.MjData(model), robot
        self.data.qpos[model.jnt_qposadr[[model.joint(name).id for name in robot.joints]]] = robot.default_pose
        mujoco.mj_kinematics(model, self.data)

    def carrier(self, body: int) -> str | None:
        """The joint that moves a body; None for a body fixed to the root."""
        while body:
            first = int(self.model.body_jntadr[body])
            names = [self.model.joint(first + i).name for i in range(int(self.model.body_jntnum[body]))]
            if known := [name for name in names if name in self.robot.joints]:
                return known[-1]
            body = int(self.model.body_parentid[body])
        return None

    def carried(self, joint: str | None) -> int:
        """The body that a joint moves; the root body for None."""
        if joint is not None:
            return int(self.model.joint(joint).bodyid[0])
        return int(self.model.body_rootid[self.carried(next(iter(self.robot.joints)))])

    def place(self, other: Placed, name: str, position: Vector = (0.0, 0.0, 0.0)) -> tuple[str, Vector]:
        """The place in this model of a point on a body of the other model: a body and a point in its frame [m].

        The links are assumed equal but their frames are not, so the point keeps its position relative to the joint that moves it.
        """
        there = other.model.body(name).id
        joint = other.carrier(there)
        namesake = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_BODY, name)
        here = namesake if namesake > 0 and self.carrier(namesake) == joint else self.carried(joint)
        point = other.data.xpos[there] + other.data.xmat[there].reshape(3, 3) @ position - other.anchor(joint)
        local = self.data.xmat[here].reshape(3, 3).T @ (point + self.anchor(joint) - self.data.xpos[here])
        x, y, z = (round(float(value), 6) + 0.0 for value in local)
        return self.model.body(here).name, (x, y, z)

    def camera(self, other: Placed, camera: Camera) -> Camera:
        """A camera of the other model in this one; one that stands beside the robot stays where it is."""
        if camera.body == "world":
            return camera
        body, position = self.place(other, camera.body, camera.position)
        turn = self.data.body(body).xmat.reshape(3, 3).T @ other.data.body(camera.body).xmat.reshape(3, 3)
        forward, up = (tuple((turn @ way).tolist()) for way in (camera.forward, camera.up))
        return replace(camera, body=body, position=position, forward=forward, up=up)

    def anchor(self, joint: str | None) -> np.ndarray:
        """Position of a joint [m], (3,); for None that of the root."""
        return self.data.xpos[self.carried(None)] if joint is None else self.data.xanchor[self.model.joint(joint).id]


def _feet(robot: Robot, path: Path, ours: Placed, theirs: Placed) -> Iterator[tuple[str, Foot]]:
    """The robot's feet in the other model."""
    found = {theirs.carrier(theirs.model.body(foot.body).id): foot for foot in describe(path, floating=robot.floating_base).feet}
    for name, foot in robot.feet.items():
        joint = ours.carrier(ours.model.body(foot.body).id)
        if joint not in found:
            raise UserError(f"{path} is no model of {robot.name}: it has no foot behind {joint}; `robolearn robot check {path}` shows more")
        there = found[joint]
        x, y, z = there.position
        up = (there.up[0], there.up[1], there.up[2])
        yield name, replace(foot, body=there.body, position=(x, y, z), up=up, geoms=there.geoms)


def _depth(robot: Robot) -> float:
    """Height of the root above the lowest point of the feet in the default pose [m]."""
    model, data = robot.compiled, mujoco.MjData(robot.compiled)
    data.qpos[:] = model.key(scene.STAND).qpos
    mujoco.mj_kinematics(model, data)
    root = data.xpos[model.body_rootid[model.body(robot.base).id], 2]
    return float(root - min(lowest_point(model, data, geoms)[2] for geoms in robot.foot_geoms(model)))
