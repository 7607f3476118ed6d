"""Meshes of foreign models: found wherever they are, loaded whatever their dialect, and replaced by primitives of their size if not."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.describe import mesh_files
from envs.robots.describe.reading import Reading, read
from tests.robot_files import (
    INERTIAL,
    box_triangles,
    collision,
    joint,
    link,
    mesh,
    mjcf,
    urdf,
    write_dae,
    write_obj,
    write_stl,
    write_text_stl,
)

HALF = (0.1, 0.2, 0.3)
CENTRE = (0.05, 0.0, -0.1)
BOX_INERTIA = '<inertial><origin xyz="0.1 0 0"/><mass value="3"/><inertia ixx="{}" iyy="{}" izz="{}"/></inertial>'.format(
    *(np.sum(np.square(HALF)) - np.square(HALF))
)


def arm(folder: Path, *shapes: str, inertial: str = INERTIAL, name: str = "robot.urdf") -> Path:
    return urdf(folder, link("base"), link("arm", inertial + "".join(shapes)), joint("j", "base", "arm"), name=name)


def extent(reading: Reading, geom: str = "arm_collision") -> tuple[np.ndarray, np.ndarray]:
    """Half sizes and centre of what a geom covers, in its body's frame."""
    model = reading.spec.compile()
    index = model.geom(geom).id
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[index])
    if model.geom_type[index] == mujoco.mjtGeom.mjGEOM_MESH:
        data = model.geom_dataid[index]
        start = model.mesh_vertadr[data]
        corners = model.mesh_vert[start : start + model.mesh_vertnum[data]]
    else:
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * model.geom_size[index]
    points = corners @ rotation.reshape(3, 3).T + model.geom_pos[index]
    low, high = points.min(axis=0), points.max(axis=0)
    return (high - low) / 2, (high + low) / 2


def assert_box(reading: Reading, half: tuple[float, ...] = HALF, centre: tuple[float, ...] = CENTRE) -> None:
    got_half, got_centre = extent(reading)
    np.testing.assert_allclose(got_half, half, atol=1e-5)
    np.testing.assert_allclose(got_centre, centre, atol=1e-5)


@pytest.mark.parametrize("write", [write_stl, write_text_stl, write_obj])
def test_meshes_of_every_dialect_have_their_size(tmp_path: Path, write: object) -> None:
    suffix = "obj" if write is write_obj else "stl"
    write(tmp_path / "m" / f"box.{suffix}", box_triangles(HALF, CENTRE))  # pyright: ignore[reportCallIssue]
    reading = read(arm(tmp_path, mesh(f"m/box.{suffix}")))
    assert_box(reading)
    assert reading.spec.geom("arm_collision").type == mujoco.mjtGeom.mjGEOM_MESH


def test_negative_scales_mirror(tmp_path: Path) -> None:
    write_stl(tmp_path / "box.stl", box_triangles(HALF, CENTRE))
    assert_box(read(arm(tmp_path, mesh("box.stl", scale="-2 1 1"))), (0.2, 0.2, 0.3), (-0.1, 0, -0.1))


def test_a_mesh_with_two_scales_is_two_meshes(tmp_path: Path) -> None:
    write_stl(tmp_path / "box.stl", box_triangles(HALF))
    reading = read(arm(tmp_path, mesh("box.stl"), mesh("box.stl", scale="2 2 2")))
    assert_box(reading, HALF, (0, 0, 0))
    np.testing.assert_allclose(extent(reading, "arm_collision_2")[0], np.multiply(HALF, 2), atol=1e-5)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("package://bot_description/meshes/box.stl", "src/bot_description/meshes/box.stl"),
        ("package://named_inside/meshes/box.stl", "src/bot_description/meshes/box.stl"),
        ("package://other_package/box.stl", "src/other_package/box.stl"),
        ("model://bot_description/meshes/box.stl", "src/bot_description/meshes/box.stl"),
        ("../meshes/box.stl", "src/bot_description/meshes/box.stl"),
        ("..\\meshes\\box.stl", "src/bot_description/meshes/box.stl"),
        ("file://{}/anywhere/box.stl", "anywhere/box.stl"),
        ("{}/anywhere/box.stl", "anywhere/box.stl"),
        ("/home/them/ws/src/bot_description/meshes/box.stl", "src/bot_description/meshes/box.stl"),
        ("package://ros_way/box.stl", "ros/deep/ros_way/box.stl"),
        ("package://ament_way/meshes/box.stl", "install/share/ament_way/meshes/box.stl"),
        ("package://given/box.stl", "elsewhere/given/box.stl"),
    ],
)
def test_files_are_found(tmp_path: Path, uri: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stl(tmp_path / place, box_triangles(HALF, CENTRE))
    folder = tmp_path / "src" / "bot_description" / "urdf"
    folder.mkdir(parents=True)
    (folder.parent / "package.xml").write_text("<package><name>named_inside</name></package>")
    monkeypatch.setenv("ROS_PACKAGE_PATH", f"/nowhere:{tmp_path / 'ros' / 'deep'}")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "install"))
    reading = read(arm(folder, mesh(uri.format(tmp_path))), packages=[tmp_path / "elsewhere"])
    assert_box(reading)
    assert not reading.notes


def test_missing_visual_meshes_are_dropped(tmp_path: Path) -> None:
    reading = read(arm(tmp_path, mesh("none.stl", "visual"), collision('<box size="1 1 1"/>')))
    assert reading.spec.compile().ngeom == 1
    assert [(n.kind, "none.stl" in n.what) for n in reading.notes] == [("dropped", True)]


