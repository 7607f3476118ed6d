"""Item `arms`: do the arms swing against the legs, and does it pay? No reward mentions arms; they are found in the robot's kinematic
tree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from envs.vec_env import VecEnv
from robolearn.evaluation.figures import Figure, mean, share
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.gait import gait, slice_of
from robolearn.evaluation.locomotion.limbs import limbs
from robolearn.evaluation.locomotion.record import Record, walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.evaluation.locomotion.spectrum import cross_spectrum, mean_phase
from robolearn.evaluation.rollout import Alter

SECONDS = 10.0
SPEEDS = (0.5, 1.0)  # of the highest forward command
EPISODES = 4  # per seed and speed
FREE, LOCKED, INVERTED = "free", "locked", "inverted"


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    joints = setup.spec.robot.joint_names
    found = limbs(setup.env(1))
    if not found.pairs:
        return ItemResult(status="does not apply", reason=f"{setup.spec.robot.name} has no arms")
    worlds = len(SPEEDS) * EPISODES * setup.seeds
    speed = np.tile(np.array(SPEEDS) * setup.ranges[0][1], worlds // len(SPEEDS))
    command = torch.zeros(worlds, 3)
    command[:, 0] = torch.from_numpy(speed)
    costs: dict[str, np.ndarray] = {}
    rows, swings, plots, clips = [], [], [], []
    for condition in (FREE, LOCKED, INVERTED):
        env = setup.env(worlds)
        record = walk(
            env, setup.make_actor(env.num_worlds), command, SECONDS, f"arms {condition}", alter=alteration(condition, env, found.arms)
        )
        planar, _ = record.errors()
        costs[condition] = np.where(record.survived, record.cost_of_transport(), np.nan)
        for value in np.unique(speed):
            at = speed == value
            figures = {"survival": share(record.survived[at]), "velocity_error_xy": mean(planar[at])}
            figures |= {"cost_of_transport": mean(costs[condition][at]), "more_than_free": mean((costs[condition] - costs[FREE])[at])}
            rows.append({"arms": condition, "speed": value, **figures})
        if condition == FREE:
            swings, phases = swing_rows(record, speed, found.pairs, _angles(env, record) * found.sign)
            world = int(np.flatnonzero(record.survived)[-1]) if record.survived.any() else 0
            if record.alive[:, world].sum() * record.dt > 3.0:
                plots.append(charts.arm_swing((_angles(env, record) * found.sign)[:, world], record.dt, found.pairs, joints))
            clips.append(film(setup, env, record, world, 2.0, 6.0, "arms free"))
    fast = speed == speed.max()
    return ItemResult(
        text="Each shoulder's pitch against the opposite hip's at the stride frequency; phase 0° is as in people, the arm in phase with "
        "the opposite leg, and a coherence near 1 means that they keep step. Then the same episodes with the arms held in the "
        "default pose, and with each arm doing the mirror image of the other arm's actions.",
        headline={"phase": phases, "shoulder_amplitude": swings[-1]["shoulder_amplitude"], "coherence": swings[-1]["coherence"]}
        | {f"added cost of transport ({condition})": mean((costs[condition] - costs[FREE])[fast]) for condition in (LOCKED, INVERTED)},
        tables=[Table(title="Swing, arms free", rows=swings), Table(title="Effect of the arms", rows=rows)],
        plots=plots,
        clips=clips,
    )


def alteration(condition: str, env: VecEnv, joints: tuple[int, ...]) -> Alter | None:
    """The change of actions (N, J) in a condition, with `joints` of the arms; None if it changes nothing."""
    arms = torch.tensor(joints, device=env.device)
    if condition == FREE:
        return None

    def lock(action: torch.Tensor) -> torch.Tensor:
        action = action.clone()
        action[:, arms] = 0.0  # the default pose
        return action

    mirror = env.mirror()
    assert mirror is not None  # otherwise there were no arms
    permutation, sign = mirror["action"]

    def invert(action: torch.Tensor) -> torch.Tensor:
        altered = action.clone()
        altered[:, arms] = (action[:, permutation] * sign)[:, arms]
        return altered

    return lock if condition == LOCKED else invert


def _angles(env: VecEnv, record: Record) -> np.ndarray:
    """Joint positions [rad], (T, N, J)."""
    model = env.engine.model
    return record.qpos[..., [int(model.joint(name).qposadr[0]) for name in env.robot.joint_names]]


def swing_rows(record: Record, speed: np.ndarray, pairs: Sequence[tuple[int, int]], angles: np.ndarray) -> tuple[list[dict], Figure]:
    """Phase, amplitudes and coherence at each speed over worlds, and the phase at the highest speed."""
    stride = gait(record)["step_frequency"] / 2
    counted = record.counted()
    found = np.full((len(speed), 3), np.nan)
    cross = np.full(len(speed), complex("nan"))
    for world in np.flatnonzero(record.survived & (stride > 0.2)):
        span = slice_of(counted[:, world])
        mine = angles[span, world]
        each = [cross_spectrum(mine[:, hip], mine[:, shoulder], stride[world], record.dt) for shoulder, hip in pairs]
        hip, shoulder, crossed, coherence = zip(*each, strict=True)
        found[world] = np.mean(hip), np.mean(shoulder), np.mean(coherence)
        cross[world] = np.mean(crossed)
    rows, phase = [], Figure(None, None, None, 0)
    for value in np.unique(speed):
        at = speed == value
        phase = mean_phase(cross[at])
        hip, shoulder, coherence = (mean(column[at]) for column in found.T)
        row = {"speed": value, "stride_frequency": mean(stride[at]), "phase": phase, "shoulder_amplitude": shoulder}
        rows.append(row | {"hip_amplitude": hip, "coherence": coherence})
    return rows, phase
