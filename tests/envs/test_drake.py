"""The Drake engine against MuJoCo where both must agree, and against formulas where its contact is its own."""

import copy
import math
import re
import sys

import mujoco
import numpy as np
import pytest
import torch

pytest.importorskip("pydrake", reason="needs drake")

from envs.engines.drake.contact import dissipation
from envs.engines.drake.engine import DrakeEngine
from envs.engines.drake.model import PENETRATION, DrakeModel
from envs.engines.drake.world import FIELDS
from envs.engines.face import EngineError, sensor_slice
from envs.engines.registry import make_engine
from envs.robots.registry import get_robot
from envs.terms.randomization import Range
from policies.install import install_command
from robolearn import cli
from tests.pairs import cfg_of, make_env

ROBOTS = ("go1", "g1", "panda")
GRAVITY = 9.81


def robot_model(name: str, timestep: float = 0.001) -> mujoco.MjModel:
    model = get_robot(name).scene().compile()
    model.opt.timestep = timestep
    return model


def random_state(model: mujoco.MjModel, rng: np.random.Generator, height: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A configuration within the joints' ranges, in the air, and a velocity."""
    qpos = model.qpos0.copy()
    for joint in range(model.njnt):
        at = model.jnt_qposadr[joint]
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            quat = rng.normal(size=4)
            qpos[at : at + 7] = *rng.normal(size=2), height, *(quat / np.linalg.norm(quat))
        else:
            qpos[at] = rng.uniform(*model.jnt_range[joint])
    return qpos, rng.normal(size=model.nv)


def single(model: mujoco.MjModel, qpos: np.ndarray, qvel: np.ndarray, worlds: int = 1) -> DrakeEngine:
    engine = DrakeEngine(model, worlds, num_threads=1)
    put(engine, qpos, qvel)
    return engine


def put(engine, qpos, qvel) -> None:
    rows = (torch.tensor(np.array(value), dtype=torch.float32).repeat(engine.num_worlds, 1) for value in (qpos, qvel))
    engine.write_state(torch.arange(engine.num_worlds), *rows)


def run(engine, steps: int, ctrl: np.ndarray | None = None) -> None:
    ctrl = np.zeros(engine.model.nu) if ctrl is None else ctrl
    engine.step(torch.tensor(ctrl, dtype=torch.float32).repeat(engine.num_worlds, 1, 1), steps)


def small(xml: str, timestep: float = 0.001, motors: str = "") -> mujoco.MjModel:
    """A little scene with a floor of friction 1 that moving shapes of priority 1 overrule."""
    floor = '<geom name="floor" type="plane" size="0 0 1" priority="0"/>'
    return mujoco.MjModel.from_xml_string(
        f'<mujoco><option timestep="{timestep}"/><default><geom priority="1"/></default>'
        f"<worldbody>{floor if '<floor/>' in xml else ''}{xml.replace('<floor/>', '')}</worldbody><actuator>{motors}</actuator></mujoco>"
    )


SLIDER = """<floor/><body name="slider" pos="0 0 0.1"><freejoint/>
    <geom name="slider" type="box" size="0.1 0.1 0.1" mass="2" friction="0.5 0.005 0.0001"/></body>"""

# the same dynamics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROBOTS)
def test_mass_matrix_and_gravity_are_mujocos(name):
    model, rng = robot_model(name), np.random.default_rng(0)
    data, drake = mujoco.MjData(model), DrakeModel(model, 0.001)
    context = drake.plant.CreateDefaultContext()
    for _ in range(5):
        qpos, _ = random_state(model, rng)
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        ours = np.zeros(model.nq)
        ours[drake.position] = qpos
        drake.plant.SetPositions(context, ours)
        turn = np.eye(model.nv)  # from MuJoCo's velocities to Drake's
        for at, dof in drake.free:
            R = np.zeros(9)
            mujoco.mju_quat2Mat(R, qpos[at + 3 : at + 7])
            turn[dof + 3 : dof + 6, dof + 3 : dof + 6] = R.reshape(3, 3)
        inertia = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, inertia)
        order = drake.velocity
        np.testing.assert_allclose(
            turn.T @ drake.plant.CalcMassMatrix(context)[np.ix_(order, order)] @ turn, inertia, rtol=1e-8, atol=1e-9 * inertia.max()
        )
        weight = turn.T @ drake.plant.CalcGravityGeneralizedForces(context)[order]
        np.testing.assert_allclose(weight, -data.qfrc_bias, rtol=1e-8, atol=1e-9 * abs(weight).max())


