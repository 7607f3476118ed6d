"""A URDF as it is in the wild becomes the robot alone, with the dynamics that MuJoCo's own reader gives it, or one error that lists all."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.describe.copying import write_model
from envs.robots.describe.reading import Reading, read
from envs.robots.errors import RobotError
from tests.robot_files import INERTIAL, LIMIT, collision, joint, leg, link, urdf

FOOT = INERTIAL + collision('<sphere radius="0.02"/>')
EMPTY = ""


def said(reading: Reading, kind: str = "") -> str:
    return "\n".join(f"{note.what} | {note.mend}" for note in reading.notes if not kind or note.kind == kind)


def mass_matrix(model: mujoco.MjModel, angles: dict[str, float]) -> np.ndarray:
    """Inertia between the named joints (n, n)."""
    data = mujoco.MjData(model)
    for name, angle in angles.items():
        data.joint(name).qpos[0] = angle
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    dofs = [int(model.joint(name).dofadr[0]) for name in angles]
    return full[np.ix_(dofs, dofs)]


def test_the_dynamics_are_those_of_mujocos_own_reader(tmp_path: Path) -> None:
    odd = (
        '<inertial><origin xyz="0.01 0.02 -0.1" rpy="0.3 -0.2 0.5"/><mass value="1.3"/>'
        '<inertia ixx="0.011" iyy="0.012" izz="0.004" ixy="0.001" ixz="-0.002" iyz="0.0005"/></inertial>'
    )
    path = urdf(
        tmp_path,
        link("base", odd),
        link("thigh", odd),
        link("shin", odd),
        link("frame", EMPTY),
        link("lamp", odd),
        link("slider", odd),
        link("foot", odd + collision('<sphere radius="0.02"/>')),
        '<joint name="hip" type="revolute"><origin xyz="0.1 0.2 -0.1" rpy="0.2 0.3 -0.4"/>'
        '<parent link="base"/><child link="thigh"/><axis xyz="0 3 4"/>'
        '<limit lower="-1" upper="2" effort="20" velocity="10"/><dynamics damping="0.3" friction="0.2"/></joint>',
        joint("to_frame", "thigh", "frame", "fixed", "", "0 0.1 0"),
        '<joint name="to_lamp" type="fixed"><origin xyz="0.1 0 0" rpy="0.5 1.2 0.1"/><parent link="frame"/><child link="lamp"/></joint>',
        joint("knee", "lamp", "shin"),
        joint("drawer", "shin", "slider", "prismatic"),
        joint("to_foot", "slider", "foot", "fixed", ""),
    )
    angles = {"hip": 0.7, "knee": -0.4, "drawer": 0.05}
    reading = read(path)
    ours = reading.spec.compile()
    theirs = mujoco.MjModel.from_xml_path(str(path))
    np.testing.assert_allclose(mass_matrix(ours, angles), mass_matrix(theirs, angles), rtol=1e-9, atol=1e-12)
    assert ours.body_mass.sum() == pytest.approx(6 * 1.3)
    hip = ours.joint("hip")
    np.testing.assert_allclose(hip.range, (-1, 2))
    assert (ours.dof_damping[0], ours.dof_frictionloss[0]) == (0.3, 0.2)
    assert reading.efforts == {"hip": 20, "knee": 20, "drawer": 20}
    assert reading.velocities["knee"] == 10
    assert reading.format == "URDF"
    assert reading.root == "base"
    assert not reading.free


def test_fixed_links_keep_their_names_and_a_foot_stays_a_body(tmp_path: Path) -> None:
    path = urdf(
        tmp_path,
        *leg(link("imu", EMPTY), joint("to_imu", "base", "imu", "fixed", "", "0.1 0 0")),
        link("rotor", FOOT),
        joint("to_rotor", "thigh", "rotor", "fixed", "", "0 0.05 0"),
        link("foot", FOOT),
        joint("to_foot", "shin", "foot", "fixed", ""),
    )
    model = read(path).spec.compile()
    names = {model.body(i).name for i in range(model.nbody)}
    assert names == {"world", "base", "thigh", "shin", "foot"}
    np.testing.assert_allclose(model.site("imu").pos, (0.1, 0, 0))
    assert model.geom("rotor_collision").bodyid == model.body("thigh").id
    assert model.body("thigh").mass == pytest.approx(2)


@pytest.mark.parametrize(
    ("above", "kind", "free"), [("world", "fixed", False), ("base_footprint", "fixed", False), ("world", "floating", True)]
)
def test_an_empty_frame_above_the_base_is_dropped(tmp_path: Path, above: str, kind: str, free: bool) -> None:
    reading = read(urdf(tmp_path, link(above, EMPTY), joint("mount", above, "base", kind, "", "0 0 0.5"), *leg()))
    model = reading.spec.compile()
    assert (reading.root, reading.free) == ("base", free)
    np.testing.assert_allclose(model.body("base").pos, (0, 0, 0.5))
    assert above in said(reading)
    assert model.nq == 2 + 7 * free


def test_mimics_follow_their_leader_and_are_said(tmp_path: Path) -> None:
    def finger(name: str, leader: str) -> tuple[str, str]:
        mimic = f'{LIMIT}<mimic joint="{leader}" multiplier="-2" offset="0.1"/>'
        return link(name), joint(f"{name}_joint", "shin", name, "revolute", mimic)

    reading = read(urdf(tmp_path, *leg(*finger("a", "knee"), *finger("b", "a_joint"), *finger("c", "nobody"))))
    assert reading.mimics == {"a_joint": ("knee", -2, 0.1), "b_joint": ("knee", 4, pytest.approx(-0.1))}
    assert set(reading.passive) == {"a_joint", "b_joint"}
    model = reading.spec.compile()
    assert model.neq == 2
    assert "a_joint, b_joint" in said(reading, "remark")
    assert "c_joint mimics 'nobody'" in said(reading, "mended")


@pytest.mark.parametrize(
    ("limit", "range_", "effort", "velocity"),
    [
        ("", None, None, None),
        ('<limit effort="0" velocity="0"/>', None, None, None),
        ('<limit lower="1" upper="-1" effort="5" velocity="6"/>', None, 5, 6),
        ('<limit lower="-0.5" upper="0.25" effort="inf" velocity="x"/>', (-0.5, 0.25), None, None),
    ],
)
def test_limits_that_limit_nothing_are_none(
    tmp_path: Path, limit: str, range_: tuple[float, float] | None, effort: float | None, velocity: float | None
) -> None:
    reading = read(urdf(tmp_path, link("base"), link("arm"), joint("j", "base", "arm", "revolute", limit)))
    model = reading.spec.compile()
    assert bool(model.jnt_limited[0]) == (range_ is not None)
    if range_:
        np.testing.assert_allclose(model.jnt_range[0], range_)
    assert (reading.efforts["j"], reading.velocities["j"]) == (effort, velocity)


def test_a_continuous_joint_has_no_range(tmp_path: Path) -> None:
    reading = read(urdf(tmp_path, link("base"), link("wheel"), joint("spin", "base", "wheel", "continuous")))
    assert not reading.spec.compile().jnt_limited[0]
    assert reading.efforts["spin"] == 20


@pytest.mark.parametrize(
    ("inertial", "words"),
    [
        (EMPTY, "without a mass"),
        ('<inertial><mass value="0"/><inertia ixx="0" iyy="0" izz="0"/></inertial>', "without a mass"),
        ('<inertial><mass value="1"/><inertia ixx="0" iyy="0" izz="0"/></inertial>', "without rotational inertia"),
        ('<inertial><mass value="1"/><inertia ixx="-0.1" iyy="0.1" izz="0.1"/></inertial>', "not positive"),
        ('<inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="1"/></inertial>', "A + B < C"),
        ('<inertial><mass value="nan"/></inertial>', "without a mass"),
    ],
)
def test_inertias_that_no_body_has_are_mended_and_said(tmp_path: Path, inertial: str, words: str) -> None:
    reading = read(urdf(tmp_path, link("base"), link("arm", inertial), joint("j", "base", "arm")))
    model = reading.spec.compile()
    arm = model.body("arm")
    assert arm.mass > 0
    assert (arm.inertia > 0).all()
    assert arm.inertia.sum() >= 2 * arm.inertia.max() * (1 - 1e-9)
    note = next(n for n in reading.notes if words in n.what)
    assert note.kind == "mended"
    assert "arm" in note.what
    assert note.mend


def test_names_with_spaces_and_joints_alike(tmp_path: Path) -> None:
    reading = read(
        urdf(tmp_path, link("base link"), link("a"), link("b"), joint("my joint ", "base link", "a"), joint("my joint", "a", "b"))
    )
    model = reading.spec.compile()
    assert [model.joint(i).name for i in range(2)] == ["my joint", "my joint_2"]
    assert "two joints have the name 'my joint'" in said(reading)


@pytest.mark.parametrize("name", ["ns/base", "größe", 'a"<&>b', "1", "free", "base.link-1"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    path = urdf(tmp_path, link(escaped, FOOT), link("arm", FOOT), joint(f"{escaped} j", escaped, "arm"))
    reading = read(path)
    again = read(write_model(reading, tmp_path / "out"))
    for model in (reading.spec.compile(), again.spec.compile()):
        assert model.body(name).id == 1
        assert model.joint(f"{name} j").id == 0


def test_a_link_called_world_that_is_more_than_a_frame(tmp_path: Path) -> None:
    reading = read(urdf(tmp_path, link("world", FOOT), link("arm"), joint("j", "world", "arm")))
    assert reading.root == "world_link"
    assert reading.spec.compile().nbody == 3


def test_all_faults_stand_in_one_error(tmp_path: Path) -> None:
    path = urdf(
        tmp_path,
        *leg(
            link("thigh"),
            link("lost"),
            joint("odd", "base", "nowhere", "screw"),
            joint("again", "base", "shin"),
            joint("x", "base", "nothing"),
        ),
    )
    with pytest.raises(RobotError) as caught:
        read(path)
    text = str(caught.value)
    for part in ("two links have the name 'thigh'", "odd is of type 'screw'", "shin has 2 parent joints (knee, again)", "'nothing'"):
        assert part in text


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((*leg(), link("other"), link("more"), joint("j", "other", "more")), "2 roots (base, other)"),
        ((link("a"), link("b"), joint("ab", "a", "b"), joint("ba", "b", "a")), "circle"),
        (leg(link("top"), joint("float", "shin", "top", "floating", "")), "joint float between shin and top is floating"),
        (leg(link("top"), joint("glide", "shin", "top", "planar", "")), "joint glide between shin and top is planar"),
        ((link("a"), link("b"), joint("weld", "a", "b", "fixed", "")), "no joints that move"),
        ((), "no links"),
    ],
)
def test_what_cannot_be_a_robot_is_refused_by_name(tmp_path: Path, parts: tuple[str, ...], words: str) -> None:
    with pytest.raises(RobotError, match=words.replace("(", r"\(").replace(")", r"\)")):
        read(urdf(tmp_path, *parts))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'<robot name="r"><link name="a"></robot>', "line 1"),
        (b"", "empty"),
        (b"\0\1\2\3 binary", "not a text file"),
        (b"<sdf version='1.7'/>", "SDF"),
        (b"<mujocoinclude/>", "includes it"),
        (b"#usda 1.0", "not an XML file"),
        (b'<robot name="r"><group name="g"/></robot>', "SRDF"),
        (b'<robot name="r"><xacro:include filename="x"/></robot>', "xacro .*robot.urdf"),
        (b'<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:macro name="leg"/></robot>', "`xacro "),
        (b'<robot><link name="${prefix}base"/></robot>', "`xacro "),
    ],
)
def test_files_that_are_no_model_are_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "robot.urdf"
    path.write_bytes(content)
    with pytest.raises(RobotError, match=words) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    urdf(tmp_path, *leg())
    with pytest.raises(RobotError, match="cannot be read"):
        read(tmp_path / "none.urdf")
    with pytest.raises(RobotError, match=r"folder.*robot\.urdf"):
        read(tmp_path)


def test_odd_encodings_line_ends_and_other_elements(tmp_path: Path) -> None:
    text = (
        urdf(tmp_path, *leg())
        .read_text()
        .replace(
            "</robot>",
            '<transmission name="t"><type>x</type></transmission><gazebo reference="base"/>'
            '<!-- Gr\xfc\xdfe -->\n<material name="m"/></robot>',
        )
    )
    path = tmp_path / "latin.urdf"
    path.write_bytes(text.replace("1.0", '1.0" encoding="UTF-8').replace("\n", "\r\n").encode("latin-1"))
    reading = read(path)
    assert reading.spec.compile().nq == 2
    assert "Latin-1" in said(reading, "mended")
    wide = tmp_path / "wide.urdf"
    wide.write_bytes(text.encode("utf-16"))
    assert read(wide).spec.compile().nq == 2
    marked = tmp_path / "marked.xml"
    marked.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(marked).format == "URDF"


def test_the_mass_of_what_has_none_beside_what_is_welded_to_it(tmp_path: Path) -> None:
    path = urdf(
        tmp_path, link("base"), link("axle", EMPTY), joint("j", "base", "axle"), link("foot", FOOT), joint("w", "axle", "foot", "fixed", "")
    )
    reading = read(path)
    assert reading.spec.compile().body_mass.sum() == pytest.approx(2)
    assert not said(reading, "mended")
