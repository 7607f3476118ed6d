"""An MJCF file of any dialect becomes the robot alone with the physics that MuJoCo gives it, or one error that names what cannot be."""

from __future__ import annotations

import math
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.robots.describe.reading import Reading, read
from envs.robots.errors import RobotError
from tests.robot_files import mjcf

LEG = """<body name="thigh" pos="0 0 -0.1"><joint name="hip" axis="0 1 0" range="-60 60"/>
<geom name="thigh" type="capsule" size="0.03" fromto="0 0 0 0 0 -0.2"/>
<body name="shin" pos="0 0 -0.2"><joint name="knee" axis="0 1 0" range="-150 -10"/>
<geom name="shin" type="capsule" size="0.02" fromto="0 0 0 0 0 -0.2"/></body></body>"""
ROBOT = f'<body name="base" pos="0 0 0.5"><freejoint name="root"/><geom name="trunk" type="box" size="0.2 0.1 0.05"/>{LEG}</body>'
MOTORS = '<actuator><motor joint="hip" gear="10" ctrlrange="-2 2"/><position joint="knee" kp="50" kv="2" forcerange="-30 30"/></actuator>'


def said(reading: Reading, kind: str = "") -> str:
    return "\n".join(f"{note.what} | {note.mend}" for note in reading.notes if not kind or note.kind == kind)


def bare(reading: Reading) -> mujoco.MjModel:
    """The compiled spec, after a look that it is the robot alone."""
    model = reading.spec.compile()
    assert (model.nu, model.nsensor, model.nkey, model.nlight, model.ncam, model.nmocap) == (0,) * 6
    for count, kind in (
        (model.nbody, mujoco.mjtObj.mjOBJ_BODY),
        (model.njnt, mujoco.mjtObj.mjOBJ_JOINT),
        (model.ngeom, mujoco.mjtObj.mjOBJ_GEOM),
    ):
        names = [mujoco.mj_id2name(model, kind, i) for i in range(count)]
        assert all(names)
        assert len(set(names)) == count
    assert model.opt.timestep == 0.005
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    return model


def test_a_robot_in_a_scene_comes_out_alone_and_unchanged(tmp_path: Path) -> None:
    text = f"""<compiler autolimits="true"/><option timestep="0.002" gravity="0 0 -1.62"/>
    <visual><global azimuth="1"/></visual><statistic extent="1"/><size nuserdata="3"/><custom><numeric name="n" data="1"/></custom>
    <asset><texture name="grid" type="2d" builtin="checker" width="8" height="8"/><material name="grid" texture="grid"/>
    <hfield name="hills" nrow="2" ncol="2" size="1 1 1 1"/></asset>
    <worldbody><light pos="0 0 3"/><camera name="c"/><geom name="floor" type="plane" size="0 0 1" material="grid"/>
    <geom type="hfield" hfield="hills"/>
    <site name="goal"/><body name="ball" pos="1 0 0"><freejoint/><geom size="0.1"/></body><body name="target" mocap="true">
    <geom size="0.1"/></body>
    {ROBOT}<body name="door"><joint name="hinge"/><geom size="0.1"/></body></worldbody>{MOTORS}
    <sensor><framepos objtype="body" objname="ball"/></sensor>
    <keyframe><key name="all" qpos="1 2 3 1 0 0 0  4 5 6 1 0 0 0  0.1 -0.2  9"/><key name="alone" qpos="0 0 0.5 1 0 0 0 0.3 -0.4"/>
    <key name="joints" qpos="0.5 -0.6"/>
    <key name="odd" qpos="1 2 3"/></keyframe>
    <contact><pair geom1="floor" geom2="shin"/><exclude body1="base" body2="shin"/><exclude body1="ball" body2="shin"/></contact>"""
    path = mjcf(tmp_path, text.replace('<key name="alone"', '<key name="alone"'))
    reading = read(path)
    model = bare(reading)
    assert (reading.root, reading.free, reading.format) == ("base", True, "MJCF")
    assert {model.body(i).name for i in range(model.nbody)} == {"world", "base", "thigh", "shin"}
    np.testing.assert_allclose(model.joint("knee").range, np.radians((-150, -10)))
    assert model.nexclude == 1
    assert model.npair == 0
    assert reading.keys == {"all": {"hip": 0.1, "knee": -0.2}, "alone": {"hip": 0.3, "knee": -0.4}, "joints": {"hip": 0.5, "knee": -0.6}}
    text = said(reading)
    for part in ("door", "ball", "odd (3 numbers)", "floor-shin", "gravity 0 0 -1.62"):
        assert part in text
    whole = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{ROBOT}</worldbody></mujoco>")
    for field in ("body_mass", "body_inertia", "body_pos", "geom_size", "geom_pos", "jnt_range", "jnt_axis", "qpos0", "dof_damping"):
        np.testing.assert_array_equal(getattr(model, field), getattr(whole, field))


