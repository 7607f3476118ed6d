"""Every command with inputs that are none: each is one line that is not empty, exit code 2, and never a traceback or an answer."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import envs.adapters.gymnasium  # noqa: F401 (registers)
from envs.vec_env import torch_seed
from robolearn import cli
from robolearn.errors import UserError
from robolearn.learning.run import Run, check_ours
from robolearn.learning.trainer import save
from tests.learning_helpers import TINY, make_trainer, tiny_cfg

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NO_FILES = (
    "empty",
    "text",
    "binary",
    "folder",
    "zip",
    "pickle",
    "loop",
    "dangling",
    "nope",
    "n" * 300,
    "text/inside",
    "",
    "/dev/null",
    "ü \udcff",
)
NO_CHECKPOINTS = (*NO_FILES, "kind.pt", "weights.pt", "number.pt", "other_task.pt", "no_yaml.pt", "evil.pt")
NO_YAML = ("empty.yaml", "binary.yaml", "list.yaml", "tab.yaml", "nul.yaml", "folder.yaml", "loop.yaml", "nope.yaml")


class Evil:
    """What a file of torch's could run if it were trusted."""

    def __reduce__(self) -> Any:
        return print, ("owned",)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for name, data in {
        "empty": b"",
        "text": b"hello\nworld",
        "binary": bytes(range(256)) * 20,
        "list.yaml": b"- 1\n",
        "tab.yaml": b"a:\n\t- b",
    }.items():
        (folder / name).write_bytes(data)
    for name, data in {"empty.yaml": b"", "binary.yaml": b"\xff\xfe\x00\x80", "nul.yaml": b"task: a\0b\n"}.items():
        (folder / name).write_bytes(data)
    for name in ("folder", "folder.yaml"):
        (folder / name).mkdir()
    for name, target in {"loop": "loop", "loop.yaml": "loop.yaml", "dangling": "nowhere"}.items():
        (folder / name).symlink_to(target)
    with zipfile.ZipFile(folder / "zip", "w") as archive:
        archive.writestr("a", "b")
    (folder / "pickle").write_bytes(pickle.dumps({"kind": "teacher"}))
    whole = {"kind": "teacher", "config": "task: reach\nrobot: panda\n", "iteration": 1, "policy": {"normalizer.mean": torch.zeros(3)}}
    torch.save({"kind": "teacher"}, folder / "kind.pt")
    torch.save(whole, folder / "weights.pt")
    torch.save(whole | {"kind": 3}, folder / "number.pt")
    torch.save(whole | {"config": "task: nothing\n"}, folder / "other_task.pt")
    torch.save(whole | {"config": "[1"}, folder / "no_yaml.pt")
    torch.save(whole | {"x": Evil()}, folder / "evil.pt")
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command line is refused with."""
    assert cli.main(list(arguments)) == 2, arguments
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("robolearn: error: ")
    assert not lines[0].endswith((": ", ":", "()")), lines
    assert "owned" not in lines[0]
    return lines[0]


@pytest.mark.parametrize("name", NO_FILES, ids=lambda name: ascii(name[:20]))
@pytest.mark.parametrize(
    "before",
    [
        ["evaluate"],
        ["play"],
        ["deploy", "--transport", "sim"],
        ["deploy", "panda-reach", "--transport", "sim", "--mjcf"],
        ["replay"],
        ["replay", "text", "--policy"],
        ["identify"],
        ["identify", "--standing"],
        ["demo", "--resume"],
        ["study"],
    ],
    ids=" ".join,
)
def test_what_is_no_policy_log_or_model(
    before: list[str], name: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(inputs)
    after = ["--teacher", "x"] if before == ["study"] else []
    line = refused(capsys, *before, name, *after)
    assert name[:20] in line or name in ("", "ü \udcff") or before[0] == "replay" or "loop" in line


@pytest.mark.parametrize("name", NO_CHECKPOINTS, ids=lambda name: ascii(name[:20]))
@pytest.mark.parametrize(
    "before",
    [["train", "--resume"], ["distill"], ["distill", "--resume"], ["export"], ["study", "student-memory", "--teacher"]],
    ids=" ".join,
)
def test_what_is_no_checkpoint(
    before: list[str], name: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(inputs)
    refused(capsys, *before, name)


@pytest.mark.parametrize("name", NO_YAML)
@pytest.mark.parametrize(
    ("before", "after"),
    [(["train"], []), (["demo"], []), (["study"], ["--teacher", "x"]), (["evaluate", "panda-reach", "--config"], [])],
    ids=lambda value: " ".join(value),
)
def test_what_is_no_yaml(
    before: list[str], after: list[str], name: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(inputs)
    refused(capsys, *before, name, *after)


@pytest.mark.parametrize("value", ["-1", "1" + "0" * 18, "1" + "0" * 30, "nan", "inf", "-inf", "1e400", "0x10", ""])
@pytest.mark.parametrize(
    "before",
    [
        ["evaluate", "panda-reach", "--seeds"],
        ["evaluate", "panda-reach", "--seconds"],
        ["play", "panda-reach", "--no-video", "--seconds"],
        ["play", "panda-reach", "--live", "--port"],
        ["play", "panda-reach", "--size"],
        ["identify", "--demo", "go1", "--seconds"],
        ["identify", "--demo", "go1", "--threads"],
        ["identify", "text", "--simulated"],
        ["bench", "loop", "--seconds"],
        ["bench", "sim", "--worlds"],
        ["export", "x", "--seeds"],
        ["demo", "panda-reach", "--seeds"],
        ["replay", "text", "--tolerance"],
        ["train", "panda-reach", "--env.num_worlds=8", "--runs", "/proc/none", "--checkpoint_every"],
        ["train", "panda-reach", "--env.num_threads"],
    ],
    ids=lambda before: " ".join(part for part in before if "--env.num_worlds" not in part)[:50],
)
def test_numbers_that_cannot_be_meant(
    before: list[str], value: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(inputs)
    if before[0] == "train" and value == "0x10":
        pytest.skip("a whole number in YAML")
    if before[0] == "train":
        before, value = before[:-1], f"{before[-1]}={value}"
    refused(capsys, *before, value)


@pytest.mark.parametrize("value", [-1, 2**62, 2**64, 10**30])
def test_seeds_of_a_training_beyond_its_range(value: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"not {value}" in refused(capsys, "train", "panda-reach", f"--seed={value}")


@pytest.mark.parametrize("command", [["play", "panda-reach"], ["evaluate", "panda-reach"], ["identify", "--demo", "go1"]], ids=" ".join)
def test_negative_seeds(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--seed must not be negative, is -1" in refused(capsys, *command, "--seed", "-1")


@pytest.mark.parametrize("seed", [2**31, 2**32, 2**63, 2**64, 10**30])
def test_any_seed_from_zero_up_works(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """In the command line, in Gymnasium and in vectors, and each is another one."""
    assert cli.main(["play", "panda-reach", "--no-video", "--seconds", "0.1", "--seed", str(seed)]) == 0
    env = gymnasium.make("envs.adapters.gymnasium:robolearn/PandaReach-v0", seed=seed)
    first, again, other = (env.reset(seed=value)[0] for value in (seed, seed, seed + 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    many = gymnasium.make_vec("envs.adapters.gymnasium:robolearn/PandaReach-v0", num_envs=2, num_threads=1)
    for value in (seed, np.int64(seed % 2**62), [seed, None]):
        assert np.array_equal(many.reset(seed=value)[0], many.reset(seed=value)[0])


def test_seeds_of_stable_baselines3() -> None:
    pytest.importorskip("stable_baselines3")
    from robolearn.learning.sb3 import make_ppo

    cfg = tiny_cfg("panda-reach", "--sb3.hidden=[8]", "--sb3.batch_size=16", "--sb3.steps=2", f"--seed={2**40 + 1}")
    assert make_ppo(cfg).seed == 1
    with pytest.raises(ValueError, match="must not be negative"):
        torch_seed(-1)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("--env.num_worlds=0", "num_worlds must be at least 1"),
        (f"--env.num_worlds={2**31}", "num_worlds must be at most"),
        (f"--env.decimation={10**19}", "decimation must be at most"),
        (f"--teacher.ppo.rollout_steps={10**19}", "64 bits"),
        (f"--teacher.ppo.rollout_steps={2**62}", "not enough memory"),
        ("--threads=100000", "threads must lie between"),
        ("--teacher.iterations=0", "iterations must be at least 1"),
        ("--student.iterations=-1", "iterations must be at least 1"),
        ("--teacher.hidden=[0]", "at least 1 unit"),
        ("--teacher.initial_std=0", "initial_std must be positive"),
        ("--student.network.heads=0", "heads must be at least 1"),
        ("--env.episode_s=1e-300", "episode_s must be at least one control_dt"),
        ("--env.episode_s=1e300", "countable"),
        ("--env.control_dt=.nan", "finite"),
        ("--sb3.epochs=0", "epochs must be at least 1"),
        ("--env.device=", "runs on the cpu"),
        ("--env.device=tpu", "runs on the cpu"),
    ],
)
def test_settings_that_cannot_be_meant(setting: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, "train", "panda-reach", *TINY, setting)


def test_too_many_worlds_for_the_memory_are_one_line(tmp_path: Path) -> None:
    import resource

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))

    arguments = ["train", "panda-reach", "--env.num_worlds=20000000", "--env.num_threads=1", "--threads=1", "--runs", str(tmp_path)]
    done = run(*arguments, preexec_fn=little)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("robolearn: error: not enough memory: ")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's run and a student's, as a user has them, under a name with a space."""
    folder = tmp_path_factory.mktemp("my runs")
    for kind, name in (("teacher", "panda-reach"), ("student", "panda-reach-student")):
        trainer = make_trainer(kind, tiny_cfg("panda-reach", "--student.iterations=1"))
        job = Run(folder / "runs" / name / "2026-03-01_12-00-00", trainer.cfg)
        save(trainer, job)
        job.close()
    return folder


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | options.pop("env", {})
    command = [sys.executable, "-m", "robolearn", *arguments]
    given = {"capture_output": True, "text": True, "errors": "surrogateescape", "timeout": 300, "check": False, "env": environment}
    return subprocess.run(command, **(given | options))


