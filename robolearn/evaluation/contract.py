"""Whether an environment is the one that a policy file was trained for."""

from __future__ import annotations

from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from robolearn.errors import UserError


def check_contract(file: PolicyFile, env: VecEnv) -> None:
    """Raises `UserError` where an environment is not what a file was trained for."""
    ours, theirs = env.spec, file.spec
    for what, a, b in (
        ("joint names", ours.robot.joint_names, theirs.robot.joint_names),
        ("observation terms", _arithmetic(ours), _arithmetic(theirs)),
        ("default pose", ours.robot.default_pose, theirs.robot.default_pose),
        ("gains", (ours.robot.kp, ours.robot.kd), (theirs.robot.kp, theirs.robot.kd)),
        ("joint range", (ours.robot.position_lower, ours.robot.position_upper), (theirs.robot.position_lower, theirs.robot.position_upper)),
        ("action law", _law(ours), _law(theirs)),
        ("control_dt", ours.control_dt, theirs.control_dt),
        ("clock_hz", ours.clock_hz, theirs.clock_hz),
    ):
        if a != b:
            raise UserError(f"{file.path} was trained with other {what} than task {theirs.task} has here: {b} against {a}")


def _arithmetic(spec: PolicySpec) -> list[tuple[str, int, float, float]]:
    return [(term.name, term.dim, term.scale, term.clip) for term in spec.terms]


def _law(spec: PolicySpec) -> tuple[str, tuple[float, ...], float]:
    return spec.action.mode, spec.action.scale, spec.action.clip
