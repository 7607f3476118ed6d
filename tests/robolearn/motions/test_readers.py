"""Each format gives the person that was written into it, and what cannot be read is told with its place."""

from __future__ import annotations

import io
import math
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from envs.robots.registry import get_robot
from robolearn.errors import UserError
from robolearn.evaluation.gait.recordings import Recording
from robolearn.motions.gaps import pieces
from robolearn.motions.person import LANDMARKS, Person
from robolearn.motions.readers.pickles import load_arrays
from robolearn.motions.readers.smpl import JOINTS, PARENTS, offsets
from robolearn.motions.reading import read
from tests.robolearn.motions import walker

G1 = get_robot("g1")
BONES = (  # name, parent, direction and length in ASF's units, order of its turns
    ("lhipjoint", "root", (1, -1, 0), 2.0, ""), ("lfemur", "lhipjoint", (0, -1, 0), 7.6, "rx ry rz"),
    ("ltibia", "lfemur", (0, -1, 0), 7.3, "rx"), ("lfoot", "ltibia", (0, -0.5, 1), 2.2, "rx rz"), ("ltoes", "lfoot", (0, 0, 1), 1.0, "rx"),
    ("rhipjoint", "root", (-1, -1, 0), 2.0, ""), ("rfemur", "rhipjoint", (0, -1, 0), 7.6, "rx ry rz"),
    ("rtibia", "rfemur", (0, -1, 0), 7.3, "rx"), ("rfoot", "rtibia", (0, -0.5, 1), 2.2, "rx rz"), ("rtoes", "rfoot", (0, 0, 1), 1.0, "rx"),
    ("thorax", "root", (0, 1, 0), 8.0, "rx ry rz"), ("lclavicle", "thorax", (1, 0, 0), 3.0, ""),
    ("lhumerus", "lclavicle", (1, 0, 0), 5.0, "rx ry rz"), ("lradius", "lhumerus", (1, 0, 0), 4.0, "rx"),
    ("rclavicle", "thorax", (-1, 0, 0), 3.0, ""), ("rhumerus", "rclavicle", (-1, 0, 0), 5.0, "rx ry rz"),
    ("rradius", "rhumerus", (-1, 0, 0), 4.0, "rx"),
)  # fmt: skip
AXES = {"lfemur": (0.0, 0.0, 20.0), "rhumerus": (30.0, 10.0, -25.0), "root": (5.0, 0.0, 10.0)}
"""Axes of bones that are turned [degrees], as the CMU database's are."""
FRAMES = 70


def axis_of(name: str) -> str:
    return " ".join(str(angle) for angle in AXES.get(name, (0, 0, 0)))


def asf() -> str:
    lines = [":version 1.10", ":units", "  mass 1.0", "  length 0.45", "  angle deg", ":root", "  order TX TY TZ RX RY RZ", "  axis XYZ",
             "  position 0 0 0", f"  orientation {axis_of('root')}", ":bonedata"]  # fmt: skip
    for number, (name, _, direction, length, dof) in enumerate(BONES, 1):
        unit = np.array(direction) / np.linalg.norm(direction)
        lines += [
            "  begin",
            f"    id {number}",
            f"    name {name}",
            f"    direction {' '.join(f'{x:.9f}' for x in unit)}",
            f"    length {length}",
        ]
        lines += [f"    axis {axis_of(name)} XYZ", *([f"    dof {dof}"] if dof else []), "  end"]
    lines += [":hierarchy", "  begin"]
    for parent in dict.fromkeys(parent for _, parent, *_ in BONES):
        lines.append(f"    {parent} {' '.join(name for name, above, *_ in BONES if above == parent)}")
    return "\n".join([*lines, "  end"]) + "\n"


def values(frame: int) -> dict[str, list[float]]:
    """What each bone's degrees of freedom are in a frame [degrees]."""
    found = {"root": [0.1 * frame, 17.0, 0.0, 3.0, 40.0 * math.sin(0.05 * frame), -2.0]}
    for place, (name, _, _, _, dof) in enumerate(BONES):
        if dof:
            found[name] = [15.0 * math.sin(0.1 * frame + place + k) for k in range(len(dof.split()))]
    return found


