"""Nothing is sent anywhere and nothing is written into the home folder: what dependencies do unasked is turned off before it begins.

Each entry point runs with an empty home in a network of its own that leads nowhere, under strace where that is installed: a look-up or a
connection is seen there as an attempt, whoever's thread makes it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.test_architecture import BELOW, ROOT, files, imports

ZOO = ROOT / "policies" / "zoo"
MJCF = ROOT / "envs" / "robots" / "go1" / "go1.xml"
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket() as probe:  # bring the new network's loopback up
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", 0x41))
os.execvp(sys.argv[1], sys.argv[1:])
"""
KEPT = {
    *("PATH", "LANG", "MUJOCO_GL", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
    *("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "CYCLONEDDS_URI"),
}
"""No other variable: ONNX Runtime's telemetry is quiet where one (`CI`) says that tests run, and then a test of it proves nothing."""


def own_network() -> list[str]:
    """What starts a command in a network of its own, or nothing where this computer does not allow that."""
    if shutil.which("unshare") is None:
        return []
    command = ["unshare", "--net", sys.executable, "-c", ALONE]
    return command if subprocess.run([*command, "true"], capture_output=True).returncode == 0 else []


@dataclass(frozen=True)
class Traces:
    """What a process left: files in its home, addresses that it tried to reach (None where nobody looked), and what it said."""

    written: list[str]
    reached: list[str] | None
    code: int
    said: str


def run(arguments: list[str], folder: Path, **variables: str) -> Traces:
    """Run a command with an empty home and without any variable that keeps dependencies quiet."""
    home = folder / "home"
    home.mkdir()
    (folder / "here").mkdir()
    environment = {name: value for name, value in os.environ.items() if name in KEPT}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    network = own_network()
    trace = folder / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=connect,sendto,sendmsg,sendmmsg"] if shutil.which("strace") else []
    command = [*network, *strace, *arguments]
    done = subprocess.run(command, cwd=folder / "here", env=environment, capture_output=True, text=True, timeout=300, check=False)
    reached = _reached(trace.read_text(encoding="utf-8", errors="replace")) if strace else None
    return Traces(sorted(str(path.relative_to(home)) for path in home.rglob("*")), reached, done.returncode, done.stdout + done.stderr)


def _reached(trace: str) -> list[str]:
    """Addresses outside this computer; multicast of ROS 2's discovery range stays on loopback by our own settings and counts as inside."""
    addresses = re.findall(r'sin_addr=inet_addr\("([0-9.]+)"\)|inet_pton\(AF_INET6, "([0-9a-f:.]+)"', trace)
    found = {four or six for four, six in addresses}
    return sorted(a for a in found if not a.startswith(("127.", "239.255.")) and a not in ("::1", "0.0.0.0", "::ffff:127.0.0.1"))


def robolearn(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "robolearn.cli", *arguments]


IMPORTS = """
import importlib, pkgutil, sys
for name in ("policies", "bridge", "envs", "robolearn"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            print("not here:", module.name, error, file=sys.stderr)
import time; time.sleep(1.5)  # what starts a thread has time to do its work
"""
USER = "import policies.contract.file; import time; time.sleep(1.5)"
SIM = ("--transport", "sim")
WALK = ("--auto-start", "--command", "0.5", "0", "0", "--duration", "3")
SHORT = ("--seeds", "1", "--seconds", "2")
ENTRIES: dict[str, list[str]] = {
    "a user's program": [sys.executable, "-c", USER],
    "all modules": [sys.executable, "-c", IMPORTS],
    "help": robolearn("--help"),
    "list": robolearn("list"),
    "deploy": robolearn("deploy", "go1-velocity", *SIM, *WALK),
    "bridge.deploy": [sys.executable, "-m", "bridge.deploy", str(ZOO / "go1-velocity.onnx"), *SIM, "--mjcf", str(MJCF), *WALK],
    "train": robolearn("train", "panda-reach", "--env.num_worlds=8", "--teacher.iterations=1"),
    "evaluate": robolearn("evaluate", "panda-reach", *SHORT),
    "play": robolearn("play", "panda-reach", "--seconds", "1.5", "--out", "v.mp4"),
    "identify": robolearn("identify", "--demo", "panda", "--seconds", "4", "--parameters", "kp"),
    "study": robolearn("study", "--help"),
    "bench": robolearn("bench", "--help"),
    "ros2 run": [sys.executable, str(ROOT / "resource" / "bin" / "robolearn"), "list"],
}  # fmt: skip
ROS_ENTRIES: dict[str, list[str]] = {
    "simulated_robot": [sys.executable, "-m", "bridge.simulated.robot", "--policy", str(ZOO / "go1-velocity.onnx"), "--mjcf", str(MJCF),
                        "--duration", "2"],
    "deploy over ROS 2": robolearn("deploy", "go1-velocity", "--simulate", *WALK),
}  # fmt: skip


def is_quiet(traces: Traces) -> None:
    assert not traces.written, traces.written
    assert not traces.reached, traces.reached


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_point_sends_nothing_and_leaves_the_home_empty(name: str, tmp_path: Path) -> None:
    traces = run(ENTRIES[name], tmp_path)
    assert traces.code == 0, traces.said
    is_quiet(traces)


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.parametrize("name", ROS_ENTRIES)
def test_a_node_sends_nothing_away_and_leaves_the_home_empty(name: str, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    traces = run(ROS_ENTRIES[name], tmp_path)
    assert traces.code in (0, 1), traces.said  # a busy computer may stop the robot
    assert "Traceback" not in traces.said
    is_quiet(traces)


@pytest.mark.slow
def test_a_log_a_distilled_student_and_its_file_leave_the_home_empty(tmp_path: Path) -> None:
    tiny = (
        "--env.num_worlds=8 --student.ppo.rollout_steps=8 --student.network.width=16 --student.network.heads=2 --student.network.window=4"
    )
    command = " && ".join((
        f"r='{sys.executable} -m robolearn.cli'",
        "$r deploy go1-velocity --transport sim --auto-start --command 0.5 0 0 --duration 3 --log run.mcap",
        "$r replay run.mcap --plot p.png",
        f"$r train panda-reach {tiny} --teacher.iterations=1",
        "$r distill runs/panda-reach --student.iterations=1",
        "$r export runs/panda-reach-student --no-gate",
    ))  # fmt: skip
    traces = run(["sh", "-c", command], tmp_path)
    assert traces.code == 0, traces.said
    is_quiet(traces)


@pytest.mark.slow
def test_the_check_sees_what_onnx_runtime_does_by_itself(tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing. Only where it cannot really send."""
    if not own_network():
        pytest.skip("this computer does not let a process have a network of its own")
    traces = run([sys.executable, "-c", "import onnxruntime, time; time.sleep(3); print(onnxruntime.__version__)"], tmp_path)
    version = tuple(int(part) for part in traces.said.strip().split(".")[:2])
    if version < (1, 29):
        pytest.skip("this ONNX Runtime has no telemetry on Linux")
    assert traces.written


@pytest.mark.slow
def test_who_wants_telemetry_or_log_files_has_them(tmp_path: Path) -> None:
    code = "import policies, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert run([sys.executable, "-c", code], tmp_path, ORT_DISABLE_TELEMETRY="0").said.strip() == "0"


def test_ros_log_files_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.isolation import ros_arguments

    for name in ("ROS_LOG_DIR", "ROS_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert ros_arguments(["--ros-args", "-p", "a:=1"]) == ["--ros-args", "-p", "a:=1", "--ros-args", "--disable-external-lib-logs"]
    assert ros_arguments(["--ros-args", "--enable-external-lib-logs"]) == ["--ros-args", "--enable-external-lib-logs"]
    monkeypatch.setenv("ROS_LOG_DIR", "/somewhere")
    assert ros_arguments([]) == []


def test_one_package_alone_imports_onnx_runtime() -> None:
    """`policies/__init__.py` runs before any of its modules, and says what ONNX Runtime must not do."""
    others = [
        item
        for package in BELOW
        if package != "policies"
        for path in files(package)
        for item in imports(path)
        if "onnxruntime" in item.module
    ]
    assert not others, others
    for folder in ("benchmarks", "launch", "resource/bin"):
        for path in (ROOT / folder).iterdir():
            assert path.is_dir() or not re.search(r"import onnxruntime|from onnxruntime", path.read_text(encoding="utf-8")), path


def test_who_imports_onnx_runtime_first_is_warned() -> None:
    code = "import sys, types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime'); import policies"
    environment = {name: value for name, value in os.environ.items() if name in KEPT} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "ORT_DISABLE_TELEMETRY=1" in done.stderr
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment | {"ORT_DISABLE_TELEMETRY": "1"})
    assert quiet.stderr == ""


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", "tests/conftest.py"])
def test_what_starts_python_by_itself_says_it_too(path: str) -> None:
    assert "ORT_DISABLE_TELEMETRY" in (ROOT / path).read_text(encoding="utf-8")


def test_servers_listen_on_this_computer_alone() -> None:
    pytest.importorskip("viser")
    from robolearn.viewer.browser import HOST

    assert HOST == "127.0.0.1"
    text = "\n".join(path.read_text(encoding="utf-8") for package in BELOW for path in files(package))
    assert "0.0.0.0" not in text
