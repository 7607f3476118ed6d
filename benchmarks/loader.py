"""How fast windows of a dataset come, against how fast a student's training eats them.

The dataset is G1's size: 29 joints at 50 Hz, written anew into a temporary folder; rows are random numbers. A batch is 256 windows of 16
steps with states, commands, actions and their marks, drawn over all files. The training step is a transformer's pass over the same batch,
backwards, and Adam, on one thread; the loader has one thread too. What was read before lies in the computer's memory: a dataset that does
not fit there is as fast as its disk.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Entry, Options, alternate, entry, median, rate_ratio, say
from policies.networks.transformer import Transformer, TransformerCfg
from robolearn.data.columns import ACTION, COMMAND, STATE, robot_columns
from robolearn.data.reader import Dataset
from robolearn.data.source import Episode, Source
from robolearn.data.windows import Windows
from robolearn.data.writer import DatasetWriter

JOINTS = tuple(f"joint{index}" for index in range(29))
BATCH, STEPS = 256, 16
SIZES = (TransformerCfg(width=96, layers=2, window=STEPS), TransformerCfg(width=192, layers=4, window=STEPS))
QUICK = (TransformerCfg(width=16, layers=1, heads=2, window=STEPS),)


def run(options: Options) -> list[Entry]:
    """Rates of the loader, of training, and of writing."""
    torch.set_num_threads(1)
    episodes, rows = (4, 300) if options.quick else (400, 1000)
    with tempfile.TemporaryDirectory() as folder:
        say(f"loader: writing {episodes} episodes")
        writing = write(Path(folder) / "d", episodes, rows)
        dataset = Dataset(Path(folder) / "d")
        windows = Windows([dataset], steps=STEPS, batch_size=BATCH, columns=(STATE, COMMAND, ACTION))
        say("loader: windows")
        entries = [entry("loader: rows written, episodes of 1,000 one by one", writing, "rows/s")]
        for size in QUICK if options.quick else SIZES:
            entries += entries_of(windows, size, options)
    return entries


def write(path: Path, episodes: int, rows: int) -> float:
    """Write random episodes. Returns rows a second, of the first ten episodes, which are written one by one."""
    generator = np.random.default_rng(0)
    source = Source(kind="policy", robot="g1", joint_names=JOINTS, fps=50, control_mode="position", licence="Apache-2.0")

    def episode() -> Episode:
        widths = {STATE: 64, COMMAND: 3, ACTION: 29}
        columns = {name: generator.standard_normal((rows, width), dtype=np.float32) for name, width in widths.items()}
        return Episode(columns=columns, task="walk", source=source)

    with DatasetWriter(path, robot_columns(JOINTS, command_names=("x", "y", "turn")), 50) as writer:
        first = [episode() for _ in range(min(10, episodes))]
        begin = time.perf_counter()
        for one in first:
            writer.add(one)
        seconds = time.perf_counter() - begin
        for start in range(len(first), episodes, 50):
            writer.add(*(episode() for _ in range(min(50, episodes - start))))
    return len(first) * rows / seconds


def entries_of(windows: Windows, cfg: TransformerCfg, options: Options) -> list[Entry]:
    """Windows a second of the loader and of the training of one size of network."""
    torch.manual_seed(0)
    net = Transformer(64 + 3 + 29, 29, cfg)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    given = windows.next()
    observation = torch.from_numpy(np.concatenate([given.columns[name] for name in windows.names], axis=-1))
    target = torch.from_numpy(given.columns[ACTION])

    def train() -> None:
        optimizer.zero_grad()
        answer, _ = net(observation, net.start(BATCH))
        (answer - target).square().mean().backward()
        optimizer.step()

    def load() -> None:
        for _ in range(10):
            windows.next()

    times = alternate({"load": load, "train": train}, quick=options.quick, seconds=options.seconds or 20.0)
    rate = {"load": 10 * BATCH / median(times["load"]), "train": BATCH / median(times["train"])}
    size = f"transformer {cfg.width} x {cfg.layers}"
    return [
        entry(f"loader: windows of {STEPS} steps", rate["load"], "windows/s", size, rate_ratio(times, "load", "train", work=10)),
        entry(f"loader: training, {size}", rate["train"], "windows/s"),
    ]