def write_amc(folder: Path) -> Path:
    (folder / "07.asf").write_text(asf(), encoding="utf-8")
    lines = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(FRAMES):
        lines += [str(frame + 1), *(f"{name} {' '.join(f'{x:.9f}' for x in row)}" for name, row in values(frame).items())]
    path = folder / "07_01.amc"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_bvh(folder: Path, order: str, scale: float = 1.0) -> Path:
    """The same person as a BVH whose channels stand in `order`: the turns of ASF are Rz Ry Rx, brought to it by decomposition."""
    from robolearn.motions.rotation import euler

    children: dict[str, list[str]] = {}
    for name, parent, *_ in BONES:
        children.setdefault(parent, []).append(name)
    table = {name: (np.array(direction) / np.linalg.norm(direction) * length, dof) for name, _, direction, length, dof in BONES}
    lines, names = ["HIERARCHY"], []

    def joint(name: str, offset: np.ndarray, depth: int) -> None:
        pad = "\t" * depth
        names.append(name)
        lines.extend(
            [f"{pad}{'JOINT' if depth else 'ROOT'} {name}", f"{pad}{{", f"{pad}\tOFFSET {' '.join(f'{x * scale:.9f}' for x in offset)}"]
        )
        channels = [f"{axis.upper()}rotation" for axis in order]
        channels = channels if depth else ["Xposition", "Yposition", "Zposition", *channels]
        lines.append(f"{pad}\tCHANNELS {len(channels)} {' '.join(channels)}")
        end = table[name][0] if name in table else np.zeros(3)
        for child in children.get(name, []):
            joint(child, end, depth + 1)
        if name not in children:
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {' '.join(f'{x * scale:.9f}' for x in end)}", f"{pad}\t}}"])
        lines.append(f"{pad}}}")

    joint("root", np.zeros(3), 0)
    lines += ["MOTION", f"Frames: {FRAMES}", f"Frame Time: {1 / 120:.9f}"]
    told, columns = [values(frame) for frame in range(FRAMES)], []
    for name in names:
        dof = ["tx", "ty", "tz", "rx", "ry", "rz"] if name == "root" else table[name][1].split()
        angle = {key: np.array([row[name][place] for row in told]) for place, key in enumerate(dof)}
        given = np.radians(np.stack([angle.get(f"r{axis}", np.zeros(FRAMES)) for axis in "zyx"], -1))
        columns += [angle[f"t{axis}"] * scale for axis in "xyz"] if name == "root" else []
        c = euler("zyx", np.radians(AXES.get(name, (0.0, 0.0, 0.0))[::-1]))  # about fixed x, then y, then z
        columns += list(np.degrees(decomposed(c @ euler("zyx", given) @ c.T, order)).T)
    lines += [" ".join(f"{x:.9f}" for x in row) for row in np.stack(columns, 1)]
    path = folder / f"{order}.bvh"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def decomposed(matrix: np.ndarray, order: str) -> np.ndarray:
    """Angles about the axes of `order`, each turned by the former, by search; small angles have one answer."""
    from robolearn.motions.rotation import euler, logarithm

    angles = np.zeros((len(matrix), 3))
    for _ in range(8):
        back = np.swapaxes(euler(order, angles), 1, 2)
        slope = np.stack([logarithm(euler(order, angles + step) @ back) / 1e-6 for step in 1e-6 * np.eye(3)], -1)
        angles = angles + np.linalg.solve(slope, logarithm(matrix @ back)[..., None])[..., 0]
    return angles


def the_person(path: Path, fps: float | None = None) -> Person:
    found = read(path, G1, fps)
    assert len(found) == 1
    assert isinstance(found[0], Person)
    return found[0]


