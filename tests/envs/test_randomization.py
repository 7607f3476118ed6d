"""Every entry of the randomization table is measured in the physics: what it does to forces and motion, not that a field was set."""

import math
from collections.abc import Callable

import mujoco
import numpy as np
import pytest
import torch

from envs.robots import panda
from envs.terms.randomization import QUANTITIES, RandomizationCfg, Range
from envs.terms.state import rotate_inverse
from envs.vec_env import VecEnv
from tests.pairs import make_env

GRAVITY = 9.81
DT = 0.005  # s, a physics step
PAYLOAD = 0.5  # kg, in the arm's hand
EFFECTS: list[tuple[str, Callable[[], None]]] = []


def effect(*names: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a measurement of one or more entries of the table."""

    def register(measure: Callable[[], None]) -> Callable[[], None]:
        EFFECTS.extend((name, measure) for name in names)
        return measure

    return register


def exactly(value: float, operation: str = "scale", **kwargs) -> Range:
    """A range of one value."""
    return Range(low=value, high=value, operation=operation, **kwargs)


def world(task: str, noise: float = 0.0, worlds: int = 1, engine: str = "mujoco", **table: Range | bool) -> VecEnv:
    """A task with only the given entries on."""
    env = make_env(task, engine=engine, num_worlds=worlds, num_threads=1, randomization=RandomizationCfg(noise=noise, **table))
    env.reset()
    return env


def go1(**table: Range) -> VecEnv:
    return world("go1-velocity-flat", **table)


def arm(engine: str = "mujoco", **table: Range) -> VecEnv:
    return world("panda-reach", engine=engine, **table)


def place(
    env: VecEnv, height: float | None = None, velocity: tuple[float, ...] = (), joint_velocity: dict[int, float] | None = None
) -> None:
    """Put world 0 into its default pose, the base at rest or with a velocity."""
    model = env.engine.model
    qpos = torch.tensor(model.key(0).qpos, dtype=torch.float32)[None].repeat(env.num_worlds, 1)
    qvel = torch.zeros(env.num_worlds, model.nv)
    if height is not None:
        qpos[:, 2] = height
    qvel[:, : len(velocity)] = torch.tensor(velocity)
    for dof, value in (joint_velocity or {}).items():
        qvel[:, dof] = value
    env.engine.write_state(torch.arange(env.num_worlds), qpos, qvel)


def hold(env: VecEnv, seconds: float, offset: torch.Tensor | float = 0.0) -> None:
    """Let the motors hold the default pose plus an offset."""
    for _ in range(round(seconds / DT)):
        env.engine.step((env.default_pose + offset).expand(env.num_worlds, 1, -1).contiguous())


def sensor(env: VecEnv, suffix: str) -> np.ndarray:
    """All sensors whose names end like this, of world 0, in order."""
    model = env.engine.model
    found = [model.sensor(i) for i in range(model.nsensor) if model.sensor(i).name.endswith(suffix)]
    return np.concatenate([env.engine.sensordata[0, s.adr[0] : s.adr[0] + s.dim[0]].numpy() for s in found])


def center_of_mass_velocity(env: VecEnv) -> np.ndarray:
    """Of the robot in world 0 with nominal masses (all links' masses in one ratio give the same), (3,)."""
    model = env.engine.model
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = env.engine.qpos[0], env.engine.qvel[0]
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    return data.subtree_linvel[1].copy()


def force_on_base(env: VecEnv, wrench: tuple[float, ...]) -> None:
    model = env.engine.model
    force = torch.zeros(env.num_worlds, model.nbody, 6)
    force[:, model.body(env.robot.base).id] = torch.tensor(wrench)
    env.engine.set_external_force(force)


def motor_off(env: VecEnv, joint: int) -> None:
    """Take the torque from one motor."""
    for name in ("actuator_gainprm", "actuator_biasprm"):
        values = env.engine.field(name)
        values[:, joint] = 0.0
        env.engine.set_field(name, torch.arange(env.num_worlds), values)


# contact and mass ----------------------------------------------------------------------------------------------------


@effect("friction")
def sliding_robot_is_slowed_by_mu_g():
    for factor in (0.125, 0.25):
        env = go1(friction=exactly(factor))
        place(env)
        hold(env, 0.5)
        env.engine.set_velocity(torch.tensor([0]), env.engine.qvel + torch.tensor([[1.0] + [0.0] * (env.engine.model.nv - 1)]))
        hold(env, 0.04)
        before = center_of_mass_velocity(env)[0]
        hold(env, 0.1)
        deceleration = (before - center_of_mass_velocity(env)[0]) / 0.1
        assert deceleration == pytest.approx(factor * 0.8 * GRAVITY, rel=0.1)


@effect("mass")
def force_accelerates_by_force_over_mass():
    nominal, heavy = go1(), go1(mass=exactly(1.3))
    mass = nominal.engine.model.body_mass.sum()
    for env, expected in ((nominal, 50 / mass), (heavy, 50 / (1.3 * mass))):
        place(env, height=2.0)
        force_on_base(env, (50.0, 0, 0, 0, 0, 0))
        hold(env, 0.1)
        assert center_of_mass_velocity(env)[0] / 0.1 == pytest.approx(expected, rel=0.01)


@effect("mass")
def torque_accelerates_by_torque_over_inertia():
    spin = []
    for env in (go1(), go1(mass=exactly(1.3))):
        place(env, height=2.0)
        force_on_base(env, (0, 0, 0, 0, 0, 5.0))
        hold(env, 0.05)
        spin.append(float(env.engine.qvel[0, 5]))
    assert spin[0] / spin[1] == pytest.approx(1.3, rel=0.05)


@effect("payload")
def payload_stands_on_the_feet():
    for payload in (-1.0, 2.0):
        env = go1(payload=exactly(payload, "add"))
        place(env)
        hold(env, 1.0)
        weight = (env.engine.model.body_mass.sum() + payload) * GRAVITY
        assert sensor(env, "_touch").sum() == pytest.approx(weight, rel=0.01)


def sag(env: VecEnv) -> float:
    """How far the hand drops from the default pose [m]."""
    place(env)
    start = sensor(env, "end_effector_position")[2]
    hold(env, 1.5)
    return float(start - sensor(env, "end_effector_position")[2])


def expected_sag() -> float:
    """Statics: each joint turns by torque / kp, torque = J^T m g, so the hand drops by the sum of J_z^2 m g / kp."""
    env = arm()
    model = env.engine.model
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    jacobian = np.zeros((3, model.nv))
    mujoco.mj_jacBodyCom(model, data, jacobian, None, model.body("hand").id)
    return float((jacobian[2] ** 2 * PAYLOAD * GRAVITY / np.array(panda.KP)).sum())


@effect("payload")
def payload_bends_an_arm_that_compensates_its_own_weight_only():
    assert abs(sag(arm())) < 1e-4
    assert sag(arm(payload=exactly(PAYLOAD, "add"))) == pytest.approx(expected_sag(), rel=0.05)


@effect("mass")
def links_heavier_than_the_compensation_bend_the_arm():
    assert sag(arm(mass=exactly(1.1))) > 1e-3
    assert sag(arm(mass=exactly(0.9))) < -1e-3


@effect("center_of_mass")
def shifted_mass_moves_the_load_between_the_feet():
    def center_of_pressure(env: VecEnv) -> np.ndarray:
        place(env)
        hold(env, 1.0)
        load, feet = sensor(env, "_touch"), sensor(env, "_position").reshape(4, 3)
        return load @ (feet - env.engine.qpos[0, :3].numpy()) / load.sum()

    nominal = center_of_pressure(go1())
    shifted = center_of_pressure(go1(center_of_mass=exactly(0.03, "add")))
    model = go1().engine.model
    expected = 0.03 * model.body("trunk").mass[0] / model.body_mass.sum()
    np.testing.assert_allclose((shifted - nominal)[:2], expected, rtol=0.15)


@effect("gravity")
def free_fall_has_the_drawn_acceleration():
    env = go1(gravity=Range(low=-1.0, high=1.0, operation="add"))
    place(env, height=3.0)
    hold(env, 0.1)
    drawn = env.randomizer.drawn["gravity"][0].numpy()
    assert np.abs(drawn).min() > 0
    np.testing.assert_allclose(center_of_mass_velocity(env) / 0.1, drawn - [0, 0, GRAVITY], atol=0.02)


# motors and joints ---------------------------------------------------------------------------------------------------


def torques(env: VecEnv, error: float, speed: float = 0.0) -> np.ndarray:
    """Motor torques in the default pose, the targets off by `error` [rad] and the joints turning at `speed` [rad/s]."""
    place(env, joint_velocity=dict.fromkeys((int(env.engine.model.joint(name).dofadr[0]) for name in env.robot.joints), speed))
    hold(env, DT, error)
    return sensor(env, "_torque")


@effect("motor_strength")
def strength_scales_torque_and_its_limit():
    nominal, weak = arm(), arm(motor_strength=exactly(0.5))
    for error in (0.02, 10.0):  # within the limit and beyond it
        np.testing.assert_allclose(torques(weak, error), 0.5 * torques(nominal, error), rtol=1e-5)
    np.testing.assert_allclose(torques(weak, 10.0), 0.5 * np.array(weak.robot.effort_limit), rtol=1e-5)


@effect("kp")
def stiffness_scales_the_torque_of_an_error_but_not_the_limit():
    soft = arm(kp=exactly(0.5))
    np.testing.assert_allclose(torques(soft, 0.02), 0.5 * 0.02 * np.array(panda.KP), rtol=1e-4)
    np.testing.assert_allclose(torques(soft, 10.0), soft.robot.effort_limit, rtol=1e-5)


@effect("kd")
def damping_scales_the_torque_of_a_speed():
    np.testing.assert_allclose(torques(arm(kd=exactly(1.5)), 0.0, 0.1), -1.5 * 0.1 * np.array(panda.KD), rtol=1e-4)


def second_order(time: float, inertia: float, damping: float, stiffness: float) -> float:
    """x(t) of I x'' + d x' + k x = 0 from x(0) = 1 at rest."""
    roots = np.roots([inertia, damping, stiffness]) + np.array([1e-9, -1e-9])
    return float(((roots[1] * np.exp(roots[0] * time) - roots[0] * np.exp(roots[1] * time)) / (roots[1] - roots[0])).real)


@effect("kp", "kd")
def gains_shape_the_step_response():
    for entry, kp, kd in (("kp", 0.5, 1.0), ("kd", 1.0, 2.0)):
        env = arm(**{entry: exactly(0.5 if entry == "kp" else 2.0)})
        place(env)
        step = torch.zeros(7)
        step[0] = -0.05  # the joint that turns about the vertical, so that nothing but its inertia loads it
        hold(env, 0.15, step)
        left = 1 - float(env.engine.qpos[0, 0]) / -0.05
        expected = second_order(0.15, panda.INERTIA[0], kd * panda.KD[0] + 0.1, kp * panda.KP[0])
        assert left == pytest.approx(expected, abs=0.03)


def spin_down(env: VecEnv, seconds: float) -> float:
    """Speed of the arm's first joint, motor off, after starting at 1 rad/s."""
    motor_off(env, 0)
    place(env, joint_velocity={0: 1.0})
    hold(env, seconds)
    return float(env.engine.qvel[0, 0])


@effect("joint_damping")
def damping_slows_a_free_joint_exponentially():
    damping = 50 * 0.1
    assert spin_down(arm(joint_damping=exactly(50.0)), 0.2) == pytest.approx(math.exp(-damping / panda.INERTIA[0] * 0.2), rel=0.02)


@effect("joint_friction")
def dry_friction_slows_a_free_joint_linearly_and_then_holds_it():
    env = arm(joint_friction=exactly(3.0, "add"))
    assert spin_down(env, 0.2) == pytest.approx(1.0 - 3.0 / panda.INERTIA[0] * 0.2, rel=0.05)
    hold(env, 1.0)
    assert abs(float(env.engine.qvel[0, 0])) < 1e-2


@effect("joint_armature")
def armature_adds_inertia_to_the_joint():
    for factor in (1.0, 6.0):
        env = arm(joint_armature=exactly(factor))
        place(env)
        far = torch.zeros(7)
        far[0] = 10.0  # the motor gives its limit
        hold(env, DT, far)
        model = panda.PANDA.scene().compile()
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, 0)
        mujoco.mj_forward(model, data)
        mass_matrix = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, mass_matrix)
        mass_matrix += np.diag((factor - 1.0) * model.dof_armature)
        mass_matrix += DT * np.diag(model.dof_damping + np.array([0.0, *panda.KD[1:]]))  # the integrator is implicit in the speeds
        expected = np.linalg.inv(mass_matrix)[0, 0] * env.robot.effort_limit[0] * DT
        assert float(env.engine.qvel[0, 0]) == pytest.approx(expected, rel=0.005)
    assert factor * panda.ARMATURE > 0.2 * panda.INERTIA[0]  # enough to be told apart from nothing


