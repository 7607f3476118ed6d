"""Robots of one build and different sizes: a task asks of each what it asks of the one its numbers are of, in that one's measures.

Two robots whose lengths, masses, gains and time steps are in proportion move alike (Froude's rule), so every weighted reward term and, in
its own unit, every observation must be the same for both.
"""

import dataclasses
import math
from pathlib import Path

import mujoco
import pytest
import torch

from envs.env_cfg import EnvCfg
from envs.robots.registry import get_robot
from envs.robots.robot import Foot, Imu, Joint, Robot, Tool
from envs.tasks.registry import get_task
from envs.tasks.scaling import QUADRUPED, Scale, factor, scale_of
from envs.terms.randomization import Range, without_randomization
from envs.vec_env import VecEnv
from tests.pairs import PAIRS, cfg_of

LEGS = {"fl": (1, 1, 0.0), "fr": (1, -1, 0.5), "rl": (-1, 1, 0.5), "rr": (-1, -1, 0.0)}
"""Leg -> where it is, forward and left, and when it leaves the ground."""
BEND = 0.8  # rad, of the thigh; the shank bends back by twice that


def quadruped(folder: Path, length: float = 1.0, mass: float = 1.0) -> Robot:
    """A four-legged robot about as large as Go1, in proportion."""
    legs = "".join(
        f"""<body name="{leg}_hip" pos="{0.2 * x * length} {0.1 * y * length} 0">
        <joint name="{leg}_roll" axis="1 0 0" range="-1 1"/>
        <geom type="sphere" size="{0.03 * length}" mass="{0.3 * mass}" contype="0" conaffinity="0"/>
        <body name="{leg}_thigh"><joint name="{leg}_pitch" axis="0 1 0" range="-2 3"/>
          <geom type="capsule" fromto="0 0 0 0 0 {-0.2 * length}" size="{0.02 * length}" mass="{0.8 * mass}" contype="0" conaffinity="0"/>
          <body name="{leg}_shank" pos="0 0 {-0.2 * length}"><joint name="{leg}_knee" axis="0 1 0" range="-2.7 0"/>
            <geom type="capsule" fromto="0 0 0 0 0 {-0.2 * length}" size="{0.01 * length}" mass="{0.2 * mass}" contype="0" conaffinity="0"/>
            <geom type="sphere" pos="0 0 {-0.2 * length}" size="{0.02 * length}" mass="{0.05 * mass}"/>
          </body></body></body>"""
        for leg, (x, y, _) in LEGS.items()
    )
    path = folder / f"quadruped-{length:g}-{mass:g}.xml"
    path.write_text(
        f"""<mujoco><compiler angle="radian"/><worldbody><body name="trunk"><freejoint/>
        <geom type="box" size="{0.2 * length} {0.07 * length} {0.04 * length}" mass="{6 * mass}"/>{legs}</body></worldbody></mujoco>"""
    )
    torque, root = mass * length, math.sqrt(length)

    def joint(default: float) -> Joint:
        return Joint(default=default, kp=25 * torque, kd=0.8 * torque * root, effort=25 * torque, velocity=30 / root, scale=0.3,
                     armature=0.005 * mass * length**2, damping=0.05 * torque * root)  # fmt: skip

    joints = {f"{leg}_{part}": joint(angle) for leg in LEGS for part, angle in (("roll", 0.0), ("pitch", BEND), ("knee", -2 * BEND))}
    return Robot(
        name="proportional",
        model=path,
        joints=joints,
        base="trunk",
        feet={leg: Foot(body=f"{leg}_shank", position=(0.0, 0.0, -0.2 * length), turn=turn) for leg, (_, _, turn) in LEGS.items()},
        imu=Imu(body="trunk"),
        stand_height=(0.4 * math.cos(BEND) + 0.02) * length,
    )