@pytest.mark.parametrize("order", ["zyx", "zxy", "xyz", "yxz"])
def test_bvh_and_amc_of_one_motion_are_one_person(tmp_path: Path, order: str) -> None:
    amc, bvh = the_person(write_amc(tmp_path)), the_person(write_bvh(tmp_path, order, scale=2.54 / 0.45))
    assert amc.fps == pytest.approx(120)
    assert bvh.fps == pytest.approx(120, rel=1e-6)
    assert "inch / 0.45" in " ".join(amc.remarks)
    assert "cm" in " ".join(bvh.remarks)
    for landmark in ("left_hip", "left_ankle", "right_toe", "left_elbow", "right_shoulder", "pelvis"):
        np.testing.assert_allclose(amc[landmark], bvh[landmark], atol=2e-4)
    height = amc["left_shoulder"][:, 2] - amc["left_ankle"][:, 2]
    assert (height > 0.8).all()  # z is up, whatever the file had


def test_left_stays_left_when_axes_are_turned(tmp_path: Path) -> None:
    """A person with y up walks along z as one with z up walks along x: no mirror image."""
    z_up = walker.joints()
    y_up = z_up[..., [1, 2, 0]]
    y_down = y_up * [-1, -1, 1]  # as a camera sees it
    for i, positions in enumerate((z_up, y_up, y_down)):
        person = the_person(walker.write(tmp_path / f"{i}.npz", positions))
        assert (person["left_shoulder"][:, 2] > person["left_ankle"][:, 2]).all()
        across = (person["left_hip"] - person["right_hip"])[0]
        ahead = (person["pelvis"][-1] - person["pelvis"][0]) * [1, 1, 0]
        assert np.cross(ahead, across)[2] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("ltibia ", "lshin ", 1), "a bone of its skeleton"),
        (lambda text: text.replace("ltibia ", "ltibia 3 ", 1), "1 numbers for ltibia"),
        (lambda text: text.replace("1\nroot", "root", 1), "a frame number"),
    ],
)
def test_a_wrong_amc_is_told_with_its_line(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = write_amc(tmp_path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=rf"07_01\.amc:\d+.*{message}"):
        read(path, G1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("CHANNELS 3 ", "CHANNELS 2 ", 1), "channels are like"),
        (lambda text: text.replace("Frame Time:", "Frame Tyme:"), "no 'Frame Time:'|numbers"),
        (lambda text: text[: text.rindex(" ")] + "\n", "is the file truncated"),
        (lambda text: text.replace("Frame Time:", "Frame Time: 0 #"), "above 0; give the rate: --fps"),
        (lambda text: text[: text.index("Frame Time:")] + "Frame Time: 0.01", "has no frames"),
        (lambda text: text[: text.rindex(" ")] + " nan", f"frame {FRAMES} has numbers that are not finite"),
        (lambda text: text.replace("HIERARCHY", "HIERARCHY\nOFFSET 0 0 0"), "OFFSET comes before any ROOT"),
        (lambda text: text.replace("MOTION", "NOTION"), "needs a HIERARCHY and a MOTION"),
        (lambda text: text.replace("ltibia", "thing"), "no left_knee"),
    ],
)
def test_a_wrong_bvh_is_refused(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = write_bvh(tmp_path, "zxy")
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read(path, G1)


def test_a_bvh_with_fewer_frames_than_it_says_is_read_and_tells_so(tmp_path: Path) -> None:
    path = write_bvh(tmp_path, "zxy")
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[:-10]), encoding="utf-8")
    person = the_person(path)
    assert len(person.position) == FRAMES - 10
    assert f"{FRAMES} frames were announced, but there are {FRAMES - 10}" in person.remarks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("name ltibia", "name", 1), "a value is missing after name"),
        (lambda text: text.replace("0 0 0 XYZ", "0 0 0 XYQ", 1), "in the order XYQ"),
    ],
)
def test_a_wrong_skeleton_is_refused(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = write_amc(tmp_path)
    asf_path = tmp_path / "07.asf"
    asf_path.write_text(change(asf_path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read(path, G1)


def test_a_skeleton_whose_root_has_a_parent_is_read_all_the_same(tmp_path: Path) -> None:
    path = write_amc(tmp_path)
    whole = the_person(path)
    with (tmp_path / "07.asf").open("a", encoding="utf-8") as file:
        file.write(":hierarchy\n  begin\n    ltoes root\n  end\n")
    np.testing.assert_array_equal(the_person(path).position, whole.position)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"fps": np.array("fast")}, "--fps 30"),
        ({"fps": np.array([])}, "--fps 30"),
        ({"root_rot": np.zeros((40, 3))}, "not a motion of g1"),
        ({"root_rot": np.zeros((39, 4))}, "not a motion of g1"),
        ({"root_rot": np.zeros((40, 4))}, "not quaternions"),
        ({"root_pos": np.full((40, 3), 78.0)}, "positions must be in metres"),
        ({"root_rot": np.tile([1.0, 0, 0, 0], (40, 1))}, "x, y, z, w"),
        ({"dof_pos": np.full((40, 29), 60.0)}, "not degrees"),
        ({"dof_pos": np.full((40, 29), "a")}, "not an array of numbers"),
    ],
)
def test_arrays_of_another_form_or_unit_are_refused(tmp_path: Path, more: dict[str, np.ndarray], message: str) -> None:
    told = {
        "fps": np.array(30.0),
        "root_pos": np.ones((40, 3)),
        "root_rot": np.tile([0.0, 0, 0, 1], (40, 1)),
        "dof_pos": np.zeros((40, 29)),
    }
    np.savez(tmp_path / "robot.npz", **told)  # type: ignore[arg-type]
    assert isinstance(read(tmp_path / "robot.npz", G1)[0], Recording)
    np.savez(tmp_path / "robot.npz", **(told | more))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"robot\.npz.*{message}"):
        read(tmp_path / "robot.npz", G1)


