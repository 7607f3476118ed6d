"""Evaluation measures what it says, of a file that it leaves as it is."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from envs.tasks.registry import get_task
from policies.contract.file import SPEC_KEY, PolicyFile
from robolearn import cli
from robolearn.errors import UserError
from robolearn.evaluation.actors import FileActor, TeacherActor
from robolearn.evaluation.contract import OF_ROBOT
from robolearn.evaluation.evaluate import evaluate, evaluate_file
from robolearn.evaluation.gate import deployable, shortcomings
from robolearn.evaluation.result import EvaluationResult
from robolearn.evaluation.table import show
from robolearn.learning import export as exporting
from tests.learning_helpers import constant_policy, edit_metadata, random_transformer, tiny_cfg, tiny_teacher, transformer_file
from tests.pairs import PAIRS, cfg_of
from tests.results import changed, result

GO1, PANDA, FLAT = "go1-velocity-flat", "panda-reach", "velocity-flat"
KEYS = {"policy", "robot", "task", "engine", "episodes", "survival", "velocity_error_xy", "velocity_error_yaw", "cost_of_transport"}
KEYS |= {"intervals", "figures", "score"}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return constant_policy(tmp_path_factory.mktemp("policies") / "stand.onnx")


@pytest.fixture(scope="module")
def stands(standing: Path) -> EvaluationResult:
    return evaluate_file(PolicyFile(standing), seeds=1, seconds=3.0)


def test_a_standing_policy_survives_and_errs_by_the_commanded_speed(stands: EvaluationResult) -> None:
    grid = list(itertools.product((-0.8, -0.4, 0.0, 0.4, 0.8), (-0.48, 0.0, 0.48), (-0.8, 0.0, 0.8)))
    speed = np.mean([np.hypot(vx, vy) for vx, vy, _ in grid])
    assert stands.episodes == len(grid) == 45
    assert stands.score == stands.value("survival") >= 0.95
    assert stands.value("velocity_error_xy") == pytest.approx(speed, abs=0.08)
    assert stands.value("velocity_error_yaw") == pytest.approx(0.8 * 2 / 3, abs=0.08)
    assert stands.value("success") is None
    for figure in stands.figures.values():
        assert figure.low <= figure.value <= figure.high
        assert figure.count <= stands.episodes


def test_a_policy_that_thrashes_falls(tmp_path: Path) -> None:
    action = np.random.default_rng(0).choice([-5.0, 5.0], 12).tolist()
    result = evaluate_file(PolicyFile(constant_policy(tmp_path / "thrash.onnx", action)), seeds=1, seconds=3.0)
    assert result.score < 0.5


def test_a_fall_before_anything_was_measured_leaves_no_figures() -> None:
    cfg = cfg_of(GO1)
    tilt = cfg.terminations["tilt"].changed(max_tilt=1e-6)
    cfg = dataclasses.replace(cfg, terminations={**cfg.terminations, "tilt": tilt})
    result = evaluate(lambda worlds: TeacherActor(tiny_teacher(tiny_cfg(GO1))), *PAIRS[GO1], seeds=1, seconds=1.2, env=cfg)
    assert result.value("survival") == 0.0
    assert [name for name, figure in result.figures.items() if figure.value is not None] == ["survival"]
    assert set(result.to_dict()["intervals"]) == {"survival"}
    json.dumps(result.to_dict(), allow_nan=False)
    show([result, changed(result, survival=(0.5, 0.0, 1.0), velocity_error_xy=(0.1, 0.0, 1.0))])


def test_the_file_is_frozen_and_the_figures_repeat(standing: Path) -> None:
    before = standing.read_bytes()
    first, second = (evaluate_file(PolicyFile(standing), seeds=1, seconds=1.5) for _ in range(2))
    other = evaluate_file(PolicyFile(standing), seeds=1, seconds=1.5, seed=7)
    assert standing.read_bytes() == before
    assert first.policy_sha256 == hashlib.sha256(before).hexdigest()
    assert first == second
    assert first.value("velocity_error_xy") != other.value("velocity_error_xy")


@pytest.mark.slow
def test_the_precise_engine_says_the_same_of_standing(standing: Path, stands: EvaluationResult) -> None:
    precise = evaluate_file(PolicyFile(standing), "precise", seeds=1, seconds=1.2)
    assert precise.engine == "precise"
    assert precise.value("survival") == 1.0
    assert precise.value("velocity_error_xy") == pytest.approx(stands.value("velocity_error_xy"), abs=0.08)


MISMATCHES: list[tuple[str, Callable[[Any], Any]]] = [
    ("joint names", lambda s: s["robot"]["joint_names"].reverse()),
    ("observation terms", lambda s: s["observation"][0]["terms"][0].update(scale=0.25)),
    ("observation terms", lambda s: s["observation"][0]["terms"][4].update(clip=3.0)),
    ("default pose", lambda s: s["robot"].update(default_pose=[p + 0.01 for p in s["robot"]["default_pose"]])),
    ("gains", lambda s: s["robot"]["kd"].__setitem__(0, 0.5)),
    ("joint range", lambda s: s["robot"]["position_upper"].__setitem__(2, 3.0)),
    ("action law", lambda s: s["action"]["scale"].__setitem__(3, 0.5)),
    ("action law", lambda s: s["action"].update(clip=1.0)),
    ("action law", lambda s: s["action"].update(mode="position_delta")),
]


@pytest.mark.parametrize(("what", "change"), MISMATCHES)
def test_another_contract_is_refused(what: str, change: Callable[[Any], Any], standing: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(standing.read_bytes())

    def apply(spec: Any) -> Any:
        change(spec)
        return spec

    other_robot = "is for go1 with the joints RL_calf_joint"  # said before there are any worlds
    where = "robot go1 has: .* of [FR][LR]_" if what in OF_ROBOT else f"task {FLAT} has here"
    message = other_robot if what == "joint names" else f"was trained with other {what} than {where}"
    with pytest.raises(UserError, match=message):
        evaluate_file(PolicyFile(edit_metadata(path, SPEC_KEY, apply)), seeds=1, seconds=1.1)


def test_rates_are_those_of_the_file(standing: Path, tmp_path: Path) -> None:
    """A training may choose its rates; they are no mismatch."""
    path = tmp_path / "other.onnx"
    path.write_bytes(standing.read_bytes())
    rates = {"control_dt": 0.01, "decimation": 2, "clock_hz": 1.25}
    file = PolicyFile(edit_metadata(path, SPEC_KEY, lambda spec: spec | rates))
    cfg = cfg_of(GO1).at_rates_of(file.spec)
    assert {name: getattr(cfg, name) for name in rates} == rates
    assert evaluate_file(file, seeds=1, seconds=1.1).value("survival") == 1.0


GAIN = 0.08  # share of the error that a control step closes


class InverseKinematics:
    """Moves the hand straight to its goal by the pseudoinverse of C MuJoCo's Jacobian; nothing learned, nothing shared."""

    def __init__(self, worlds: int) -> None:
        self.robot = get_robot("panda")
        self.model = self.robot.scene().compile()
        self.data = mujoco.MjData(self.model)
        self.site = self.model.site("end_effector").id
        self.qpos = [int(self.model.joint(name).qposadr[0]) for name in self.robot.joints]
        self.dofs = [int(self.model.joint(name).dofadr[0]) for name in self.robot.joints]
        self.resets = 0

    def reset(self, ids: torch.Tensor) -> None:
        self.resets += len(ids)

    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        joints, width = len(self.robot.joints), policy.shape[1]  # the observation begins with command and joint positions
        actions = np.zeros((len(policy), joints), np.float32)
        for world, row in enumerate(privileged.double().numpy()):
            self.data.qpos[self.qpos] = row[3 : 3 + joints] + self.robot.default_pose
            mujoco.mj_kinematics(self.model, self.data)
            mujoco.mj_comPos(self.model, self.data)
            jacobian = np.zeros((3, self.model.nv))
            mujoco.mj_jacSite(self.model, self.data, jacobian, None, self.site)
            j = jacobian[:, self.dofs]
            step = GAIN * j.T @ np.linalg.solve(j @ j.T + 1e-3 * np.eye(3), row[width : width + 3])
            actions[world] = step / cfg_of(PANDA).action.scale
        return torch.from_numpy(actions)