def test_what_actuators_say_of_their_joints(tmp_path: Path) -> None:
    text = f"""<default><default class="strong">
    <general gaintype="fixed" biastype="affine" gainprm="100" biasprm="0 -100 -5" forcerange="-80 80"/></default></default>
    <worldbody>{ROBOT.replace('name="hip"', 'name="hip" actuatorfrcrange="-15 15"')}<body name="other"><joint name="o"/>
    <geom size="0.1"/></body></worldbody>
    <actuator><motor joint="hip" gear="10" ctrlrange="-2 2"/><general class="strong" joint="knee" gear="2"/><motor joint="o"/></actuator>"""
    reading = read(mjcf(tmp_path, text))
    hip, knee = reading.motors["hip"], reading.motors["knee"]
    assert (hip.kp, hip.kd, hip.effort, hip.gear) == (None, None, 15, 10)
    assert (knee.kp, knee.kd, knee.effort, knee.gear) == (400, 20, 160, 2)
    assert reading.efforts == {"hip": 15, "knee": None}
    assert reading.velocities == {"hip": None, "knee": None}
    assert not bare(reading).jnt_actfrclimited.any()


def test_a_servo_of_two_actuators_and_one_with_a_damping_ratio(tmp_path: Path) -> None:
    text = f"""<worldbody>{ROBOT}</worldbody><actuator><position joint="hip" kp="40"/><velocity joint="hip" kv="3" forcerange="-9 9"/>
    <position joint="knee" kp="50" dampratio="1"/></actuator>"""
    path = mjcf(tmp_path, text)
    motors = read(path).motors
    assert (motors["hip"].kp, motors["hip"].kd, motors["hip"].effort) == (40, 3, 9)
    assert motors["knee"].kd == pytest.approx(-mujoco.MjModel.from_xml_path(str(path)).actuator_biasprm[2, 2])


def test_included_files_are_found_beside_the_main_one_or_their_own(tmp_path: Path) -> None:
    mjcf(tmp_path / "robot", f'<compiler angle="radian"/><include file="parts/legs.xml"/><worldbody>{ROBOT}</worldbody>')
    (tmp_path / "robot" / "parts").mkdir()
    (tmp_path / "robot" / "parts" / "legs.xml").write_text("<mujocoinclude><default><joint damping='2'/></default></mujocoinclude>")
    scene = mjcf(
        tmp_path / "scenes", '<include file="../robot/robot.xml"/><worldbody><geom type="plane" size="1 1 1"/></worldbody>', "scene.xml"
    )
    model = bare(read(scene))
    np.testing.assert_array_equal(model.dof_damping[6:], 2)
    np.testing.assert_allclose(model.joint("knee").range, (-150, -10))
    mjcf(tmp_path, '<include file="a.xml"/><include file="none.xml"/>', "loop.xml")
    mjcf(tmp_path, '<include file="loop.xml"/>', "a.xml")
    with pytest.raises(RobotError, match=r"2 reasons[\s\S]*includes itself[\s\S]*none.xml"):
        read(tmp_path / "loop.xml")