def test_a_files_own_rate_counts_before_that_which_is_given(tmp_path: Path) -> None:
    """In a folder of many kinds, --fps is for those that do not say theirs."""
    assert the_person(write_bvh(tmp_path, "zxy"), 30.0).fps == pytest.approx(120, rel=1e-6)
    path = walker.write(tmp_path / "walk.npz")
    assert the_person(path, 30.0).fps == 60
    np.savez(path, smpl_joints=walker.joints(1.0))
    assert the_person(path, 30.0).fps == 30
    assert the_person(write_amc(tmp_path), 30.0).fps == 30


def test_files_that_are_cut_off_or_empty_are_refused(tmp_path: Path) -> None:
    path = walker.write(tmp_path / "walk.npz")
    path.write_bytes(path.read_bytes()[:2000])
    (tmp_path / "nothing.pkl").write_bytes(pickle.dumps({}))
    for file, message in ((path, "not a readable file of arrays"), (tmp_path / "nothing.pkl", "holds nothing")):
        with pytest.raises(UserError, match=message):
            read(file, G1)
    positions = walker.joints(1.0)
    positions[:, JOINTS.index("left_hip")] = np.nan
    unseen = walker.write(tmp_path / "unseen.npz", positions)
    with pytest.raises(UserError, match="left_hip in no frame"):
        read(unseen, G1)


def test_turns_of_smpl_make_the_body_that_they_describe(tmp_path: Path) -> None:
    """AMASS-like turns: a knee bent by a right angle, and the whole body turned so that z is up."""
    poses = np.zeros((60, 72))
    poses[:, 0] = np.pi / 2  # y of the rest pose becomes z
    poses[:, 3 * JOINTS.index("left_knee")] = np.pi / 2
    np.savez(tmp_path / "amass.npz", poses=poses, trans=np.zeros((60, 3)), betas=np.zeros(16), mocap_framerate=30)
    person = the_person(tmp_path / "amass.npz")
    assert person.fps == 30
    thigh, shank = person["left_knee"] - person["left_hip"], person["left_ankle"] - person["left_knee"]
    assert thigh[0, 2] < -0.3
    assert abs(shank[0, 2]) < 0.1
    to_left = (person["left_hip"] - person["right_hip"])[0]
    ahead = (person["right_toe"] - person["right_ankle"])[0] * [1, 1, 0]
    assert np.cross(ahead, to_left)[2] > 0  # left is left of where the toes point
    assert len(offsets()) == len(PARENTS) == len(JOINTS) == 24


