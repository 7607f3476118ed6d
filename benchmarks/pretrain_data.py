"""The datasets that the studies of pretraining name, made of one of a policy's rollouts: parts of it, and parts without their actions.

robolearn collect go1-velocity --out DIR/policy --episodes 1000 --sensed --licence Apache-2.0
robolearn collect controller:trot --robot go1 --out DIR/trot-200 --episodes 200 --licence Apache-2.0
python -m benchmarks.pretrain_data DIR
robolearn study pretrain-models --data DIR --policy go1-velocity
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from robolearn.data.columns import ACTION, COMMAND, SENSED, STATE
from robolearn.data.reader import Dataset
from robolearn.data.source import Episode
from robolearn.data.writer import DatasetWriter

AT_ONCE = 50
Change = Callable[[Episode, int], Episode]


def as_it_is(episode: Episode, index: int) -> Episode:
    """Unchanged."""
    del index
    return episode


def clean(episode: Episode, index: int) -> Episode:
    """Without what the policy was shown."""
    del index
    return dataclasses.replace(episode, columns={name: rows for name, rows in episode.columns.items() if not name.startswith(SENSED)})


def without_actions(episode: Episode, index: int) -> Episode:
    """As a source that tells none would give it."""
    del index
    columns = {name: rows for name, rows in episode.columns.items() if not name.startswith((ACTION, SENSED))}
    return dataclasses.replace(episode, columns=columns, source=dataclasses.replace(episode.source, control_mode=""))


def shuffled(episode: Episode, index: int) -> Episode:
    """Without actions, its states and commands in an order that says nothing of what follows what."""
    order = np.random.default_rng(index).permutation(len(episode))
    free = without_actions(episode, index)
    mixed = {name: rows[order] if name in (STATE, COMMAND) else rows for name, rows in free.columns.items()}
    return dataclasses.replace(free, columns=mixed)


def write(data: Dataset, out: Path, chosen: Sequence[int], change: Change = as_it_is) -> None:
    """Some episodes as a dataset; one that is there is left alone, one that is not whole is written anew."""
    if (out / "meta" / "info.json").is_file() and len(Dataset(out)) == len(chosen):
        return
    if out.exists():
        shutil.rmtree(out)
    with DatasetWriter(out, data.layouts[0].columns, int(data.fps)) as writer:
        for start in range(0, len(chosen), AT_ONCE):
            writer.add(*(change(data.episode(index), index) for index in chosen[start : start + AT_ONCE]))
    print(f"{out}: {len(chosen)} episodes")


def main(folder: Path) -> None:
    """All of them."""
    data = Dataset(folder / "policy")
    everything = list(range(len(data)))
    for count in (300, 50, 10):
        write(data, folder / f"policy-{count}", everything[:count])
    for count in (50, 200):  # of episodes whose actions are in none of the smaller ones
        write(data, folder / f"free-{count}", everything[300 : 300 + count], without_actions)
    write(data, folder / "shuffled-200", everything[300:500], shuffled)
    write(data, folder / "policy-clean", everything, clean)
    command = data.column(COMMAND)
    backs = [bool((command[row.start : row.stop, 0] < -0.05).any()) for row in data.episodes]
    forward = [index for index in everything if not backs[index]][:150]
    backward = [index for index in everything if backs[index]][:150]
    write(data, folder / "forward", forward)
    write(data, folder / "backward", backward)
    write(data, folder / "backward-free", backward, without_actions)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
