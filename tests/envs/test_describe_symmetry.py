"""Left and right by geometry: a mirrored configuration puts every body where the mirror shows it, however the file is written."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from envs.robots.describe.symmetry import mirror
from envs.robots.g1 import G1
from envs.robots.go1 import GO1
from tests.robot_builder import Dialect, quadruped

DIALECTS = {
    "LF_HAA": Dialect(names="{side}{end}_{part}"),
    "words": Dialect(names="{part} of {end}, {side}"),
    "serial names": Dialect(names="serial"),
    "turned frames": Dialect(turn_frames=True),
    "flipped axes": Dialect(flip_axes=True),
    "shifted zeros": Dialect(shift_zeros=True),
    "all of it, fixed": Dialect(names="serial", turn_frames=True, flip_axes=True, shift_zeros=True, size=3.0, free=False),
}


def positions(model: mujoco.MjModel, qpos: np.ndarray) -> np.ndarray:
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    return data.xpos.copy()


def check_reflection(model: mujoco.MjModel, tolerance: float = 1e-6) -> None:
    found = mirror(model)
    assert not found.faults
    assert len(found.joints) == model.njnt - (model.jnt_type == mujoco.mjtJoint.mjJNT_FREE).sum()
    assert set(found.bodies) == {model.body(b).name for b in range(1, model.nbody)}
    image = [0] + [model.body(found.bodies[model.body(b).name]).id for b in range(1, model.nbody)]
    random = np.random.default_rng(1)
    for _ in range(10):
        qpos = model.qpos0 + random.uniform(-1, 1, model.nq)
        if model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE:
            qpos[3:7] /= np.linalg.norm(qpos[3:7])
        here, there = positions(model, qpos), positions(model, found.reflect(model, qpos))
        np.testing.assert_allclose(there[image], here * [1, -1, 1], atol=tolerance)
        np.testing.assert_allclose(found.reflect(model, found.reflect(model, qpos)), qpos, atol=1e-9)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("legs", [("F", "H"), ("F", "M", "H"), ("M",)])
def test_a_mirrored_configuration_mirrors_all_bodies(name: str, legs: tuple[str, ...]) -> None:
    check_reflection(mujoco.MjModel.from_xml_string(quadruped(DIALECTS[name], legs=legs)))


@pytest.mark.parametrize("robot", [GO1, G1], ids=lambda robot: robot.name)
def test_our_robots(robot) -> None:
    check_reflection(mujoco.MjModel.from_xml_path(str(robot.model)), tolerance=2e-3)


def test_ranges_that_are_no_mirror_images_are_said() -> None:
    text = quadruped(Dialect()).replace('range="-0.8 0.8"', 'range="-0.8 0.5"', 1)
    found = mirror(mujoco.MjModel.from_xml_string(text))
    assert not found.faults
    assert [remark for remark in found.remarks if "LF_HAA [-0.8, 0.5]" in remark]


def test_a_leg_that_is_missing_is_named() -> None:
    spec = mujoco.MjSpec.from_string(quadruped(Dialect()))
    spec.delete(spec.body("RH_HAA_link"))
    found = mirror(spec.compile())
    assert [fault for fault in found.faults if "LH_HAA" in fault and "LH_KFE" in fault]
    assert "LF_HAA" in found.joints


def test_a_default_pose_that_is_not_symmetrical_is_a_fault() -> None:
    model = mujoco.MjModel.from_xml_string(quadruped(Dialect()))
    qpos = model.qpos0.copy()
    qpos[model.jnt_qposadr[model.joint("LF_HAA").id]] = 0.2
    assert any("LF_HAA" in fault for fault in mirror(model, qpos).faults)
    qpos[model.jnt_qposadr[model.joint("RF_HAA").id]] = -0.2
    assert not mirror(model, qpos).faults
