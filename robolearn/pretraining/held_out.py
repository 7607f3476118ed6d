"""How well episodes are predicted that nothing was learned from."""

from __future__ import annotations

import torch

from robolearn.pretraining.config import PretrainCfg
from robolearn.pretraining.mixture import Mixture
from robolearn.pretraining.model import SequenceModel
from robolearn.pretraining.objectives import draw_masks, masked_errors, next_errors

WINDOWS = 512
"""That are predicted; always the same ones."""
AT_ONCE = 128


class HeldOut:
    """Windows of the episodes that are held out, with the readings that the policy was shown, clean ones where nothing tells."""

    def __init__(self, mixture: Mixture, how: PretrainCfg, seed: int) -> None:
        self._mixture, self._how, self._seed = mixture, how, seed

    @torch.no_grad()
    def errors(self, model: SequenceModel, device: torch.device) -> dict[str, float]:
        """Root mean squared errors in standard deviations; nothing where no episode is held out."""
        if not self._mixture.rows:
            return {}
        sums = {"action": [0.0, 0.0], "observation": [0.0, 0.0]}
        for start in range(0, WINDOWS, AT_ONCE):
            tokens = self._mixture.draw(AT_ONCE, (self._seed, 1, start)).to(device)
            if self._how.objective == "next":
                found = next_errors(model, tokens)
            else:
                generator = torch.Generator().manual_seed(self._seed + start)
                found = masked_errors(model, tokens, draw_masks(tokens, self._how.mask_low, self._how.mask_high, generator))
            for name, error, count in (
                ("action", found.action, found.actions),
                ("observation", found.observation, found.observations),
            ):
                sums[name][0] += float(error) * float(count)
                sums[name][1] += float(count)
        return {f"held_out/{name}_error": (total / count) ** 0.5 for name, (total, count) in sums.items() if count}
