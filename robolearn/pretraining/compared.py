"""Prediction errors that can be compared: of networks that learned from different data, on the same episodes and in the same units.

A network's own held-out error is of its own data's episodes and in its own data's deviations, so that those of ten episodes and of a
thousand are different things. Here all are asked about the same windows, which none has learned from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from envs.tasks.registry import make_env
from robolearn.config.schema import TrainCfg
from robolearn.learning.student import load_student
from robolearn.pretraining.held_out import HeldOut
from robolearn.pretraining.mixture import Mixture
from robolearn.pretraining.model import SequenceModel
from robolearn.pretraining.sources import Sources, Statistics


class Compared:
    """Windows of a dataset's episodes that no training with the same seed and share has learned from, also not one on a part of it."""

    def __init__(self, data: Path, cfg: TrainCfg) -> None:
        """Open the dataset.

        Args:
            data: the dataset.
            cfg: its seed, share that is held out and length of windows are those of all networks.
        """
        self._data, self._how, self._seed = str(data), cfg.pretrain, cfg.seed
        env = make_env(cfg.task, cfg.robot, cfg.env, num_worlds=1)
        self._robot, self._spec = env.robot, env.spec
        sources = self._open()
        self._units = dict(zip(sources.names, 1.0 / sources.statistics().action_std, strict=True))

    def _open(self) -> Sources:
        how = self._how
        return Sources([self._data], self._robot, self._spec, held_out=how.held_out, seed=self._seed, by=how.normalize, allow=how.allow)

    def action_error(self, state: dict[str, Any], cfg: TrainCfg) -> float | None:
        """Root mean squared error of actions in this dataset's deviations; None where the network knows no source of its kind.

        Args:
            state: checkpoint of a pretraining.
            cfg: its config.
        """
        statistics, sources = Statistics(**state["statistics"]), self._open()
        if not {*self._units} <= {*statistics.names}:
            return None
        sources.number_as(statistics.names)
        model = SequenceModel(load_student(state, cfg), sources.layout, statistics, aligned=cfg.pretrain.aligned)
        model.load_state_dict(state["policy"])
        for name, inverse in self._units.items():
            model.action_inverse[statistics.names.index(name)] = inverse
        held_out = HeldOut(Mixture(sources, self._how.steps, held=True), self._how, self._seed)
        return held_out.errors(model, torch.device("cpu")).get("held_out/action_error")
