"""The whole way on the command line, tiny: train, distill, export, evaluate, each a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from policies.contract.file import PolicyFile
from robolearn import cli
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.learning.run import load_checkpoint
from tests.envs.test_robot_yaml import MODEL, YAML
from tests.learning_helpers import TINY, tiny_cfg

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def robolearn(*arguments: str, cwd: Path) -> str:
    """Run a command line that must succeed; returns its standard output."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "robolearn", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "robot"), [("go1-velocity-flat", None), ("velocity-rough", "g1"), ("reach", "panda")])
def test_from_nothing_to_an_evaluated_policy_file(preset: str, robot: str | None, tmp_path: Path) -> None:
    iterations = ("--teacher.iterations=2", "--student.iterations=2")
    runs = preset if robot is None else f"{preset}-{robot}"
    out = robolearn("train", preset, *(("--robot", robot) if robot else ()), *TINY, *iterations, "--seed=9", cwd=tmp_path)
    (teacher,) = (tmp_path / "runs" / runs).iterdir()
    assert f"robolearn distill runs/{runs}/{teacher.name}" in out
    assert len((teacher / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert yaml.safe_load((teacher / "config.yaml").read_text(encoding="utf-8"))["seed"] == 9
    assert list(teacher.glob("events.out.tfevents.*"))
    state = load_checkpoint(teacher)
    assert (state["kind"], state["iteration"]) == ("teacher", 2)

    out = robolearn("distill", f"runs/{runs}", "--student.network.layers=1", cwd=tmp_path)
    (student,) = (tmp_path / "runs" / f"{runs}-student").iterdir()
    assert f"robolearn export runs/{runs}-student/{student.name}" in out
    config = yaml.safe_load((student / "config.yaml").read_text(encoding="utf-8"))
    assert config["seed"] == 9  # the teacher's settings go on
    assert config["student"]["network"]["layers"] == 1
    assert load_checkpoint(student)["iteration"] == 2

    out = robolearn("export", str(student), "--no-gate", cwd=tmp_path)
    assert "not evaluated: --no-gate" in out
    file = PolicyFile(student / "policy.onnx")
    assert file.verify() <= 1e-5
    assert runs.endswith(file.spec.task if robot is None else f"{file.spec.task}-{file.spec.robot.name}")
    assert file.provenance["seed"] == 9
    assert file.provenance["iteration"] == 2
    assert yaml.safe_load(file.provenance["config"]) == config
    assert "deployable" not in file.provenance

    out = robolearn("evaluate", f"runs/{runs}-student", "--seeds", "1", "--seconds", "1.2", "--json", "-", cwd=tmp_path)
    result = json.loads(out)
    assert result["task"] == file.spec.task
    assert result["policy_sha256"] == file.sha256
    assert result["score"] == ("success" if preset == "reach" else "survival")
    assert result[result["score"]] is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_runs_of_two_robots_do_not_lie_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / "table.xml").write_text(MODEL)
    (mine := tmp_path / "robot.yaml").write_text(YAML)
    named = {
        ("velocity-flat", "go1"): "velocity-flat-go1",
        ("velocity-flat", "g1"): "velocity-flat-g1",
        ("velocity-flat", str(mine)): "velocity-flat-table",
        ("go1-velocity-flat", None): "go1-velocity-flat",
        ("go1-velocity-flat", "go1"): "go1-velocity-flat",
        ("go1-velocity-flat", str(mine)): "go1-velocity-flat-table",
    }
    for (preset, robot), name in named.items():
        assert schema.name_of_runs(preset, [f"--robot={robot}"] if robot else []) == name, (preset, robot)


@pytest.mark.parametrize("name", ["train", "distill", "export", "evaluate"])
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: robolearn {name}")
    assert ("--section.key=value" in out) is (name in ("train", "distill", "evaluate"))


def test_resolved_config_makes_the_same_training(tmp_path: Path) -> None:
    """What a run folder records is a preset that `robolearn train` takes."""
    cfg = tiny_cfg("go1-velocity-flat", "--seed=4", "--teacher.ppo.clip=0.31")
    path = tmp_path / "config.yaml"
    path.write_text(config.dump(cfg), encoding="utf-8")
    again = schema.load(path)
    assert dataclasses.asdict(again) == dataclasses.asdict(cfg)
    assert (again.seed, again.teacher.ppo.clip) == (4, 0.31)


def test_a_preset_by_its_path_is_the_preset_by_its_name() -> None:
    """Also for robots that learn with the settings of their kind."""
    by_path, by_name = (schema.load(preset, ["--robot=g1"]) for preset in ("configs/velocity-flat.yaml", "velocity-flat"))
    assert config.dump(by_path) == config.dump(by_name) == config.dump(schema.load("velocity-flat-biped", ["--robot=g1"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "go2"], "go2"),
        (["train", "panda-reach", "--teacher.ppo.clipp=1"], "did you mean 'teacher.ppo.clip'?"),
        (["train", "go2-walk"], "install the package or give --import PACKAGE"),
        (["train", "velocity-flat", "--robot", "spot"], "install the package or give --import PACKAGE"),
        (["train", "velocity-flat-biped", "--robot", "go1"], "of a biped, which go1 is not: give velocity-flat, which selects"),
        (["train", "configs/velocity-rough-biped.yaml", "--robot", "go1"], "of a biped, which go1 is not: give velocity-rough"),
        (["train", "velocity-flat", "--robot", "go1", "--out", "x"], "unknown option '--out'; did you mean '--runs'?"),
        (["evaluate", "x", "--runz", "x"], "unknown option '--runz' (see robolearn evaluate --help)"),
        (["train", "panda-reach", "--teacher.iterations=some"], "teacher.iterations must be a whole number"),
        (["train", "panda-reach", "--engine", "precisely"], "unknown engine 'precisely' (did you mean precise?)"),
        (["train", "panda-reach", "--student.network.heads=5"], "not divisible by 5 heads"),
        (["export"], "the following arguments are required: student"),
        (["export", "x", "--seeds", "a"], "invalid int value"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
