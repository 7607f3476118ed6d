"""Cameras in every world: what a picture shows, when it is new, what the contract says of it, and that vectors do not feel it."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest
import torch

from envs.robots.cameras import add_cameras, optical_quat
from envs.robots.errors import RobotError
from envs.robots.loading import dump_robot, load_robot
from envs.robots.registry import get_robot
from envs.robots.robot import Camera
from envs.sensing import choice
from envs.sensing.camera import CameraTerm, focal_length, intrinsics
from envs.sensing.making import look
from envs.snapshot import restore, snapshot
from envs.terms import looks, optics
from envs.terms.randomization import RandomizationCfg, Range
from envs.terms.term import EventTerm
from policies.contract.spec import PolicySpec, SpecError
from tests.envs.seeing import RENDERERS, SIDE, any_renderer, at_rest, needs, pictures, seeing, view


def ray_lengths(env, world: int, camera: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth [m] and geom of the physics' model at every pixel, by C MuJoCo's own ray casting, one world alone."""
    scene = env.scene()
    add_cameras(scene, env.robot)
    model = scene.compile()
    for name in ("body_pos", "geom_pos", "geom_size"):
        getattr(model, name)[:] = env.engine.field(name)[world].numpy()
    data = mujoco.MjData(model)
    data.qpos[:] = env.engine.qpos[world].numpy()
    mujoco.mj_forward(model, data)
    cam = model.camera(camera).id
    fx, fy, cx, cy = intrinsics(model, cam, side, side)
    depth, geoms = np.zeros((side, side)), np.full((side, side), -1)
    axes = data.cam_xmat[cam].reshape(3, 3)
    hit = np.array([-1], np.int32)
    for row in range(side):
        for column in range(side):
            along = np.array([(column - cx) / fx, -(row - cy) / fy, -1.0])
            ray = axes @ (along / np.linalg.norm(along))
            distance = mujoco.mj_ray(model, data, data.cam_xpos[cam], ray, None, 1, -1, hit)
            if distance >= 0:
                depth[row, column], geoms[row, column] = distance / np.linalg.norm(along), hit[0]
    return depth, geoms


@pytest.mark.parametrize("kind", RENDERERS)
def test_depth_and_labels_are_those_of_rays_in_every_world(kind: str) -> None:
    """Against C MuJoCo's ray casting, by the intrinsics of the contract: place, attitude, angle and pixels are right."""
    common = {"camera": "outside", "height": SIDE, "width": SIDE, "renderer": needs(kind), "far": 40.0}
    env = seeing(worlds=3, depth=CameraTerm(modality="depth", **common), parts=CameraTerm(modality="segmentation", **common))
    assert not np.array_equal(pictures(env, "depth")[0], pictures(env, "depth")[1])  # the arms begin in poses of their own
    names = env.spec.group("parts").image.labels
    for world in range(3):
        want, geoms = ray_lengths(env, world, "outside", SIDE)
        got, parts = pictures(env, "depth")[world, ..., 0], pictures(env, "parts")[world, ..., 0]
        near = np.abs(got - want) < 0.02 * np.maximum(want, 0.5)
        assert near.mean() > 0.97, near.mean()  # the rest are edges
        of_robot = np.isin(geoms, [g for g in range(env.engine.model.ngeom) if env.engine.model.geom_bodyid[g] > 0])
        assert ((parts == names.index("robot")) == of_robot).mean() > 0.97
        assert ((parts == names.index("ground")) == (geoms == env.engine.model.geom("floor").id)).mean() > 0.97
        assert 0.05 < of_robot.mean() < 0.6


def test_both_renderers_show_the_same_scene() -> None:
    shots = {}
    for kind in RENDERERS:
        env = seeing(EventTerm(looks.Textures), EventTerm(looks.colors), worlds=2, view=view(renderer=needs(kind), height=48, width=48))
        shots[kind] = pictures(env).astype(float)
    assert np.abs(shots["raytracer"] - shots["opengl"]).mean() < 12  # of 255: edges, and how textures are sampled
    other = np.abs(shots["raytracer"][0] - shots["raytracer"][1]).mean()
    assert other > 20  # the two worlds differ by much more


