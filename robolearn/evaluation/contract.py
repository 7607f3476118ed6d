"""Checks that an environment is the one that a policy file was trained for."""

from __future__ import annotations

from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from robolearn.errors import UserError
from robolearn.policy_robot import differences

OF_ROBOT = ("default pose", "gains", "joint range")


def check_contract(file: PolicyFile, env: VecEnv) -> None:
    """Raises `UserError` if an environment is not the one that a file was trained for."""
    ours, theirs, robot = env.spec, file.spec, env.robot
    here, there = ours.robot, theirs.robot
    known = there.model_sha256 in ("", robot.fingerprint)  # `robot_of` has already warned of another model
    for what, a, b in (
        ("joint names", here.joint_names, there.joint_names),
        ("default pose", here.default_pose, there.default_pose),
        ("gains", (here.kp, here.kd), (there.kp, there.kd)),
        ("joint range", (here.position_lower, here.position_upper), (there.position_lower, there.position_upper)),
        ("observation terms", _arithmetic(ours), _arithmetic(theirs)),
        ("pictures", [told for told in _pictures(ours) if told[0] in file.images], _pictures(theirs)),
        ("action law", _law(ours), _law(theirs)),
        ("control_dt", ours.control_dt, theirs.control_dt),
        ("clock_hz", ours.clock_hz, theirs.clock_hz),
        ("clock_still_below", ours.clock_still_below, theirs.clock_still_below),
    ):
        if a == b or (what == "joint range" and not known):
            continue
        if what in OF_ROBOT:
            mend = f"restore the original, or accept this one with --robot {robot.source or robot.name}"
            raise UserError(f"{file.path} was trained with other {what} than {robot.where} has: {differences(robot, theirs)}; {mend}")
        raise UserError(f"{file.path} was trained with other {what} than task {theirs.task} has here: {b} against {a}")


def _arithmetic(spec: PolicySpec) -> list[tuple[str, int, float, float]]:
    return [(term.name, term.dim, term.scale, term.clip) for term in spec.terms]


def _pictures(spec: PolicySpec) -> list[tuple[object, ...]]:
    """What a policy is shown; a segmentation may tell more things apart than it did."""
    groups = [group for group in spec.observation if group.image is not None]
    return [(group.name, group.shape, group.dtype, group.every, group.image and group.image.kind) for group in groups]


def _law(spec: PolicySpec) -> tuple[str, tuple[float, ...], float]:
    return spec.action.mode, spec.action.scale, spec.action.clip
