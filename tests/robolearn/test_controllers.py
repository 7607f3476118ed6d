"""Model-based controllers: their physics against C MuJoCo, their steps against the pendulum's equations, and short walks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from envs.robots.robot import Foot, Imu, Joint, Robot
from envs.tasks.registry import get_task, make_env
from envs.terms.randomization import Range, without_randomization
from robolearn import cli
from robolearn.controllers.actor import ControllerActor
from robolearn.controllers.body import FREE, Body
from robolearn.controllers.capture import Pace, runs_to
from robolearn.controllers.face import Controller, State, Timing
from robolearn.controllers.forces import FRICTION, best_weights
from robolearn.controllers.registry import CONTROLLERS, find_controller
from robolearn.controllers.swing import foothold, swing
from robolearn.controllers.trot import Trot, TrotCfg, diagonals
from robolearn.controllers.walk import Walk
from robolearn.controllers.whole_body import Motion, Wanted, solve
from robolearn.errors import UserError
from robolearn.evaluation.rollout import Rollout

ROBOTS = ("go1", "g1")
KITTEN = Path(__file__).parents[2] / "examples" / "my_robot_package" / "my_robot_package" / "kitten" / "robot.yaml"


def moving(body: Body, seed: int) -> State:
    """A robot near its default pose, tilted and in motion."""
    rng, model = np.random.default_rng(seed), body.model
    qpos = np.empty(model.nq)
    mujoco.mj_integratePos(model, qpos_into(qpos, body.standing), rng.normal(0.0, 0.2, model.nv), 1.0)
    return State(qpos=qpos, qvel=rng.normal(0.0, 0.5, model.nv), contact=np.ones(len(body.legs), bool))


def qpos_into(out: np.ndarray, qpos: np.ndarray) -> np.ndarray:
    out[:] = qpos
    return out


def some_motion(body: Body, seed: int, stands: np.ndarray) -> Motion:
    """What is best for random wishes."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(0.0, 5.0, body.model.nv)
    feet = [rng.normal(0.0, 3.0, leg.rows) for leg in body.legs]
    values = rng.normal(0.0, 2.0, FREE)
    wanted = Wanted(base=np.eye(FREE), offset=np.zeros(FREE), values=values, weights=np.ones(FREE), feet=feet, joints=joints)
    return solve(body, wanted, stands)


# the equations of motion ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROBOTS)
def test_feet_move_as_their_jacobians_say(name: str) -> None:
    """Positions along a motion, differenced, against Jacobian and drift."""
    body = Body(get_robot(name))
    state, step = moving(body, 1), 1e-5
    places = []
    for sign in (-1.0, 0.0, 1.0):
        qpos = state.qpos.copy()
        mujoco.mj_integratePos(body.model, qpos, state.qvel, sign * step)
        body.look(State(qpos=qpos, qvel=state.qvel, contact=state.contact))
        places.append((body.foot, [jacobian[:3] @ state.qvel for jacobian in body.jacobians]))
    body.look(state)
    np.testing.assert_allclose((places[2][0] - places[0][0]) / (2 * step), body.foot_velocity, atol=1e-6)
    drift = (np.array(places[2][1]) - np.array(places[0][1])) / (2 * step)  # joints and base keep their rates
    np.testing.assert_allclose(drift, [value[:3] for value in body.drifts], atol=1e-4)


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize("standing", ["all", "some", "none"])
def test_torques_and_forces_give_the_accelerations(name: str, standing: str) -> None:
    """C MuJoCo, given the torques and the forces on the feet, accelerates as the controller expects."""
    body = Body(get_robot(name))
    state = moving(body, 2)
    stands = {"all": np.ones(len(body.legs), bool), "some": np.arange(len(body.legs)) % 2 == 0, "none": np.zeros(len(body.legs), bool)}
    body.look(state)
    motion = some_motion(body, 3, stands[standing])
    model = body.robot.scene().compile()
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_ACTUATION | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = state.qpos, state.qvel
    data.qfrc_applied[body.joint_dofs] = motion.torque
    mujoco.mj_forward(model, data)
    points = sum((len(leg.points) if leg.rows == 6 else 1 for leg, down in zip(body.legs, stands[standing], strict=True) if down), 0)
    assert len(motion.forces) == len(motion.points) == points
    owners = [
        leg.body
        for leg, down in zip(body.legs, stands[standing], strict=True)
        if down
        for _ in range(len(leg.points) if leg.rows == 6 else 1)
    ]
    total = data.qfrc_applied.copy()
    for force, point, owner in zip(motion.forces, motion.points, owners, strict=True):
        mujoco.mj_applyFT(model, data, force, np.zeros(3), point, owner, total)
    data.qfrc_applied[:] = total
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qacc, motion.acceleration, atol=1e-6 * np.abs(motion.acceleration).max())


