"""Packages from outside: entry points and `--import`, what they register, and what is said where one fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.fields import OptionError, add_options, option, values
from policies import plugins
from policies.registry import Registry, UnknownNameError, declare

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINE = "from robolearn.plugins import register_engine\nregister_engine({name!r}, 'my_plug.engine:ENGINE')\n"
TAKEN = "my_plug.plugin registers an engine '{}', which robolearn has"
TRANSPORT = """
from dataclasses import dataclass
from bridge.fields import option
from bridge.transports.registry import Deployment, TransportKind

@dataclass(frozen=True, kw_only=True)
class WireOptions:
    wire: int = option(7, "number of the wire", metavar="N")

def make(spec, options, deployment):
    raise ValueError(f"wire {options.wire} of {spec.robot.name} is cut, said {deployment.command}")

WIRE = TransportKind(description="a wire of mine", make=make, options=WireOptions)
"""


def run(arguments: list[str], cwd: Path, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python program; `path` comes before ours."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("ROBOLEARN")}
    entries = [str(entry) for entry in (path, ROOT) if entry is not None]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**given, "PYTHONPATH": os.pathsep.join(entries), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def write(folder: Path, **files: str) -> Path:
    """A package `my_plug` of these modules."""
    (folder / "my_plug").mkdir(parents=True, exist_ok=True)
    for name, text in {"__init__": "", **files}.items():
        (folder / "my_plug" / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def install(folder: Path, entry: str = "my_plug.plugin", name: str = "my-plug") -> Path:
    """What pip would write of it."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[robolearn.plugins]\nmine = {entry}\n", encoding="utf-8")
    return folder


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error that is the user's to mend."""
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith(("robolearn: error: ", "deploy: "))
    return result.stderr


ASK = "from envs.engines.registry import ENGINES; print(*ENGINES, ENGINES.source('mine'))"


def test_an_installed_plugin_is_found_without_a_word(tmp_path: Path) -> None:
    site = install(write(tmp_path / "site", plugin=ENGINE.format(name="mine"), engine="raise SystemExit('asked for by nobody')\n"))
    result = run(["-c", "from robolearn.plugins import load; load(); " + ASK], tmp_path, site)
    names = result.stdout.split()
    assert names[:4] == ["mujoco", "warp", "precise", "drake"], result.stderr
    assert names[-2:] == ["mine", "my_plug.plugin"]
    missed = "from envs.engines.registry import ENGINES; ENGINES.get('mine')"  # also in a program that loads no plugins itself
    assert "asked for by nobody" in run(["-c", missed], tmp_path, site).stderr


def test_an_entry_point_may_be_a_function(tmp_path: Path) -> None:
    text = "def register():\n" + "".join(f"    {line}\n" for line in ENGINE.format(name="mine").splitlines())
    site = install(write(tmp_path / "site", plugin=text), "my_plug.plugin:register")
    assert run(["-c", "from robolearn.plugins import load; load(); " + ASK], tmp_path, site).stdout.split()[-2:] == [
        "mine",
        "my_plug.plugin",
    ]


def test_import_finds_a_package_in_the_folder_that_one_is_in(tmp_path: Path) -> None:
    kind = "from envs.engines.registry import EngineKind\nENGINE = EngineKind(make=print)\n"
    write(tmp_path, plugin=ENGINE.format(name="mine"), engine=kind)
    script = "import sys; sys.path.pop(0); from robolearn.cli import main; sys.exit(main())"  # as the installed command does
    result = run(["-c", script, "list", "--import", "my_plug.plugin"], tmp_path)
    assert re.search(r"mine +on cpu  \(of my_plug.plugin\)", result.stdout), result.stderr
    assert "No module named 'my_plugs'" in error_of(run(["-c", script, "list", "--import=my_plugs"], tmp_path))


def test_what_import_names_reaches_programs_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.IMPORT, "json")
    monkeypatch.setattr(plugins, "_loaded", {"json", "csv"})
    monkeypatch.setattr(sys, "path", [*sys.path])
    plugins.use(["csv", "json"])
    assert os.environ[plugins.IMPORT] == "json,csv"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_like_it\n", ["ModuleNotFoundError: No module named 'nothing_like_it'", "my_plug/plugin.py:1"]),
        ("\n\nx = 1 / 0\n", ["ZeroDivisionError: division by zero", "my_plug/plugin.py:3"]),
        ("x = (\n", ["SyntaxError", "my_plug/plugin.py:1"]),
        ("raise SystemExit\n", ["SystemExit: without a word"]),
        ("from envs.mine import x\n", ["robolearn has a package envs too"]),
        (ENGINE.format(name="warp") + "import envs.engines.registry\n", [TAKEN.format("warp")]),
        ("from envs.engines.registry import *\nregister_engine('drake', EngineKind(make=print))\n", [TAKEN.format("drake")]),
        (ENGINE.format(name=""), ["'' is not a valid name for an engine"]),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_is_an_error_with_reason_and_place(text: str, said: list[str], tmp_path: Path) -> None:
    site = install(write(tmp_path / "site", plugin=text))
    error = error_of(run(["-m", "robolearn", "list"], tmp_path, site))
    for part in [*said, "the plugin 'mine' of the installed package my-plug", "pip uninstall my-plug", "ROBOLEARN_PLUGINS=off"]:
        assert part in error


def test_a_plugin_that_fails_can_be_left_out(tmp_path: Path) -> None:
    site = install(write(tmp_path / "site", plugin="import nothing_like_it\n"))
    off = {"ROBOLEARN_PLUGINS": "off"}
    assert run(["-m", "robolearn", "list"], tmp_path, site, **off).returncode == 0
    assert run(["-m", "robolearn", "replay", "--help"], tmp_path, site).returncode == 0
    by_option = run(["-m", "robolearn", "list", "--import", "my_plug.plugin"], tmp_path, site, **off)
    assert "--import my_plug.plugin fails: ModuleNotFoundError: No module named 'nothing_like_it'" in error_of(by_option)
    assert "must be on or off, not 'no'" in error_of(run(["-m", "robolearn", "list"], tmp_path, site, ROBOLEARN_PLUGINS="no"))