def test_defaults_hold_for_the_robot_and_for_nothing_else(tmp_path: Path) -> None:
    robot = ROBOT.replace('name="thigh" pos', 'name="thigh" childclass="leg" pos')
    text = f"""<default><geom contype="0" density="500" friction="0.3"/><joint damping="1" armature="0.02"/>
    <position kp="7" ctrlrange="-1 1"/>
    <default class="leg"><joint damping="3"/><geom rgba="1 0 0 1"/><default class="low"><joint frictionloss="0.4"/></default></default>
    </default>
    <worldbody>{robot.replace('name="knee"', 'name="knee" class="low"')}</worldbody>
    <actuator><position joint="hip"/></actuator>"""
    path = mjcf(tmp_path, text)
    reading, whole = read(path), mujoco.MjModel.from_xml_path(str(path))
    model = bare(reading)
    for field in ("body_mass", "geom_contype", "geom_friction", "dof_damping", "dof_armature", "dof_frictionloss"):
        np.testing.assert_array_equal(getattr(model, field), getattr(whole, field))
    scene = reading.spec
    scene.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    scene.add_actuator(name="a", trntype=mujoco.mjtTrn.mjTRN_JOINT, target="hip")
    model = scene.compile()
    assert model.geom("floor").contype == 1
    assert model.geom("floor").friction[0] == 1
    assert not model.actuator_ctrllimited[0]


ANGLES = """<compiler angle="{angle}" eulerseq="zyx"/><default><joint range="{a} {b}"/><default class="s">
<joint type="slide" range="-1 2"/></default></default>
<worldbody><frame euler="{c} 0 0"><body name="b" euler="{a} {b} {c}">
<inertial mass="1" pos="0 0 0" diaginertia="1 1 1" axisangle="1 0 0 {c}"/>
<geom size="0.1 0.2 0.3" type="box" axisangle="0 1 0 {a}"/>
<body name="c"><joint name="h" ref="{c}" springref="{a}" stiffness="1"/><geom size="0.1"/><body name="d"><joint name="s" class="s"/>
<geom size="0.1"/>
<body name="e"><joint name="ball" type="ball" range="0 {b}"/><geom size="0.1"/><site name="t" euler="{c} {a} 0"/></body></body></body>
</body></frame></worldbody>"""


@pytest.mark.parametrize("own", ["", 'damping="3"', 'armature="0.2" frictionloss="0.1"', 'stiffness="5"'])
def test_a_free_joint_keeps_nothing_that_brakes_or_weighs_down_the_base(tmp_path: Path, own: str) -> None:
    defaults = '<default><joint damping="1" armature="0.1" frictionloss="0.4" stiffness="2"/></default>' if not own else ""
    body = ROBOT.replace('<freejoint name="root"/>', f'<joint name="root" type="free" {own}/>')
    reading = read(mjcf(tmp_path, f"{defaults}<worldbody>{body}</worldbody>{MOTORS}"))
    model = bare(reading)
    assert model.joint("root").type == mujoco.mjtJoint.mjJNT_FREE
    for field in ("dof_damping", "dof_armature", "dof_frictionloss"):
        assert not np.ravel(getattr(model, field)[:6]).any(), field
    assert not np.ravel(model.jnt_stiffness[0]).any()
    if defaults:
        assert model.dof_armature[6] == 0.1  # motors' joints keep theirs
    assert "free joint root had damping" in said(reading, "mended")
    loose = read(mjcf(tmp_path, f"<worldbody>{ROBOT}</worldbody>{MOTORS}"))
    assert "free joint" not in said(loose)


def test_degrees_and_radians_are_the_same_robot(tmp_path: Path) -> None:
    values = {"a": -30.0, "b": 60.0, "c": 20.0}
    in_degrees = mjcf(tmp_path, ANGLES.format(angle="degree", **values), "degrees.xml")
    in_radians = mjcf(tmp_path, ANGLES.format(angle="radian", **{k: math.radians(v) for k, v in values.items()}), "radians.xml")
    whole = mujoco.MjModel.from_xml_path(str(in_degrees))
    for path in (in_degrees, in_radians):
        model = bare(read(path))
        for field in ("jnt_range", "qpos0", "qpos_spring", "body_quat", "body_iquat", "geom_quat", "site_quat"):
            np.testing.assert_allclose(getattr(model, field), getattr(whole, field), atol=1e-12, err_msg=field)


def test_what_older_files_say_is_dropped_by_name(tmp_path: Path) -> None:
    text = f"""<compiler inertiafromgeom="true" coordinate="local" angle="degree"/>
    <option iterations="50" collision="all" mpr_iterations="3"/>
    <size njmax="500" nconmax="100"/><worldbody>{ROBOT}</worldbody>{MOTORS}"""
    reading = read(mjcf(tmp_path, text))
    assert bare(reading).nq == 9
    assert "collision of <option>" in said(reading, "dropped")


