"""Models of our robots as other people build them: other actuators, other scenes, other defaults. Each changes an `MjSpec` in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco

from envs.robots.registry import get_robot
from tests.bridge_helpers import REPOSITORY

ROBOTS = REPOSITORY / "envs" / "robots"
Change = Callable[[mujoco.MjSpec], None]


def joints_of(scene: mujoco.MjSpec) -> list[str]:
    """The joints that our model drives."""
    return [actuator.target for actuator in scene.actuators]


def without_actuators(scene: mujoco.MjSpec) -> list[str]:
    """Take all actuators away, and what refers to them. Returns the joints."""
    joints = joints_of(scene)
    for sensor in [s for s in scene.sensors if s.objtype == mujoco.mjtObj.mjOBJ_ACTUATOR]:
        scene.delete(sensor)
    for thing in [*scene.keys, *scene.actuators]:
        scene.delete(thing)
    return joints


def no_actuators(scene: mujoco.MjSpec) -> None:
    """Joints alone, as in a description of geometry and masses."""
    without_actuators(scene)


def on_joints(setup: Callable[[Any], Any], **fields: Any) -> Change:
    """Actuators on the joints that `setup` turns into something else."""

    def change(scene: mujoco.MjSpec) -> None:
        for joint in without_actuators(scene):
            actuator = scene.add_actuator(name=f"{joint}_drive", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint)
            setup(actuator)
            for name, value in fields.items():
                setattr(actuator, name, value)

    return change


def on_tendons(scene: mujoco.MjSpec) -> None:
    """A torque motor pulls a fixed tendon on each joint."""
    for joint in without_actuators(scene):
        tendon = scene.add_tendon(name=f"{joint}_rope")
        tendon.wrap_joint(joint, 0.5)
        scene.add_actuator(trntype=mujoco.mjtTrn.mjTRN_TENDON, target=tendon.name).set_to_motor()


def servo_and_brake(scene: mujoco.MjSpec) -> None:
    """Two actuators a joint."""
    for joint in without_actuators(scene):
        scene.add_actuator(trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint).set_to_position(kp=300.0)
        scene.add_actuator(trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint).set_to_velocity(kv=50.0)


def half_of_them(scene: mujoco.MjSpec) -> None:
    """Every other joint has a motor, in reverse order."""
    for joint in without_actuators(scene)[::-2]:
        scene.add_actuator(trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint).set_to_motor()


def polluted_defaults(scene: mujoco.MjSpec) -> None:
    """The model's defaults hold whatever an actuator can have."""
    for joint in without_actuators(scene):
        scene.add_actuator(trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint).set_to_motor()
    default = scene.default.actuator
    default.gear, default.ctrlrange, default.forcerange = [7.0, 0, 0, 0, 0, 0], [-0.1, 0.1], [-0.2, 0.2]
    default.dyntype, default.dynprm[0], default.actrange = mujoco.mjtDyn.mjDYN_FILTER, 0.5, [-0.1, 0.1]
    default.ctrllimited = default.forcelimited = default.actlimited = mujoco.mjtLimited.mjLIMITED_TRUE
    default.armature, default.damping, default.group = 0.5, [3.0, 0.0, 0.0], 4


def weak_joints(scene: mujoco.MjSpec) -> None:
    """Torque motors whose joints limit what actuators do to them, to next to nothing."""
    on_joints(lambda actuator: actuator.set_to_motor())(scene)
    for joint in scene.joints:
        if joint.type != mujoco.mjtJoint.mjJNT_FREE:
            joint.actfrclimited, joint.actfrcrange = mujoco.mjtLimited.mjLIMITED_TRUE, [-0.01, 0.01]


def switched_off(scene: mujoco.MjSpec) -> None:
    """The options take all force from actuators, and from those of group 0 twice."""
    scene.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
    scene.option.disableactuator = 1


def other_keyframes(scene: mujoco.MjSpec) -> None:
    """Actuators with memory, and a keyframe that fills it."""
    on_joints(lambda actuator: actuator.set_to_intvelocity(kp=20.0), actrange=[-3.0, 3.0])(scene)
    scene.add_key(name="home", act=[0.1] * len(scene.actuators), ctrl=[0.2] * len(scene.actuators))