@pytest.mark.parametrize("name", ROBOTS)
def test_states_and_sensors_are_mujocos(name):
    """What was written comes back, and all sensors of a state in the air are those of `mj_forward`, quaternion signs included."""
    model, rng = robot_model(name), np.random.default_rng(1)
    model.opt.gravity[:] = 0  # so that the arm may have any pose
    data, engine = mujoco.MjData(model), DrakeEngine(model, 1)
    for _ in range(5):
        qpos, qvel = (np.array(value, np.float32) for value in random_state(model, rng))
        if name != "panda":
            qpos[3:7] /= np.linalg.norm(qpos[3:7])
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_forward(model, data)
        put(engine, qpos, qvel)
        np.testing.assert_allclose(engine.sensordata[0], data.sensordata, rtol=1e-5, atol=2e-5)
        for value, given in zip(engine._worlds[0].state(), (qpos, qvel), strict=True):
            np.testing.assert_allclose(value, given, atol=1e-6)


@pytest.mark.parametrize("name", ["go1", "g1"])
def test_a_thrown_robot_flies_as_in_mujoco(name):
    """Half a second in the air, tumbling, joints held: where the centre of mass goes is gravity's alone, to 0.1 mm beside the step's
    own error g t dt / 2, which both have.
    """
    model, rng = robot_model(name), np.random.default_rng(2)
    qpos, qvel = model.key(0).qpos.copy(), 0.5 * rng.normal(size=model.nv)
    qpos[2] = 3.0
    ends = []
    for kind in ("precise", "drake"):
        engine = make_engine(kind, model, 1)
        put(engine, qpos, qvel)
        run(engine, 500, model.key(0).ctrl)
        data = mujoco.MjData(model)
        data.qpos[:] = engine.qpos[0]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        ends.append(data.subtree_com[1].copy())
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-4)


@pytest.mark.parametrize("name", ROBOTS)
def test_motion_in_the_air_is_mujocos(name):
    """Random targets of 0.1 rad for 0.3 s: joints within 5 mrad at 1 ms, and the difference is the step's, it shrinks with it."""
    apart = []
    for timestep in (0.001, 0.00025):
        model, paths = robot_model(name, timestep), []
        for kind in ("precise", "drake"):
            engine, generator = make_engine(kind, model, 1), torch.Generator().manual_seed(0)
            qpos = model.key(0).qpos.copy()
            qpos[2] += 3.0 * (name != "panda")
            put(engine, qpos, np.zeros(model.nv))
            default = torch.tensor(model.key(0).ctrl, dtype=torch.float32)
            for _ in range(6):
                engine.step(default + 0.1 * torch.randn(1, 1, model.nu, generator=generator), round(0.05 / timestep))
                paths.append(engine.qpos[0, -len(default) :].clone())
        apart.append(float((torch.stack(paths[:6]) - torch.stack(paths[6:])).abs().max()))
    assert apart[0] < 0.005
    assert apart[1] < 0.5 * apart[0]


# contact -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["go1", "g1"])
def test_feet_carry_the_weight(name):
    """The feet's force less the weight is what the robot's momentum changes by, in every step; each contact yields by about 1 mm."""
    model, feet = robot_model(name), get_robot(name).feet
    engine = single(model, model.key(0).qpos, np.zeros(model.nv))
    run(engine, 250, model.key(0).ctrl)
    data, weight, momenta = mujoco.MjData(model), model.body_mass.sum() * GRAVITY, []
    for _ in range(2):
        data.qpos[:], data.qvel[:] = engine._worlds[0].state()
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        momenta.append(data.subtree_linvel[1, 2] * model.body_mass.sum())
        run(engine, 1, model.key(0).ctrl)
    force = engine.sensordata[0, [sensor_slice(model, f"{foot}_touch").start for foot in feet]]
    assert float(force.sum()) == pytest.approx(weight, rel=0.15)
    data.qpos[:], data.qvel[:] = engine._worlds[0].state()
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    gained = data.subtree_linvel[1, 2] * model.body_mass.sum() - momenta[1]
    assert float(force.sum()) == pytest.approx(weight + gained / 0.001, rel=2e-3)
    points = engine._worlds[0]._drake.plant.get_contact_results_output_port().Eval(engine._worlds[0]._context)
    depths = [points.point_pair_contact_info(i).point_pair().depth for i in range(points.num_point_pair_contacts())]
    assert len(depths) == {"go1": 4, "g1": 8}[name]
    assert 0 < min(depths) <= max(depths) < PENETRATION