def test_a_fault_of_the_file_is_one_line_with_its_element(tmp_path: Path) -> None:
    for text, words in (
        (ROBOT.replace('size="0.2 0.1 0.05"', 'size="0.2 x"'), "size.*trunk"),
        (ROBOT.replace('name="hip"', 'name="hip" class="none"'), "none"),
        (ROBOT.replace('type="box"', 'type="cube"'), "cube.*trunk"),
        (ROBOT.replace('size="0.2 0.1 0.05"', 'size="0 0 0"'), "size"),
    ):
        with pytest.raises(RobotError, match=words) as caught:
            read(mjcf(tmp_path, f"<worldbody>{text}</worldbody>"))
        assert "\n" not in str(caught.value)


def test_names_that_are_missing_or_given_twice(tmp_path: Path) -> None:
    text = f"""<worldbody><body><freejoint/><geom size="0.1"/>{LEG.replace('name="shin"', 'name="thigh"').replace('name="hip"', "")}
    <body><joint/><geom size="0.1"/></body></body></worldbody>"""
    reading = read(mjcf(tmp_path, text))
    assert bare(reading).njnt == 4
    assert "body thigh" in said(reading, "mended")


CLOSED = """<worldbody><body name="base" pos="0 0 1"><freejoint/><geom size="0.1"/>
<body name="crank"><joint name="drive" axis="0 1 0"/><geom size="0.05"/><body name="rod" pos="0.1 0 0"><joint name="swing" type="ball"/>
<geom size="0.05"/></body></body>
<body name="shin" pos="0 0 -0.2"><joint name="knee" axis="0 1 0" stiffness="5"/><geom name="shin" size="0.05"/><site name="pin"/>
<body name="toe" pos="0 0 -0.2"><joint name="toe" axis="0 1 0"/><geom size="0.05"/></body></body></body></worldbody>
<equality><connect name="loop" body1="rod" body2="shin" anchor="0 0 0.1"/><joint joint1="toe" joint2="knee" polycoef="0.1 -0.5 0 0 0"/>
<weld name="held" body1="base"/><connect name="off" active="false" body1="rod" body2="base" anchor="0 0 0"/></equality>
<actuator><motor joint="drive" gear="25" ctrlrange="-4 4"/></actuator>"""


def test_closed_loops_stay_and_what_moves_without_a_motor_is_passive(tmp_path: Path) -> None:
    reading = read(mjcf(tmp_path, CLOSED))
    model = bare(reading)
    assert model.neq == 2
    assert reading.mimics == {"toe": ("knee", -0.5, 0.1)}
    assert set(reading.passive) == {"swing", "knee", "toe"}
    text = said(reading)
    for part in (
        "closed loops stay as constraints: loop",
        "held",
        "ball joints stay passive: swing",
        "without an actuator in the file are passive: knee",
    ):
        assert part in text


def test_a_driven_ball_joint_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match="swing"):
        read(mjcf(tmp_path, CLOSED.replace("<actuator>", '<actuator><motor name="m" joint="swing" gear="1 0 0"/>')))


def hand(fingers: int, arm: int) -> str:
    """A chain of `arm` driven joints and two joints on one tendon for each finger."""
    inner = "".join(
        f'<body><joint name="f{i}"/><geom size="0.02"/><body><joint name="g{i}"/><geom size="0.02"/></body></body>' for i in range(fingers)
    )
    for i in range(arm):
        inner = f'<body name="l{i}"><joint name="j{i}"/><geom size="0.1"/>{inner}</body>'
    tendons = "".join(
        f'<fixed name="t{i}"><joint joint="f{i}" coef="0.5"/><joint joint="g{i}" coef="0.5"/></fixed>' for i in range(fingers)
    )
    motors = "".join(f'<motor joint="j{i}"/>' for i in range(arm)) + "".join(f'<position tendon="t{i}" kp="5"/>' for i in range(fingers))
    return (
        f"<worldbody><body name='palm'><geom size='0.1'/>{inner}</body></worldbody><tendon>{tendons}</tendon><actuator>{motors}</actuator>"
    )