@pytest.mark.parametrize("name", ROBOTS)
def test_the_ground_never_pulls_and_never_grips_too_hard(name: str) -> None:
    body = Body(get_robot(name))
    pressed = 0.0
    for seed in range(20):
        body.look(moving(body, seed))
        forces = some_motion(body, seed, np.ones(len(body.legs), bool)).forces
        assert (forces[:, 2] >= 0).all()
        assert (np.abs(forces[:, :2]).sum(1) <= FRICTION * forces[:, 2] + 1e-9).all()
        pressed += forces[:, 2].sum()
    assert pressed > 0


@pytest.mark.parametrize("name", ROBOTS)
def test_who_stands_still_is_carried(name: str) -> None:
    """The forces are the weight, and press where the centre of mass is above."""
    body = Body(get_robot(name))
    zero = np.zeros(FREE)
    feet = [np.zeros(leg.rows) for leg in body.legs]
    wanted = Wanted(base=np.eye(FREE), offset=zero, values=zero, weights=np.ones(FREE), feet=feet, joints=np.zeros(body.model.nv))
    motion = solve(body, wanted, np.ones(len(body.legs), bool))
    np.testing.assert_allclose(motion.forces.sum(0), [0.0, 0.0, body.mass * 9.81], atol=0.01 * body.mass)
    pressure = (motion.points[:, :2] * motion.forces[:, 2:]).sum(0) / motion.forces[:, 2].sum()
    np.testing.assert_allclose(pressure, body.mass_center[:2], atol=0.005)
    np.testing.assert_allclose(motion.acceleration, 0.0, atol=0.05)


def test_the_program_of_forces_is_solved() -> None:
    """The conditions of Karush, Kuhn and Tucker, for random programs with many and few edges."""
    rng = np.random.default_rng(0)
    for size in (4, 8, 16, 32):
        matrix, wanted, most = rng.normal(size=(6, size)), rng.normal(size=6) * 3, 1.0
        found = best_weights(matrix, wanted, most, small=1e-3)
        slope = matrix.T @ (matrix @ found - wanted) + 1e-3 * found
        assert (found >= 0).all()
        assert (found <= most).all()
        assert (slope[found == 0] >= -1e-6).all()
        assert (slope[found == most] <= 1e-6).all()
        np.testing.assert_allclose(slope[(found > 0) & (found < most)], 0.0, atol=1e-6)


# steps ---------------------------------------------------------------------------------------------------------------


def test_a_swing_begins_and_ends_at_rest_on_its_marks() -> None:
    start, end, seconds, step = np.array([0.0, 0.1, 0.0]), np.array([0.2, 0.05, 0.02]), 0.3, 1e-6
    for share, place in ((0.0, start), (1.0, end), (1.3, end)):
        point = swing(start, end, 0.07, share, seconds)
        np.testing.assert_allclose(point.position, place)
        np.testing.assert_allclose(point.velocity, 0.0, atol=1e-12)
    assert swing(start, end, 0.07, 0.5, seconds).position[2] == pytest.approx(0.08)
    for share in (0.1, 0.4, 0.5, 0.8):
        before, here, after = (swing(start, end, 0.07, share + sign * step / seconds, seconds) for sign in (-1, 0, 1))
        np.testing.assert_allclose((after.position - before.position) / (2 * step), here.velocity, atol=1e-6)
        np.testing.assert_allclose((after.velocity - before.velocity) / (2 * step), here.acceleration, atol=1e-4)


def test_a_foot_comes_down_where_raibert_says() -> None:
    hip, speed = np.array([1.0, 2.0]), np.array([0.8, -0.2])
    np.testing.assert_allclose(foothold(hip, speed, speed, 0.2, 0.1), hip + 0.1 * speed)  # half a stance ahead
    np.testing.assert_allclose(foothold(hip, speed, speed - [0.5, 0.0], 0.2, 0.1) - foothold(hip, speed, speed, 0.2, 0.1), [0.05, 0.0])