# sensing, acting, pushing --------------------------------------------------------------------------------------------


@effect("joint_offset")
def encoders_are_off_and_so_is_the_pose():
    env = go1(joint_offset=exactly(0.05, "set"), gravity=exactly(0.0, "set"))
    place(env, height=1.0)
    for _ in range(50):
        env.step(torch.zeros(1, 12))
    true, read = env.joint_position[0], env.sensors().joint_position[0]
    torch.testing.assert_close(read - true, torch.full((12,), 0.05))
    torch.testing.assert_close(true, env.default_pose - 0.05, atol=1e-3, rtol=0)  # the PD brings the reading, not the joint, to its target


@effect("noise")
def noise_has_the_width_of_each_term():
    for task in ("go1-velocity-flat", "panda-reach"):
        env = world(task, noise=0.5, worlds=2000)
        _, privileged = env.observe()
        clean = privileged[:, : env.spec.observation_dim]
        error = env.observe()[0] - clean
        start = 0
        for term in env.spec.terms:
            part = error[:, start : start + term.dim]
            width = 0.5 * term.noise * term.scale
            assert float(part.abs().max()) <= width * (1 + 1e-3) + 1e-6
            assert float(part.std()) == pytest.approx(width / math.sqrt(3), rel=0.05, abs=1e-6)
            start += term.dim
        assert torch.equal(world(task).observe()[0], world(task).observe()[1][:, : env.spec.observation_dim])