def test_a_skeleton_of_34_joints_is_the_person_that_it_stands_for(tmp_path: Path) -> None:
    """Joints of G1's skeleton in its order, y up: pelvis, legs of 7 joints, spine, arms of 8 (shoulder pitch, roll, yaw, elbow, ...)."""
    walking = the_person(walker.write(tmp_path / "walk.npz", walker.joints(1.0)))
    legs = ["hip", "hip", "hip", "knee", "ankle", "ankle", "toe"]
    arms = ["shoulder", "shoulder", "shoulder", "elbow", "wrist", "wrist", "wrist", "wrist"]
    order = ["pelvis", *(f"left_{part}" for part in legs), *(f"right_{part}" for part in legs), "chest", "chest", "chest"]
    order += [*(f"left_{part}" for part in arms), *(f"right_{part}" for part in arms)]
    posed = np.stack([walking[name] for name in order], 1)[..., [1, 2, 0]]
    np.savez(tmp_path / "posed.npz", posed_joints=posed)
    found = the_person(tmp_path / "posed.npz")
    assert found.fps == 30
    for name in (
        "pelvis",
        *(f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "toe", "shoulder", "elbow")),
    ):
        np.testing.assert_allclose(found[name], walking[name], atol=1e-9, err_msg=name)


def test_gaps_are_bridged_or_cut(tmp_path: Path) -> None:
    positions, sure = walker.joints(6.0), np.ones((360, 24))
    positions[100:110, JOINTS.index("left_knee")] = np.nan  # short: bridged
    sure[200:280, JOINTS.index("right_ankle")] = 0.05  # long: cut
    sure[:, JOINTS.index("left_wrist")] = 0.0  # never seen: not followed
    found = pieces(the_person(walker.write(tmp_path / "gaps.npz", positions, confidence=sure)))
    assert [len(piece.position) for piece in found] == [200, 80]
    assert "bridged" in " ".join(found[0].remarks)
    assert "right_ankle" in " ".join(found[1].remarks)
    knee = LANDMARKS.index("left_knee")
    whole = the_person(walker.write(tmp_path / "whole.npz", walker.joints(6.0)))
    np.testing.assert_allclose(found[0].position[100:110, knee], whole.position[100:110, knee], atol=0.06)
    assert (found[0].confidence[100:110, knee] == 0).all()
    assert not found[0].has("left_wrist")


def test_a_clip_is_cut_where_it_leaps(tmp_path: Path) -> None:
    positions = walker.joints(4.0)
    positions[150:] += [0.0, 0.0, 0.4]
    found = pieces(the_person(walker.write(tmp_path / "leap.npz", positions)))
    assert [len(piece.position) for piece in found] == [150, 90]


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1 / 0",))


def test_pickles_give_arrays_and_run_nothing(tmp_path: Path) -> None:
    joints = np.zeros((40, 29))
    told = {"fps": 30.0, "root_pos": np.ones((40, 3)), "root_rot": np.tile([0.0, 0, 0, 1], (40, 1)), "dof_pos": joints}
    (tmp_path / "good.pkl").write_bytes(pickle.dumps(told))
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(told | {"more": _Evil()}))
    found = read(tmp_path / "good.pkl", G1)[0]
    assert isinstance(found, Recording)
    assert found.qpos.shape == (40, 36)
    assert found.qpos[0, 3] == 1.0
    with pytest.raises(UserError, match="eval, and only arrays are allowed"):
        read(tmp_path / "evil.pkl", G1)


