"""Training of one policy by several processes, started with `torchrun`: each has its own worlds, and gradients are averaged.

    torchrun --nproc-per-node=4 -m robolearn train g1-velocity-flat --engine=warp --device=cuda

Worlds, exploration and minibatches differ from process to process; networks, optimiser, normaliser and learning rate are the same. The
first process writes the run's folder. Without torchrun every function here does nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterable
from datetime import timedelta

import torch
from torch import distributed as dist
from torch import nn

from envs.vec_env import VecEnv

SEEDS_APART = 1000  # between processes
PATIENCE = timedelta(seconds=10)
"""How long a process that is done waits for the others before it exits without them."""


def rank() -> int:
    """The rank of this process, 0 for the first or only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def _leave() -> None:
    """Destroy the group before the interpreter exits: a process that exits with gloo's threads running is aborted."""
    if dist.is_initialized():
        dist.destroy_process_group()


def end(code: int) -> None:
    """Exit this process now if it has joined a group; otherwise do nothing.

    For a program's last line. It skips the interpreter's shutdown, in which a gloo thread that asks for the interpreter's lock is killed;
    C++ then aborts the process (about once in some hundred runs).

    Args:
        code: exit code; the processes wait for each other if it is an answer, 0 or 1, but not if this one has failed.
    """
    if not dist.is_initialized():
        return
    with contextlib.suppress(RuntimeError):  # the others have exited
        if code in (0, 1):
            done = dist.barrier(async_op=True)
            if done is not None:
                done.wait(PATIENCE)
        dist.destroy_process_group()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def start(device: str) -> str:
    """Join torchrun's group, if there is one. Returns the device of this process: its own GPU if there are several."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    on_gpu = device.startswith("cuda")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
        atexit.register(_leave)
    if device != "cuda":
        return device
    index = int(os.environ.get("LOCAL_RANK", "0"))
    torch.cuda.set_device(index)
    return f"cuda:{index}"


def part(env: VecEnv, generator: torch.Generator, iteration: int) -> None:
    """Give this process's worlds and exploration their own seeds, after all processes have read the same checkpoint."""
    seed = env.cfg.seed + SEEDS_APART * rank() + 7 * iteration
    env.reseed(seed)
    generator.manual_seed(seed)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their means over the processes, in one message."""
    if processes() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= processes()
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def average(value: torch.Tensor) -> torch.Tensor:
    """Mean of a tensor over the processes."""
    if processes() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / processes()


def largest(number: int) -> int:
    """The maximum over all processes: all get the same value, so that they leave their loop together."""
    if processes() == 1:
        return number
    here = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    answer = torch.tensor(number, device=here)
    dist.all_reduce(answer, dist.ReduceOp.MAX)
    return int(answer)


def standardized(x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
    """(x - mean) / standard deviation, both over the elements `kept` (None for all) of all processes."""
    seen = x if kept is None else x[kept]
    if processes() == 1:
        return (x - seen.mean()) / (seen.std() + 1e-8)
    count = average(torch.tensor(float(seen.numel()), device=x.device)) * processes()
    mean = average(seen.sum()) * processes() / count
    var = average((seen - mean).square().sum()) * processes() / (count - 1)
    return (x - mean) / (var.sqrt() + 1e-8)


def gather(x: torch.Tensor) -> torch.Tensor:
    """The rows (n, ...) of all processes, whose n may differ, (sum of n, ...)."""
    if processes() == 1:
        return x
    counts = [torch.zeros(1, dtype=torch.long, device=x.device) for _ in range(processes())]
    dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
    most = max(int(count) for count in counts)
    padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])])
    rows = [torch.empty_like(padded) for _ in range(processes())]
    dist.all_gather(rows, padded.contiguous())
    return torch.cat([part[: int(count)] for part, count in zip(rows, counts, strict=True)])