def record_substeps(env: VecEnv, measure: Callable[[], float]) -> list[float]:
    """Step the environment's physics one physics step at a time from now on, and note a measurement after each."""
    record: list[float] = []
    step = env.engine.step

    def each_substep(ctrl: torch.Tensor, substeps: int = 1) -> None:
        for control in ctrl.repeat_interleave(substeps, dim=1).split(1, dim=1):
            step(control)
            record.append(measure())

    env.engine.step = each_substep  # type: ignore[method-assign]
    return record


FIRST_JOINT = torch.tensor([[1.0] + [0.0] * 6])


@effect("observation_delay_s")
def readings_are_late_by_the_delay():
    for delay_steps in (0, 1, 2, 3):
        env = arm(observation_delay_s=exactly(delay_steps * DT, "set"))
        record = record_substeps(env, lambda env=env: float(env.joint_position[0, 0]))
        for _ in range(15):
            observation = env.step(0.5 * FIRST_JOINT).policy
        start = env.spec.terms[0].dim  # the command comes first
        read = float(observation[0, start] + env.default_pose[0])
        speed = float(env.joint_velocity[0, 0])
        assert abs(speed) > 0.5
        assert record[-1] - read == pytest.approx(speed * delay_steps * DT, rel=0.1, abs=1e-6)
        assert read == pytest.approx(record[-1 - delay_steps], abs=2e-4)