def test_a_gripper_on_a_tendon_is_fixed_and_a_hand_of_tendons_is_refused(tmp_path: Path) -> None:
    reading = read(mjcf(tmp_path, hand(fingers=1, arm=7)))
    assert set(reading.motors) == set(reading.efforts) == {f"j{i}" for i in range(7)}
    assert not reading.passive
    assert "f0, g0" in said(reading, "refused")
    model = bare(reading)
    assert (model.ntendon, model.nq) == (0, 7)
    coupled = hand(fingers=1, arm=7).replace("<tendon>", '<equality><joint joint1="g0" joint2="f0"/></equality><tendon>')
    assert bare(read(mjcf(tmp_path, coupled))).neq == 0
    with pytest.raises(RobotError, match=r"6 of its 7 joints are moved by tendons.*f0"):
        read(mjcf(tmp_path, hand(fingers=3, arm=1)))


def test_the_linkage_of_a_gripper_whose_drivers_are_fixed_is_fixed_with_them(tmp_path: Path) -> None:
    fingers = "".join(
        f'<body name="{s}_outer"><joint name="{s}_driver"/><geom size="0.02"/><body name="{s}_tip"><joint name="{s}_tip"/>'
        f'</body></body><body name="{s}_inner"><joint name="{s}_inner"/><geom size="0.02"/></body>'
        for s in "lr"
    )
    arm = fingers
    for i in range(7):
        arm = f'<body name="l{i}"><joint name="j{i}"/><geom size="0.1"/>{arm}</body>'
    text = f"""<worldbody><body name="base"><geom size="0.1"/>{arm}</body></worldbody>
    <tendon><fixed name="split"><joint joint="l_driver" coef="0.5"/><joint joint="r_driver" coef="0.5"/></fixed></tendon>
    <equality><connect body1="l_tip" body2="l_inner" anchor="0 0 0"/><connect body1="r_tip" body2="r_inner" anchor="0 0 0"/>
    <joint joint1="l_driver" joint2="r_driver"/></equality>
    <actuator><position tendon="split"/>{"".join(f'<motor joint="j{i}"/>' for i in range(7))}</actuator>"""
    model = bare(read(mjcf(tmp_path, text)))
    assert (model.nq, model.neq) == (7, 0)


def test_tendons_that_pull_stay_and_tendons_to_the_world_go(tmp_path: Path) -> None:
    text = f"""<worldbody><site name="hook"/>{ROBOT.replace('<joint name="knee"', '<site name="s"/><joint name="knee"')}</worldbody>
    <tendon><fixed stiffness="3"><joint joint="hip" coef="1"/><joint joint="knee" coef="-1"/></fixed>
    <fixed limited="true" range="-1 0.2"><joint joint="knee" coef="1"/></fixed>
    <spatial name="rope" stiffness="9"><site site="hook"/><site site="s"/></spatial></tendon>"""
    reading = read(mjcf(tmp_path, text))
    assert bare(reading).ntendon == 2
    assert "rope" in said(reading, "dropped")
    assert "2 tendons" in said(reading, "remark")


def test_pairs_alone_make_geoms_collide(tmp_path: Path) -> None:
    body = ROBOT.replace('name="shin" type', 'name="shin" contype="0" conaffinity="0" type').replace(
        'name="thigh" type', 'name="thigh" contype="0" conaffinity="0" type'
    )
    text = f"""<default><pair condim="1" friction="0.2"/></default>
    <worldbody><geom name="floor" type="plane" size="1 1 1"/>{body}</worldbody>
    <contact><pair geom1="floor" geom2="shin"/><pair geom1="trunk" geom2="shin"/></contact>"""
    model = bare(read(mjcf(tmp_path, text)))
    assert (model.npair, model.pair_dim[0], model.pair_friction[0, 0]) == (1, 1, 0.2)
    assert model.geom("shin").contype == 1
    assert model.geom("thigh").contype == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<worldbody><geom type="plane" size="1 1 1"/></worldbody>', "no bodies"),
        ('<worldbody><body><freejoint/><geom size="1"/></body></worldbody>', "no joints that move"),
        (
            "<worldbody>" + ROBOT.replace(LEG, LEG + '<flexcomp name="rag" type="grid"/>') + "</worldbody>",
            "rag",
        ),
        (f'<worldbody>{ROBOT}<body name="snake"><composite type="cable" count="3 1 1"/></body></worldbody>', "soft body"),
    ],
)
def test_what_is_no_rigid_robot_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RobotError, match=words):
        read(mjcf(tmp_path, text))