def test_two_plugins_that_take_one_name_are_told_apart(tmp_path: Path) -> None:
    site = install(write(tmp_path / "site", plugin=ENGINE.format(name="mine"), other=ENGINE.format(name="mine")))
    install(site, "my_plug.other", "my-other-plug")
    error = error_of(run(["-m", "robolearn", "list"], tmp_path, site))
    assert "registers an engine 'mine', which my_plug." in error


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--import"], "--import needs the name of a package"),
        (["--import", "--seed=1"], "--import needs the name of a package"),
        (["--import", "tasks/hop.py"], "not a path: --import tasks.hop"),
        (["--import", "my-plug"], "takes the name of a module, e.g. my_package.plugin, not 'my-plug'"),
    ],
)
def test_import_takes_the_name_of_a_module(given: list[str], said: str, tmp_path: Path) -> None:
    assert said in error_of(run(["-m", "robolearn", "list", *given], tmp_path))


def test_a_transport_of_a_plugins_has_options_of_its_own_and_needs_no_torch(tmp_path: Path) -> None:
    plugin = "from robolearn.plugins import register_task, register_transport\n"
    plugin += "register_task('hop', 'my_plug.hop:HOP')\nregister_transport('wire', 'my_plug.wire:WIRE')\n"
    site = install(write(tmp_path / "site", plugin=plugin, wire=TRANSPORT, hop="import torch\n"))
    forbid = "import sys; sys.modules.update(dict.fromkeys(('torch', 'mujoco')))\n"
    main = "from bridge.deploy import main; sys.exit(main())"
    deploy = [str(ROOT / "policies" / "zoo" / "go1-velocity.onnx"), "--ungated", "--no-log"]
    result = run(["-c", forbid + main, *deploy, "--transport", "wire", "--wire", "3", "--command", "1", "0", "0"], tmp_path, site)
    assert "wire 3 of go1 is cut, said (1.0, 0.0, 0.0)" in error_of(result)
    assert "--wire is for --transport wire" in error_of(run(["-m", "bridge.deploy", *deploy, "--wire", "3"], tmp_path, site))
    shown = run(["-m", "robolearn", "deploy", "--help"], tmp_path, site).stdout
    assert "wire (a wire of mine)" in " ".join(shown.split())
    assert "number of the wire" in shown
    error = error_of(run(["-m", "robolearn", "deploy", *deploy, "--transport", "wire", "--simulate"], tmp_path, site))
    assert "--transport wire has no simulated robot" in error


def test_a_plugin_that_wants_torch_on_a_robot_is_told_the_mend(tmp_path: Path) -> None:
    site = install(write(tmp_path / "site", plugin="import torch\n"))
    forbid = "import sys; sys.modules.update(torch=None)\nfrom bridge.deploy import main; sys.exit(main())"
    assert "must register by name, 'package.module:name'" in error_of(run(["-c", forbid, "walk.onnx"], tmp_path, site))


@dataclass(frozen=True)
class Thing:
    """What the registries below hold."""

    name: str = "a"


def made() -> Thing:
    return Thing()


def test_what_is_declared_is_made_once_when_it_is_asked_for() -> None:
    made_of: Registry[Thing] = Registry("thing of a test", of=Thing)
    declare(made_of.kind, "a", f"{__name__}:made")
    declare(made_of.kind, "b", f"{__name__}:made")
    declare(made_of.kind, "c", lambda: 1)
    declare(made_of.kind, "d", f"{__name__}:nothing")
    declare(made_of.kind, "e", "json")
    assert list(made_of) == ["a", "b", "c", "d", "e"]
    assert made_of.get("a") is made_of.get("a")
    for name, said in (
        ("b", "has the name 'a'"),
        ("c", "is of type int, not Thing"),
        ("d", "has no 'nothing'"),
        ("e", "must have the form"),
    ):
        with pytest.raises(plugins.PluginError, match=said):
            made_of.get(name)
    with pytest.raises(plugins.PluginError, match=r"which .*test_plugins has already"):
        made_of.register("a", Thing())


def test_a_name_that_is_not_there_is_told_with_what_is() -> None:
    things: Registry[int] = Registry("number")
    things.register("one", 1)
    things.register("one", 1)
    with pytest.raises(UnknownNameError, match=r"^unknown number 'ones' \(did you mean one\?\); valid: one$"):
        things.get("ones")
    with pytest.raises(
        UnknownNameError, match=r"unknown number 'xyz'; valid: one; for one of your own install its package, or give --import PACKAGE"
    ):
        things.get("xyz")


def test_options_are_fields() -> None:
    import argparse

    @dataclass(frozen=True, kw_only=True)
    class Bad:
        on: bool = option(True, "on by default")

    with pytest.raises(OptionError, match="give it a flag that switches it off"):
        add_options(argparse.ArgumentParser(), Bad)
    from bridge.transports.unitree.options import UnitreeOptions

    parser = argparse.ArgumentParser()
    add_options(parser, UnitreeOptions)
    with pytest.raises(OptionError, match=r"UnitreeOptions: the option --network-interface exists already"):
        add_options(parser, UnitreeOptions)
    assert values(parser.parse_args([]), UnitreeOptions) == UnitreeOptions()
    given = values(parser.parse_args(["--no-crc", "--dds-domain", "3"]), UnitreeOptions)
    assert given == UnitreeOptions(check_crc=False, domain=3)
