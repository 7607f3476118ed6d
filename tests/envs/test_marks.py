"""A goal that cameras see lies where the command says, and physics does not know of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs.terms.marks import GoalMark
from envs.terms.term import EventTerm
from tests.envs.seeing import RENDERERS, needs, seeing, view


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_mark_is_seen_where_the_goal_is(renderer: str) -> None:
    needs(renderer)
    env = seeing(EventTerm(GoalMark), label=view(modality="segmentation", renderer=renderer, height=96, width=96))
    goals = torch.tensor([[0.5, 0.35, 0.5], [0.5, -0.3, 0.6]])
    env.hold_command(goals)
    env.step(torch.zeros(env.num_worlds, env.spec.action_dim))
    group = env.spec.group("label").image
    assert group is not None
    assert env.cameras is not None
    stage = env.cameras.stage
    camera = stage.camera("outside")
    for world in range(env.num_worlds):
        rows, columns = np.nonzero(env.images["label"][world, ..., 0].numpy() == group.labels.index("goal"))
        assert len(rows), "the goal is not seen"
        axes = torch.tensor(stage.model.cam_mat0[camera].reshape(3, 3), dtype=torch.float32)  # x right, y up, z backward
        seen = axes.T @ (goals[world] - torch.tensor(stage.model.cam_pos[camera], dtype=torch.float32))
        column, row = group.fx * seen[0] / -seen[2] + group.cx, group.fy * -seen[1] / -seen[2] + group.cy
        assert abs(columns.mean() - column) < 2
        assert abs(rows.mean() - row) < 2