def test_inertias_that_mujoco_refuses_are_mended(tmp_path: Path) -> None:
    inertials = ('mass="1" diaginertia="0.1 0.1 1"', 'mass="1" fullinertia="1 1 -1 0 0 0"', 'mass="0" diaginertia="0 0 0"', None)
    inner = ""
    for i, inertial in enumerate(inertials):
        stated = f'<inertial pos="0 0 0" {inertial}/>' if inertial else ""
        inner = f'<body name="b{i}"><joint name="j{i}"/>{stated}{inner}</body>'
    reading = read(mjcf(tmp_path, f"<worldbody><body name='base'><geom size='0.1'/>{inner}</body></worldbody>"))
    assert (bare(reading).body_mass[2:] > 0).all()
    text = said(reading, "mended")
    assert all(f"b{i}" in text for i in range(4))


def test_a_fixed_base_keeps_where_it_stands(tmp_path: Path) -> None:
    text = (
        f'<worldbody><frame pos="0 0 1"><body name="base" pos="0.5 0 0" euler="0 0 90"><geom size="0.1"/>{LEG}</body></frame></worldbody>'
    )
    reading = read(mjcf(tmp_path, text))
    model = bare(reading)
    np.testing.assert_allclose(model.body("base").pos, (0.5, 0, 1))
    assert not reading.free
    assert "mounted" in said(reading)


def test_replicas_and_attached_models(tmp_path: Path) -> None:
    mjcf(tmp_path, f'<worldbody><body name="leg">{LEG}</body></worldbody>', "leg.xml")
    text = """<asset><model name="leg" file="leg.xml"/></asset><worldbody><body name="base"><freejoint/><geom size="0.1"/>
    <frame pos="0 0.1 0"><attach model="leg" body="leg" prefix="L_"/></frame><frame pos="0 -0.1 0">
    <attach model="leg" body="leg" prefix="R_"/></frame></body></worldbody>"""
    model = bare(read(mjcf(tmp_path, text)))
    assert {model.joint(i).name for i in range(1, model.njnt)} == {"L_hip", "L_knee", "R_hip", "R_knee"}
    text = f"""<worldbody><body name="base"><freejoint/><geom size="0.1"/>
    <replicate count="3" euler="0 0 120"><body name="leg">{LEG}</body></replicate></body></worldbody>"""
    assert bare(read(mjcf(tmp_path, text))).njnt == 7


def test_a_base_that_is_not_upright_is_remarked(tmp_path: Path) -> None:
    ball = '<geom size="0.03"/>'

    def four(pos: str, robot: str = "") -> str:
        legs = "".join(
            f'<body pos="{x} {y} {z}"><joint/>{ball}<body pos="{pos}"><joint/>{ball}<body pos="{pos}">{ball}</body></body></body>'
            for x, y, z in ((0.2, 0.1, 0), (0.2, -0.1, 0), (-0.2, 0.1, 0), (-0.2, -0.1, 0))
        )
        return f'<worldbody><body name="base" {robot}><freejoint/><geom size="0.1"/>{legs}</body></worldbody>'

    assert "z axis is up" not in said(read(mjcf(tmp_path, four("0 0 -0.2"))))
    assert "reach along its y axis" in said(read(mjcf(tmp_path, four("0 -0.2 0"))), "remark")
    assert "is not upright" in said(read(mjcf(tmp_path, four("0 -0.2 0", 'euler="90 0 0"'))), "remark")


def test_a_base_on_slides_is_said_to_be_neither_fixed_nor_floating(tmp_path: Path) -> None:
    base = '<joint name="x" type="slide"/><joint name="turn"/><geom size="0.1"/>'
    text = f'<worldbody><body name="base">{base}{LEG}</body></worldbody>{MOTORS}'
    reading = read(mjcf(tmp_path, text))
    assert "x, turn" in said(reading, "refused")
    assert {"x", "turn"} <= set(reading.passive)


def test_a_total_mass_is_kept_without_the_setting(tmp_path: Path) -> None:
    path = mjcf(tmp_path, f'<compiler settotalmass="12"/><worldbody>{ROBOT}</worldbody>')
    model, whole = bare(read(path)), mujoco.MjModel.from_xml_path(str(path))
    np.testing.assert_allclose(model.body_mass, whole.body_mass, rtol=1e-12)
    np.testing.assert_allclose(model.body_inertia, whole.body_inertia, rtol=1e-12)