def no_sensors(scene: mujoco.MjSpec) -> None:
    """A model without a single sensor, tuple or keyframe."""
    for thing in [*scene.sensors, *scene.keys]:
        scene.delete(thing)


def measured_motors(scene: mujoco.MjSpec) -> None:
    """Named motors that sensors and a tuple refer to."""
    on_joints(lambda actuator: actuator.set_to_motor())(scene)
    names = [actuator.name for actuator in scene.actuators]
    for name in names:
        scene.add_sensor(name=f"{name}_force", type=mujoco.mjtSensor.mjSENS_ACTUATORFRC, objtype=mujoco.mjtObj.mjOBJ_ACTUATOR, objname=name)
    kinds = [int(mujoco.mjtObj.mjOBJ_ACTUATOR)] * 2
    scene.add_tuple(name="pair", objtype=kinds, objname=names[:2], objprm=[0.0, 0.0])


SAME_MOTION: dict[str, Change] = {
    "motors": on_joints(lambda actuator: actuator.set_to_motor()),
    "geared motors": on_joints(lambda actuator: actuator.set_to_motor(), gear=[-9.0, 0, 0, 0, 0, 0]),
    "narrow motors": on_joints(lambda actuator: actuator.set_to_motor(), ctrlrange=[-1.0, 1.0], forcerange=[-0.5, 0.5]),
    "motors seen from the parent": on_joints(lambda actuator: actuator.set_to_motor(), trntype=mujoco.mjtTrn.mjTRN_JOINTINPARENT),
    "velocity": on_joints(lambda actuator: actuator.set_to_velocity(kv=20.0)),
    "integrated velocity": on_joints(lambda actuator: actuator.set_to_intvelocity(kp=20.0), actrange=[-3.0, 3.0]),
    "stiff servos": on_joints(lambda actuator: actuator.set_to_position(kp=1000.0)),
    "slow servos": on_joints(lambda actuator: actuator.set_to_position(kp=20.0, timeconst=0.2)),
    "damped servos": on_joints(lambda actuator: actuator.set_to_position(kp=20.0, dampratio=1.0)),
    "filters": on_joints(lambda actuator: actuator.set_to_motor(), dyntype=mujoco.mjtDyn.mjDYN_FILTEREXACT),
    "integrators": on_joints(lambda actuator: actuator.set_to_motor(), dyntype=mujoco.mjtDyn.mjDYN_INTEGRATOR),
    "cylinders": on_joints(lambda actuator: actuator.set_to_cylinder(timeconst=0.1, bias=0.0, area=0.01)),
    "dampers": on_joints(lambda actuator: actuator.set_to_damper(kv=1.0), ctrlrange=[0.0, 1.0]),
    "muscles": on_joints(lambda actuator: actuator.set_to_muscle(tausmooth=0.0), lengthrange=[0.1, 1.0]),
    "delayed motors": on_joints(lambda actuator: actuator.set_to_motor(), delay=0.02, nsample=10),
    "tendons": on_tendons,
    "two each": servo_and_brake,
    "half of them": half_of_them,
    "none": no_actuators,
    "polluted defaults": polluted_defaults,
    "weak joints": weak_joints,
    "switched off": switched_off,
    "other keyframes": other_keyframes,
    "no sensors": no_sensors,
    "measured motors": measured_motors,
}
"""Built otherwise, but the same bodies: the robot must move exactly as ours does."""


def write(change: Change, folder: Path, robot: str = "go1") -> Path:
    """A changed model of one of our robots, as a file."""
    scene = get_robot(robot).scene()
    scene.delete(next(geom for geom in scene.geoms if geom.name == "floor"))
    change(scene)
    scene.compile()  # what a test gives must be a model
    path = folder / f"{robot}.xml"
    path.write_text(scene.to_xml())
    return path


def option(**values: Any) -> Change:
    """Other physics."""

    def change(scene: mujoco.MjSpec) -> None:
        for name, value in values.items():
            setattr(scene.option, name, value)

    return change