@pytest.mark.slow
def test_in_a_runs_own_folder(runs: Path, tmp_path: Path) -> None:
    """`.` has no name, and what is written is named after the run all the same; what to type next works with spaces."""
    teacher, student = (runs / "runs" / name / "2026-03-01_12-00-00" for name in ("panda-reach", "panda-reach-student"))
    for what in (".", "checkpoint.pt"):
        done = run("distill", what, "--runs", str(tmp_path / "new runs"), cwd=teacher)
        assert done.returncode == 0, done.stderr
        assert f"robolearn export '{tmp_path}/new runs/panda-reach-student/" in done.stdout
    assert [path.name for path in (tmp_path / "new runs").iterdir()] == ["panda-reach-student"]
    done = run("export", ".", "--no-gate", cwd=student)
    assert done.returncode == 0, done.stderr
    assert (student / "policy.onnx").is_file()
    done = run("play", ".", "--no-video", "--seconds", "0.1", cwd=student)
    assert done.returncode == 0, done.stderr


def test_a_training_goes_on_in_no_folder_of_somebody_else(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = runs / "runs" / "panda-reach" / "2026-03-01_12-00-00" / "checkpoint.pt"
    (tmp_path / "checkpoint.pt").write_bytes(source.read_bytes())
    check_ours(tmp_path)  # a checkpoint alone in a folder is fine
    for name, text in (
        ("config.yaml", "hydra: 1\n"),
        ("metrics.jsonl", '{"step": 1}\n'),
        ("metrics.jsonl", "x\n"),
        ("config.yaml", "- 1\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert "is not a run of robolearn that can be continued" in refused(capsys, "train", "--resume", str(tmp_path / "checkpoint.pt"))
        assert (tmp_path / name).read_text(encoding="utf-8") == text
        (tmp_path / name).unlink()
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError):
        check_ours(tmp_path)


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [ASCII, {"PYTHONIOENCODING": "latin-1:strict"}, {"LC_ALL": "POSIX"}], ids=["ascii", "latin-1", "posix"]
)
def test_output_never_fails_for_its_encoding(environment: dict[str, str], runs: Path, tmp_path: Path) -> None:
    odd = tmp_path / "läufe \udcff ロボット"
    odd.mkdir()
    (odd / "policy.onnx").symlink_to(REPOSITORY / "policies" / "zoo" / "panda-reach.onnx")
    sim = ["--transport", "sim", "--duration", "4", "--ungated", "--auto-start", "--command", "0.4", "0", "0.4", "--log", "a.mcap"]
    for arguments in (
        ["play", str(odd / "policy.onnx"), "--no-video", "--seconds", "0.1"],
        ["play", str(odd), "--seconds", "0.2", "--json", str(odd / "a.json")],
        ["deploy", str(odd), *sim, "--events", str(odd / "events.jsonl")],
        ["replay", str(odd / "a.mcap"), "--json", "r.json", "--plot", "r.png"],
        ["replay", "."],
        ["train", "panda-reach", *TINY, "--teacher.iterations=1", "--runs", str(odd)],
        ["list"],
    ):
        done = run(*arguments, cwd=odd, env=environment)
        assert done.returncode == 0, (arguments, done.stderr)
        assert "Error" not in done.stderr
    done = run("evaluate", str(odd / "nothing"), cwd=odd, env=environment)
    assert done.returncode == 2
    assert "no policy file at" in done.stderr
    assert json.loads((odd / "a.json").read_text(encoding="utf-8"))["task"] == "reach"


def test_a_crash_is_no_answer(tmp_path: Path) -> None:
    """An error that nothing expects, at import, in the command or in a thread, has a code of its own, and says that it is ours."""
    code = "import sys, threading; sys.argv[1:] = ['list']\nfrom robolearn import cli\nimport robolearn.commands.list as c\n"
    for broken in (
        "c.presets = lambda: 1 / 0",
        "c.presets = lambda: (_ for _ in ()).throw(KeyError('ä\\udcff'))",
        "sys.modules['robolearn.commands.list'] = None; sys.meta_path.clear()",
        "t = threading.Thread(target=lambda: 1 / 0); c.zoo = lambda: [t.start(), t.join(), {}][2]",
    ):
        source = f"{code}{broken}\nsys.exit(cli.main())"
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "ascii"}
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 70, (broken, done.stderr)
        assert "Traceback" in done.stderr
        assert "robolearn: this is a bug in robolearn; please report it" in done.stderr


def test_debug_keeps_the_exit_code(tmp_path: Path) -> None:
    done = run("play", "nothing", env={"ROBOLEARN_DEBUG": "1"})
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_reader_that_went_away_is_neither_an_answer_nor_an_error() -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    script = f"{sys.executable} -m robolearn list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", f"exec 2>&1; {script}"], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "141\n"
    closed = subprocess.run(["bash", "-c", f"{sys.executable} -m robolearn list >&- 2>&-"], check=False, env=environment)
    assert closed.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("library", ["glfw", "osmesa", "nonsense"])
def test_what_cannot_draw_is_one_line(library: str, tmp_path: Path) -> None:
    done = run("play", "panda-reach", "--seconds", "0.1", "--out", str(tmp_path / "a.mp4"), env={"MUJOCO_GL": library, "DISPLAY": ""})
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(
        ("robolearn: error: cannot draw without a screen", f"robolearn: error: MuJoCo cannot be imported with MUJOCO_GL={library}")
    )
    assert list(tmp_path.iterdir()) == []
