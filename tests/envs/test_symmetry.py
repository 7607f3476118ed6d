"""A mirrored observation is what the mirrored robot observes: a robot and its reflection are simulated side by side."""

import dataclasses

import numpy as np
import pytest
import torch

from envs.robots.symmetry import robot_image
from envs.scene.terrain import TerrainCfg
from envs.terms.randomization import without_randomization
from envs.vec_env import VecEnv
from tests.pairs import TASKS, cfg_of, make_env

WORLDS = 8  # the first half, and their reflections
HALF = WORLDS // 2
FLAT = TerrainCfg(kinds=("flat",), levels=1, tile=20.0, cell=0.5, border=20.0)
PLANE = torch.tensor([1.0, -1.0, 1.0])  # a vector in the mirror
SPIN = torch.tensor([-1.0, 1.0, -1.0])  # an angular velocity in the mirror
QUAT = torch.tensor([1.0, -1.0, 1.0, -1.0])  # an attitude (w, x, y, z) in the mirror
FIELDS = ("body_pos", "body_quat", "body_mass", "body_inertia", "body_ipos", "body_iquat", "geom_friction", "dof_damping",
          "dof_armature", "actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "geom_solref", "geom_pos", "geom_size",
          "geom_rbound", "geom_aabb", "site_pos")  # fmt: skip


def opposite(name: str) -> str:
    """The name of the same part of our robots on the other side; parts of the middle keep theirs."""
    for left, right in (("left", "right"), ("FL", "FR"), ("RL", "RR")):
        for here, there in ((left, right), (right, left)):
            if name == here or name.startswith(here + "_"):
                return there + name[len(here) :]
    return name


def legged_tasks() -> list[str]:
    return [name for name in TASKS if "velocity" in name]


EACH = pytest.mark.parametrize("task", legged_tasks())


def make(task: str, **changes) -> VecEnv:
    return make_env(task, **{"num_worlds": WORLDS, "num_threads": 1, **changes})


def flat_map(task: str) -> dict:
    """A map of tiles is not its own mirror image; a flat one is."""
    return {} if cfg_of(task).terrain is None else {"terrain": FLAT}