def scene_of_its_own(scene: mujoco.MjSpec) -> None:
    """A floor called `floor`, a light and a mocap body, as in the makers' scenes."""
    scene.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.05])
    scene.worldbody.add_body(name="gantry", mocap=True, pos=[0, 0, 5.0]).add_geom(size=[0.1, 0, 0], contype=0, conaffinity=0)


def base_at(height: float) -> Change:
    """The base begins at another height [m]."""

    def change(scene: mujoco.MjSpec) -> None:
        for key in list(scene.keys):
            scene.delete(key)
        scene.worldbody.first_body().pos = [0.0, 0.0, height]

    return change


def nameless(scene: mujoco.MjSpec) -> None:
    """Only the joints have names: no body, shape, place or actuator does."""
    for thing in [*scene.sensors, *scene.keys, *scene.excludes]:
        scene.delete(thing)
    free = scene.worldbody.first_body().joints[0]
    free.name = ""
    for thing in [*scene.bodies[1:], *scene.geoms, *scene.sites, *scene.actuators]:
        thing.name = ""


def with_an_arm(scene: mujoco.MjSpec) -> None:
    """A small arm with a gripper on the back, moved by actuators of its own."""
    for key in list(scene.keys):
        scene.delete(key)
    arm = scene.worldbody.first_body().add_body(name="arm", pos=[0.1, 0, 0.08])
    arm.add_joint(name="arm_joint", axis=[0, 1, 0], damping=0.1)
    arm.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[0, 0, 0, 0.1, 0, 0], size=[0.01, 0, 0], mass=0.1)
    fingers = []
    for side in (-1, 1):
        finger = arm.add_body(name=f"finger{side}", pos=[0.1, 0.02 * side, 0])
        finger.add_joint(name=f"finger{side}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, side, 0], range=[0, 0.03], damping=1.0)
        finger.add_geom(size=[0.005, 0, 0], mass=0.01)
        fingers.append(f"finger{side}")
    tendon = scene.add_tendon(name="grip")
    for finger in fingers:
        tendon.wrap_joint(finger, 0.5)
    scene.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name1=fingers[0], name2=fingers[1])
    scene.add_actuator(name="grip", trntype=mujoco.mjtTrn.mjTRN_TENDON, target="grip").set_to_position(kp=10.0, timeconst=0.05)
    scene.add_actuator(name="arm", trntype=mujoco.mjtTrn.mjTRN_JOINT, target="arm_joint").set_to_position(kp=20.0)
    scene.add_actuator(name="suction", trntype=mujoco.mjtTrn.mjTRN_BODY, target="finger1").set_to_adhesion(gain=1.0)
    scene.actuators[-1].ctrlrange = [0.0, 1.0]


def ordinary_shapes(scene: mujoco.MjSpec) -> None:
    """Shapes that collide by `contype` alone."""
    for geom in scene.geoms:
        geom.contype, geom.conaffinity = (1, 0) if geom.conaffinity else (0, 0)


OTHER_SCENE: dict[str, Change] = {
    "euler": option(integrator=mujoco.mjtIntegrator.mjINT_EULER),
    "runge kutta": option(integrator=mujoco.mjtIntegrator.mjINT_RK4),
    "shorter steps": option(timestep=0.0005),
    "longer steps": option(timestep=0.02),
    "own scene": scene_of_its_own,
    "base in the ground": base_at(0.0),
    "base in the air": base_at(0.8),
    "nameless": nameless,
    "arm": with_an_arm,
    "ordinary shapes": ordinary_shapes,
}
"""Other surroundings or physics: the robot must walk."""


def without_keyframes(scene: mujoco.MjSpec) -> None:
    """A model that can be included in a scene with other things that move."""
    for key in list(scene.keys):
        scene.delete(key)


def behind_a_ball(folder: Path) -> Path:
    """A scene that has a ball with a free joint first, and then includes the robot."""
    write(without_keyframes, folder)
    path = folder / "scene.xml"
    path.write_text(
        '<mujoco><worldbody><body name="ball" pos="3 3 0.1"><freejoint/><geom name="ball" size="0.1"/></body></worldbody>'
        '<include file="go1.xml"/></mujoco>'
    )
    return path