def test_a_sole_stands_on_both_its_ends():
    """A capsule that lies on the floor touches it at both ends, as in MuJoCo, and does not rock."""
    model = small('<floor/><body pos="0 0 0.0499"><freejoint/><geom type="capsule" size="0.05 0.2" euler="0 90 0" mass="2"/></body>')
    engine = single(model, model.qpos0, np.zeros(6))
    run(engine, 300)
    assert float(engine.qpos[0, 3]) == pytest.approx(1.0, abs=1e-6)
    plant = engine._worlds[0]._drake.plant
    assert plant.get_contact_results_output_port().Eval(engine._worlds[0]._context).num_point_pair_contacts() == 2


def test_friction_is_that_of_each_world():
    """A box that slides at 2 m/s for half a second is slowed by mu g: MuJoCo's rule (the prior surface), not Drake's harmonic mean."""
    model, friction = small(SLIDER), (0.2, 0.5, 0.8)
    engine = DrakeEngine(model, 3)
    values = torch.tensor(model.geom_friction, dtype=torch.float32).repeat(3, 1, 1)
    values[:, 1, 0] = torch.tensor(friction)
    engine.set_field("geom_friction", torch.arange(3), values)
    put(engine, [0, 0, 0.0998, 1, 0, 0, 0], [3, 0, 0, 0, 0, 0])
    run(engine, 50)
    before = engine.qvel[:, 0].clone()
    run(engine, 200)
    np.testing.assert_allclose((before - engine.qvel[:, 0]) / 0.2, np.array(friction) * GRAVITY, rtol=0.02)


@pytest.mark.parametrize("angle", [10.0, 25.0, 35.0])
def test_boxes_of_the_world_are_slopes(angle):
    """On a slope a box of friction 0.5 sticks up to 26.6 degrees and slides off with g (sin - mu cos) beyond."""
    box = f'<geom type="box" size="5 1 0.1" pos="0 0 -0.1" priority="0" euler="0 {angle} 0"/>'
    model = small(box + SLIDER.replace("<floor/>", ""))
    turn, tilt = np.array([math.cos(math.radians(angle / 2)), 0, math.sin(math.radians(angle / 2)), 0]), math.radians(angle)
    lift = 0.0999 + 0.1 - 0.1  # along the normal from the box's upper face
    normal = np.array([math.sin(tilt), 0, math.cos(tilt)])
    place = np.array([0, 0, -0.1]) + (0.1 + lift) * normal
    engine = single(model, [*place, *turn], np.zeros(6))
    run(engine, 400)
    speed = float(engine.qvel[0, :3].norm())
    resistance = min(math.sin(tilt), 0.5 * math.cos(tilt))
    assert speed / 0.4 == pytest.approx(GRAVITY * (math.sin(tilt) - resistance), abs=0.02 * GRAVITY * resistance)


def test_pairs_of_moving_shapes_touch_as_mujoco_says():
    """Balls on rails at 1 m/s: listed pairs and matching bits collide and exchange momentum, others pass through each other."""
    ball = """<body name="{0}" pos="{1} {2} 1"><joint name="{0}" type="slide" axis="1 0 0"/>
        <geom name="{0}" size="0.1" mass="1" condim="1" contype="{3}" conaffinity="{4}"/></body>"""
    bodies = [ball.format(f"{kind}{i}", x, y, *bits) for i, x in ((0, 0), (1, 0.5)) for kind, y, bits in
              (("listed", 0, (0, 0)), ("matching", 1, (1, 1)), ("strange", 2, (2, 1)))]  # fmt: skip
    xml = f'<mujoco><option timestep="0.001" gravity="0 0 0"/><worldbody>{"".join(bodies)}</worldbody><contact>'
    model = mujoco.MjModel.from_xml_string(xml + '<pair geom1="listed0" geom2="listed1" condim="1"/></contact></mujoco>')
    engine = single(model, model.qpos0, [1, 1, 1, 0, 0, 0])
    run(engine, 800)
    speed = {model.joint(j).name: float(engine.qvel[0, j]) for j in range(model.njnt)}
    for kind in ("listed", "matching"):
        assert speed[f"{kind}0"] + speed[f"{kind}1"] == pytest.approx(1.0, abs=1e-3)
        assert speed[f"{kind}1"] > 0.45
    assert (speed["strange0"], speed["strange1"]) == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize("restitution", [0.0, 0.2, 0.4])