@pytest.mark.slow
def test_success_of_a_solver_and_of_an_idler(tmp_path: Path) -> None:
    solver = evaluate(InverseKinematics, *PAIRS[PANDA], seeds=1)
    idler = evaluate_file(PolicyFile(constant_policy(tmp_path / "idle.onnx", 0.0, PANDA)), seeds=1)
    assert solver.episodes == idler.episodes == 200
    assert solver.score == solver.value("success") >= 0.9
    assert idler.score <= 0.05
    assert solver.value("distance") < 0.02 < idler.value("distance")
    for found in (solver, idler):
        assert set(found.figures) == {"success", "near", "distance"}
        assert (found.robot, found.task, found.engine, found.ground) == ("panda", "reach", "mujoco", None)


def test_file_and_network_act_alike(tmp_path: Path) -> None:
    """The policy file, one robot at a time, against its network on the batch, with worlds that start anew at different times."""
    file = PolicyFile(transformer_file(tmp_path / "policy.onnx"))
    net = random_transformer(file.spec.observation_dim, file.spec.action_dim, seed=5)
    robots, stream, first = FileActor(file, 3), net.stream(net.start(3)), torch.ones(3, dtype=torch.bool)
    generator, everybody = torch.Generator().manual_seed(0), torch.ones(3, dtype=torch.bool)
    for step in range(15):
        policy = torch.randn(3, file.spec.observation_dim, generator=generator)
        torch.testing.assert_close(robots.act(policy, torch.zeros(3, 1), everybody), stream.step(policy, first), rtol=0, atol=1e-5)
        first = torch.zeros(3, dtype=torch.bool)
        if step in (4, 5, 9):
            robots.reset(torch.tensor([step % 3]))
            first[step % 3] = True


