"""Which steps are sound: the quick look agrees with the look at every number."""

from __future__ import annotations

import math

import pytest
import torch

from envs.screening import LARGEST, Step, is_sound, unsound_worlds


def step_with(value: float, share: float = 0.0) -> Step:
    """A step of zeros, but for one number, and for a share of the others that are the largest allowed."""
    wide = torch.where(torch.rand(4, 50, generator=torch.Generator().manual_seed(0)) < share, LARGEST, 0.0)
    wide[2, 7] = value
    flags = torch.zeros(4, dtype=torch.bool)
    observation = torch.zeros(4, 6)
    return Step(observation, wide, torch.zeros(4), flags, flags, observation, wide, flags)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("value", [0.0, 1.0, -LARGEST, LARGEST, 1.01 * LARGEST, -1e30, math.inf, -math.inf, math.nan])
def test_a_step_is_sound_where_no_number_is_too_large(value: float, share: float) -> None:
    step = step_with(value, share)
    assert is_sound(step) == (abs(value) <= LARGEST)
    assert unsound_worlds(step).tolist() == [False, False, not abs(value) <= LARGEST, False]