def test_restitution(restitution):
    """A ball that meets the floor with 1 m/s gives back its share, without gravity's help; what does not bounce keeps a twentieth."""
    logarithm = -math.log(max(restitution, 1e-6))
    ratio = logarithm / math.hypot(math.pi, logarithm)
    model = small('<floor/><body pos="0 0 1"><freejoint/><geom size="0.1" mass="2"/></body>')
    model.opt.gravity[:] = 0
    engine = DrakeEngine(model, 1)
    solref = torch.tensor(model.geom_solref, dtype=torch.float32)
    solref[1, 1] = ratio
    engine.set_field("geom_solref", torch.tensor([0]), solref[None])
    put(engine, [0, 0, 0.1001, 1, 0, 0, 0], [0, 0, -1, 0, 0, 0])
    fastest = 0.0
    for _ in range(60):
        run(engine, 5)
        fastest = max(fastest, float(engine.qvel[0, 2]))
    assert fastest == pytest.approx(restitution, abs=0.02 if restitution else 0.06)
    assert dissipation(0.0) > dissipation(0.2) > dissipation(0.4) > 0


# fields --------------------------------------------------------------------------------------------------------------


def hinge(changes: dict[str, float], speed: float, steps: int) -> float:
    """Speed of a free hinge of inertia 0.1 + 0.05 (armature) after some milliseconds, with per-world fields set."""
    model = small("""<body><joint name="a" type="hinge" axis="0 0 1" armature="0.05"/>
        <geom size="0.1" mass="1" contype="0" conaffinity="0"/><inertial pos="0 0 0" mass="1" diaginertia="0.1 0.1 0.1"/></body>""")
    engine = single(model, [0.0], [speed])
    for name, value in changes.items():
        engine.set_field(name, torch.tensor([0]), torch.full((1, *getattr(model, name).shape), value))
    run(engine, steps)
    return float(engine.qvel[0, 0])


def test_joints_are_damped_and_rubbed():
    assert hinge({}, 2.0, 500) == pytest.approx(2.0)
    assert hinge({"dof_damping": 0.3}, 2.0, 500) == pytest.approx(2.0 * math.exp(-0.3 * 0.5 / 0.15), rel=2e-3)
    assert hinge({"dof_damping": 0.3, "dof_armature": 0.2}, 2.0, 500) == pytest.approx(2.0 * math.exp(-0.3 * 0.5 / 0.3), rel=2e-3)
    assert hinge({"dof_frictionloss": 0.3}, 2.0, 500) == pytest.approx(2.0 - 0.3 * 0.5 / 0.15, rel=2e-3)
    assert hinge({"dof_frictionloss": 0.3}, 0.5, 500) == pytest.approx(0.0, abs=1e-5)


def test_joint_limits_hold():
    model = small("""<body><joint name="a" type="hinge" axis="0 0 1" range="-30 30" limited="true"/>
        <geom size="0.1" mass="1" contype="0" conaffinity="0"/></body>""")
    engine = single(model, [0.0], [5.0])
    run(engine, 500)
    assert float(engine.qpos[0, 0]) <= math.radians(30) + 1e-3
    assert abs(float(engine.qvel[0, 0])) < 5.0


def test_the_motor_law_and_its_fields():
    """force = gain ctrl + bias0 + bias1 q + bias2 v, clamped, at the state of the last step's start; each world has its own."""
    model = robot_model("go1")
    engine, qpos = DrakeEngine(model, 2), model.key(0).qpos.copy()
    qpos[2] = 3.0
    changed = {"actuator_gainprm": 1.2, "actuator_biasprm": 0.7, "actuator_forcerange": 0.3}
    for name, factor in changed.items():
        engine.set_field(name, torch.tensor([1]), factor * torch.tensor(getattr(model, name), dtype=torch.float32)[None])
    put(engine, qpos, np.full(model.nv, 0.1))
    ctrl = model.key(0).ctrl + np.linspace(-0.6, 0.6, model.nu)
    torque = [sensor_slice(model, f"{name}_torque").start for name in get_robot("go1").joints]
    for _ in range(3):
        q, v = engine.qpos[:, 7:].numpy().astype(float), engine.qvel[:, 6:].numpy().astype(float)
        run(engine, 1, ctrl)
        for world, (gain, bias, limit) in enumerate(((1, 1, 1), (1.2, 0.7, 0.3))):
            force = gain * model.actuator_gainprm[:, 0] * ctrl
            force += bias * (model.actuator_biasprm[:, 1] * q[world] + model.actuator_biasprm[:, 2] * v[world])
            expected = np.clip(force, *limit * model.actuator_forcerange.T)
            np.testing.assert_allclose(engine.sensordata[world, torque], expected, rtol=1e-4, atol=1e-3)
    assert not torch.equal(engine.qpos[0], engine.qpos[1])