def test_a_camera_on_the_hand_moves_with_it() -> None:
    env = seeing(worlds=2, view=view("wrist", modality="depth"))
    at_rest(env)
    before = pictures(env).copy()
    assert np.array_equal(before[0], before[1])
    env.engine.write_state(torch.tensor([1]), env.rest[None] + torch.tensor([0, 0, 0, 0, 0, 0.5, 0.0]), torch.zeros(1, 7))
    env.cameras.look(torch.arange(2), env.episode_steps)
    after = pictures(env)
    assert np.array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).mean() > 0.02


def test_cameras_leave_every_vector_as_it_is_to_the_bit() -> None:
    """With looks and lens randomized, too: what is seen has a generator of its own, and physics a model without it."""
    terms = EventTerm(looks.colors), EventTerm(looks.Distractors), EventTerm(optics.Noise)
    blind = seeing(*terms, worlds=3, nominal=False)
    env = seeing(*terms, worlds=3, nominal=False, view=view(rate=25))
    assert blind.cameras is None
    assert not blind.events.fields  # they are left out
    action = torch.zeros(3, 7)
    for step in range(12):
        action = 0.9 * action + 0.1 * torch.sin(torch.arange(21.0).view(3, 7) + step)
        ours, theirs = env.step(action), blind.step(action)
        for field in dataclasses.fields(ours):
            assert torch.equal(getattr(ours, field.name), getattr(theirs, field.name)), field.name
    assert env.engine.model.ngeom == blind.engine.model.ngeom
    assert env.engine.model.ncam == 0


def test_no_cameras_load_no_renderer() -> None:
    code = (
        "import sys; from envs.tasks.registry import make_env; make_env('reach', 'panda', num_worlds=1, num_threads=1).reset();"
        "print(sorted({'OpenGL', 'warp', 'mujoco_warp', 'cv2', 'envs.sensing.opengl', 'envs.sensing.raytracer'} & set(sys.modules)))"
    )
    plain = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}  # for which MuJoCo itself loads OpenGL
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300, env=plain)
    assert done.stdout.strip() == "[]"


def test_a_picture_is_new_when_its_time_has_come_and_stays_in_between() -> None:
    env = seeing(worlds=2, view=view(rate=10, modality="depth"))
    env.episode_steps[1] = 2  # the second world is two steps ahead
    seen = [env.images]
    for _ in range(10):
        env.step(torch.full((2, 7), 0.5))
        seen.append(env.images)
    changed = [
        [step for step in range(1, 11) if not torch.equal(seen[step]["view"][world], seen[step - 1]["view"][world])] for world in (0, 1)
    ]
    assert changed == [[5, 10], [3, 8]]
    assert env.cameras.drawn == 2 + 4


def test_a_world_that_begins_anew_sees_its_new_episode_at_once() -> None:
    env = seeing(worlds=2, view=view(rate=1, modality="depth"))
    env.episode_steps[0] = env.max_steps - 1
    old = pictures(env).copy()
    env.step(torch.zeros(2, 7))
    assert env.episode_steps.tolist() == [0, 1]
    want, _ = ray_lengths(env, 0, "outside", SIDE)
    assert not np.array_equal(pictures(env)[0], old[0])
    assert (np.abs(pictures(env)[0, ..., 0] - np.where(want > 10, 0, want)) < 0.05).mean() > 0.95
    assert np.array_equal(pictures(env)[1], old[1])


