"""Every physics engine keeps the same promises; two are held against plain loops of `mj_step`, and the engines against one another."""

import copy
import importlib.util
import logging
import sys
from collections.abc import Callable

import mujoco
import numpy as np
import pytest
import torch

from envs.engines.face import Engine, EngineError, sensor_slice
from envs.engines.precise import PreciseEngine, fine_timestep, make_precise
from envs.engines.registry import ENGINES, make_engine
from envs.robots.registry import ROBOTS, get_robot

HAS_WARP = importlib.util.find_spec("mujoco_warp") is not None
WARP = pytest.param("warp", marks=[pytest.mark.slow, pytest.mark.skipif(not HAS_WARP, reason="needs mujoco-warp")])


def needs_warp(test):
    return pytest.mark.slow(pytest.mark.skipif(not HAS_WARP, reason="needs mujoco-warp")(test))


DRAKE = pytest.param("drake", marks=pytest.mark.skipif(importlib.util.find_spec("pydrake") is None, reason="needs drake"))
ELSEWHERE = [pytest.param(f"{name}@{sys.executable}", id=f"{name} elsewhere") for name in ("mujoco", "precise")]
EACH = pytest.mark.parametrize("name", ["mujoco", "precise", WARP, DRAKE, *ELSEWHERE])
N, D = 4, 4
DT = 0.005  # s
ALL = torch.arange(N)


def scene(robot: str = "go1") -> mujoco.MjModel:
    model = get_robot(robot).scene().compile()
    model.opt.timestep = DT
    return model


def pose(model: mujoco.MjModel, worlds: int = N) -> tuple[torch.Tensor, torch.Tensor]:
    """The default pose at rest: qpos (N, nq), qvel (N, nv)."""
    return torch.tensor(model.key(0).qpos, dtype=torch.float32).repeat(worlds, 1), torch.zeros(worlds, model.nv)


def make(name: str, robot: str = "go1", **changes) -> Engine:
    if "@" in name and (scene(robot).neq or scene(robot).ntendon):
        pytest.skip("engines in another Python get no equality constraints and tendons, and say so")
    if name == "drake" and scene(robot).neq:
        pytest.skip("Drake gets no equality constraints, and says so (test_drake.py)")
    engine = make_engine(name, scene(robot), N, num_threads=1, **changes)
    engine.write_state(ALL, *pose(engine.model))
    return engine


def controls(model: mujoco.MjModel, steps: int, spread: float = 0.1, seed: int = 0) -> torch.Tensor:
    """Joint targets around the default pose, (steps, N, D, nu)."""
    generator = torch.Generator().manual_seed(seed)
    default = torch.tensor(model.key(0).ctrl, dtype=torch.float32)
    return default + spread * torch.randn(steps, N, D, model.nu, generator=generator)


def run(engine: Engine, steps: int, **kwargs) -> torch.Tensor:
    """qpos after each of some control steps, (steps, N, nq)."""
    path = []
    for ctrl in controls(engine.model, steps, **kwargs):
        engine.step(ctrl)
        path.append(engine.qpos.clone())
    return torch.stack(path)


def randomized(model: mujoco.MjModel) -> dict[str, torch.Tensor]:
    """What domain randomization varies, (N, ...) each."""
    generator = torch.Generator().manual_seed(7)

    def around(name: str, spread: float) -> torch.Tensor:
        nominal = torch.tensor(getattr(model, name), dtype=torch.float32)
        return nominal * (1 + spread * (2 * torch.rand(N, *nominal.shape, generator=generator) - 1))

    mass = 0.8 + 0.4 * torch.rand(N, model.nbody, generator=generator)
    center = torch.tensor(model.body_ipos, dtype=torch.float32).repeat(N, 1, 1)
    center[:, 1] += 0.02 * torch.randn(N, 3, generator=generator)
    return {
        "body_mass": torch.tensor(model.body_mass, dtype=torch.float32) * mass,
        "body_inertia": torch.tensor(model.body_inertia, dtype=torch.float32) * mass[..., None],
        "body_ipos": center,
        "geom_friction": around("geom_friction", 0.5),
        "actuator_gainprm": around("actuator_gainprm", 0.1),
        "actuator_forcerange": around("actuator_forcerange", 0.1),
        "dof_damping": around("dof_damping", 0.5),
        "dof_armature": around("dof_armature", 0.1),
        "opt.gravity": torch.tensor(model.opt.gravity, dtype=torch.float32) + 0.3 * torch.randn(N, 3, generator=generator),
    }


