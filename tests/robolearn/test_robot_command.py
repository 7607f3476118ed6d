"""`robolearn robot`: a stranger's model becomes a folder that trains, and nothing is written over unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envs.robots.loading import load_robot
from robolearn.cli import main
from robolearn.errors import UserError
from robolearn.policy_path import zoo
from tests.robot_builder import Dialect, arm, quadruped


def model(tmp_path: Path, text: str) -> str:
    path = tmp_path / "dog.xml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_new_writes_a_folder_that_is_a_robot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dog"
    assert main(["robot", "new", model(tmp_path, quadruped(Dialect())), "--out", str(out), "--name", "dog"]) == 0
    said = capsys.readouterr().out
    assert f"robolearn train velocity-flat --robot {out / 'robot.yaml'}" in said
    assert "quadruped" in said
    assert "stands 5 s" in said
    robot = load_robot(out / "robot.yaml")
    assert robot.name == "dog"
    assert robot.model == out / "model.xml"
    assert robot.compiled.nu == 12
    assert (out / "robot.png").read_bytes().startswith(b"\x89PNG") or "no picture" in said
    for described in (out / "robot.yaml", out):
        assert main(["robot", "check", str(described)]) == 0
        assert "stands 5 s" in capsys.readouterr().out


def test_nothing_is_written_over_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dog"
    out.mkdir()
    (out / "robot.yaml").write_text("mine", encoding="utf-8")
    command = ["robot", "new", model(tmp_path, quadruped(Dialect())), "--out", str(out), "--no-picture"]
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert (out / "robot.yaml").read_text(encoding="utf-8") == "mine"
    assert main([*command, "--force"]) == 0
    assert load_robot(out / "robot.yaml").num_joints == 12


def test_without_opengl_it_says_so_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(width: int, height: int) -> None:
        raise UserError("cannot draw without a screen")

    monkeypatch.setattr("robolearn.viewer.portrait.open_context", none)
    out = tmp_path / "dog"
    assert main(["robot", "new", model(tmp_path, quadruped(Dialect())), "--out", str(out)]) == 0
    assert "no picture: cannot draw without a screen" in capsys.readouterr().out
    assert not (out / "robot.png").exists()


def test_check_as_json_names_every_joint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robot", "check", model(tmp_path, arm()), "--json", "-"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["usable"] is True
    assert list(values["joints"]) == ["j1", "j2", "j3", "j4", "j5", "j6"]
    assert values["joints"]["j1"]["inertia_kg_m2"] > values["joints"]["j6"]["inertia_kg_m2"] > 0
    assert values["tool"]["body"] == "hand"
    assert len(values["tool"]["workspace"]) == 3


def test_what_will_not_work_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cart = (
        '<mujoco><worldbody><body name="cart"><joint name="slide" type="slide" axis="1 0 0"/><geom size="0.1"/></body></worldbody></mujoco>'
    )
    assert main(["robot", "check", model(tmp_path, cart)]) == 2
    assert "will not work:" in capsys.readouterr().out
    assert main(["robot", "new", model(tmp_path, cart), "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    assert main(["robot", "check", str(tmp_path / "none.xml")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["robot", "new", str(tmp_path / "robot.yaml"), "--out", "x"]) == 2
    assert "robolearn robot check" in capsys.readouterr().err


def test_mistakes_in_a_description_stand_in_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text("name: dog\nstand_hight: 0.3\nimuu: {}\n", encoding="utf-8")
    for command in (["robot", "check", str(path)], ["train", "velocity-flat", "--robot", str(path)]):
        assert main(command) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith("robolearn: error: ")
        assert lines[0].endswith("things are wrong:")
        assert any(line.startswith("  - line 2: stand_hight: there is no such key") for line in lines)
        assert any(line.startswith("  - line 3: imuu: ") for line in lines)


def test_a_description_that_contradicts_its_model_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dog"
    assert main(["robot", "new", model(tmp_path, quadruped(Dialect())), "--out", str(out), "--no-picture"]) == 0
    path = out / "robot.yaml"
    text = path.read_text(encoding="utf-8")
    low = next(line for line in text.splitlines() if line.startswith("stand_height"))
    path.write_text(text.replace(low, "stand_height: 0.1"), encoding="utf-8")
    capsys.readouterr()
    assert main(["robot", "check", str(path)]) == 2
    assert "below the ground: raise `stand_height`" in capsys.readouterr().out
    path.write_text(text.replace("LF_HAA:", "LF_HA:", 1), encoding="utf-8")
    assert main(["robot", "check", str(path)]) == 2
    assert "LF_HAA" in capsys.readouterr().err


def test_mjcf_takes_a_robot_or_a_policy_however_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = zoo()["panda-reach"]
    run = tmp_path / "run"
    run.mkdir()
    (run / "policy.onnx").write_bytes(shipped.read_bytes())
    texts = []
    for name in ("panda", "panda-reach", str(shipped), str(run), str(tmp_path)):
        out = tmp_path / "out.xml"
        assert main(["robot", "mjcf", name, "--out", str(out)]) == 0, capsys.readouterr().err
        texts.append(out.read_text(encoding="utf-8"))
    assert len(set(texts)) == 1
    assert main(["robot", "mjcf", "panda-reech", "--out", str(tmp_path / "none.xml")]) == 2
    error = capsys.readouterr().err
    assert "unknown robot 'panda-reech'; did you mean 'panda-reach'?; robots: " in error
    assert "policies: " in error
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["robot", "mjcf", str(empty), "--out", str(tmp_path / "none.xml")]) == 2
    assert "no policy.onnx in the folder" in capsys.readouterr().err
    assert not (tmp_path / "none.xml").exists()