def test_links_of_another_size_are_seen_so() -> None:
    env = seeing(worlds=2, view=view(modality="depth", far=40.0))
    env.cfg = dataclasses.replace(env.cfg, randomization=RandomizationCfg(link_size=Range(low=1.0, high=1.0)))  # what is followed
    ids = torch.arange(2)
    env.randomizer.put("link_size", ids, torch.tensor([[1.0], [0.85]]).expand(2, env.engine.model.nbody).clone())
    env.engine.write_state(ids, env.rest.expand(2, -1), torch.zeros(2, 7))
    env.episode_steps[:] = 0
    look(env, ids)
    for world in range(2):
        want, _ = ray_lengths(env, world, "outside", SIDE)
        close = np.abs(pictures(env)[:, ..., 0] - want) < 0.02 * np.maximum(want, 0.5)
        assert close[world].mean() > 0.97 > close[1 - world].mean()


def test_a_snapshot_goes_on_with_the_same_pictures() -> None:
    terms = EventTerm(looks.colors), EventTerm(optics.Noise, spread=(0.05, 0.05)), EventTerm(optics.Late, pictures=(1, 2))
    env = seeing(*terms, worlds=2, view=view(rate=25))
    env.step(torch.full((2, 7), 0.3))
    state = snapshot(env)
    twin = seeing(*terms, worlds=2, seed=5, view=view(rate=25))
    restore(twin, state)
    assert torch.equal(twin.images["view"], env.images["view"])
    for _ in range(5):
        env.step(torch.full((2, 7), 0.3)), twin.step(torch.full((2, 7), 0.3))
        assert torch.equal(twin.images["view"], env.images["view"])


def test_the_same_seed_gives_the_same_pictures() -> None:
    terms = EventTerm(looks.colors), EventTerm(optics.Noise)
    envs = [seeing(*terms, seed=seed, view=view()) for seed in (1, 1, 2)]
    shots = [pictures(env) for env in envs]
    assert np.array_equal(shots[0], shots[1])
    assert not np.array_equal(shots[0], shots[2])
    for env in envs[:2]:
        env.reseed(7)
        env.reset()
    assert np.array_equal(pictures(envs[0]), pictures(envs[1]))
    assert not np.array_equal(pictures(envs[0]), shots[0])


# the contract ------------------------------------------------------------------------------------------------------------


def test_the_contract_tells_size_rate_and_intrinsics() -> None:
    env = seeing(view=view("wrist", height=20, width=30, rate=10), parts=view(modality="segmentation"), far=view(modality="depth", far=3.0))
    group = env.spec.group("view")
    image = group.image
    assert (group.shape, group.dtype, group.every) == ((20, 30, 3), "uint8", 5)
    focal = 10 / math.tan(math.radians(58.0) / 2)
    assert (image.frame, image.fx, image.fy, image.cx, image.cy) == ("wrist", pytest.approx(focal), pytest.approx(focal), 14.5, 9.5)
    assert env.spec.group("parts").image.labels == ("nothing", "ground", "robot")
    assert (env.spec.group("far").dtype, env.spec.group("far").image.far) == ("float32", 3.0)
    assert pictures(env, "far").max() <= 3.0
    assert PolicySpec.from_json(env.spec.to_json()) == env.spec
    assert env.spec.observation_dim == len(env.reset()[0][0])
    with pytest.raises(SpecError, match=r"image.labels has 1 names; a segmentation has 1 to 256, other kinds none"):
        dataclasses.replace(
            env.spec, observation=(env.spec.state, dataclasses.replace(group, image=dataclasses.replace(image, labels=("a",))))
        )