@pytest.mark.parametrize("stride", [(0.0, 0.0), (0.2, 0.0), (-0.1, 0.05)])
def test_the_steady_walk_repeats(stride: tuple[float, float]) -> None:
    """A pendulum that is stepped as `Pace` says walks on for ever; one whose feet fall elsewhere runs away."""
    pace = Pace(step_s=0.36, rate=3.9, stride=np.array(stride), width=0.2)
    for off, ends_near in ((0.0, True), (0.01, False)):
        foot, left = np.zeros(2), True
        capture = foot + pace.offset(left)
        for _ in range(8):
            capture = runs_to(capture, foot, pace.rate, pace.step_s)
            after = foot + np.array(stride) + np.array([0.0, -0.2 if left else 0.2])
            foot, left = after + off, not left
        assert (np.linalg.norm(capture - foot - pace.offset(left)) < 1e-6) == ends_near


def test_diagonal_feet_are_found_by_geometry() -> None:
    corners = np.array([[0.2, 0.1], [0.2, -0.1], [-0.2, 0.1], [-0.2, -0.1]])  # front left and right, hind left and right
    for order in ([0, 1, 2, 3], [3, 0, 2, 1], [1, 2, 0, 3]):
        second = diagonals(corners[order] + [0.03, 0.0])
        assert second.sum() == 2
        (first, other) = corners[order][second]
        np.testing.assert_allclose(first, -other)


# walks ---------------------------------------------------------------------------------------------------------------

Make = Callable[[Body, Timing], Controller]


def walked(
    robot: str | Robot, make: Make, command: list[list[float]], seconds: float, **table: Range
) -> tuple[Rollout, np.ndarray, np.ndarray]:
    """A walk of one world a command. Returns it, velocities vx, vy and yaw rate (T, N, 3) and contacts (T, N, F)."""
    who = robot if isinstance(robot, Robot) else get_robot(robot)
    cfg = get_task("velocity-flat").make(who)
    nominal = dataclasses.replace(without_randomization(), **table)
    env = make_env("velocity-flat", who, dataclasses.replace(cfg, randomization=nominal), num_worlds=len(command), seed=3, num_threads=1)
    rollout = Rollout(env, ControllerActor(make))
    rollout.start(torch.tensor(command))
    moved, touched = [], []
    for _ in range(round(seconds / env.cfg.control_dt)):
        rollout.step()
        moved.append(torch.cat([env.base.velocity_b[:, :2], env.base.angular_velocity_b[:, 2:]], 1).numpy().copy())
        touched.append(env.feet.contact.numpy().copy())
    return rollout, np.array(moved), np.array(touched)


WAYS = [[0.8, 0.0, 0.0], [-0.6, 0.0, 0.5], [0.0, 0.4, 0.0], [0.0, 0.0, -0.8]]


def follows(moved: np.ndarray, command: list[list[float]], settle: int = 75) -> np.ndarray:
    """Largest difference of mean velocities from what is asked, of each world."""
    return np.abs(moved[settle:].mean(0) - np.array(command)).max(1)


def test_a_trot_follows_its_command_with_two_feet_at_a_time() -> None:
    rollout, moved, touched = walked("go1", Trot, WAYS, 3.0)
    assert bool(rollout.alive.all())
    assert (follows(moved, WAYS) < 0.12).all()
    second = diagonals(Body(get_robot("go1")).foot[:, :2])
    alone = touched[75:, 0][:, second].all(1) & ~touched[75:, 0][:, ~second].any(1)
    other = touched[75:, 0][:, ~second].all(1) & ~touched[75:, 0][:, second].any(1)
    assert alone.mean() > 0.2
    assert other.mean() > 0.2


class WrongFeet(Trot):
    """Puts its feet where it would fall over them."""

    def __init__(self, body: Body, timing: Timing) -> None:
        super().__init__(body, timing, TrotCfg(place_s=-0.3))


class NoForces(Trot):
    """Moves its legs and carries nothing."""

    def step(self, state: State, command: np.ndarray) -> np.ndarray:
        super().step(state, command)
        return state.qpos[self.body.joint_qpos]


class Deaf(Trot):
    """Is told nothing of what is asked."""

    def step(self, state: State, command: np.ndarray) -> np.ndarray:
        return super().step(state, 0.0 * command)


@pytest.mark.parametrize("broken", [WrongFeet, NoForces, Deaf])
def test_a_broken_trot_is_found_out(broken: Make) -> None:
    rollout, moved, _ = walked("go1", broken, WAYS, 3.0)
    assert not bool(rollout.alive.all()) or (follows(moved, WAYS) > 0.2).all()


def test_who_is_asked_for_nothing_stands() -> None:
    _, moved, touched = walked("go1", Trot, [[0.0, 0.0, 0.0]], 3.0)
    assert touched[75:].all()
    assert np.abs(moved[75:]).max() < 0.05


