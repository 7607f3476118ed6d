"""Isaac Gym's engine without Isaac Gym: its calls against the signatures of isaacgym-stubs, and what surrounds them on a stand-in."""

import ast
import importlib
import inspect
import sys
import types
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from envs.engines import worker
from envs.engines.elsewhere.description import described
from envs.engines.worker import tree, urdf
from envs.engines.worker.face import Model, Refused
from envs.engines.worker.sensors import Sensors
from envs.robots.registry import get_robot

SOURCE = Path(worker.__file__).parent / "isaacgym_worlds.py"
STUBS = next((path for place in sys.path if (path := Path(place) / "isaacgym-stubs" / "gymapi.pyi").is_file()), None)
CARRIED = ("go1", "g1", "panda")  # grippers have equality constraints, which other engines do not get
N = 2


def scene(robot: str) -> mujoco.MjModel:
    return get_robot(robot).scene().compile()


def state(model: mujoco.MjModel, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A random state of N worlds, float64."""
    rng = np.random.default_rng(seed)
    qpos, qvel = np.repeat(model.key(0).qpos[None], N, 0), rng.normal(size=(N, model.nv))
    qpos[:, model.jnt_qposadr[model.jnt_type > 1]] += 0.3 * rng.normal(size=(N, int((model.jnt_type > 1).sum())))
    if model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE:
        quat = rng.normal(size=(N, 4))
        qpos[:, :3], qpos[:, 3:7] = rng.normal(size=(N, 3)), quat / np.linalg.norm(quat, axis=1, keepdims=True)
    return qpos, qvel


# kinematics and model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("robot", CARRIED)
def test_sensors_without_an_engine_are_mujocos(robot):
    """Poses and velocities from numpy alone, and every kinematic sensor, quaternion signs included, as `mj_forward` gives them."""
    model = scene(robot)
    model.opt.gravity[:] = 0
    source = Model(*described(model))
    qpos, qvel = state(model)
    qpos[:, 2] += 3.0 * (robot != "panda")
    found = np.zeros((N, model.nsensordata))
    sensors = Sensors(source)
    center = np.repeat(model.body_ipos[None], N, 0)
    nothing = {site: np.zeros(N) for site in sensors.touched}
    sensors.read(tree.poses(source, qpos, qvel, center), qpos, qvel, np.zeros((N, model.nu)), nothing, found)
    data = mujoco.MjData(model)
    kinds = np.array(source.options["sensors"])
    for world in range(N):
        data.qpos[:], data.qvel[:] = qpos[world], qvel[world]
        mujoco.mj_forward(model, data)
        for sensor, kind in enumerate(kinds):
            if kind not in ("actuatorfrc", "touch"):
                place = slice(model.sensor_adr[sensor], model.sensor_adr[sensor] + model.sensor_dim[sensor])
                np.testing.assert_allclose(found[world, place], data.sensordata[place], atol=1e-9, err_msg=kind)


@pytest.mark.parametrize("robot", CARRIED)
def test_the_urdf_is_the_robot(robot):
    """MuJoCo reads the URDF: the same joints, ranges, masses, inertias and places of bodies."""
    model = scene(robot)
    text = urdf.written(Model(*described(model)))
    told = text.replace(
        '<robot name="robolearn">', '<robot name="robolearn"><mujoco><compiler fusestatic="false" balanceinertia="false"/></mujoco>'
    )
    again = mujoco.MjModel.from_xml_string(told)
    assert [again.joint(j).name for j in range(again.njnt)] == [f"j{j}" for j in np.flatnonzero(model.jnt_type > 1)]
    names = [f"b{body}" for body in range(1, model.nbody)]
    root = urdf.roots(Model(*described(model)))[0]
    mine, theirs = mujoco.MjData(model), mujoco.MjData(again)
    hinges = model.jnt_qposadr[model.jnt_type > 1]
    mine.qpos[hinges] = theirs.qpos[:] = state(model)[0][0, hinges]
    if model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE:
        mine.qpos[:7] = [0, 0, 0, 1, 0, 0, 0]
    mujoco.mj_kinematics(model, mine)
    mujoco.mj_kinematics(again, theirs)
    for body, name in enumerate(names, 1):
        found = mujoco.mj_name2id(again, mujoco.mjtObj.mjOBJ_BODY, name)
        if found < 0 and body == root:
            continue  # MuJoCo makes the root of a URDF part of the world
        assert again.body_mass[found] == pytest.approx(model.body_mass[body])
        np.testing.assert_allclose(theirs.xipos[found], mine.xipos[body], atol=1e-6)
        ours, ones = (d.ximat[i].reshape(3, 3) for d, i in ((mine, body), (theirs, found)))
        np.testing.assert_allclose(
            ones @ np.diag(again.body_inertia[found]) @ ones.T, ours @ np.diag(model.body_inertia[body]) @ ours.T, atol=1e-9
        )
    np.testing.assert_allclose(again.jnt_range, model.jnt_range[model.jnt_type > 1], atol=1e-9)


# the calls -------------------------------------------------------------------------------------------------------------


def signatures(tree_: ast.Module) -> dict[str, inspect.Signature]:
    """The methods of the stubs' class Gym; those that the stubs leave open take what their docstring says."""
    gym = next(node for node in tree_.body if isinstance(node, ast.ClassDef) and node.name == "Gym")
    found = {}
    for node in gym.body:
        if isinstance(node, ast.FunctionDef):
            needed = len(node.args.args) - len(node.args.defaults)
            kinds = inspect.Parameter
            parameters = [
                kinds(arg.arg, kinds.POSITIONAL_OR_KEYWORD, default=None if index >= needed else kinds.empty)
                for index, arg in enumerate(node.args.args)
            ]
            if node.args.vararg:
                parameters.append(kinds("args", kinds.VAR_POSITIONAL))
            found[node.name] = inspect.Signature(parameters)
    return found


@pytest.mark.skipif(STUBS is None, reason="needs isaacgym-stubs")
def test_every_call_fits_the_signature_of_the_stubs():
    """Each `gym.NAME(...)` binds, each `gymapi.NAME` exists, and each attribute that is set is one of its class."""
    assert STUBS is not None
    stubs, source = ast.parse(STUBS.read_text().replace("def lambda(", "def lambda_(")), ast.parse(SOURCE.read_text())
    gym = signatures(stubs)
    names = {node.name for node in stubs.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    names |= {node.target.id for node in stubs.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    fields = {
        node.target.id
        for kind in stubs.body
        if isinstance(kind, ast.ClassDef)
        for node in kind.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    called = 0
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gymapi":
            assert node.attr in names, f"line {node.lineno}: gymapi.{node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in ("gym", "self._gym"):
            assert node.func.attr in gym, f"line {node.lineno}: Gym.{node.func.attr}"
            gym[node.func.attr].bind(None, *node.args, **{word.arg: word.value for word in node.keywords if word.arg})
            called += 1
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = ast.unparse(node.value)
            if owner.partition(".")[0] in ("params", "options", "plane", "mesh", "place", "prop"):
                assert node.attr in fields, f"line {node.lineno}: {owner}.{node.attr}"
    assert called > 20


# a stand-in ------------------------------------------------------------------------------------------------------------


class Plain:
    """Any of gymapi's plain classes."""

    def __init__(self, *values):
        self.values = values
        self.x = self.y = self.z = None

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = Plain()
        setattr(self, name, value)
        return value


class Gym:
    """Weightless physics: joints and roots go on as they move. Bodies and joints come in another order than ours."""

    def __init__(self):
        self.bodies, self.dofs, self.worlds, self.masses, self.calls = [], [], 0, [], []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *values: self.calls.append((name, values)) or True

    def create_sim(self, *values):
        self.dt = values[3].dt
        return "sim"

    def load_asset(self, sim, folder, name, options):
        import xml.etree.ElementTree as ET

        robot = ET.parse(Path(folder) / name).getroot()
        self.bodies = [link.get("name") for link in robot.iter("link")][::-1]
        self.dofs = [joint.get("name") for joint in robot.iter("joint") if joint.get("type") != "fixed"][::-1]
        self.shapes = [len(link.findall("collision")) for link in robot.iter("link")][::-1]
        return "asset"

    def get_asset_rigid_body_names(self, asset):
        return self.bodies

    def get_asset_dof_names(self, asset):
        return self.dofs

    def get_asset_rigid_body_shape_indices(self, asset):
        starts = np.cumsum([0, *self.shapes])
        return [types.SimpleNamespace(start=int(start), count=count) for start, count in zip(starts, self.shapes, strict=False)]

    def create_actor(self, *values):
        self.worlds += 1
        return 0

    def get_actor_rigid_body_properties(self, env, actor):
        return [Plain() for _ in self.bodies]

    def set_actor_rigid_body_properties(self, env, actor, props, recompute):
        self.masses.append([prop.mass for prop in props])

    def get_actor_dof_properties(self, env, actor):
        return {name: np.zeros(len(self.dofs)) for name in ("driveMode", "stiffness", "damping", "friction", "armature")}

    def get_actor_rigid_shape_properties(self, env, actor):
        return [Plain() for _ in range(sum(self.shapes))]

    def acquire_actor_root_state_tensor(self, sim):
        self.root = torch.zeros(self.worlds, 13)
        self.root[:, 6] = 1.0
        return self.root

    def acquire_dof_state_tensor(self, sim):
        self.dof = torch.zeros(self.worlds * len(self.dofs), 2)
        return self.dof

    def acquire_net_contact_force_tensor(self, sim):
        return torch.full((self.worlds * len(self.bodies), 3), 7.0)

    def set_dof_actuation_force_tensor(self, sim, torque):
        self.torque = torque.clone()
        return True

    def simulate(self, sim):
        self.dof[:, 0] += self.dt * self.dof[:, 1]
        self.root[:, :3] += self.dt * self.root[:, 7:10]


@pytest.fixture
def gym(monkeypatch):
    """The engine's module with the stand-in behind it."""
    one = Gym()
    names = ("SimParams", "AssetOptions", "Transform", "PlaneParams", "TriangleMeshParams", "Vec3", "Quat")
    constants = {name: index for index, name in enumerate(("UP_AXIS_Z", "SIM_PHYSX", "CC_ALL_SUBSTEPS", "DOF_MODE_EFFORT", "GLOBAL_SPACE"))}
    gymapi = types.SimpleNamespace(acquire_gym=lambda: one, **dict.fromkeys(names, Plain), **constants)
    gymtorch = types.SimpleNamespace(wrap_tensor=lambda value: value, unwrap_tensor=lambda value: value)
    package: types.ModuleType = types.ModuleType("isaacgym")
    package.gymapi, package.gymtorch = gymapi, gymtorch  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "isaacgym", package)
    name = "envs.engines.worker.isaacgym_worlds"
    monkeypatch.delitem(sys.modules, name, raising=False)
    one.module = importlib.import_module(name)
    yield one
    sys.modules.pop(name, None)


def worlds_of(gym, model: mujoco.MjModel):
    shared = {
        name: np.zeros((N, size), np.float32) for name, size in (("qpos", model.nq), ("qvel", model.nv), ("sensordata", model.nsensordata))
    }
    return gym.module.IsaacGymWorlds(Model(*described(model)), N, 1, shared | {"failed": np.zeros(N, np.uint8)}), shared


@pytest.mark.parametrize("robot", CARRIED)
def test_state_goes_there_and_back_through_another_order(gym, robot):
    """A state that is written moves on by its velocities; the centre of mass moves straight, so a turning base's origin does not."""
    model = scene(robot)
    worlds, shared = worlds_of(gym, model)
    qpos, qvel = state(model)
    worlds.write_state(np.arange(N), qpos.astype(np.float32), qvel.astype(np.float32))
    mass = np.repeat(model.body_mass[None], N, 0)
    mass[1] *= 2
    worlds.set_field("body_mass", np.arange(N), mass)
    worlds.step(np.zeros((N, 1, model.nu), np.float32), 1)
    joints = np.flatnonzero(model.jnt_type > 1)
    at, dof = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
    np.testing.assert_allclose(shared["qpos"][:, at], qpos[:, at] + model.opt.timestep * qvel[:, dof], atol=1e-5)
    np.testing.assert_allclose(shared["qvel"], qvel, atol=1e-5)
    bodies = [int(name[1:]) for name in gym.bodies]
    np.testing.assert_allclose(gym.masses, mass[:, bodies])
    gain = model.actuator_gainprm[:, 0] * (0.0 - qpos[:, model.jnt_qposadr[model.actuator_trnid[:, 0]]])
    gain += model.actuator_biasprm[:, 2] * qvel[:, model.jnt_dofadr[model.actuator_trnid[:, 0]]]
    gain = np.clip(gain, *model.actuator_forcerange.T) - 0.1 * qvel[:, dof]
    order = [int(name[1:]) for name in gym.dofs]
    first = int(joints[0])
    np.testing.assert_allclose(gym.torque.numpy(), gain[:, np.array(order) - first], rtol=1e-3, atol=1e-3)
    with pytest.raises(Refused, match=r"lets body_mass differ between worlds, but not change after the first step"):
        worlds.set_field("body_mass", np.arange(N), 3 * mass)
    worlds.step(np.full((N, 1, model.nu), np.nan, np.float32), 1)
    assert worlds.failed.all()
    assert np.isfinite(shared["qpos"]).all()
