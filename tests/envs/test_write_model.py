"""A model that was read and written into a folder of its own is the same physics to the last bit, wherever the folder goes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from envs.robots.describe.copying import write_model
from envs.robots.describe.reading import Reading, read
from tests.robot_files import INERTIAL, box_triangles, collision, joint, leg, link, mesh, mjcf, urdf, write_stl, write_text_stl

PHYSICS = ("body_", "jnt_", "dof_", "geom_", "site_", "eq_", "tendon_", "wrap_", "exclude_", "mesh_", "qpos")


def assert_same(one: Reading, other: Reading) -> None:
    a, b = one.spec.compile(), other.spec.compile()
    names = [name for name in dir(a) if name.startswith(PHYSICS) and isinstance(getattr(a, name), np.ndarray) and "path" not in name]
    assert len(names) > 100
    for name in names:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a.names == b.names
    assert (a.opt.timestep, a.opt.cone) == (b.opt.timestep, b.opt.cone)


def foreign_urdf(folder: Path) -> Path:
    for side, half in (("left", (0.1, 0.2, 0.3)), ("right", (0.3, 0.2, 0.1))):
        write_stl(folder / side / "hull.stl", box_triangles(half, (1 / 3, 0.1, 0)))
    shutil.copy(folder / "left" / "hull.stl", folder / "twin.stl")
    write_text_stl(folder / "text.stl", box_triangles())
    odd = (
        '<inertial><origin xyz="0.01 0.02 -0.1" rpy="0.3 -0.2 0.5"/><mass value="1.3"/>'
        '<inertia ixx="0.011" iyy="0.012" izz="0.004" ixy="0.001"/></inertial>'
    )
    meshes = "".join(
        mesh(name, tag)
        for name, tag in (
            ("left/hull.stl", "visual"),
            ("right/hull.stl", "collision"),
            ("twin.stl", "visual"),
            ("text.stl", "collision"),
            ("none.stl", "collision"),
        )
    )
    inside = '<limit lower="-1" upper="1"/><mimic joint="hip" multiplier="0.3"/>'
    return urdf(
        folder,
        *leg(
            link("tail", odd + meshes),
            joint("wag", "base", "tail", "revolute", inside, "0.1 0.3 0.7"),
            link("tip", INERTIAL + collision('<sphere radius="0.02"/>')),
            joint("weld", "tail", "tip", "fixed", ""),
        ),
    )


def foreign_mjcf(folder: Path) -> Path:
    write_stl(folder / "meshes" / "hull.stl", box_triangles((0.1, 0.2, 0.3), (1 / 3, 0.1, 0)))
    return mjcf(
        folder,
        """<compiler meshdir="meshes" autolimits="true"/><default><geom friction="0.7" density="321"/><joint damping="0.123456789012"/>
        <default class="leg"><joint armature="0.0123456789" range="-50 70"/></default></default>
        <asset><mesh name="hull" file="hull.stl" scale="0.5 -0.5 0.5"/></asset>
        <worldbody><geom type="plane" size="1 1 1"/><body name="base" euler="10 20 30" pos="0 0 0.123456789"><freejoint/>
        <geom type="mesh" mesh="hull"/>
        <body childclass="leg" pos="0.3333333333 0 0"><joint name="a" axis="1 2 3"/><geom size="0.1"/><site name="s"/>
        <body><joint name="b" type="slide" stiffness="3" springref="0.1"/><geom size="0.07"/></body></body></body></worldbody>
        <equality><joint joint1="b" joint2="a"/></equality><tendon><fixed stiffness="2"><joint joint="a" coef="0.3"/></fixed></tendon>
        <contact><exclude body1="base" body2="base_body"/></contact>""",
    )


@pytest.mark.parametrize("make", [foreign_urdf, foreign_mjcf])
def test_what_is_written_reads_back_to_the_same_physics(tmp_path: Path, make: object) -> None:
    reading = read(make(tmp_path / "theirs"))  # pyright: ignore[reportCallIssue]
    path = write_model(reading, tmp_path / "ours")
    shutil.rmtree(tmp_path / "theirs")
    (tmp_path / "ours").rename(tmp_path / "moved")
    again = read(tmp_path / "moved" / path.name)
    assert again.root == reading.root
    assert again.free == reading.free
    assert again.mimics == reading.mimics
    assert not [note for note in again.notes if note.kind in ("mended", "dropped", "refused")]


@pytest.mark.parametrize("make", [foreign_urdf, foreign_mjcf])
def test_the_arrays_are_equal(tmp_path: Path, make: object) -> None:
    reading = read(make(tmp_path / "theirs"))  # pyright: ignore[reportCallIssue]
    assert_same(reading, read(write_model(reading, tmp_path / "ours")))


def test_each_file_is_written_once(tmp_path: Path) -> None:
    write_model(read(foreign_urdf(tmp_path / "theirs")), tmp_path / "ours")
    assert sorted(p.name for p in (tmp_path / "ours" / "assets").iterdir()) == ["hull.stl", "hull_2.stl"]