def test_a_motor_that_is_strong_for_its_joint_moves_it_as_in_mujoco():
    """A foot without rotor: damping held over a millisecond would be five times what stops it."""
    motor = '<position joint="a" kp="28" kv="1.8" forcerange="-{limit} {limit}"/>'
    body = '<body><joint name="a" type="hinge" axis="0 0 1"/><geom size="0.04" mass="0.5" contype="0" conaffinity="0"/></body>'
    for limit in (50.0, 0.05):  # the second is at its limit for most of the way
        model = small(body, motors=motor.format(limit=limit))
        engine, qpos = single(model, [0.0], [0.0]), []
        model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        data = mujoco.MjData(model)
        data.ctrl[:] = 0.5
        for _ in range(10):
            run(engine, 10, np.array([0.5]))
            mujoco.mj_step(model, data, 10)
            qpos.append((float(engine.qpos[0, 0]), float(data.qpos[0])))
        ours, theirs = np.array(qpos).T
        np.testing.assert_allclose(ours, theirs, atol=0.01)
        assert ours[-1] > 0.1
    engine.set_field("actuator_biasprm", torch.tensor([0]), torch.zeros(1, model.nu, 10))  # the joint loses its damping too
    put(engine, [0.0], [1.0])
    run(engine, 10, np.zeros(1))
    assert float(engine.qvel[0, 0]) == pytest.approx(1.0, abs=1e-6)


def test_gravity_compensation_and_payload_of_the_arm():
    """The arm rests without control where its weight is compensated; uncompensated it falls as MuJoCo's does."""
    model = robot_model("panda")
    model.actuator_gainprm[:] = 0
    model.actuator_biasprm[:] = 0
    engine = DrakeEngine(model, 2)
    engine.set_field("body_gravcomp", torch.tensor([1]), torch.zeros(1, model.nbody))
    put(engine, model.key(0).qpos, np.zeros(model.nv))
    run(engine, 100)
    np.testing.assert_allclose(engine.qpos[0], model.key(0).qpos, atol=1e-6)
    falls, data = copy.copy(model), None
    falls.body_gravcomp[:] = 0
    data = mujoco.MjData(falls)
    data.qpos[:] = model.key(0).qpos
    mujoco.mj_step(falls, data, 100)
    assert np.abs(data.qpos - model.key(0).qpos).max() > 0.01
    np.testing.assert_allclose(engine.qpos[1], data.qpos, atol=5e-4)


def test_shapes_may_differ_in_size():
    """A world whose geometry differs gets its own plant, in which its state goes on where it was."""
    model = small(SLIDER)
    engine = single(model, [0, 0, 0.0998, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], worlds=2)
    run(engine, 50)
    before = engine.qpos.clone(), engine.qvel.clone()
    engine.set_field("geom_size", torch.tensor([1]), torch.tensor([[[0.0, 0, 1], [0.1, 0.1, 0.05]]]))
    state = engine.state_dict()["state"]
    assert torch.equal(state[0], state[1])
    assert torch.equal(engine.qpos, before[0])
    run(engine, 1)
    assert float(engine.qvel[1, 0]) == pytest.approx(float(before[1][1, 0]), abs=1e-3)
    run(engine, 500)
    np.testing.assert_allclose(engine.qpos[:, 2], [0.1, 0.05], atol=PENETRATION)


def test_a_task_with_everything_randomized_runs():
    table = cfg_of("go1-velocity-flat").randomization
    changes = {
        "restitution": Range(low=0.0, high=0.3, operation="set"),
        "link_size": Range(low=0.95, high=1.05),
        "joint_friction": Range(low=0.0, high=0.2, operation="add"),
        "external_force": Range(low=-20.0, high=20.0, operation="set"),
        "external_force_interval_s": Range(low=0.1, high=0.2, operation="set"),
        "thrown_mass": Range(low=0.5, high=1.0, operation="set"),
        "thrown_speed": Range(low=5.0, high=10.0, operation="set"),
        "throw_interval_s": Range(low=0.05, high=0.1, operation="set"),
    }
    table = type(table)(**{name: getattr(table, name) for name in table.__dataclass_fields__} | changes)
    env = make_env("go1-velocity-flat", None, num_worlds=2, engine="drake", randomization=table)
    env.reset()
    ball = env.engine.model.joint("thrown_object").dofadr[0]
    speeds = []
    for _ in range(15):
        env.step(torch.zeros(2, 12))
        speeds.append(env.engine.qvel[:, ball : ball + 3].clone())
    assert torch.isfinite(env.engine.qpos).all()
    assert env.engine.failure_count == 0
    assert float(torch.stack(speeds).norm(dim=-1).max()) > 3.0  # thrown


