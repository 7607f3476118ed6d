"""A package of somebody else's under the name of one of ours is noticed before it can break anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import robolearn_rooms

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "import sys; sys.path.remove(''); from robolearn_rooms import main; sys.exit(main())"
"""What the installed command does: it does not look into the folder that it starts in."""


def run(arguments: list[str], cwd: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    entries = os.pathsep.join(str(entry) for entry in (*path, ROOT))
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env={**os.environ, "PYTHONPATH": entries}, capture_output=True, text=True, timeout=120
    )


def theirs(folder: Path, name: str, regular: bool = True) -> Path:
    """A package of a user's, regular or a folder without `__init__.py`."""
    (folder / name).mkdir(parents=True)
    (folder / name / ("__init__.py" if regular else "maze.py")).write_text("", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", robolearn_rooms.ROOMS)
def test_a_package_in_pythonpath_is_named_with_the_mend(name: str, tmp_path: Path) -> None:
    project = theirs(tmp_path / "project", name)
    result = run(["-c", SCRIPT, "--version"], tmp_path, project)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    for part in ("robolearn: error: ", f"{project / name} hides robolearn's package {name!r}", f"take {project} out of PYTHONPATH"):
        assert part in result.stderr


@pytest.mark.parametrize("name", ["policies", "envs", "bridge"])
def test_a_package_in_the_folder_of_a_project_is_named(name: str, tmp_path: Path) -> None:
    project = theirs(tmp_path, name)
    result = run(["-m", "robolearn", "--version"], project)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"{project / name} hides" in result.stderr
    assert "by the command `robolearn`" in result.stderr
    assert run(["-c", SCRIPT, "--version"], project).stdout.startswith("robolearn ")  # and that is true


def test_a_robots_side_is_looked_after_too(tmp_path: Path) -> None:
    result = run(["-m", "bridge.deploy", "--help"], theirs(tmp_path, "policies"))
    assert result.returncode == 2
    assert "hides robolearn's package 'policies'" in result.stderr


def test_a_folder_without_init_hides_nothing(tmp_path: Path) -> None:
    """Python prefers a package that comes later; a checkout of this project below the folder that one is in is such a folder."""
    for name in robolearn_rooms.ROOMS:
        theirs(tmp_path, name, regular=False)
    assert run(["-m", "robolearn", "--version"], tmp_path).stdout.startswith("robolearn ")


@pytest.mark.parametrize("regular", [True, False])
def test_a_package_that_was_imported_before_ours_is_named(regular: bool, tmp_path: Path) -> None:
    """As a project's own tests do. Nothing is ended there: it is an ImportError that says what is wrong."""
    project = theirs(tmp_path / "project", "envs", regular)
    code = f"import sys; sys.path.insert(0, {str(project)!r})\n" + ("" if regular else f"sys.path.remove({str(ROOT)!r})\n")
    code += "import envs\n" + f"sys.path.insert(0, {str(ROOT)!r})\n"
    result = run(["-S", "-c", code + "import robolearn.plugins"], tmp_path)  # without a checkout that is installed beside
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"robolearn_rooms.HiddenPackageError: {project / 'envs'} hides robolearn's package 'envs'")
    assert f"take {project} from before" in last


def test_links_to_ours_are_ours(tmp_path: Path) -> None:
    """As colcon makes them with --symlink-install."""
    for name in robolearn_rooms.ROOMS:
        (tmp_path / name).symlink_to(ROOT / name)
    assert run(["-m", "robolearn", "--version"], tmp_path).stdout.startswith("robolearn ")