def test_colliding_meshes_become_boxes_of_their_own_size(tmp_path: Path) -> None:
    write_dae(tmp_path / "box.dae", box_triangles(HALF, CENTRE))
    reading = read(arm(tmp_path, mesh("box.dae")))
    assert_box(reading)
    assert any(n.kind == "mended" and "arm (box.dae)" in n.what and "their bounding boxes" in n.what for n in reading.notes)


def test_collada_knows_units_axes_and_nodes(tmp_path: Path) -> None:
    path = write_dae(
        tmp_path / "a.dae", box_triangles(HALF, CENTRE) * 1000, meter=0.001, up="Y_UP", matrix="1 0 0 500 0 1 0 0 0 0 1 0 0 0 0 1"
    )
    points = mesh_files.outline(path)
    half, centre = (points.max(0) - points.min(0)) / 2, (points.max(0) + points.min(0)) / 2
    np.testing.assert_allclose(half, (0.1, 0.3, 0.2), atol=1e-6)
    np.testing.assert_allclose(centre, (0.55, 0.1, 0.0), atol=1e-6)


def test_a_missing_colliding_mesh_takes_the_size_of_the_visual_one_or_of_the_inertia(tmp_path: Path) -> None:
    write_stl(tmp_path / "box.stl", box_triangles(HALF, CENTRE))
    assert_box(read(arm(tmp_path, mesh("box.stl", "visual"), mesh("none.stl"))))
    reading = read(arm(tmp_path, mesh("none.stl"), inertial=BOX_INERTIA))
    assert_box(reading, HALF, (0.1, 0, 0))
    assert any("inertia" in n.what and n.kind == "mended" for n in reading.notes)


@pytest.mark.parametrize(
    "content", [b"", b"not a mesh", b"x" * 84, b"solid a\nfacet normal 0 0 0\nouter loop\nvertex a b c\nendloop\nendfacet\n"]
)
@pytest.mark.parametrize("suffix", ["stl", "obj", "msh"])
def test_files_that_are_no_mesh_are_replaced(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"bad.{suffix}").write_bytes(content)
    write_stl(tmp_path / "good.stl", box_triangles())
    reading = read(arm(tmp_path, mesh(f"bad.{suffix}"), mesh(f"bad.{suffix}", "visual"), mesh("good.stl", "visual")))
    model = reading.spec.compile()
    assert (model.ngeom, model.nmesh) == (2, 1)
    assert {n.kind for n in reading.notes} == {"mended", "dropped"}


def test_meshes_with_too_many_faces_are_thinned(tmp_path: Path) -> None:
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 361), np.linspace(0, np.pi, 301))
    ball = 0.2 * np.stack([np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)], axis=-1)
    a, b, c, d = ball[:-1, :-1], ball[:-1, 1:], ball[1:, :-1], ball[1:, 1:]
    triangles = np.concatenate([np.stack([a, c, b], -2).reshape(-1, 3, 3), np.stack([b, c, d], -2).reshape(-1, 3, 3)])
    assert len(triangles) > mesh_files.MOST_FACES
    write_stl(tmp_path / "ball.stl", triangles)
    reading = read(arm(tmp_path, mesh("ball.stl")))
    np.testing.assert_allclose(extent(reading)[0], 0.2, atol=0.005)
    assert reading.spec.compile().mesh_facenum[0] < 50_000
    assert any("thinned" in n.what for n in reading.notes)


def test_an_open_surface_stays_a_mesh(tmp_path: Path) -> None:
    write_stl(tmp_path / "sheet.stl", box_triangles()[:2])
    reading = read(arm(tmp_path, mesh("sheet.stl", "visual")))
    assert reading.spec.compile().ngeom == 1


def test_mjcf_meshes_that_are_missing(tmp_path: Path) -> None:
    write_stl(tmp_path / "assets" / "seen.stl", box_triangles(HALF, CENTRE))
    path = mjcf(
        tmp_path,
        """<compiler meshdir="assets" angle="radian"/>
        <default><default class="visual"><geom contype="0" conaffinity="0"/></default></default>
        <asset><mesh file="seen.stl"/><mesh name="gone" file="gone.obj"/><mesh name="lost" file="lost.stl"/>
        <texture name="t" type="2d" file="none.png"/><material name="m" texture="t"/></asset>
        <worldbody><body name="base"><inertial pos="0 0 0" mass="1" diaginertia=".1 .1 .1"/>
        <body name="arm"><inertial pos="0 0 0" mass="1" diaginertia=".1 .1 .1"/><joint name="j"/>
        <geom class="visual" type="mesh" mesh="seen" material="m"/><geom class="visual" type="mesh" mesh="gone"/>
        <geom name="arm_collision" type="mesh" mesh="lost"/></body></body></worldbody>""",
    )
    reading = read(path)
    assert_box(reading)
    assert reading.spec.compile().ngeom == 2
    text = "\n".join(n.what for n in reading.notes)
    assert "gone.obj" in text
    assert "lost.stl" in text
    assert "none.png" in text


def test_a_mass_that_came_from_a_missing_mesh_is_said(tmp_path: Path) -> None:
    text = """<asset><mesh name="m" file="m.stl"/></asset><worldbody><body name="base"><freejoint/><geom size="0.1"/>
    <body name="arm"><joint/><geom type="mesh" mesh="m" {}/></body></body></worldbody>"""
    lost = [n.what for n in read(mjcf(tmp_path, text.format(""))).notes if "mass" in n.what]
    assert len(lost) == 1
    assert "arm" in lost[0]
    reading = read(mjcf(tmp_path, text.format('mass="2"')))
    assert reading.spec.compile().body("arm").mass == 2
    assert not [n for n in reading.notes if "mass" in n.what]
