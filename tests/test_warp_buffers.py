"""The warp engine's fixed buffers hold what C MuJoCo needs for a robot that lies in any way on the floor."""

import mujoco
import numpy as np
import pytest

from envs.robots.registry import ROBOTS
from tests.test_engines import needs_warp, scene


@needs_warp
@pytest.mark.parametrize("robot", ROBOTS)
def test_warp_buffers_hold_a_fallen_robot(robot):
    from envs.warp_engine import buffer_sizes

    model = scene(robot)
    contacts, rows = buffer_sizes(model)
    rng = np.random.default_rng(0)
    data = mujoco.MjData(model)
    most = [0, 0]
    for _ in range(300):
        data.qpos[:] = rng.normal(size=model.nq)
        if robot == "go1":
            data.qpos[:3] = 0.0, 0.0, rng.uniform(-0.3, 0.1)
            data.qpos[3:7] = rng.normal(size=4)
        mujoco.mj_forward(model, data)
        most = [max(most[0], data.ncon), max(most[1], data.nefc)]
    assert most[0] <= contacts <= 96
    assert most[1] <= rows <= 8 * (model.nv + contacts)