def test_a_push_is_caught_by_steps() -> None:
    who = get_robot("go1")
    cfg = dataclasses.replace(get_task("velocity-flat").make(who), randomization=without_randomization())
    env = make_env("velocity-flat", who, cfg, num_worlds=4, num_threads=1)
    rollout = Rollout(env, ControllerActor(Trot))
    rollout.start(torch.zeros(4, 3))
    for index in range(150):
        if index == 50:
            velocity = env.engine.qvel.clone()
            velocity[:, :2] += 0.7 * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
            env.engine.set_velocity(torch.arange(4), velocity)
        rollout.step()
    assert bool(rollout.alive.all())
    assert bool((env.base.velocity_b[:, :2].norm(dim=1) < 0.3).all())


def test_what_the_model_does_not_know_is_learned() -> None:
    """Two kilograms on the back: the height comes back."""
    rollout, _, _ = walked("go1", Trot, [[0.4, 0.0, 0.0]], 5.0, payload=Range(low=2.0, high=2.0, operation="add", when="startup"))
    assert bool(rollout.alive.all())
    assert float(rollout.env.base.height[0]) == pytest.approx(0.278, abs=0.015)


def test_worlds_do_not_mix_and_a_reset_forgets() -> None:
    """A world's targets are the same beside others as alone, and the same again after a reset."""
    body, timing = Body(get_robot("go1")), Timing(control_dt=0.02)
    states, command = [moving(body, seed) for seed in range(6)], np.array([0.5, 0.1, 0.2])
    alone = Trot(body, timing)
    first = [alone.step(state, command) for state in states]
    alone.reset()
    beside = Trot(body, timing)  # of a body that looks elsewhere
    np.testing.assert_array_equal(beside._hips, alone._hips)
    for state, target in zip(states, first, strict=True):
        beside.step(moving(body, 99), -command)
        np.testing.assert_array_equal(alone.step(state, command), target)


def test_a_delay_that_is_known_is_looked_over() -> None:
    """Targets of standing legs lie further ahead where they act later, by the way that the joints make meanwhile."""
    body = Body(get_robot("go1"))
    state = State(qpos=body.standing, qvel=np.zeros(body.model.nv), contact=np.ones(4, bool))
    state.qvel[body.joint_dofs] = 0.1
    soon, late = (Trot(body, Timing(control_dt=0.02, delay_s=delay)).step(state, np.zeros(3)) for delay in (0.0, 0.01))
    body.look(state)
    assert np.abs(late - soon).max() > 1e-4
    assert Timing(control_dt=0.02, delay_s=0.01).ahead_s == pytest.approx(0.02)


def bent(robot: Robot) -> Robot:
    """With bent knees in its default pose: from a straighter one the walk does not find its feet yet."""
    angles = {"hip_pitch_joint": -0.312, "knee_joint": 0.669, "ankle_pitch_joint": -0.363}
    joints = {
        name: dataclasses.replace(joint, default=next((angle for part, angle in angles.items() if name.endswith(part)), joint.default))
        for name, joint in robot.joints.items()
    }
    return dataclasses.replace(robot, joints=joints, stand_height=0.757)


@pytest.mark.parametrize("command", [[0.0, 0.0, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, 0.5]])
def test_g1_walks(command: list[float]) -> None:
    rollout, moved, touched = walked(bent(get_robot("g1")), Walk, [command], 4.0)
    assert bool(rollout.alive.all())
    assert (follows(moved, [command], 100) < 0.2).all()
    assert touched[100:].any(2).all()  # a walk has no flight
    assert touched[100:].all(2).all() == (command == [0.0, 0.0, 0.0])


# other robots --------------------------------------------------------------------------------------------------------