@effect("action_delay_s")
def motors_answer_late_by_the_delay():
    """The precise engine switches from the old target to the new one at its time."""
    for delay_steps in (0, 1, 2, 4):
        env = arm("precise", action_delay_s=exactly(delay_steps * DT, "set"))
        env.step(0.0 * FIRST_JOINT)
        torque = record_substeps(env, lambda env=env: float(sensor(env, "_torque")[0]))
        for _ in range(2):
            env.step(FIRST_JOINT)
        assert next(k for k, value in enumerate(torque) if value > 1.0) == delay_steps


@effect("action_delay_s")
def a_moving_joint_lags_by_the_delay():
    """All engines: where the target moves at a constant speed, the joint is behind by speed times delay."""
    for engine in ("mujoco", "precise"):
        positions = []
        for delay_s in (0.0, 0.004, 0.01, 0.02):
            env = arm(engine, action_delay_s=exactly(delay_s, "set"))
            place(env)
            env.target[:] = env.default_pose
            for _ in range(25):
                env.step(0.3 * FIRST_JOINT)
            speed = float(env.joint_velocity[0, 0])
            positions.append(float(env.joint_position[0, 0]))
            # to a substep on the precise engine
            expected = 0.005 * round(delay_s / 0.005) if engine == "precise" else delay_s
            assert positions[0] - positions[-1] == pytest.approx(speed * expected, rel=0.03, abs=1e-6)


@effect("push_velocity", "push_interval_s")
def pushes_jolt_the_base_at_the_interval():
    env = go1(push_velocity=exactly(0.4, "add"), push_interval_s=exactly(0.11, "set"))
    jumps = []
    for _ in range(20):
        env.step(torch.zeros(1, 12))
        now_b = rotate_inverse(env.engine.qpos[:, 3:7], env.engine.qvel[:, :3])
        jumps.append((now_b - env.base.velocity_b).norm().item())  # velocity_b is from before the push
    assert [step for step, jump in enumerate(jumps, 1) if jump > 1e-5] == [6, 12, 18]  # 0.11 s ends in the 6th step of 0.02 s
    assert jumps[5] == pytest.approx(0.4 * math.sqrt(2), rel=1e-4)