# refusals ------------------------------------------------------------------------------------------------------------

MOVING = '<body pos="0 0 1"><freejoint/><geom size="0.1" mass="1" {}/></body>'


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<floor/>" + MOVING.format('condim="6"'), "no torsional or rolling friction"),
        ("<floor/>" + MOVING.format('margin="0.01"'), "no contact margin"),
        ("<floor/>" + MOVING.format('solref="-1000 -10"'), "takes solref as time constant"),
        ('<body><joint type="ball"/><geom size="0.1" mass="1"/></body>', "cannot represent ball joints"),
        ('<body><joint type="hinge" stiffness="1"/><geom size="0.1" mass="1"/></body>', "cannot represent joint springs"),
        (
            '<body><joint type="hinge"/><joint type="slide"/><geom size="0.1" mass="1"/></body>',
            "cannot represent bodies with several joints",
        ),
        (
            '<geom type="plane" size="0 0 1" friction="0.4"/><geom type="box" size="1 1 1" friction="0.9"/>'
            + MOVING.format('priority="0" friction="0.1"'),
            "needs one friction and restitution for everything that",
        ),
    ],
)
def test_what_drake_cannot_carry_is_refused(xml, message):
    with pytest.raises(EngineError, match=f"engine 'drake' .*{message}"):
        DrakeEngine(small(xml), 1)


def test_height_fields_and_unknown_sensors_are_refused():
    head = '<mujoco><asset><hfield name="h" nrow="2" ncol="2" size="1 1 1 1"/></asset><worldbody>'
    field = mujoco.MjModel.from_xml_string(f'{head}<geom type="hfield" hfield="h"/>{MOVING.format("")}</worldbody></mujoco>')
    with pytest.raises(EngineError, match=r"no shape for geom 0, a mjGEOM_HFIELD; valid: plane, sphere"):
        DrakeEngine(field, 1)
    sensor = '<sensor><accelerometer name="a" site="s"/></sensor>'
    body = '<worldbody><body><freejoint/><site name="s"/><geom size="0.1" mass="1"/></body></worldbody>'
    with pytest.raises(EngineError, match=r"cannot read sensor 'a'; valid, without reference frame and cutoff: framepos, framequat"):
        DrakeEngine(mujoco.MjModel.from_xml_string(f"<mujoco>{body}{sensor}</mujoco>"), 1)


def test_fields_that_cannot_differ_are_refused():
    engine = DrakeEngine(robot_model("go1"), 1)
    first = torch.tensor([0])
    with pytest.raises(EngineError, match=r"cannot let 'geom_solimp' differ between worlds; valid: actuator_biasprm"):
        engine.set_field("geom_solimp", first, torch.tensor(engine.model.geom_solimp, dtype=torch.float32)[None])
    engine.set_field("geom_solref", first, 2 * torch.tensor(engine.model.geom_solref, dtype=torch.float32)[None])
    with pytest.raises(EngineError, match=r"time constant geom_solref\[:, 0\] cannot differ"):
        run(engine, 1)
    engine = DrakeEngine(robot_model("go1"), 1)
    engine.set_field("body_inertia", first, torch.tensor([1e-3, 1e-3, 1.0]).repeat(1, engine.model.nbody, 1))
    with pytest.raises(EngineError, match=r"refuses the inertia of body 'trunk'"):
        run(engine, 1)
    assert {"body_mass", "geom_friction", "opt.gravity", "actuator_gainprm", "dof_armature", "body_gravcomp"} <= set(FIELDS)


def test_a_missing_drake_is_one_line(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith(("pydrake", "envs.engines.drake"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydrake", None)
    message = f"engine 'drake' needs the package drake, which is not installed; run: {install_command('drake')}"
    with pytest.raises(EngineError, match=re.escape(message)):
        make_engine("drake", robot_model("go1"), 1)
    assert cli.main(["evaluate", "go1-velocity-flat", "--engine", "drake"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"robolearn: error: {message}"]