def in_proportion(robot: Robot, task: str = "velocity-flat") -> EnvCfg:
    """The task's config for a robot, nominal, with time steps in proportion as well."""
    cfg = get_task(task).make(robot)
    root = math.sqrt(robot.leg_length)
    nominal = without_randomization()
    return dataclasses.replace(cfg, num_worlds=5, num_threads=1, randomization=nominal, control_dt=0.04 * root, decimation=8)


@pytest.mark.parametrize(("length", "mass"), [(0.5, 0.1), (2.0, 9.0)])
def test_robots_in_proportion_earn_the_same_and_see_the_same(length: float, mass: float, tmp_path: Path) -> None:
    """In the air, since contacts have a time of their own. Every term but foot slip and fall is at work."""
    small, large = quadruped(tmp_path), quadruped(tmp_path, length, mass)
    s = Scale(length=length, mass=mass)
    one, other = (VecEnv(in_proportion(robot), robot, "velocity-flat") for robot in (small, large))
    for env, size in ((one, 1.0), (other, length)):
        env.reset()
        qpos = env.engine.qpos.clone()
        qpos[:, 2] += 5.0 * size
        env.engine.write_state(torch.arange(5), qpos, env.engine.qvel.clone())
        env.moved()
    torch.testing.assert_close(other.command[:, 0], one.command[:, 0] * s.factor("speed"), rtol=1e-3, atol=1e-4)
    generator = torch.Generator().manual_seed(0)
    tables = [{name: term.changed(weight=term.weight or 1.0) for name, term in env.cfg.rewards.items() if name != "foot_tilt"}
              for env in (one, other)]  # fmt: skip
    assert list(tables[0]) == list(tables[1])
    unlike = {}
    for _ in range(12):
        action = 0.5 * torch.randn(5, 12, generator=generator)
        one.step(action), other.step(action)
        for name, reward in one.reward_terms.items():
            apart = (reward - other.reward_terms[name]).abs().max() / (1e-3 + reward.abs().max())
            unlike[name] = max(unlike.get(name, 0.0), float(apart))
    assert {"track_velocity", "torque", "gait", "height", "roll_pitch_rate", "vertical_velocity", "pose", "joint_limit"} <= set(unlike)
    assert max(unlike.values()) < 0.01, unlike
    torch.testing.assert_close(other.base.velocity_b, one.base.velocity_b * s.factor("speed"), rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(other.joint_velocity, one.joint_velocity * s.factor("rate"), rtol=2e-3, atol=2e-2)
    torch.testing.assert_close(other.joints.torque, one.joints.torque * s.factor("torque"), rtol=2e-3, atol=2e-2 * s.factor("torque"))
    torch.testing.assert_close(other.feet.height, one.feet.height * length, rtol=2e-3, atol=1e-3)


def test_numbers_grow_with_the_robot(tmp_path: Path) -> None:
    """An 80 kg robot pays for its torques what a 12 kg one pays for walking alike."""
    robot = quadruped(tmp_path, 2.0, 9.0)
    s = scale_of(robot)
    length, mass = robot.leg_length / QUADRUPED.length, robot.mass / QUADRUPED.mass
    assert (s.length, s.mass) == (pytest.approx(length), pytest.approx(mass))
    cfg, plain = get_task("velocity-rough").make(robot), cfg_of("go1-velocity-rough")
    exactly = {
        "torque": (cfg.rewards["torque"].weight, plain.rewards["torque"].weight / (mass * length) ** 2),
        "height": (cfg.rewards["height"].weight, plain.rewards["height"].weight / length**2),
        "speed": (cfg.command.params["vx"][1], plain.command.params["vx"][1] * math.sqrt(length)),
        "rate": (cfg.clock_hz, plain.clock_hz / math.sqrt(length)),
        "swing": (cfg.rewards["gait"].params["swing_height"], plain.rewards["gait"].params["swing_height"] * length),
        "low": (cfg.terminations["height"].params["minimum"], plain.terminations["height"].params["minimum"] * length),
        "payload": (cfg.randomization.range("payload").high, plain.randomization.range("payload").high * mass),
        "push": (cfg.randomization.range("push_velocity").high, plain.randomization.range("push_velocity").high * math.sqrt(length)),
        "force": (cfg.randomization.range("external_force").high, plain.randomization.range("external_force").high * mass),
        "step": (cfg.terrain.step, plain.terrain.step * length),
        "tile": (cfg.terrain.tile / cfg.terrain.cell, plain.terrain.tile / plain.terrain.cell),
        "scan": (cfg.privileged["height_scan"].params["spacing"], plain.privileged["height_scan"].params["spacing"] * length),
        "friction": (cfg.randomization.range("friction").high, plain.randomization.range("friction").high),
        "tilt": (cfg.rewards["tilt"].weight, plain.rewards["tilt"].weight),
    }  # fmt: skip
    for name, (found, expected) in exactly.items():
        assert found == pytest.approx(expected, rel=1e-3), name
    VecEnv(dataclasses.replace(cfg, num_worlds=2, num_threads=1), robot, "velocity-rough").reset()


@pytest.mark.parametrize("name", PAIRS)
def test_the_robots_that_numbers_are_of_have_them_exactly(name: str) -> None:
    robot = get_robot(PAIRS[name][1])
    assert scale_of(robot) == Scale()
    assert {factor(robot, dimension) for dimension in ("length", "time", "speed", "rate", "mass", "force", "torque")} == {1.0}


def test_a_scale_of_one_keeps_every_bit_and_others_are_short() -> None:
    assert Scale()(0.1 + 0.2, "torque", -2) == 0.1 + 0.2
    assert Scale(length=2.0)(0.1, "speed") == 0.1414
    assert Scale(length=4.0)((-1.0, 0.0), "rate") == (-0.5, 0.0)
    scaled = Scale(mass=3.0)(Range(low=-1.0, high=2.0, operation="add", when="startup"), "mass")
    assert scaled == Range(low=-3.0, high=6.0, operation="add", when="startup")


def test_a_robot_that_cannot_do_a_task_is_told_why(tmp_path: Path) -> None:
    robot = quadruped(tmp_path)
    with pytest.raises(ValueError, match="reaching is for arms on a fixed base; proportional walks"):
        get_task("reach").make(robot)
    with pytest.raises(ValueError, match="velocity tasks are for robots that walk on two feet or more; panda has 0 feet and a fixed base"):
        get_task("velocity-flat").make(get_robot("panda"))
    one = dataclasses.replace(robot, feet={"fl": robot.feet["fl"]})
    with pytest.raises(ValueError, match="proportional has 1 feet"):
        get_task("velocity-flat").make(one)


def test_a_foreign_robot_walks_on_rough_ground_and_has_its_symmetry(tmp_path: Path) -> None:
    robot = quadruped(tmp_path, 0.6, 0.25)
    env = VecEnv(dataclasses.replace(get_task("velocity-rough").make(robot), num_worlds=6, num_threads=1), robot, "velocity-rough")
    env.reset()
    for _ in range(10):
        step = env.step(torch.zeros(6, 12))
    assert torch.isfinite(step.privileged).all()
    assert env.symmetry().faults == ()
    permutation, sign = env.mirror()["action"]
    names = list(robot.joints)
    assert [names[i] for i in permutation[:3]] == ["fr_roll", "fr_pitch", "fr_knee"]
    assert sign[:3].tolist() == [-1.0, 1.0, 1.0]


def test_a_gait_that_is_not_its_own_image_has_no_symmetry(tmp_path: Path) -> None:
    robot = quadruped(tmp_path)
    bounding = dataclasses.replace(robot, feet={n: dataclasses.replace(f, turn=0.5 * (n[0] == "r")) for n, f in robot.feet.items()})
    env = VecEnv(dataclasses.replace(get_task("velocity-flat").make(bounding), num_worlds=1, num_threads=1), bounding, "velocity-flat")
    assert env.symmetry().faults[0] == "the foot fl does not lift off half a turn after fr"
    assert env.mirror() is None


def arm(folder: Path, size: float) -> Robot:
    """Three links on a fixed base."""
    path = folder / f"arm-{size:g}.xml"
    inner = f'<geom type="capsule" fromto="0 0 0 {0.3 * size} 0 0" size="0.02" mass="0.5"/>'
    path.write_text(
        f"""<mujoco><compiler angle="radian"/><worldbody><body name="base" pos="0 0 0.2"><geom type="box" size=".05 .05 .05" mass="1"/>
        <body name="one"><joint name="pan" axis="0 0 1" range="-3 3"/>{inner}
        <body name="two" pos="{0.3 * size} 0 0"><joint name="lift" axis="0 1 0" range="-2 2"/>{inner}
        <body name="three" pos="{0.3 * size} 0 0"><joint name="bend" axis="0 1 0" range="-2 2"/>{inner}</body></body></body></body>
        </worldbody></mujoco>"""
    )
    box = ((0.2 * size, 0.7 * size), (-0.3 * size, 0.3 * size), (-0.1, 0.5 * size))
    joints = {name: Joint(default=0.1, kp=60, kd=4, effort=40, velocity=3, scale=0.1) for name in ("pan", "lift", "bend")}
    return Robot(name="links", model=path, joints=joints, base="three", tool=Tool(body="three", position=(0.3 * size, 0, 0)),
                 workspace=box, gravity_compensated=True)  # fmt: skip


def test_an_arm_reaches_in_its_own_workspace(tmp_path: Path) -> None:
    robot = arm(tmp_path, 1.0)
    cfg = get_task("reach").make(robot)
    assert [cfg.command.params[axis] for axis in "xyz"] == list(robot.workspace)
    env = VecEnv(dataclasses.replace(cfg, num_worlds=4, num_threads=1), robot, "reach")
    policy, privileged = env.reset()
    assert env.spec.command.lower == tuple(low for low, _ in robot.workspace)
    torch.testing.assert_close(privileged[:, policy.shape[1] : policy.shape[1] + 3], env.command - env.tool.position)
    assert env.symmetry().faults == ("links has a fixed base",)


def test_a_light_base_is_not_made_lighter_than_half(tmp_path: Path) -> None:
    """A robot whose mass sits in its legs: what Go1's trunk can spare would leave nothing of its base."""
    robot = quadruped(tmp_path)
    trunk = float(robot.compiled.body_mass[robot.compiled.body("trunk").id])
    assert get_task("velocity-flat").make(robot).randomization.range("payload").low > -trunk / 2
    text = robot.model.read_text().replace(f'mass="{6 * 1.0}"', 'mass="0.4"').replace('mass="0.8"', 'mass="2.2"')
    light = tmp_path / "light.xml"
    light.write_text(text)
    assert get_task("velocity-flat").make(dataclasses.replace(robot, model=light)).randomization.range("payload").low == -0.2


def test_controls_and_gains_go_to_the_actuator_of_their_joint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order the actuators of a scene have."""
    robot = quadruped(tmp_path)
    table = dataclasses.replace(without_randomization(), kp=Range(low=0.5, high=2.0))
    cfg = dataclasses.replace(in_proportion(robot), randomization=table)
    built = robot.scene().to_xml()
    lines = built[built.index("<actuator>") + len("<actuator>") : built.index("</actuator>")].strip().splitlines()
    turned = built[: built.index("<actuator>")] + "<actuator>" + "".join(reversed(lines)) + built[built.index("</actuator>") :]
    plain = VecEnv(cfg, robot, "velocity-flat")
    monkeypatch.setattr(Robot, "scene", lambda self: mujoco.MjSpec.from_string(turned))
    other = VecEnv(cfg, robot, "velocity-flat")
    assert [other.engine.model.actuator(i).name for i in range(12)] == list(reversed(list(robot.joints)))
    plain.reset(), other.reset()
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        action = 0.5 * torch.randn(5, 12, generator=generator)
        one, two = plain.step(action), other.step(action)
        torch.testing.assert_close(one.privileged, two.privileged, rtol=1e-4, atol=1e-4)