def mule(folder: Path) -> Robot:
    """A quadruped twice as large as Go1, with joints and feet in an order and under names of its own."""
    legs = {"rear_left": (-0.4, 0.16), "front_right": (0.4, -0.16), "rear_right": (-0.4, -0.16), "front_left": (0.4, 0.16)}
    bodies = "".join(
        f"""<body name="{name}_hip" pos="{x} {y} 0"><joint name="{name}_roll" axis="1 0 0" range="-1 1"/>
        <geom type="sphere" size=".05" mass="2"/>
        <body name="{name}_upper" pos="0 {0.14 if y > 0 else -0.14} 0"><joint name="{name}_swing" axis="0 1 0" range="-2 3"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.42" size=".03" mass="2.5"/>
        <body name="{name}_lower" pos="0 0 -.42"><joint name="{name}_bend" axis="0 1 0" range="-2.6 -.3"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.42" size=".02" mass=".6" contype="0" conaffinity="0"/>
        <geom name="{name}_ball" type="sphere" size=".04" pos="0 0 -.42" mass=".1"/></body></body></body>"""
        for name, (x, y) in legs.items()
    )
    path = folder / "mule.xml"
    path.write_text(
        f"""<mujoco><compiler angle="radian"/><worldbody><body name="back" pos="0 0 1"><freejoint/>
        <geom type="box" size=".45 .15 .12" mass="30"/>{bodies}</body></worldbody></mujoco>""",
        encoding="utf-8",
    )
    joint = Joint(default=0.0, kp=200.0, kd=8.0, effort=150.0, velocity=20.0, scale=0.3, armature=0.1, damping=0.5)
    angles = {"roll": 0.0, "swing": 0.8, "bend": -1.6}
    joints = {f"{name}_{part}": dataclasses.replace(joint, default=angle) for name in legs for part, angle in angles.items()}
    feet = {name: Foot(body=f"{name}_lower", position=(0.0, 0.0, -0.42)) for name in legs}  # all leave at once, says the robot
    height = 2 * 0.42 * float(np.cos(0.8)) + 0.04
    return Robot(name="mule", model=path, joints=joints, base="back", feet=feet, imu=Imu(body="back"), stand_height=height)


def test_another_quadruped_trots(tmp_path: Path) -> None:
    ways = [[1.0, 0.0, 0.0], [0.0, 0.4, 0.0], [-0.5, 0.0, 0.4]]
    rollout, moved, _ = walked(mule(tmp_path), Trot, ways, 4.0)
    assert bool(rollout.alive.all())
    assert (follows(moved, ways, 100) < 0.2).all()


@pytest.mark.parametrize(
    ("name", "robot", "said"), [("trot", "g1", "four feet"), ("walk", "go1", "two feet"), ("trot", KITTEN, "three joints")]
)
def test_robots_that_a_controller_is_not_for_are_refused(name: str, robot: str | Path, said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_controller(f"controller:{name}", str(robot))


def test_each_controller_is_for_the_robot_that_it_names() -> None:
    for name in CONTROLLERS:
        kind, robot = find_controller(f"controller:{name}")
        assert (kind.name, robot.name) == (name, kind.robot)


# the command ---------------------------------------------------------------------------------------------------------


def test_evaluate_judges_a_controller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trot.json"
    assert cli.main(["evaluate", "controller:trot", "--seeds", "1", "--seconds", "1.6", "--no-randomization", "--json", str(path)]) == 0
    told = json.loads(path.read_text(encoding="utf-8"))
    assert (told["policy"], told["robot"], told["task"], told["episodes"]) == ("controller:trot", "go1", "velocity-flat", 45)
    assert told["survival"] == 1.0
    assert told["velocity_error_xy"] < 0.25
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["controller:trott"], "did you mean trot?"),
        (["controller:trot", "--robot", "g1"], "controller:walk"),
        (["controller:trot", "--mjcf", "x.xml"], "leave it out"),
        (["controller:trot", "--teacher.iterations=3"], "does not learn"),
        (["controller:trot", "--env.clock_hz=3"], "its own clock"),
        (["controller:trot", "--config", "go1-velocity-rough"], "for velocity-rough"),
        (["controller:trot", "--task=velocity-rough"], "for velocity-rough"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["deploy"])
def test_who_takes_no_controller_says_who_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "controller:trot"]) == 2
    assert "`robolearn evaluate`, `collect` and `play` take" in capsys.readouterr().err


def test_collect_keeps_what_a_controller_does_without_actions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pytest.importorskip("robolearn.data.reader")
    out = tmp_path / "trots"
    asked = ["--episodes", "3", "--seconds", "0.6", "--no-randomization", "--command", "0.5", "0", "0"]
    assert cli.main(["collect", "controller:trot", "--out", str(out), *asked]) == 0
    assert cli.main(["data", "check", str(out)]) == 0
    capsys.readouterr()
    for index in range(3):
        episode = data.Dataset(out).episode(index)
        assert (episode.source.kind, episode.source.robot, episode.source.control_mode) == ("controller", "go1", "")
        assert len(episode) == 30
        assert "action" not in episode.columns
        np.testing.assert_allclose(episode.columns["observation.command"], [[0.5, 0.0, 0.0]] * 30, atol=1e-6)
    stored = data.Dataset(out)
    assert not stored.column("action").any()
    assert not stored.column("action.is_valid").any()
