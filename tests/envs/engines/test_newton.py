"""Newton through the worker: its MuJoCo solver against ours, and its PGS solver against physics that any solver must have.

Needs a Python with newton: `ROBOLEARN_NEWTON_PYTHON`, or this one.
"""

import mujoco
import numpy as np
import pytest
import torch

from envs.engines.elsewhere.kinds import there
from envs.engines.elsewhere.process import Worker
from envs.engines.face import Engine, EngineError, sensor_slice
from envs.engines.registry import make_engine
from envs.robots.registry import get_robot

pytestmark = [pytest.mark.slow, pytest.mark.skipif(there("newton") is None, reason="needs newton (ROBOLEARN_NEWTON_PYTHON)")]

N = 2
BOTH = pytest.mark.parametrize("name", ["newton", "newton-steel"])
ALL = torch.arange(N)


def made(name: str, robot: str, height: float = 0.0) -> Engine:
    model = get_robot(robot).scene().compile()
    engine = make_engine(name, model, N)
    qpos = torch.tensor(model.key(0).qpos, dtype=torch.float32).repeat(N, 1)
    if robot != "panda":
        qpos[:, 2] += height
    engine.write_state(ALL, qpos, torch.zeros(N, model.nv))
    return engine


def rest(engine: Engine) -> torch.Tensor:
    return torch.tensor(engine.model.key(0).ctrl, dtype=torch.float32).repeat(N, 1, 1)


def run(engine: Engine, steps: int, spread: float = 0.1) -> torch.Tensor:
    generator, path = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        engine.step(rest(engine) + spread * torch.randn(N, 1, engine.model.nu, generator=generator), 4)
        path.append(engine.qpos.clone())
    return torch.stack(path)


@pytest.mark.parametrize("robot", ["go1", "g1", "panda"])
def test_the_mujoco_solver_moves_in_the_air_as_ours(robot):
    """With targets that ask no motor for more than it has: saturated ones differ between versions of MuJoCo."""
    paths = [run(made(name, robot, 2.0), 10, spread=0.01) for name in ("newton", "mujoco")]
    assert float((paths[0] - paths[1]).abs().max()) < 2e-3
    assert float((paths[0][-1] - paths[0][0]).abs().max()) > 0.002


@pytest.mark.parametrize("robot", ["go1", "g1"])
@BOTH
def test_robots_stand_as_in_mujoco(name, robot):
    """Half a second on the ground: base within 1 cm, joints within 0.05 rad, and the feet carry the weight."""
    engines = [made(one, robot) for one in (name, "mujoco")]
    ours, theirs = (run(engine, 25, spread=0.0)[-1, 0] for engine in engines)
    assert float((ours - theirs)[:3].abs().max()) < 0.01
    assert float((ours - theirs)[3:].abs().max()) < 0.05
    feet = [sensor_slice(engines[0].model, f"{foot}_touch").start for foot in get_robot(robot).feet]
    weight = float(engines[0].model.body_mass.sum()) * 9.81
    assert float(engines[0].sensordata[0, feet].sum()) == pytest.approx(weight, rel=0.15)


@BOTH
def test_sensors_after_a_write_are_mujocos(name):
    engine, ours = made(name, "g1", 1.0), made("mujoco", "g1", 1.0)
    model = engine.model
    qpos, qvel = engine.qpos.clone(), torch.randn(N, model.nv, generator=torch.Generator().manual_seed(1))
    qpos[:, 3:7] = torch.nn.functional.normalize(torch.tensor([[0.9, 0.1, -0.3, 0.2]]), dim=1)
    for one in (engine, ours):
        one.write_state(ALL, qpos, qvel)
    for sensor in range(model.nsensor):
        if model.sensor_type[sensor] not in (int(mujoco.mjtSensor.mjSENS_ACTUATORFRC), int(mujoco.mjtSensor.mjSENS_TOUCH)):
            place = slice(int(model.sensor_adr[sensor]), int(model.sensor_adr[sensor] + model.sensor_dim[sensor]))
            torch.testing.assert_close(engine.sensordata[:, place], ours.sensordata[:, place], atol=2e-5, rtol=1e-5)


@BOTH
def test_fields_and_forces_act_in_their_world_alone(name):
    """In the air: one world's mass is doubled and both are pushed; momentum is force times time, and gravity is each world's own."""
    engine = made(name, "go1", 2.0)
    model = engine.model
    mass = torch.tensor(model.body_mass, dtype=torch.float32).repeat(N, 1)
    inertia = torch.tensor(model.body_inertia, dtype=torch.float32).repeat(N, 1, 1)
    engine.set_field("body_mass", torch.tensor([1]), 2 * mass[:1])
    engine.set_field("body_inertia", torch.tensor([1]), 2 * inertia[:1])
    engine.set_field("opt.gravity", torch.tensor([0]), torch.tensor([[0.0, 0.0, -3.0]]))
    force = torch.zeros(N, model.nbody, 6)
    force[:, model.body("trunk").id, 1] = 30.0
    engine.set_external_force(force)
    engine.step(rest(engine), 20)
    speeds = []  # of the centres of mass, which all masses doubled leave where they are
    for world in range(N):
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = engine.qpos[world], engine.qvel[world]
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        speeds.append(data.subtree_linvel[1].copy())
    total, seconds = float(model.body_mass.sum()), 20 * model.opt.timestep
    np.testing.assert_allclose([speed[1] for speed in speeds], [30 * seconds / total, 15 * seconds / total], rtol=0.02)
    np.testing.assert_allclose([speed[2] for speed in speeds], [-3 * seconds, -9.81 * seconds], rtol=0.02)


@BOTH
def test_a_poisoned_world_fails_alone(name):
    engine, clean = made(name, "go1"), made(name, "go1")
    ctrl = rest(engine)
    ctrl[1, 0, 3] = float("nan")
    engine.step(ctrl, 4)
    clean.step(rest(clean), 4)
    assert engine.failures().tolist() == [False, True]
    assert engine.failure_count == 1
    for mine, theirs in zip(*((e.qpos, e.qvel, e.sensordata) for e in (engine, clean)), strict=True):
        assert torch.isfinite(mine).all()
        assert torch.equal(mine[0], theirs[0])


def test_what_newton_does_not_get_is_named():
    engine = made("newton", "go1")
    with pytest.raises(EngineError, match=r"cannot let 'jnt_range' differ between worlds; valid: body_mass"):
        engine.set_field("jnt_range", ALL, torch.zeros(N, engine.model.njnt, 2))
    with pytest.raises(EngineError, match=r"has no solver 'nonsense'; valid: newton, newton-steel"):
        Worker("newton-nonsense", "newton:nonsense", there("newton") or "")