def test_arrays_as_joblib_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """joblib's form: a description of an array in the pickle, then padding and the bytes of the array."""
    module = types.ModuleType("joblib.numpy_pickle")
    kind = type("NumpyArrayWrapper", (), {"__module__": "joblib.numpy_pickle"})
    module.NumpyArrayWrapper = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "joblib", types.ModuleType("joblib"))
    monkeypatch.setitem(sys.modules, "joblib.numpy_pickle", module)
    array = np.arange(12.0).reshape(3, 4)

    class Writer(pickle._Pickler):  # type: ignore[name-defined]
        def save(self, obj: object, save_persistent_id: bool = True) -> None:
            if isinstance(obj, np.ndarray):
                described = kind()
                described.__dict__.update(subclass=np.ndarray, shape=obj.shape, order="C", dtype=obj.dtype, numpy_array_alignment_bytes=16)  # type: ignore[attr-defined]
                super().save(described, save_persistent_id)  # type: ignore[misc]
                self.framer.commit_frame(force=True)  # type: ignore[attr-defined]
                stream.write(b"\x03" + b"\xff" * 3 + obj.tobytes())
                return
            super().save(obj, save_persistent_id)  # type: ignore[misc]

    stream = io.BytesIO()
    writer = Writer(stream, protocol=3)
    writer.dump({"walk": {"dof": array, "fps": 30}})
    (tmp_path / "joblib.pkl").write_bytes(stream.getvalue())
    found = load_arrays(tmp_path / "joblib.pkl")
    np.testing.assert_array_equal(found["walk"]["dof"], array)
    assert found["walk"]["fps"] == 30


def test_csv_of_a_robot(tmp_path: Path) -> None:
    rows = np.zeros((30, 7 + 29))
    rows[:, 2], rows[:, 6], rows[:, 7 + 3] = 0.78, 1.0, 0.5
    path = tmp_path / "dance.csv"
    np.savetxt(path, rows, delimiter=",")
    with pytest.raises(UserError, match="--fps 60"):
        read(path, G1)
    full = read(path, G1, 60.0)[0]
    np.savetxt(path, np.delete(rows, [7 + i for i, name in enumerate(G1.joint_names) if "wrist" in name], axis=1), delimiter=",")
    short = read(path, G1, 60.0)[0]
    assert isinstance(full, Recording)
    assert isinstance(short, Recording)
    np.testing.assert_allclose(full.qpos[:, :7], short.qpos[:, :7])
    assert full.qpos[0, 7 + 3] == short.qpos[0, 7 + 3] == 0.5
    assert full.dt == pytest.approx(1 / 60)
    np.savetxt(path, rows[:, :-3], delimiter=",")
    with pytest.raises(UserError, match="not a motion of g1"):
        read(path, G1, 60.0)


def test_c3d_needs_its_package_or_is_read(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    positions = {name: walker.joints(2.0)[:, JOINTS.index(name)] for name in JOINTS}
    middle = (positions["left_hip"] + positions["right_hip"]) / 2
    markers = {
        "LASI": middle + np.array([0.1, 0.12, 0.08]),
        "RASI": middle + np.array([0.1, -0.12, 0.08]),
        "LPSI": middle + np.array([-0.1, 0.05, 0.08]),
        "RPSI": middle + np.array([-0.1, -0.05, 0.08]),
    }
    for side in ("left", "right"):
        for marker, name in (("KNE", "knee"), ("ANK", "ankle"), ("TOE", "toe"), ("SHO", "arm"), ("ELB", "elbow"), ("WRA", "wrist")):
            markers[f"{side[0].upper()}{marker}"] = positions[f"{side}_{name}"]
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [60]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(markers)
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    data = np.ones((4, len(markers), len(middle)))
    data[:3] = 1000 * np.moveaxis(np.stack(list(markers.values()), 1), -1, 0).swapaxes(1, 2)
    file["data"]["points"] = data
    file.write(str(tmp_path / "markers.c3d"))
    person = the_person(tmp_path / "markers.c3d")
    assert person.fps == 60
    np.testing.assert_allclose(person["left_hip"], positions["left_hip"], atol=0.06)
    np.testing.assert_allclose(person["right_ankle"], positions["right_ankle"], atol=0.04)