def randomize(engine: Engine) -> None:
    for name, values in randomized(engine.model).items():
        engine.set_field(name, ALL, values)
    engine.set_const(ALL)


def momentum(model: mujoco.MjModel, qpos: torch.Tensor, qvel: torch.Tensor, mass: float | None = None) -> np.ndarray:
    """Linear momentum of the robot [kg m/s], (3,)."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = qpos, qvel
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    return data.subtree_linvel[1] * (model.body_mass.sum() if mass is None else mass)


# the face ------------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("robot", ROBOTS)
def test_attributes_and_persistent_tensors(name, robot):
    engine = make(name, robot)
    model = engine.model
    assert (engine.name, engine.num_worlds, engine.device, engine.failure_count) == (name, N, torch.device("cpu"), 0)
    tensors = (engine.qpos, engine.qvel, engine.sensordata)
    assert [tuple(t.shape) for t in tensors] == [(N, model.nq), (N, model.nv), (N, model.nsensordata)]
    assert all(t.dtype == torch.float32 for t in tensors)
    addresses = [t.data_ptr() for t in tensors]
    before = engine.qpos.clone()
    run(engine, 2)
    engine.set_velocity(ALL[:2], torch.ones(2, model.nv))
    engine.write_state(ALL[:2], *(value[:2] for value in pose(model)))
    engine.load_state_dict(engine.state_dict())
    assert [t.data_ptr() for t in (engine.qpos, engine.qvel, engine.sensordata)] == addresses
    assert not torch.equal(engine.qpos[2:], before[2:])
    failures = engine.failures()
    assert (failures.shape, failures.dtype) == ((N,), torch.bool)
    assert not failures.any()


@EACH
def test_control_k_acts_in_substep_k(name):
    together, apart = make(name), make(name)
    ctrl = controls(together.model, 1)[0]
    together.step(ctrl)
    for k in range(D):
        apart.step(ctrl[:, k : k + 1])
    assert torch.equal(together.qpos, apart.qpos)
    assert torch.equal(together.sensordata, apart.sensordata)
    assert not torch.equal(together.qpos[0], together.qpos[1])


@EACH
def test_sensors_belong_to_the_start_of_the_last_substep(name):
    engine = make(name)
    run(engine, 3)
    imu = sensor_slice(engine.model, "imu_quat")
    before = engine.qpos[:, 3:7].clone()
    engine.step(controls(engine.model, 1)[0][:, :1])
    lag = (engine.sensordata[:, imu] - before).abs().max()
    assert float(lag) < 1e-6 if not engine.switches_controls else float(lag) < float((engine.qpos[:, 3:7] - before).abs().max()) + 1e-6


@EACH
def test_write_state_is_current_and_leaves_the_others_alone(name):
    written, untouched = make(name), make(name)
    run(written, 5), run(untouched, 5)
    model, ids, others = written.model, torch.tensor([1, 3]), torch.tensor([0, 2])
    qpos, qvel = (value[:2] for value in pose(model))
    qpos[:, 2], qvel[:, 0] = 0.5, torch.tensor([0.1, 0.2])
    written.write_state(ids, qpos, qvel)
    for ours, theirs in zip(*([e.qpos, e.qvel, e.sensordata] for e in (written, untouched)), strict=True):
        assert torch.equal(ours[others], theirs[others])
    assert torch.equal(written.qpos[ids], qpos)
    assert torch.equal(written.qvel[ids], qvel)
    torch.testing.assert_close(written.sensordata[ids][:, sensor_slice(model, "imu_quat")], qpos[:, 3:7])
    foot = written.sensordata[ids][:, sensor_slice(model, "FR_position")]
    assert (foot[:, 2] > 0.2).all()
    assert torch.equal(run(written, 5)[:, others], run(untouched, 5)[:, others])


@EACH
def test_a_written_world_forgets_its_past(name):
    used, fresh = make(name), make(name)
    run(used, 5, spread=0.5)
    used.write_state(ALL, *pose(used.model))
    assert torch.equal(run(used, 5), run(fresh, 5))


@EACH
def test_set_velocity_kicks(name):
    engine, still = make(name), make(name)
    run(engine, 5), run(still, 5)
    kick = engine.qvel[[2]].clone()
    kick[0, 0] += 1.0
    engine.set_velocity(torch.tensor([2]), kick)
    assert torch.equal(engine.qvel[[2]], kick)
    assert torch.equal(engine.qpos, still.qpos)
    ours, theirs = run(engine, 1)[0], run(still, 1)[0]
    assert float(ours[2, 0] - theirs[2, 0]) == pytest.approx(1.0 * D * DT, rel=0.2)
    assert torch.equal(ours[[0, 1, 3]], theirs[[0, 1, 3]])


@EACH
def test_external_force_accelerates_by_force_over_mass(name):
    engine = make(name)
    model = engine.model
    qpos, qvel = pose(model)
    qpos[:, 2] = 3.0
    force = torch.zeros(N, model.nbody, 6)
    force[1, model.body("trunk").id, 0] = 60.0
    engine.set_external_force(force)
    engine.write_state(ALL, qpos, qvel)  # a force is held until changed, whatever else happens
    run(engine, 5, spread=0.0)
    pushed = momentum(model, engine.qpos[1], engine.qvel[1])
    np.testing.assert_allclose(pushed[:2], [60.0 * 5 * D * DT, 0.0], rtol=0.005, atol=0.05)
    np.testing.assert_allclose(momentum(model, engine.qpos[0], engine.qvel[0])[:2], 0.0, atol=0.05)
    engine.set_external_force(None)
    run(engine, 5, spread=0.0)
    np.testing.assert_allclose(momentum(model, engine.qpos[1], engine.qvel[1])[:2], pushed[:2], rtol=0.005, atol=0.05)


@EACH
def test_fields_act_in_their_world_only(name):
    engine, nominal = make(name), make(name)
    model = engine.model
    qpos, qvel = pose(model)
    qpos[:, 2] = 3.0
    engine.set_field("opt.gravity", torch.tensor([1]), torch.tensor([[1.0, 0.0, -3.0]]))
    engine.set_field("body_mass", torch.tensor([2]), 2 * torch.tensor(model.body_mass, dtype=torch.float32)[None])
    engine.set_const(torch.tensor([2]))
    torch.testing.assert_close(engine.field("opt.gravity"), torch.tensor([[0, 0, -9.81], [1, 0, -3], [0, 0, -9.81], [0, 0, -9.81]]))
    assert torch.equal(engine.field("body_mass")[[0, 1, 3]], nominal.field("body_mass")[[0, 1, 3]])
    lighter = engine.field("body_invweight0")
    torch.testing.assert_close(lighter[[0, 1, 3]], nominal.field("body_invweight0")[[0, 1, 3]])
    assert float(lighter[2, 1, 0]) == pytest.approx(0.5 * float(lighter[0, 1, 0]), rel=0.05)
    force = torch.zeros(N, model.nbody, 6)
    force[:, model.body("trunk").id, 1] = 30.0
    for one in (engine, nominal):
        one.set_external_force(force)
        one.write_state(ALL, qpos, qvel)
        run(one, 5, spread=0.0)
    falling = momentum(model, engine.qpos[1], engine.qvel[1], mass=1.0)
    np.testing.assert_allclose(falling[[0, 2]], np.array([1.0, -3.0]) * 5 * D * DT, atol=0.005)
    heavy, light = (momentum(model, engine.qpos[world], engine.qvel[world], mass=1.0)[1] for world in (2, 0))
    assert heavy / light == pytest.approx(0.5, rel=0.02)
    assert torch.equal(engine.qpos[[0, 3]], nominal.qpos[[0, 3]])


@EACH
def test_state_dict_continues_to_the_bit(name):
    engine = make(name)
    randomize(engine)
    run(engine, 5)
    state = copy.deepcopy(engine.state_dict())
    ahead = run(engine, 10, seed=1)
    other = make(name)
    run(other, 3, seed=5)
    other.load_state_dict(state)
    assert torch.equal(run(other, 10, seed=1), ahead)
    assert torch.equal(other.sensordata, engine.sensordata)
    engine.load_state_dict(state)
    assert torch.equal(run(engine, 10, seed=1), ahead)


# failure -------------------------------------------------------------------------------------------------------------


def nan_position(engine: Engine, ctrl: torch.Tensor) -> None:
    qpos, qvel = engine.qpos[[1]].clone(), engine.qvel[[1]].clone()
    qpos[0, 9] = float("nan")
    engine.write_state(torch.tensor([1]), qpos, qvel)


def nan_velocity(engine: Engine, ctrl: torch.Tensor) -> None:
    qvel = engine.qvel[[1]].clone()
    qvel[0, 9] = float("nan")
    engine.set_velocity(torch.tensor([1]), qvel)


def nan_control(engine: Engine, ctrl: torch.Tensor) -> None:
    ctrl[1, 2, 3] = float("nan")


def huge_velocity(engine: Engine, ctrl: torch.Tensor) -> None:
    qvel = engine.qvel[[1]].clone()
    qvel[0, 3] = 1e12
    engine.set_velocity(torch.tensor([1]), qvel)


@EACH
@pytest.mark.parametrize("poison", [nan_position, nan_velocity, nan_control, huge_velocity], ids=lambda p: p.__name__)
def test_a_poisoned_world_fails_alone(name, poison: Callable[[Engine, torch.Tensor], None], caplog):
    engine, clean = make(name), make(name)
    run(engine, 3), run(clean, 3)
    first, *rest = controls(engine.model, 5, seed=1)
    for one in (engine, clean):
        ctrl = first.clone()
        if one is engine:
            poison(engine, ctrl)
        with caplog.at_level(logging.WARNING):
            one.step(ctrl)
    assert engine.failures().tolist() == [False, True, False, False]
    assert engine.failure_count == 1
    assert "physics failed in 1 of 4 worlds (first: 1)" in caplog.text
    others = torch.tensor([0, 2, 3])
    for ctrl in rest:
        for mine, theirs in zip(*((e.qpos, e.qvel, e.sensordata) for e in (engine, clean)), strict=True):
            assert torch.isfinite(mine).all()
            assert torch.equal(mine[others], theirs[others])
        engine.step(ctrl), clean.step(ctrl)
    assert engine.failure_count == 1  # counted once, until it is written and fails again
    assert engine.failures().tolist() == [False, True, False, False]
    engine.write_state(torch.tensor([1]), *(value[:1] for value in pose(engine.model)))
    assert not engine.failures().any()
    fresh = make(name)
    assert torch.equal(run(engine, 3)[:, 1], run(fresh, 3)[:, 1])
    assert not engine.failures().any()
    poison(engine, first)
    engine.step(first)
    assert engine.failure_count == 2


def test_unknown_engines_and_devices_are_named():
    assert tuple(ENGINES)[:4] == ("mujoco", "warp", "precise", "drake")
    with pytest.raises(EngineError, match=r"unknown engine 'bullet'; valid: mujoco, warp, precise, drake, newton"):
        make_engine("bullet", scene(), 1)
    with pytest.raises(EngineError, match=r"engine 'precise' runs on the cpu, not on 'cuda'"):
        make_engine("precise", scene(), 1, "cuda")
    with pytest.raises(EngineError, match=r"no per-world field 'opt.nonsense'"):
        make_engine("precise", scene(), 1).field("opt.nonsense")


# against plain loops of mj_step --------------------------------------------------------------------------------------


def world_model(nominal: mujoco.MjModel, world: int) -> mujoco.MjModel:
    """A model with the fields of one randomized world."""
    model = copy.copy(nominal)
    for name, values in randomized(nominal).items():
        target = model.opt.gravity if name == "opt.gravity" else getattr(model, name)
        target[:] = values[world].numpy()
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def loop(model: mujoco.MjModel, ctrl: torch.Tensor, substeps: int) -> tuple[np.ndarray, np.ndarray]:
    """qpos and sensordata of one world under controls (steps, D, nu), float32."""
    data = mujoco.MjData(model)
    data.qpos[:] = pose(model, 1)[0][0].numpy()
    path, sensors = [], []
    for step in ctrl:
        for control in step:
            data.ctrl[:] = control
            for _ in range(substeps):
                mujoco.mj_step(model, data)
        path.append(data.qpos.copy())
        sensors.append(data.sensordata.copy())
    return np.array(path, np.float32), np.array(sensors, np.float32)


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("name", ["mujoco", "precise", *ELSEWHERE])
def test_the_batch_is_a_loop_over_worlds(name, robot):
    engine = make(name, robot)
    randomize(engine)
    engine.write_state(ALL, *pose(engine.model))
    path, sensors = [], []
    ctrl = controls(engine.model, 20)
    for one in ctrl:
        engine.step(one)
        path.append(engine.qpos.clone())
        sensors.append(engine.sensordata.clone())
    for world in range(N):
        model, substeps = world_model(scene(robot), world), 1
        if name.startswith("precise"):
            substeps = 5
            model.opt.timestep = 0.001
            model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
            model.opt.iterations, model.opt.ls_iterations, model.opt.tolerance = 100, 50, 1e-8
            model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
        expected = loop(model, ctrl[:, world], substeps)
        np.testing.assert_array_equal(torch.stack(path)[:, world].numpy(), expected[0])
        np.testing.assert_array_equal(torch.stack(sensors)[:, world].numpy(), expected[1])


def test_threads_change_nothing():
    one, three = (PreciseEngine(scene(), N, threads) for threads in (1, 3))
    for engine in (one, three):
        randomize(engine)
        engine.write_state(ALL, *pose(engine.model))
    assert torch.equal(run(one, 5), run(three, 5))


def test_precise_takes_no_shortcuts():
    assert fine_timestep(0.005) == (5, 0.001)
    assert fine_timestep(0.0005) == (1, 0.0005)
    substeps, timestep = fine_timestep(0.0025)
    assert (substeps, timestep) == (3, 0.0025 / 3)  # no whole ratio: the next finer step that divides
    model = scene()
    option = make_precise(model).opt
    assert option.timestep == 0.001
    assert (option.cone, option.iterations, option.tolerance, option.impratio, option.noslip_iterations) == (1, 100, 1e-8, 1.0, 0)
    assert option.disableflags == 0
    assert model.opt.timestep == DT  # the nominal model is not touched
    assert model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL


# engine against engine -----------------------------------------------------------------------------------------------


def converged(robot: str) -> mujoco.MjModel:
    """The scene with a solver that runs until it has converged, so that what is left is rounding."""
    model = scene(robot)
    model.opt.iterations, model.opt.ls_iterations, model.opt.tolerance = 50, 50, 1e-10
    return model


def difference(first: str, second: str, model: mujoco.MjModel, steps: int) -> torch.Tensor:
    """|qpos - qpos| of two engines with randomized worlds under the same controls, (steps, N, nq)."""
    paths = []
    for name in (first, second):
        engine = make_engine(name, model, N, num_threads=1)
        randomize(engine)
        qpos, qvel = pose(model)
        if model.nq > model.nv:
            qpos[:, 2] -= 0.002  # in the default pose the feet just touch: rounding would decide whether there is a contact
        engine.write_state(ALL, qpos, qvel)
        paths.append(run(engine, steps, spread=0.2))
    return (paths[0] - paths[1]).abs()


@needs_warp
@pytest.mark.parametrize("robot", ROBOTS)
def test_warp_agrees_with_mujoco(robot):
    """100 physics steps: the base within 5e-6 m, joints and attitude within 2e-5 (rad): float32 against float64."""
    apart = difference("mujoco", "warp", converged(robot), 100 // D)
    base = 7 if robot == "go1" else 0
    assert float(apart[..., : min(base, 3)].amax() if base else 0.0) < 5e-6
    assert float(apart.amax()) < 2e-5


@needs_warp
def test_warp_agrees_with_mujoco_as_trained():
    """With the training options the solver is cut off after 6 iterations, in another place in each engine: half the worlds agree to
    rounding after 100 steps, the others part when a contact is solved to another point, by less than 2 cm and 0.15 rad.
    """
    apart = difference("mujoco", "warp", scene(), 100 // D)
    assert float(apart.amax((0, 2)).sort().values[N // 2 - 1]) < 2e-5
    assert float(apart[..., :3].amax()) < 0.02
    assert float(apart[..., 3:].amax()) < 0.15


def test_precise_stands_as_mujoco_does():
    """Other steps and cones, the same robot: after a second within 1 cm and 0.05 rad; 1 mm and 2 mrad where the cone is the same."""
    model = scene()
    cones = (mujoco.mjtCone.mjCONE_PYRAMIDAL, 0.01, 0.05), (mujoco.mjtCone.mjCONE_ELLIPTIC, 0.001, 0.002)
    for cone, meters, radians in cones:
        model.opt.cone = cone
        paths = []
        for name in ("mujoco", "precise"):
            engine = make_engine(name, model, N, num_threads=1)
            engine.write_state(ALL, *pose(model))
            paths.append(run(engine, 50, spread=0.0)[-1, 0])
        apart = (paths[0] - paths[1]).abs()
        assert float(apart[:3].amax()) < meters
        assert float(apart[3:].amax()) < radians


# warp's own ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not HAS_WARP or torch.cuda.is_available(), reason="needs mujoco-warp and no GPU")
def test_warp_says_that_there_is_no_gpu():
    with pytest.raises(EngineError, match=r"cannot use device 'cuda': there is no CUDA device here; valid: --device=cpu"):
        make_engine("warp", scene(), 1, "cuda")


@needs_warp
def test_warp_reports_constraints_that_do_not_fit(monkeypatch):
    monkeypatch.setattr("envs.engines.warp.buffer_sizes", lambda model: (45, 8))  # four standing feet need 16 rows
    engine = make("warp")
    qpos, qvel = pose(engine.model, 2)
    qpos[:, 2] = 1.0
    engine.write_state(torch.tensor([0, 2]), qpos, qvel)  # two are in the air and need none
    run(engine, 1, spread=0.0)
    assert engine.failures().tolist() == [False, True, False, True]
    assert engine.failure_count == 2
    assert torch.isfinite(engine.qpos).all()


@needs_warp
def test_warp_refuses_a_field_that_cannot_differ():
    with pytest.raises(EngineError, match=r"engine 'warp' has no per-world field 'opt.iterations'"):
        make("warp").set_field("opt.iterations", ALL, torch.ones(N))
