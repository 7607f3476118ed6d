"""The warp engine's fixed buffers hold what C MuJoCo needs for robots that fall about, and are not wasteful."""

import mujoco
import numpy as np
import pytest

from tests.envs.test_engines import needs_warp
from tests.pairs import TASKS, make_env


@needs_warp
@pytest.mark.parametrize("task", TASKS)
def test_warp_buffers_hold_robots_that_fall_about(task):
    from envs.engines.warp import buffer_sizes, most_possible

    env = make_env(task, num_worlds=1, num_threads=1)
    model, terrain = env.engine.model, getattr(env, "terrain", None)
    contacts, rows = buffer_sizes(model)
    rng = np.random.default_rng(1)
    data = mujoco.MjData(model)
    most = [0, 0]
    for _ in range(6):
        mujoco.mj_resetDataKeyframe(model, data, 0)
        if env.robot.floating_base:
            data.qpos[:2] = rng.uniform(-3, 3, 2) if terrain is None else 0.8 * rng.uniform(-terrain.half, terrain.half)
            data.qpos[3:7] = rng.normal(size=4)
            data.qpos[2] += 0.3 + (0.0 if terrain is None else float(terrain.heights.max()))
        for step in range(200):
            if step % 40 == 0:
                low, high = model.actuator_ctrlrange.T
                data.ctrl[:] = rng.uniform(low, high) if model.actuator_ctrllimited.all() else rng.normal(size=model.nu)
            mujoco.mj_step(model, data)
            most = [max(most[0], data.ncon), max(most[1], data.nefc)]
    assert most[0] > 0 or task == "panda-reach"
    assert most[0] <= contacts <= most_possible(model)[0]
    assert most[1] <= rows <= most_possible(model)[1]
    assert rows <= 8 * (model.nv + contacts)