def with_score(stands: EvaluationResult, score: float) -> EvaluationResult:
    """A policy that survives by `score` and follows its commands."""
    return changed(stands, survival=score, velocity_error_xy=0.15)


def test_the_gate_by_its_rule(stands: EvaluationResult) -> None:
    cases = {(1.0, 0.95): True, (1.0, 0.94): False, (0.9, 0.86): True, (0.89, 0.89): False, (0.95, 1.0): True, (0.0, 0.0): False}
    for (training, precise), passed in cases.items():
        assert deployable(with_score(stands, training), with_score(stands, precise)) is passed
    assert not deployable(stands, stands)  # it survives everything and goes nowhere
    assert shortcomings(stands, stands)[-1].startswith("a planar velocity error of ")
    arm = result(PANDA, success=0.97)
    assert arm.score == 0.97
    assert deployable(arm, arm)


@pytest.mark.parametrize(("precise", "passed"), [(0.99, True), (0.5, False)])
def test_the_gates_verdict_is_written_into_the_file(
    precise: float, passed: bool, standing: Path, stands: EvaluationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.onnx"
    path.write_bytes(standing.read_bytes())
    scores = {"mujoco": 1.0, "precise": precise}
    monkeypatch.setattr(
        exporting, "evaluate_file", lambda file, engine, *rest: dataclasses.replace(with_score(stands, scores[engine]), engine=engine)
    )
    file, training, exact, verdict = exporting.gate(path)
    assert verdict is passed
    assert (training.score, exact.score) == (1.0, precise)
    assert file.provenance["deployable"] is passed
    assert [e["engine"] for e in file.provenance["evaluation"]] == ["mujoco", "precise"]
    assert [e["model"] for e in file.provenance["evaluation"]] == ["go1.xml", "go1.xml"], "nobody's folders"
    assert file.provenance["evaluation"][1]["survival"] == precise
    assert file.verify() == 0.0


def test_json_on_standard_output_is_all_there_is(standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(standing), "--seeds", "1", "--seconds", "1.2", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result.keys() >= KEYS
    assert (result["policy"], result["robot"], result["task"], result["engine"]) == (str(standing), "go1", FLAT, "mujoco")
    assert result["episodes"] == 45
    assert set(result["intervals"]) == set(result["figures"]) == {name for name in KEYS if name in get_task(FLAT).evaluation.measures}
    assert result["score"] == "survival"
    for name, figure in result["figures"].items():
        assert figure["value"] == result[name]
        assert figure["label"]
    assert all(low <= high for low, high in result["intervals"].values())
    assert result["policy_sha256"] == hashlib.sha256(standing.read_bytes()).hexdigest()


@pytest.mark.parametrize("drake", [False, True])
def test_json_in_a_file_and_a_table_on_the_screen(
    drake: bool,
    stands: EvaluationResult,
    standing: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "robolearn.evaluation.evaluate.evaluate_file", lambda file, engine, *rest: dataclasses.replace(stands, engine=engine)
    )
    monkeypatch.setattr("envs.engines.elsewhere.kinds.all_here", lambda: ("mujoco", "precise", *["drake"] * drake))
    target = tmp_path / "new" / "result.json"
    assert cli.main(["evaluate", str(standing), "--engine", "all", "--json", str(target)]) == 0
    first = json.loads(target.read_text(encoding="utf-8"))
    results = [first, *first["others"]]
    assert [result["engine"] for result in results] == ["mujoco", "precise", *["drake"] * drake]
    assert all(result.keys() >= KEYS for result in results)
    table = capsys.readouterr().out
    assert f"{stands.score:.3f} [" in table
    assert "velocity_error_xy m/s" in table
    assert "success" not in table


WRONG: list[tuple[list[str], str]] = [
    (["--seeds", "0"], "--seeds must be at least 1"),
    (["--seeds", "many"], "invalid int value: 'many'"),
    (["--seconds", "1"], "--seconds more than 1"),
    (["--engine", "bullet"], "unknown engine 'bullet'"),
    (["--env.episode_z=3"], "unknown key 'env.episode_z'"),
    (["--config", "reach"], "reaching is for arms on a fixed base; go1 walks"),
    (["again.onnx"], "unexpected argument 'again.onnx'"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments(arguments: list[str], message: str, standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(standing), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_wrong_files(standing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken, altered, strange = tmp_path / "broken.onnx", tmp_path / "altered.onnx", tmp_path / "strange.onnx"
    broken.write_bytes(b"not a network")
    for path, change in (
        (altered, lambda spec: spec | {"robot": spec["robot"] | {"default_pose": [p + 0.01 for p in spec["robot"]["default_pose"]]}}),
        (strange, lambda spec: spec | {"task": "velocity-flatt"}),
    ):
        path.write_bytes(standing.read_bytes())
        edit_metadata(path, SPEC_KEY, change)
    for path, message in (
        (tmp_path / "none.onnx", "no policy file at"),
        (broken, "is not an ONNX file"),
        (altered, "golden step 0 differs"),
        (strange, "did you mean velocity-flat?"),
    ):
        assert cli.main(["evaluate", str(path)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert message in err


def test_the_length_of_an_evaluation_is_what_was_asked_of_arms_too() -> None:
    steps: list[int] = []

    class Still:
        def __init__(self, worlds: int) -> None:
            self._action = torch.zeros(worlds, 7)

        def reset(self, ids: torch.Tensor) -> None:
            del ids

        def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
            steps.append(1)
            return self._action

    cfg = cfg_of(PANDA)
    for seconds in (1.2, 4.0):
        steps.clear()
        found = evaluate(Still, *PAIRS[PANDA], seeds=1, seconds=seconds)
        assert found.seconds == seconds
        assert len(steps) == 4 * round(seconds / 4 / cfg.control_dt)