@effect("external_force", "external_force_interval_s")
def a_held_force_accelerates_by_force_over_mass():
    env = go1(external_force=Range(low=20.0, high=60.0, operation="set"), external_force_interval_s=exactly(0.1, "set"))
    place(env, height=3.0)
    forces, speeds = [], []
    for _ in range(15):
        env.step(torch.zeros(1, 12))
        forces.append(env.disturbances.force[0].clone())
        speeds.append(center_of_mass_velocity(env))
    assert [step for step in range(1, 15) if not torch.equal(forces[step], forces[step - 1])] == [4, 9, 14]  # 0.1 s are 5 steps
    assert torch.all(forces[0] == 0)
    mass = env.engine.model.body_mass.sum()
    np.testing.assert_allclose((speeds[9] - speeds[4]) / 0.1, forces[4] / mass - torch.tensor([0, 0, GRAVITY]), rtol=0.01)
    env._reset_worlds(torch.tensor([0]))
    assert torch.all(env.disturbances.force == 0)


@effect("thrown_mass", "thrown_speed", "throw_interval_s")
def a_thrown_ball_hands_over_its_momentum():
    mass, speed = 0.5, 20.0
    env = go1(thrown_mass=exactly(mass, "set"), thrown_speed=exactly(speed, "set"), throw_interval_s=exactly(0.03, "set"))
    place(env, height=3.0)
    ball = env.engine.model.joint("thrown_object")
    rows = slice(int(ball.dofadr[0]), int(ball.dofadr[0]) + 3)
    robot = env.engine.model.body_mass.sum() - env.engine.model.body("thrown_object").mass[0]
    env.step(torch.zeros(1, 12))
    assert torch.all(env.engine.qvel[0, rows] == 0)  # it waits, weightless
    env.disturbances.aim = 0.0
    env.step(torch.zeros(1, 12))
    assert float((env.engine.qvel[0, rows] - env.engine.qvel[0, :3])[:2].norm()) == pytest.approx(speed, abs=0.01)
    ball_before, robot_before = env.engine.qvel[0, rows].numpy().copy(), center_of_mass_velocity(env)
    env.disturbances.throw_in_s[:] = math.inf
    for _ in range(5):
        env.step(torch.zeros(1, 12))
    given = mass * (ball_before - env.engine.qvel[0, rows].numpy())[:2]
    taken = robot * (center_of_mass_velocity(env) - robot_before)[:2]
    assert np.linalg.norm(given) > 0.5 * mass * speed  # it hit
    np.testing.assert_allclose(taken, given, atol=0.05)


@effect("restitution")
def a_bounce_keeps_its_share_of_the_speed():
    """The robot, its joints stiff by a large inertia, falls on its feet. At this time step a bounce is exact to a tenth."""
    for value in (0.0, 0.2, 0.4):
        env = go1(restitution=exactly(value, "set"))
        ids, armature = torch.tensor([0]), env.engine.field("dof_armature")
        armature[:, 6:] = 100.0
        env.engine.set_field("dof_armature", ids, armature)
        env.engine.set_const(ids)
        place(env, height=0.40)
        speeds = []
        for _ in range(60):
            hold(env, DT)
            speeds.append(float(env.engine.qvel[0, 2]))
        assert max(speeds) / -min(speeds) == pytest.approx(value, abs=0.1)


@effect("link_size")
def longer_links_stand_higher():
    heights = []
    for factor in (0.95, 1.0, 1.05):
        env = go1(link_size=exactly(factor))
        place(env, height=0.30 * factor)
        height = sensor(env, "FR_position")[2]
        heights.append(float(env.engine.qpos[0, 2]) - height)
    drop = heights[1]
    assert heights[0] == pytest.approx(0.95 * drop, rel=1e-4)
    assert heights[2] == pytest.approx(1.05 * drop, rel=1e-4)
    tall = go1(link_size=exactly(1.05))
    place(tall, height=0.30)
    hold(tall, 1.0)
    short = go1(link_size=exactly(0.95))
    place(short, height=0.30)
    hold(short, 1.0)
    assert float(tall.engine.qpos[0, 2]) > float(short.engine.qpos[0, 2]) + 0.015


# the table as a whole ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", list(dict.fromkeys(measure for _, measure in EFFECTS)), ids=lambda measure: measure.__name__)
def test_effect(measure):
    measure()


def test_every_entry_is_measured():
    assert {name for name, _ in EFFECTS} == {*QUANTITIES, "noise"}