def test_a_sensor_with_a_principal_point_of_its_own_has_its_intrinsics() -> None:
    text = """<mujoco><worldbody><camera name="eye" resolution="40 30" sensorsize="0.004 0.003" focal="0.003 0.0028"
        principal="0.0002 0.0001"/><geom size="0.1" pos="0 0 -1"/></worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(text)
    assert intrinsics(model, 0, 40, 30) == pytest.approx((30.0, 28.0, 40 * 0.45 - 0.5, 30 * (0.5 - 0.1 / 3) - 0.5), rel=1e-5)
    assert focal_length(100, 90.0) == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"camera": "wirst"}, r"observations.view: there is no camera 'wirst'; valid: outside, wrist"),
        ({"rate": 30.0}, r"observations.view: rate 30 Hz does not divide the control rate of 50 Hz; the nearest that do: 25 and 50 Hz"),
        ({"height": 0}, "height must lie between 1 and 4096 pixels, not 0"),
        ({"near": 2.0, "far": 1.0}, "near and far must be depths with 0 <= near < far, not 2 and 1"),
        ({"camera": ""}, "camera is empty; name a camera of the robot"),
        ({"rate": -1.0}, "rate must be zero or above"),
    ],
)
def test_a_camera_that_cannot_be_is_told(values: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        seeing(view=view(**values))


def test_the_rule_is_overridden_by_a_word() -> None:
    cpu = torch.device("cpu")
    assert choice.choose(16 * 16, True, 64, cpu) == ("raytracer" if not _missing() else "opengl")
    assert choice.choose(1000 * 1000, True, 64, cpu) == "opengl"
    kind = any_renderer()
    assert seeing(view=view(renderer=kind)).cameras.renderers == {"view": kind}


def _missing() -> bool:
    import importlib.util

    return importlib.util.find_spec("mujoco_warp") is None


# robots ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["panda", "g1"])
def test_robots_have_cameras_and_their_scenes_for_physics_have_none(name: str) -> None:
    robot = get_robot(name)
    assert set(robot.cameras) == {"panda": {"wrist", "outside"}, "g1": {"head", "chest"}}[name]
    assert robot.compiled.ncam == 0
    scene = robot.scene()
    add_cameras(scene, robot)
    assert scene.compile().ncam == 2


def test_a_camera_looks_forward_with_its_up_up() -> None:
    quat = optical_quat(Camera(body="b", forward=(1.0, 0.0, -1.0), up=(0.0, 0.0, 3.0)))
    axes = np.empty(9)
    mujoco.mju_quat2Mat(axes, quat)
    right, up, backward = axes.reshape(3, 3).T
    np.testing.assert_allclose(backward, [-math.sqrt(0.5), 0, math.sqrt(0.5)], atol=1e-9)
    np.testing.assert_allclose(right, [0, -1, 0], atol=1e-9)
    assert up[2] > 0.7


def test_a_robot_yaml_may_have_cameras(tmp_path) -> None:
    robot = get_robot("panda")
    path = tmp_path / "robot.yaml"
    path.write_text(dump_robot(robot), encoding="utf-8")
    again = load_robot(path)
    assert again.cameras == robot.cameras
    assert dataclasses.replace(again, cameras={}).fingerprint == robot.fingerprint == again.fingerprint
    path.write_text(dump_robot(robot).replace("fovy_deg: 42.0", "fovy_deg: 200.0"), encoding="utf-8")
    with pytest.raises(RobotError, match=r"cameras.outside.fovy_deg: 200; it must lie between 0 and 180 degrees"):
        load_robot(path)
    stray = dataclasses.replace(robot, cameras={"eye": Camera(body="hnd")})
    with pytest.raises(RobotError, match=r"cameras.eye.body: the model has no body 'hnd'.*did you mean 'hand'"):
        stray.scene()
    with pytest.raises(RobotError, match=r"cameras.eye.up: .* is the direction in which it looks"):
        dataclasses.replace(robot, cameras={"eye": Camera(body="hand", up=(2.0, 0.0, 0.0))})


def test_g1_sees_its_own_sky_and_ground() -> None:
    env = seeing(task="velocity-flat", robot="g1", chest=view("chest"), parts=view("chest", modality="segmentation"))
    at_rest(env)
    labels = env.spec.group("parts").image.labels
    parts = pictures(env, "parts")[0, ..., 0]
    assert (parts[0] == labels.index("nothing")).all()  # level with the horizon and above
    assert (parts[-1] == labels.index("ground")).mean() > 0.8
    top, bottom = pictures(env, "chest")[0, 0].mean(0), pictures(env, "chest")[0, -1].mean(0)
    assert top[2] - top[0] > 20 > bottom[2] - bottom[0]  # the sky is blue
