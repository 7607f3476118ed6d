"""The contract: exact as JSON, and every inconsistency refused by name."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.contract.spec import (
    COMMAND_SIZES,
    ActionSpec,
    CommandSpec,
    ImageSpec,
    NormalizerSpec,
    ObservationGroup,
    ObservationTerm,
    PolicySpec,
    RobotSpec,
    SpecError,
)
from tests.pairs import TASKS, make_env

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-12, 1e12)
low_end, high_end = finite.filter(lambda x: x < 0) | st.just(-math.inf), finite.filter(lambda x: x > 0) | st.just(math.inf)
not_negative = st.floats(0, 1e12)
text = st.text(min_size=1, max_size=8)


@st.composite
def groups(draw: st.DrawFn) -> tuple[ObservationGroup, ...]:
    """Up to two images."""
    size, number = st.integers(1, 9), st.floats(0.1, 1e6)
    image = st.builds(
        ImageSpec, kind=st.sampled_from(("rgb", "depth")), width=size, height=size, frame=text, fx=number, fy=number, cx=finite, cy=finite
    )
    count = draw(st.integers(0, 2))
    kinds = st.sampled_from(("float32", "uint8"))
    return tuple(
        ObservationGroup(name=f"eye{i}", image=draw(image), dtype=draw(kinds), every=draw(st.integers(1, 9))) for i in range(count)
    )


@st.composite
def specs(draw: st.DrawFn) -> PolicySpec:
    joints = draw(st.lists(text, min_size=1, max_size=4, unique=True))

    def vector(values: st.SearchStrategy[float], size: int = len(joints)) -> tuple[float, ...]:
        return tuple(draw(values) for _ in range(size))

    bounds = [(low, draw(st.floats(max(low, -1e300), min(high, 1e300))), high) for low, high in draw(st.lists(st.tuples(low_end, high_end),
              min_size=len(joints), max_size=len(joints)))]  # fmt: skip
    robot = RobotSpec(
        name=draw(text),
        joint_names=tuple(joints),
        default_pose=tuple(b[1] for b in bounds),
        kp=vector(not_negative),
        kd=vector(not_negative),
        effort_limit=vector(positive),
        velocity_limit=vector(positive),
        position_lower=tuple(b[0] for b in bounds),
        position_upper=tuple(b[2] for b in bounds),
        floating_base=draw(st.booleans()),
        imu_frame=draw(st.none() | text),
        max_tilt=draw(positive),
        model_sha256=draw(text),
        source=draw(text),
    )
    terms = tuple(
        ObservationTerm(
            name=name,
            dim=draw(st.integers(1, 5)),
            unit=draw(text),
            frame=draw(text),
            scale=draw(finite),
            clip=draw(positive),
            noise=draw(not_negative),
            delay_s=draw(not_negative),
        )
        for name in draw(st.lists(text, min_size=1, max_size=3, unique=True))
    )
    dim = sum(term.dim for term in terms)
    ranges = [sorted(draw(st.tuples(finite, finite))) for _ in range(draw(st.integers(0, 3)))]
    return PolicySpec(
        task=draw(text),
        robot=robot,
        observation=(*draw(groups()), ObservationGroup(name="state", terms=terms)),
        action=ActionSpec(
            mode=draw(st.sampled_from(("position_offset", "position_delta"))),
            scale=vector(finite),
            clip=draw(positive),
            delay_s=draw(not_negative),
        ),
        command=CommandSpec(
            kind=draw(st.sampled_from([kind for kind, size in COMMAND_SIZES.items() if size in (None, len(ranges))])),
            ages=draw(st.booleans()),
            labels=tuple(f"c{i}" for i in range(len(ranges))),
            lower=tuple(low for low, _ in ranges),
            upper=tuple(high for _, high in ranges),
        ),
        control_dt=draw(positive),
        decimation=draw(st.integers(1, 100)),
        history_steps=draw(st.integers(0, 100)),
        clock_hz=draw(positive),
        clock_still_below=draw(not_negative),
        normalizer=draw(st.none() | st.builds(NormalizerSpec, mean=st.just(vector(finite, dim)), std=st.just(vector(positive, dim)))),
    )


@given(specs())
def test_json_gives_back_the_same_bits(spec: PolicySpec) -> None:
    written = spec.to_json()
    again = PolicySpec.from_json(written)
    assert again == spec
    assert again.to_json() == written  # also the sign of zero


@pytest.mark.parametrize("task", TASKS)
def test_contracts_of_all_tasks_survive_json(task: str) -> None:
    spec = make_env(task, num_worlds=1, num_threads=1).spec
    assert PolicySpec.from_json(spec.to_json()) == spec
    assert spec.pd_hz == pytest.approx(spec.decimation / spec.control_dt)
    assert json.loads(spec.to_json(), parse_constant=pytest.fail)["schema_version"] == 2  # no Infinity, which JSON does not have


@pytest.fixture(scope="module")
def raw_json() -> str:
    terms = (
        ObservationTerm(name="joint_position", dim=2, unit="rad", frame="joint"),
        ObservationTerm(name="clock", dim=2, unit="1", frame="base"),
    )
    eye = ImageSpec(kind="depth", width=8, height=6, frame="head", fx=5.0, fy=5.0, cx=4.0, cy=3.0, near=0.1, far=2.0)
    robot = RobotSpec(
        name="arm",
        joint_names=("a", "b"),
        default_pose=(0.0, 0.5),
        kp=(1.0, 2.0),
        kd=(0.1, 0.2),
        effort_limit=(3.0, 4.0),
        velocity_limit=(5.0, 6.0),
        position_lower=(-1.0, -1.0),
        position_upper=(1.0, 1.0),
        floating_base=True,
    )
    spec = PolicySpec(
        task="t",
        robot=robot,
        observation=(ObservationGroup(name="state", terms=terms), ObservationGroup(name="eye", image=eye, dtype="uint8", every=5)),
        action=ActionSpec(mode="position_offset", scale=(0.1, 0.2), clip=3.0),
        command=CommandSpec(kind="motion", ages=False, labels=("x", "y"), lower=(-1.0, -1.0), upper=(1.0, 1.0)),
        control_dt=0.02,
        decimation=4,
        clock_hz=2.0,
        normalizer=NormalizerSpec(mean=(0.0,) * 4, std=(1.0,) * 4),
    )
    return spec.to_json()


def altered(raw_json: str, path: str, value: Any) -> str:
    """The JSON with the value at a dotted path replaced; `...` removes it."""
    raw = json.loads(raw_json)
    *parents, leaf = [int(key) if key.isdigit() else key for key in path.split(".")]
    node = raw
    for key in parents:
        node = node[key]
    if value is ...:
        del node[leaf]
    else:
        node[leaf] = value
    return json.dumps(raw)


VECTORS = ("default_pose", "kp", "kd", "effort_limit", "velocity_limit", "position_lower", "position_upper")
WRONG = [
    # sizes
    *((f"robot.{name}", [0.5], rf"robot\.{name} has 1 entries, expected 2") for name in VECTORS),
    ("action.scale", [0.1] * 3, r"action\.scale has 3 entries, expected 2"),
    ("command.lower", [0.0], r"command\.lower has 1 entries"),
    ("command.upper", [0.0] * 3, r"command\.upper has 3 entries"),
    ("normalizer.mean", [0.0] * 5, r"normalizer\.mean has 5 entries, expected 4"),
    ("normalizer.std", [1.0] * 3, r"normalizer\.std has 3 entries, expected 4"),
    ("observation", [], "no group 'state', .*; its groups: none"),
    ("observation.0.terms", [], "observation group state has no terms"),
    ("robot.joint_names", [], "joint_names must be distinct and not empty"),
    # values
    *((f"robot.{name}.1", math.nan, rf"robot\.{name} holds a value that is not finite") for name in VECTORS),
    *((f"robot.{name}.0", 0.0, rf"robot\.{name} of a is 0: such a joint could never move") for name in ("effort_limit", "velocity_limit")),
    ("robot.position_lower.1", math.inf, r"robot\.position_lower holds a value that is not finite"),
    ("robot.position_upper.1", -math.inf, r"robot\.position_upper holds a value that is not finite"),
    *((f"robot.{name}.0", -0.1, rf"robot\.{name} must not be negative") for name in ("kp", "kd", "effort_limit", "velocity_limit")),
    ("action.scale.0", math.inf, r"action\.scale holds a value that is not finite"),
    ("command.lower.0", -math.inf, r"command\.lower holds a value that is not finite"),
    ("command.lower.1", 1.5, r"command\.lower of y is 1.5, above command\.upper 1"),
    ("robot.joint_names", ["a", "a"], "joint_names must be distinct"),
    ("robot.default_pose.1", 1.5, r"default pose of joint b is 1.5 rad, outside its range \[-1.0, 1.0\]"),
    ("robot.max_tilt", math.nan, r"robot\.max_tilt must be positive"),
    ("robot.max_tilt", 0.0, r"robot\.max_tilt must be positive"),
    ("action.mode", "torque", "action.mode is 'torque'; valid: position_offset, position_delta"),
    ("action.clip", 0.0, r"action\.clip must be positive"),
    ("action.clip", math.inf, r"action\.clip must be positive"),
    ("action.delay_s", -0.01, r"action\.delay_s must be finite and not negative"),
    ("control_dt", 0.0, "control_dt must be positive"),
    ("control_dt", math.nan, "control_dt must be positive"),
    ("decimation", 0, "decimation must be positive"),
    ("history_steps", -1, "history_steps must be finite and not negative"),
    ("clock_hz", math.inf, "clock_hz must be finite"),
    ("clock_still_below", -0.1, "clock_still_below must be finite and not negative"),
    ("clock_hz", 0.0, "term clock, but clock_hz is 0"),
    ("observation.0.terms.0.dim", 0, "joint_position needs dim >= 1"),
    ("observation.0.terms.0.scale", math.nan, "joint_position needs dim >= 1, a finite scale"),
    ("observation.0.terms.0.clip", 0.0, "joint_position .* positive, finite clip"),
    ("observation.0.terms.0.clip", math.inf, "joint_position .* positive, finite clip"),
    ("observation.0.terms.0.noise", -1.0, "noise of observation term joint_position must be finite and not negative"),
    ("observation.0.terms.1.delay_s", math.nan, "delay_s of observation term clock must be finite and not negative"),
    ("observation.0.terms.1.name", "joint_position", "observation terms of one group must be distinct"),
    ("normalizer.std.2", 0.0, "normalizer.std must be positive"),
    ("quaternion_order", "xyzw", "quaternion_order is 'xyzw'; inside robolearn it is always wxyz"),
    # groups
    ("observation.0.name", "feel", "no group 'state', .*; its groups: feel, eye"),
    ("observation.1.name", "state", "observation groups must have distinct names"),
    ("observation.1.name", "left eye", "'observation group left eye': a name is letters, digits and underscores"),
    ("observation.0.dtype", "uint8", "group state has dtype 'uint8'; valid: float32, and uint8 for images"),
    ("observation.1.dtype", "float64", "group eye has dtype 'float64'"),
    ("observation.1.every", 0, "group eye: every is 0, it must be at least 1"),
    ("observation.0.every", 2, "group state must be a vector with a reading at every control step"),
    ("observation.1.image", None, "group eye has dtype 'uint8'"),
    ("observation.1.image.kind", "infrared", "image.kind is 'infrared'; valid: rgb, depth"),
    ("observation.1.image.width", 0, "group eye: image.width must be positive"),
    ("observation.1.image.fx", 0.0, "group eye: image.fx must be positive"),
    ("observation.1.image.cx", math.inf, "image.cx and image.cy must be finite"),
    ("observation.1.image.near", 9.0, "image.near is 9.0 m, beyond image.far 2.0 m"),
    (
        "command.kind",
        "velocty",
        r"command.kind is 'velocty' \(did you mean velocity\?\); valid: velocity, goal_position, goal_pose, motion, none",
    ),
    ("command.kind", "goal_pose", "command.labels has 2 entries; a command of kind goal_pose has 7"),
    # keys and types
    ("schema_version", 3, "schema version 3; this robolearn reads version 2"),
    (
        "schema_version",
        1,
        r"contract version 1, which is no longer supported \(this robolearn reads 2\): .* robolearn export RUN .or use the current .*$",
    ),
    ("schema_version", ..., "schema version None"),
    ("surprise", 1, r"spec has unknown keys \['surprise'\]"),
    ("robot.weight", 1, r"spec\.robot has unknown keys \['weight'\]"),
    ("observation.0.terms.1.offset", 1, r"spec\.observation\[0\]\.terms\[1\] has unknown keys \['offset'\]"),
    ("robot.kp", ..., r"spec\.robot lacks \['kp'\]"),
    ("control_dt", ..., r"spec lacks \['control_dt'\]"),
    ("observation.0.terms.0.unit", ..., r"spec\.observation\[0\]\.terms\[0\] lacks \['unit'\]"),
    ("control_dt", "0.02", r"spec\.control_dt must be float, not '0\.02'"),
    ("control_dt", True, r"spec\.control_dt must be float, not True"),
    ("decimation", 4.0, r"spec\.decimation must be int, not 4\.0"),
    ("decimation", True, r"spec\.decimation must be int, not True"),
    ("robot.floating_base", 1, r"spec\.robot\.floating_base must be bool, not 1"),
    ("robot.joint_names.0", 3, r"spec\.robot\.joint_names\[0\] must be str, not 3"),
    ("robot.kp", 3.0, r"spec\.robot\.kp must be a list, not float"),
    ("robot.kp.0", None, r"spec\.robot\.kp\[0\] must be float, not None"),
    ("robot", [], r"spec\.robot must be an object, not list"),
    ("robot.imu_frame", 3, r"spec\.robot\.imu_frame must be str, not 3"),
]


@pytest.mark.parametrize(("path", "value", "match"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_inconsistencies_are_refused_by_name(raw_json: str, path: str, value: Any, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        PolicySpec.from_json(altered(raw_json, path, value))


def test_the_unaltered_one_is_accepted_and_optional_keys_may_lack(raw_json: str) -> None:
    spec = PolicySpec.from_json(raw_json)
    assert PolicySpec.from_json(altered(raw_json, "normalizer", ...)).normalizer is None
    assert PolicySpec.from_json(altered(raw_json, "normalizer", None)).normalizer is None
    assert PolicySpec.from_json(altered(raw_json, "control_dt", 1)).control_dt == 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.control_dt = 0.01  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given_text", "match"), [("{", "not JSON"), ("", "not JSON"), ("[1]", "schema version None"), ("null", "schema version")]
)
def test_other_text_is_refused(given_text: str, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        PolicySpec.from_json(given_text)


def test_python_code_is_held_to_the_same_rules(raw_json: str) -> None:
    spec = PolicySpec.from_json(raw_json)
    with pytest.raises(SpecError, match="control_dt must be positive"):
        dataclasses.replace(spec, control_dt=-0.02)


def test_groups_and_their_shapes(raw_json: str) -> None:
    spec = PolicySpec.from_json(raw_json)
    assert (spec.state.shape, spec.observation_dim, [term.name for term in spec.terms]) == ((4,), 4, ["joint_position", "clock"])
    assert spec.group("eye").shape == (6, 8, 1)
    with pytest.raises(SpecError, match="no observation group 'ear'; valid: state, eye"):
        spec.group("ear")