def reflect(vector: torch.Tensor, mirror: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    permutation, sign = mirror
    return vector[..., permutation] * sign


def reflected_state(env: VecEnv, qpos: torch.Tensor, qvel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mirror image of states (n, nq), (n, nv), worked out from the meaning of each number."""
    permutation, sign = robot_image(env.robot, env.robot.compiled).joints
    joints = torch.tensor(sign)
    position = torch.cat([qpos[:, :3] * PLANE, qpos[:, 3:7] * QUAT, qpos[:, 7:][:, permutation] * joints], dim=1)
    velocity = torch.cat([qvel[:, :3] * PLANE, qvel[:, 3:6] * SPIN, qvel[:, 6:][:, permutation] * joints], dim=1)
    return position, velocity


def reflect_bodies(env: VecEnv) -> None:
    """Make the second half of the worlds mirror images of the first, mass by mass: the real robot is not quite symmetric."""
    engine, model = env.engine, env.engine.model
    here, there = torch.arange(HALF), torch.arange(HALF, WORLDS)
    bodies = [model.body(opposite(model.body(i).name)).id for i in range(model.nbody)]
    joints = [model.joint(opposite(model.joint(int(model.dof_jntid[i])).name)) for i in range(model.nv)]
    dofs = [int(joint.dofadr[0]) + i - int(model.joint(int(model.dof_jntid[i])).dofadr[0]) for i, joint in enumerate(joints)]
    motors = [model.actuator(opposite(model.actuator(i).name)).id for i in range(model.nu)]
    names = [model.geom(i).name for i in range(model.ngeom)]
    geoms = [names.index(opposite(name)) for name in names]
    sites = [model.site(opposite(model.site(i).name)).id for i in range(model.nsite)]
    for name in FIELDS:
        values = engine.field(name)[here]
        order = {"body": bodies, "geom": geoms, "dof_": dofs, "actu": motors, "site": sites}[name[:4]]
        values = values[:, order]
        if name in ("body_pos", "body_ipos", "geom_pos", "site_pos"):
            values = values * PLANE
        if name == "geom_aabb":  # centre and half sizes
            values = values * torch.cat([PLANE, torch.ones(3)]).reshape(values.shape[2:])
        if name in ("body_quat", "body_iquat"):
            values = values * QUAT
        engine.set_field(name, there, values)
    engine.set_field("opt.gravity", there, engine.field("opt.gravity")[here] * PLANE)
    engine.set_const(there)


def start_in_the_mirror(env: VecEnv) -> None:
    """Give the second half of the worlds the reflected state, command and knowledge of the first."""
    here, there = torch.arange(HALF), torch.arange(HALF, WORLDS)
    env.reset()
    qpos, qvel = env.engine.qpos[here].clone(), env.engine.qvel[here].clone()
    env.engine.write_state(here, qpos, qvel)
    env.engine.write_state(there, *reflected_state(env, qpos, qvel))
    env.hold_command(torch.cat([env.command[here], env.command[here] * torch.tensor([1.0, -1.0, -1.0])]))
    for name, values in env.randomizer.drawn.items():
        signs = PLANE if name in ("center_of_mass", "gravity") else torch.ones(values.shape[1])
        if values.shape[1] == len(env.robot.joints):
            values[there] = values[here][:, robot_image(env.robot, env.robot.compiled).joints[0]]
        else:
            values[there] = values[here] * signs
    env.randomizer.load_drawn(env.randomizer.drawn)
    env.target = env.joint_position.clone()
    env.moved()
    env._previous = env.observe()[1][:, : env.spec.observation_dim]


def simulate(env: VecEnv, steps: int) -> dict[str, float]:
    """Largest difference between the reflection of what one robot sees and what its reflection sees."""
    mirror = env.mirror()
    action_generator = torch.Generator().manual_seed(3)
    clock = env.spec.observation_dim - 2  # the clock is the same for both: its reflection is tested apart
    assert env.spec.terms[-1].name == "clock"
    worst = {"policy": 0.0, "privileged": 0.0, "reward": 0.0}
    for _ in range(steps):
        action = 0.5 * torch.randn(HALF, len(env.robot.joints), generator=action_generator)
        step = env.step(torch.cat([action, reflect(action, mirror["action"])]))
        assert not step.terminated.any()
        for name in ("policy", "privileged"):
            seen = getattr(step, name)
            apart = (reflect(seen[:HALF], mirror[name]) - seen[HALF:]).abs()
            apart[:, clock : clock + 2] = 0.0
            worst[name] = max(worst[name], float(apart.max()))
        for name in ("track_velocity", "track_yaw_rate", "torque", "action_rate", "foot_slip", "pose", "tilt"):
            reward = env.reward_terms[name]
            worst["reward"] = max(worst["reward"], float((reward[:HALF] - reward[HALF:]).abs().max()))
    return worst


@EACH
def test_a_mirror_twice_changes_nothing(task):
    env = make(task)
    policy, privileged = env.reset()
    action = torch.randn(WORLDS, len(env.robot.joints))
    mirror = env.mirror()
    for name, vector in (("policy", policy), ("privileged", privileged), ("action", action)):
        permutation, sign = mirror[name]
        assert sorted(permutation.tolist()) == list(range(vector.shape[1]))
        assert set(sign.tolist()) <= {1.0, -1.0}
        assert torch.equal(reflect(reflect(vector, mirror[name]), mirror[name]), vector)
        assert not torch.equal(reflect(vector, mirror[name]), vector)


@EACH
def test_the_default_pose_is_its_own_reflection(task):
    env = make(task)
    torch.testing.assert_close(reflect(env.default_pose, env.mirror()["action"]), env.default_pose)
    for limits in ("kp", "kd", "effort_limit", "velocity_limit", "action_scale"):
        values = torch.tensor(getattr(env.robot, limits))
        assert torch.equal(values[env.mirror()["action"][0]], values)


@EACH
def test_the_reflected_robot_sees_the_reflected_world(task):
    """25 control steps of random actions. Measured: 1e-6, which is the rounding of float32 observations."""
    env = make(task, randomization=without_randomization(), **flat_map(task))
    reflect_bodies(env)
    start_in_the_mirror(env)
    worst = simulate(env, 25)
    assert worst["policy"] < 1e-4, worst
    assert worst["privileged"] < 1e-4, worst
    assert worst["reward"] < 1e-4, worst


@EACH
def test_reflection_holds_with_randomized_worlds(task):
    """What the teacher knows of its world is reflected too: centre of mass, gravity, friction, payload, gains."""
    table = cfg_of(task).randomization
    names = ("joint_offset", "observation_delay_s", "action_delay_s", "push_velocity", "push_interval_s", "external_force",
             "external_force_interval_s", "thrown_mass", "thrown_speed", "throw_interval_s")  # fmt: skip
    off = dict.fromkeys(names)
    env = make(task, randomization=dataclasses.replace(table, noise=0.0, **off), **flat_map(task))
    env.reset()
    reflect_bodies(env)
    reset_fields = env.randomizer.reset
    env.randomizer.reset = lambda ids: None  # what was drawn and reflected stays
    start_in_the_mirror(env)
    env.randomizer.reset = reset_fields
    worst = simulate(env, 25)
    assert worst["policy"] < 1e-4, worst
    assert worst["privileged"] < 1e-4, worst


@EACH
def test_a_wrong_sign_would_be_seen(task):
    """The comparison is sharp: with any one sign of the joints' reflection flipped the two robots part visibly."""
    env = make(task, randomization=without_randomization())
    reflect_bodies(env)
    start_in_the_mirror(env)
    permutation, sign = env.mirror()["action"]
    wrong = sign.clone()
    wrong[1] *= -1
    env.mirror = lambda: {"policy": VecEnv.mirror(env)["policy"], "privileged": VecEnv.mirror(env)["privileged"],
                          "action": (permutation, wrong)}  # fmt: skip
    worst = simulate(env, 5)
    assert worst["policy"] > 0.5


@EACH
def test_the_clock_in_the_mirror_is_half_a_turn_later(task):
    env = make(task)
    clock = env.spec.observation_dim - 2
    permutation, sign = env.mirror()["policy"]
    phase = np.linspace(0, 6, 20)
    seen = torch.zeros(20, env.spec.observation_dim)
    seen[:, clock:] = torch.tensor(np.stack([np.sin(phase), np.cos(phase)], axis=1))
    later = (seen[:, permutation] * sign)[:, clock:]
    np.testing.assert_allclose(later, np.stack([np.sin(phase + np.pi), np.cos(phase + np.pi)], axis=1), atol=1e-6)
    turns = dict(zip(env.robot.feet, env.robot.gait, strict=True))
    for foot, turn in turns.items():  # then the reflected foot is where this one was
        assert (turns[opposite(foot)] + 0.5) % 1.0 == turn
