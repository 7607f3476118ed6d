"""Packages, data files and what colcon must be able to read; the rest is said in pyproject.toml.

robolearn is a plain Python package and an ament_python package at once. colcon recognizes it by this file, reads its options back as
literals (from pyproject.toml, setuptools makes `requires-python` an object that is none) and, with `--symlink-install`, runs this file
without pyproject.toml beside it. And the setuptools of ROS 2 distributions refuses `license = "Apache-2.0"` in pyproject.toml.
"""

import re
import shutil
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithPresets(build_py):
    """Puts the presets and studies of `configs/` inside the installed package, where `robolearn.config.presets.presets_dir` finds them."""

    def run(self):
        """Build as usual, then add the presets."""
        super().run()
        if not getattr(self, "editable_mode", False):
            target = Path(self.build_lib, "robolearn", "configs")
            for preset in sorted(Path("configs").rglob("*.yaml")):
                copy = target / preset.relative_to("configs")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(preset, copy)


def version():
    """The version, from the one place where it stands."""
    return re.search(r'__version__ = "(.+)"', Path("robolearn/__init__.py").read_text(encoding="utf-8")).group(1)


setup(
    name="robolearn-sim2real",  # what pip calls it; the packages and the ROS package are called robolearn
    version=version(),
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["robolearn*", "bridge*", "envs*", "policies*"]),
    py_modules=["robolearn_rooms"],  # looks after the four
    package_dir={"": "."},  # an editable install is then one path entry, which type checkers follow too
    package_data={
        "": ["*.xml", "*.j2", "*.html", "py.typed"],
        "policies": ["zoo/*.onnx", "zoo/*.md"],
        "robolearn.report": ["templates/*.j2"],
        "robolearn.evaluation.gait": ["*.json"],
    },
    # What `ros2 run robolearn ...` and `ros2 launch robolearn ...` look for.
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/robolearn"]),
        ("share/robolearn", ["package.xml"]),
        ("share/robolearn/launch", sorted(glob("launch/*.launch.py"))),
        ("share/robolearn/config", sorted(glob("configs/*.yaml"))),
        ("share/robolearn/config/studies", sorted(glob("configs/studies/*.yaml"))),
        ("lib/robolearn", sorted(glob("resource/bin/*"))),
    ],
    cmdclass={"build_py": BuildWithPresets},
)
