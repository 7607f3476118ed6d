"""No instruction installs a stranger's package: on the package index the name `robolearn` is somebody else's."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from policies import install
from policies.install import DISTRIBUTION, install_command

ROOT = Path(__file__).resolve().parent.parent
TEXTS = sorted(
    path
    for path in (ROOT / line for line in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines())
    if path.suffix in (".py", ".md", ".toml", ".txt", ".xml", ".yaml", ".yml", ".j2", ".html", ".cfg", "")
    and path.is_file()
    and path.name not in ("LICENSE", "test_install_names.py")
)
BY_NAME = re.compile(r"""\b(pip3?|uv|pipx) +(pip +)?(install|add|download|wheel)\b[^`\n;#]*?[ '"]robolearn(?![\w/-])""")
EXTRA = re.compile(r"(?<![\w./-])robolearn\[(\w+)")


def wrong(text: str) -> list[str]:
    """What in a text would install `robolearn`, or names its extras by that name."""
    return [match[0] for pattern in (BY_NAME, EXTRA) for match in pattern.finditer(text)]


@pytest.mark.parametrize(
    "text",
    [
        "pip install robolearn",
        "`pip install 'robolearn[train]'`",
        "python -m pip install --upgrade robolearn",
        "pip install robolearn==0.1.0",
        'run: pip install "robolearn[ros]"',
        "uv pip install robolearn",
        "pip install numpy robolearn",
        "or `robolearn[unitree]`",
    ],
)
def test_the_wrong_spelling_is_seen(text: str) -> None:
    assert wrong(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install -e '.[train]'",
        "pip install -e '/home/me/robolearn[train]'",
        "pip install ./robolearn_sim2real-0.1.0-py3-none-any.whl",
        "pip uninstall --yes robolearn",
        "pip install numpy; then robolearn deploy",
        "pip install -e . gives the command `robolearn`",
    ],
)
def test_the_right_spelling_is_left_alone(text: str) -> None:
    assert not wrong(text)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_says_to_install_it_by_name(path: Path) -> None:
    found = [f"line {number}: {line.strip()}" for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if wrong(line)]
    assert not found


def test_the_name_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"] == DISTRIBUTION != "robolearn"
    assert f'name="{DISTRIBUTION}"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert f"{DISTRIBUTION.replace('-', '_')}-" in (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def test_in_a_checkout_the_command_names_it() -> None:
    assert install_command("train") == f"pip install -e '{ROOT}[train]'"
    assert install_command("sb3", "train") == f"pip install -e '{ROOT}[sb3,train]'"


class Installed(Distribution):
    """An installation of which only the metadata counts."""

    def __init__(self, url: str | None, installer: str | None = "pip") -> None:
        self.url, self.installer = url, installer

    def read_text(self, filename: str) -> str | None:
        if filename == "direct_url.json":
            return None if self.url is None else json.dumps({"url": self.url, "archive_info": {}})
        if filename == "INSTALLER":
            return self.installer
        lines = ['torch>=2.13; extra == "train"', 'mujoco>=4.0; extra == "train"', "numpy>=1.26", 'drake>=1.51; extra == "drake"']
        return "Metadata-Version: 2.1\nName: x\nVersion: 1\n" + "".join(f"Requires-Dist: {line}\n" for line in lines)

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


def test_elsewhere_it_names_the_wheel_or_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "__file__", str(tmp_path / "site-packages" / "policies" / "install.py"))
    wheel = tmp_path / "my wheels" / "robolearn_sim2real-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"")
    monkeypatch.setattr(install, "_distribution", lambda: Installed(wheel.as_uri()))
    assert install_command("train") == f"pip install '{wheel}[train]'"
    wheel.unlink()
    assert install_command("train") == "pip install 'torch>=2.13' 'mujoco>=4.0'"
    monkeypatch.setattr(install, "_distribution", lambda: Installed(None, None))  # as colcon leaves it
    assert install_command("drake") == "pip install 'drake>=1.51'"
    assert install_command("ros") == "source /opt/ros/DISTRIBUTION/setup.bash"
    monkeypatch.setattr(install, "_distribution", lambda: None)
    assert install_command("drake") == "pip install -e '.[drake]' in a checkout of this project"


def test_make_takes_away_what_was_installed_under_the_old_name() -> None:
    """Otherwise two distributions own the same modules, and uninstalling one breaks the other."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert makefile.index("pip uninstall --quiet --yes robolearn") < makefile.index("-e '.[$(1)]'")
