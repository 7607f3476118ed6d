"""Studies: variants of students from one teacher."""

import json
from pathlib import Path

import pytest

from policies.networks.registry import make_network
from robolearn.cli import main
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.evaluation.study import INIT, load_study, run_study, table
from robolearn.learning.run import Run
from robolearn.learning.trainer import save
from tests.learning_helpers import make_trainer, tiny_cfg

SHIPPED = sorted((config.presets_dir() / "studies").glob("*.yaml"))
TINY = """
question: Does it run?
task: velocity-flat
seeds: [3]
variants:
  one: []
  other: [student.network.kind=mlp]
conditions:
  as trained: []
  slippery: ["env.randomization.friction={low: 0.1, high: 0.2}"]
"""


def teacher_run(folder: Path, task: str) -> Path:
    """A run of an untrained teacher."""
    trainer = make_trainer("teacher", tiny_cfg(task))
    save(trainer, Run(folder, trainer.cfg))
    return folder / "checkpoint.pt"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_name_settings_that_exist(path):
    study = load_study(path)
    for overrides in (*study.variants.values(), *study.conditions.values()):
        starts = [override.removeprefix(INIT) for override in overrides if override.startswith(INIT)]
        assert {*starts} <= {*study.variants}, "a network to start from is another variant's"
        given = [f"--{override}" for override in (*study.common, *overrides) if not override.startswith(INIT)]
        cfg = schema.load(study.task, ["--robot=go1", *given])
        assert cfg.task == study.task


def test_networks_of_the_comparison_have_about_the_same_size():
    study = load_study(config.presets_dir() / "studies" / "networks.yaml")
    sizes = {}
    for name, overrides in study.variants.items():
        cfg = schema.load("go1-velocity-flat", [f"--{override}" for override in overrides])
        sizes[name] = sum(p.numel() for p in make_network(47, 12, cfg.student.network).parameters())
    assert max(sizes.values()) < 1.25 * min(sizes.values()), sizes


def test_a_study_trains_evaluates_and_goes_on_where_it_was(tmp_path: Path):
    teacher = teacher_run(tmp_path / "teacher", "go1-velocity-flat")
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    study = load_study(tmp_path / "tiny.yaml")
    results = run_study(study, teacher, tmp_path / "out", quick=True)
    assert [(row["variant"], row["condition"]) for row in results["rows"]] == [
        (variant, condition) for variant in ("one", "other") for condition in ("as trained", "slippery")
    ]
    assert all(row["episodes"] == 45 and 0 <= row["survival"] <= 1 for row in results["rows"])
    text = table(results)
    assert text.count("\n") == 5
    titles = text.splitlines()[0]
    assert all(title in titles for title in ("survival, %", "planar velocity error, m/s", "cost of transport", "seeds"))
    for row in results["rows"]:  # one seed: its own figures
        (seen,) = (run["conditions"][row["condition"]] for run in results["runs"] if run["variant"] == row["variant"])
        assert row["survival"] == seen["survival"]
        assert row["survival_interval"] == pytest.approx(tuple(seen["intervals"]["survival"]))
        assert row["velocity_error_xy_seeds"] == [seen["velocity_error_xy"]]
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("trainings/*/checkpoint.pt")}
    assert len(written) == 2
    again = run_study(study, teacher, tmp_path / "out", quick=True)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert json.dumps(again["rows"]) == json.dumps(results["rows"])
    other = run_study(study, teacher, tmp_path / "other", quick=True)  # another study with a variant in common
    assert other["rows"] == results["rows"]
    assert set((tmp_path).rglob("trainings/*/checkpoint.pt")) == set(written)


def test_wrong_studies_are_one_line(tmp_path: Path, capsys):
    teacher = teacher_run(tmp_path / "teacher", "panda-reach")
    assert main(["study", "imitatoin", "--teacher", str(teacher)]) == 2
    assert "imitation" in capsys.readouterr().err
    assert main(["study", "imitation", "--teacher", str(teacher)]) == 2
    assert "needs a teacher of velocity-flat" in capsys.readouterr().err
    (tmp_path / "empty.yaml").write_text("question: what?\ntask: velocity-flat\nvariants: {}\n", encoding="utf-8")
    assert main(["study", str(tmp_path / "empty.yaml"), "--teacher", str(teacher)]) == 2
    assert "variants must name at least one" in capsys.readouterr().err
