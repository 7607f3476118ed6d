"""One policy and one kind of change: walk, let it happen in all worlds at once, and walk on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from envs.terms.changes import Change
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.adaptation.kinds import Kind
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.evaluation.rollout import Rollout

ENTRY = "change_of_the_suite"
IDLE = Kind(title="nothing", quantity="payload", low=0.0, high=0.0)
"""What stands in the table where nothing changes, so that the same random numbers are drawn."""
BEFORE_S, AFTER_S = 4.0, 6.0
"""Before the change and after it [s]."""
COMMANDS = ((1, 0, 0), (0.5, 0, 0), (-0.5, 0, 0), (0, 1, 0), (0, -1, 0), (0.5, 0, 1), (0.5, 0, -1), (0.5, 0.5, 0))
"""What is asked: shares of the most that may be, ahead, left and turning left."""
SHARE = 0.7
"""Of the most that may be asked, for the commands above."""

Look = Callable[[int, torch.Tensor, np.ndarray, Actor], None]
"""Step, what was acted on (N, O), worlds alive (N,), who acts."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """N worlds for T control steps.

    Attributes:
        dt: control step [s].
        at: index of the first step after the change.
        planar: |velocity - command| in the plane [m/s], (T, N); of a robot that fell, the command's size.
        yaw: the same of the yaw rate [rad/s], (T, N).
        alive: had not fallen by the end of the step, (T, N).
        value: what the quantity is after the change, (N, k).
        changed: which of its entries changed, (N, k).
    """

    dt: float
    at: int
    planar: np.ndarray
    yaw: np.ndarray
    alive: np.ndarray
    value: np.ndarray
    changed: np.ndarray


def commands(setup: Setup, worlds: int) -> torch.Tensor:
    """What each world is asked, (N, 3)."""
    most = torch.tensor([upper for _, upper in setup.ranges])
    rows = torch.tensor(COMMANDS, dtype=torch.float32) * SHARE * most
    return rows.repeat(-(-worlds // len(rows)), 1)[:worlds]


def run(
    setup: Setup,
    kind: Kind | None,
    worlds: int,
    before_s: float = BEFORE_S,
    after_s: float = AFTER_S,
    look: Look | None = None,
    healthy: int = 0,
) -> Trial:
    """Walk through a change.

    Args:
        setup: who walks, and in which task.
        kind: of the change; None for none, which shows the error that a policy has by itself.
        worlds: N.
        before_s: until the change [s].
        after_s: from then on [s].
        look: sees each step.
        healthy: one world of so many stays as it is; 0 for none.
    """
    torch.set_num_threads(1)
    env = setup.env(worlds, **{ENTRY: (kind or IDLE).term(setup.robot)})
    dt, asked = env.cfg.control_dt, commands(setup, worlds).to(env.device)
    at, steps = round(before_s / dt), round((before_s + after_s) / dt)
    actor = setup.make_actor(worlds)
    rollout = Rollout(env, actor)
    rollout.start(asked)
    size, turn = asked[:, :2].norm(dim=1), asked[:, 2].abs()
    series: dict[str, list[np.ndarray]] = {"planar": [], "yaw": [], "alive": []}
    changed, value = np.zeros((worlds, 0), bool), np.zeros((worlds, 0))
    for index in tqdm(range(steps), desc="change" if kind is None else kind.quantity, leave=False, dynamic_ncols=True, disable=None):
        if kind is not None and index == at:
            term = env.events.made(ENTRY)
            assert isinstance(term, Change)
            mask, put = kind.draw(worlds, term.changed.shape[1], setup.robot, setup.seed)
            if healthy:
                mask[::healthy] = False
            everywhere = torch.arange(worlds, device=env.device)
            term.write(everywhere, mask.to(env.device), put.to(env.device))
            changed, value = mask.numpy(), term.put.cpu().numpy().copy()
        seen = rollout.policy
        rollout.step()
        alive = rollout.alive
        off = env.base.velocity_b[:, :2] - asked[:, :2]
        series["planar"].append(torch.where(alive, off.norm(dim=1), size).cpu().numpy())
        series["yaw"].append(torch.where(alive, (env.base.angular_velocity_b[:, 2] - asked[:, 2]).abs(), turn).cpu().numpy())
        series["alive"].append(alive.cpu().numpy().copy())
        if look is not None:
            look(index, seen, series["alive"][-1], actor)
    return Trial(dt=dt, at=at, changed=changed, value=value, **{name: np.stack(values) for name, values in series.items()})
