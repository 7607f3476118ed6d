"""Engines in another Python: the same numbers as ours, the other side's errors in words, nothing left behind however either side ends."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from envs.engines import worker
from envs.engines.elsewhere.description import described
from envs.engines.face import EngineError
from envs.engines.registry import ENGINES, UnknownEngineError, make_engine
from envs.robots.registry import get_robot
from tests.pairs import make_env

HERE = f"mujoco@{sys.executable}"
CARRIED = ("go1", "g1", "panda")  # grippers have equality constraints, which other engines do not get
N = 3
TRIES = int(os.environ.get("ROBOLEARN_KILLS", "3"))
"""How often each side is killed; 100 were tried once (docs/physics.md)."""
OLD = Path("/root/.pyenv/versions/3.8.18/bin/python")


def python38() -> str | None:
    """A Python 3.8 with numpy, as a user of Isaac Gym has it."""
    for one in (os.environ.get("ROBOLEARN_PYTHON38"), shutil.which("python3.8"), str(OLD)):
        if (
            one
            and subprocess.run([one, "-c", "import numpy, sys; sys.exit(sys.version_info[:2] != (3, 8))"], capture_output=True).returncode
            == 0
        ):
            return one
    return None


def scene(robot: str = "go1") -> mujoco.MjModel:
    return get_robot(robot).scene().compile()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, within_s: float = 20.0) -> bool:
    end = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir() if path.name.startswith("robolearn")}


# the model -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("robot", CARRIED)
def test_the_written_model_is_ours_to_the_bit(robot):
    """Compiled again, every array is the one that was written."""
    model = scene(robot)
    message, arrays = described(model)
    again = mujoco.MjModel.from_xml_string(message["mjcf"])
    for name, value in arrays.items():
        found = getattr(again.opt, name[4:]) if name.startswith("opt.") else getattr(again, name)
        if name == "jnt_axis":  # of a free joint it means nothing
            found, value = (rows[model.jnt_type > 0] for rows in (found, value))
        np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-12, err_msg=name)
    assert message["options"]["choices"]["integrator"] == ("mjtIntegrator", "mjINT_IMPLICITFAST")


def test_rough_ground_arrives_as_it_is():
    """A height field, and the fields of randomized worlds: after ten control steps the same numbers."""
    elsewhere, ours = (make_env("go1-velocity-rough", num_worlds=2, engine=name) for name in (HERE, "mujoco"))
    for env in (elsewhere, ours):
        env.reset()
        for _ in range(10):
            env.step(torch.zeros(2, 12))
    assert torch.equal(elsewhere.engine.qpos, ours.engine.qpos)
    assert elsewhere.engine.model.nhfield == 1


def test_a_model_with_more_is_refused_by_name():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><body name="a"><freejoint/><geom size="1"/></body></worldbody><equality><weld body1="a"/></equality></mujoco>'
    )
    with pytest.raises(EngineError, match=r"does not get equality constraints; valid for this model: --engine=mujoco or precise"):
        make_engine(HERE, model, 1)


# the other side's words ------------------------------------------------------------------------------------------------


def test_a_wrong_interpreter_is_one_line(tmp_path):
    with pytest.raises(EngineError, match=r"cannot start /nowhere/python: No such file or directory; give the path of a Python"):
        make_engine("mujoco@/nowhere/python", scene(), 1)
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\necho 'no licence here' >&2\nexit 3\n")
    silent.chmod(0o755)
    with pytest.raises(EngineError, match=r"its process \d+ \(.*python\) ended with exit code 3; it last said: no licence here"):
        make_engine(f"mujoco@{silent}", scene(), 1)


def test_names_with_a_python_are_checked():
    with pytest.raises(
        UnknownEngineError, match=r"unknown engine 'drake@/usr/bin/python'; valid in another Python: mujoco@/path/to/python"
    ):
        ENGINES.get("drake@/usr/bin/python")
    assert HERE in ENGINES
    assert "drake@x" not in ENGINES


@pytest.mark.skipif(importlib.util.find_spec("newton") is not None, reason="newton is installed here")
def test_a_missing_engine_says_what_to_do(monkeypatch):
    monkeypatch.delenv("ROBOLEARN_NEWTON_PYTHON", raising=False)
    with pytest.raises(EngineError, match=r"needs the package newton in a Python of its own: set ROBOLEARN_NEWTON_PYTHON="):
        make_engine("newton", scene(), 1)
    with pytest.raises(EngineError, match=r"engine 'newton@.*': this Python has no package newton"):
        make_engine(f"newton@{sys.executable}", scene(), 1)


def test_an_error_of_the_other_side_comes_with_its_traceback():
    """A kick of a world that does not exist is sent ahead; the next answer tells, and the worker is still there."""
    engine = make_engine(HERE, scene(), N)
    engine.worker.tell("velocity", ids=np.array([7]), values=np.zeros((1, engine.model.nv), np.float32))
    with pytest.raises(
        EngineError, match=r"(?s)failed in its own process \(.*\): IndexError: list index out of range\nTraceback.*set_velocity"
    ):
        engine.step(torch.zeros(N, 1, engine.model.nu))
    engine.step(torch.zeros(N, 1, engine.model.nu))
    with pytest.raises(EngineError, match=r"has no per-world field 'opt.nonsense'; valid: arrays of mjModel"):
        engine.field("opt.nonsense")


# old Pythons -----------------------------------------------------------------------------------------------------------


def test_the_far_side_is_python_38_in_its_syntax():
    import ast

    for path in Path(worker.__file__).parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))


def test_a_real_python_38_speaks_the_protocol():
    old = python38()
    if old is None:
        pytest.skip("no Python 3.8 with numpy on this computer (ROBOLEARN_PYTHON38=/path/to/python3.8)")
    has = subprocess.run([old, "-c", "import mujoco"], capture_output=True).returncode == 0
    if not has:
        with pytest.raises(EngineError, match="this Python has no package mujoco"):
            make_engine(f"mujoco@{old}", scene(), N)
        return
    engine, ours = make_engine(f"mujoco@{old}", scene(), N), make_engine("mujoco", scene(), N)
    assert engine.worker.python.startswith("3.8.")
    for one in (engine, ours):
        rest = torch.tensor(one.model.key(0).qpos, dtype=torch.float32).repeat(N, 1)
        one.write_state(torch.arange(N), rest, torch.zeros(N, one.model.nv))
        for _ in range(5):
            one.step(torch.tensor(one.model.key(0).ctrl, dtype=torch.float32).repeat(N, 1, 1), 4)
    torch.testing.assert_close(engine.qpos, ours.qpos, atol=1e-6, rtol=0.0)


# ends ------------------------------------------------------------------------------------------------------------------


def test_an_engine_that_is_dropped_takes_its_process_along():
    engine = make_engine(HERE, scene(), N)
    pid = engine.worker.pid
    assert alive(pid)
    del engine
    assert gone(pid)


def test_a_killed_worker_is_one_line():
    before = shared_memory()
    for _ in range(TRIES):
        engine = make_engine(HERE, scene(), N)
        os.kill(engine.worker.pid, signal.SIGKILL)
        with pytest.raises(EngineError) as error:
            engine.step(torch.zeros(N, 1, engine.model.nu))
        assert str(error.value) == f"engine {HERE!r}: its process {engine.worker.pid} ({sys.executable}) was killed by SIGKILL"
        assert gone(engine.worker.pid)
    assert shared_memory() == before


TRAINER = """
import sys, torch
from envs.engines.registry import make_engine
from envs.robots.registry import get_robot
model = get_robot("go1").scene().compile()
engine = make_engine("mujoco@" + sys.executable, model, 64)
print(engine.worker.pid, flush=True)
while True:
    engine.step(torch.zeros(64, 1, model.nu), 50)
"""


def test_a_killed_trainer_leaves_nothing():
    before = shared_memory()
    for _ in range(TRIES):
        with subprocess.Popen([sys.executable, "-c", TRAINER], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as trainer:
            assert trainer.stdout is not None
            pid = int(trainer.stdout.readline())
            trainer.kill()
        assert gone(pid)
    assert shared_memory() == before


def test_a_stopped_trainer_keeps_its_worker_through_ctrl_c():
    """Ctrl-C reaches both; the worker stays, so that the trainer can save what it has."""
    engine = make_engine(HERE, scene(), N)
    os.kill(engine.worker.pid, signal.SIGINT)
    engine.step(torch.zeros(N, 1, engine.model.nu))
    assert engine.state_dict()["state"]["integration"].shape[0] == N


def test_the_state_of_another_version_is_refused():
    engine = make_engine(HERE, scene(), N)
    state = engine.state_dict() | {"version": "3.2.3"}
    with pytest.raises(EngineError, match=r"is \d.*, and this state is of 3.2.3: use that one to continue"):
        engine.load_state_dict(state)
