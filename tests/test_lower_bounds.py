"""The declared lower bounds hold: the robot's side runs with the oldest packages that pyproject.toml admits, and files stay readable."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import onnx
import pytest

from policies.export.exporter import IR_VERSION, OPSET

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
READS_IR_10 = (1, 18)
"""ONNX Runtime's first version that reads IR version 10; it reads opset 20 since 1.17."""


def lowest(requirements: list[str]) -> dict[str, str]:
    """Package -> the lowest version that is declared."""
    found = (re.fullmatch(r"([A-Za-z0-9-]+)>=([0-9.]+)", requirement) for requirement in requirements)
    return {match[1]: match[2] for match in found if match is not None}


@pytest.mark.parametrize("path", sorted((ROOT / "policies" / "zoo").glob("*.onnx")), ids=lambda path: path.stem)
def test_shipped_files_are_in_the_versions_that_we_chose(path: Path) -> None:
    model = onnx.load(path)
    assert model.ir_version == IR_VERSION
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]


def test_the_oldest_onnx_runtime_reads_what_is_written() -> None:
    assert IR_VERSION == 10
    assert tuple(int(part) for part in lowest(PROJECT["dependencies"])["onnxruntime"].split(".")) >= READS_IR_10


def test_every_dependency_has_a_lower_bound_that_is_not_above_what_is_tested() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line)
    extras = [item for name, items in PROJECT["optional-dependencies"].items() if name != "ros" for item in items]
    asked = [item for item in (*PROJECT["dependencies"], *extras) if item != "wheel"]
    bounds = lowest(asked)
    assert len(bounds) == len({re.split("[<>=]", item)[0] for item in asked}), "a dependency without a lower bound of the form name>=1.2"
    for name, bound in bounds.items():
        pinned = [int(part) for part in re.findall(r"\d+", pins[name.lower()])]
        assert [int(part) for part in bound.split(".")] <= pinned, name


SCRIPT = """
import sys, numpy, onnxruntime
from pathlib import Path
import bridge.deploy, bridge.logs.repair, policies
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from policies.contract.file import PolicyFile

print("numpy", numpy.__version__, "onnxruntime", onnxruntime.__version__)
for path in sorted((Path(policies.__file__).parent / "zoo").glob("*.onnx")):
    policy = PolicyFile(path)
    assert policy.verify() < 1e-5, path
    assert numpy.isfinite(policy.act(policy.golden.observation[0])).all()
model = sys.argv[1]
options = ["--transport", "sim", "--mjcf", model, "--auto-start", "--command", "0.5", "0", "0", "--duration", "3", "--log", "run.mcap"]
assert bridge.deploy.main([str(path.parent / "go1-velocity.onnx"), *options]) == 0
log = read_log(Path("run.mcap"))
result = replay(log)
assert result.same(0.0) and result.whole and result.inferred.sum() > 40
bridge.logs.repair.repair(Path("run.mcap"), Path("whole.mcap"))
assert replay(read_log(Path("whole.mcap"))).same(0.0)

import io
from rich.console import Console
import numpy as np
from bridge.control.controller import Controller
from bridge.operator.dashboard import render, snapshot
from bridge.control.loop import ControlLoop
from bridge.simulated.physics import PhysicsRobot, physics_dt
from bridge.transports.sim import SimTransport
policy, spec = log.policy, log.policy.spec
controller = Controller(policy)
controller.arm()
robot = PhysicsRobot(spec.robot, Path(model), physics_dt(spec, 500.0))
loop = ControlLoop(controller, SimTransport(robot, spec.robot.joint_names, np.zeros(3)))
loop.run(0.1)
status = snapshot(loop, {"name": "go1", "log": "run.mcap", "simulated": True})
Console(file=io.StringIO(), width=100, force_terminal=True).print(render(status, ["an event"]))
import robolearn.cli
assert robolearn.cli.main(["list"]) == 0
assert robolearn.cli.main(["replay", "run.mcap"]) == 0
print("robot's side runs")
"""


def install(python: str, *packages: str) -> None:
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], capture_output=True, text=True
    )
    if "NewConnectionError" in done.stderr or "Temporary failure in name resolution" in done.stderr:  # a missing package is a failure
        pytest.skip("this computer reaches no package index")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the oldest packages have wheels for the oldest Python (3.11) alone")
def test_the_robots_side_runs_at_the_lower_bounds(tmp_path: Path) -> None:
    """With MuJoCo besides, for a robot to run; then once more with the newest numpy, which the same bounds admit."""
    bounds = lowest(PROJECT["dependencies"]) | {"mujoco": lowest(PROJECT["optional-dependencies"]["train"])["mujoco"]}
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, capture_output=True, timeout=300)
    python = str(tmp_path / "venv" / "bin" / "python")
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line)
    for numpy in (bounds["numpy"], pins["numpy"]):
        install(python, *(f"{name}=={bound}" for name, bound in (bounds | {"numpy": numpy}).items()))
        folder = tmp_path / numpy
        folder.mkdir()
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
        command = [python, "-c", SCRIPT, str(ROOT / "envs" / "robots" / "go1" / "go1.xml")]
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stdout + run.stderr
        assert f"numpy {numpy}" in run.stdout
        assert "robot's side runs" in run.stdout


def test_a_runtime_that_is_too_old_is_told_so(tmp_path: Path) -> None:
    """As ONNX Runtime 1.17 was for the shipped files, which had been declared enough."""
    from policies.contract.file import PolicyFile, PolicyFileError

    model = onnx.load(ROOT / "policies" / "zoo" / "panda-reach.onnx")
    model.ir_version = 99
    onnx.save(model, tmp_path / "tomorrow.onnx")
    with pytest.raises(PolicyFileError, match="is too old for its format; upgrade onnxruntime"):
        PolicyFile(tmp_path / "tomorrow.onnx")
    model.ir_version, model.opset_import[0].version = IR_VERSION, 99
    onnx.save(model, tmp_path / "opset.onnx")
    with pytest.raises(PolicyFileError, match="is too old for its format; upgrade onnxruntime"):
        PolicyFile(tmp_path / "opset.onnx")
