"""Several processes that train one policy, as `torchrun` starts them: each has its own worlds, and gradients are averaged.

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
"""How long a process that has done its work waits for the others before it ends without them."""


def rank() -> int:
    """Which process this is, 0 for the first or the only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def _leave() -> None:
    """Take the group down before the interpreter ends: gloo's threads abort a process that leaves with them."""
    if dist.is_initialized():
        dist.destroy_process_group()


def end(code: int) -> None:
    """End this process now, with its exit code, where it has joined a group; else do nothing.

    For a program's last line. The interpreter's own end is left out: a thread of gloo's that asks for the interpreter's lock meanwhile is
    ended by force, which C++ takes for an accident and aborts the process (about one in some hundreds).

    Args:
        code: exit code; the processes wait for each other where it is an answer, 0 or 1, and not where one has failed alone.
    """
    if not dist.is_initialized():
        return
    with contextlib.suppress(RuntimeError):  # the others are gone
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
    """Join the group that torchrun made, if it did. Returns the device of this process: its own GPU of several."""
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
    """Give this process's worlds and exploration seeds of their own, after all have read the same checkpoint."""
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
    """The largest of all processes' numbers: all get the same answer, so that they leave their loop together."""
    if processes() == 1:
        return number
    here = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    answer = torch.tensor(number, device=here)
    dist.all_reduce(answer, dist.ReduceOp.MAX)
    return int(answer)


def standardized(x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
    """(x - mean) / standard deviation, both over the elements `kept` (all where None) of all processes."""
    seen = x if kept is None else x[kept]
    if processes() == 1:
        return (x - seen.mean()) / (seen.std() + 1e-8)
    count = average(torch.tensor(float(seen.numel()), device=x.device)) * processes()
    mean = average(seen.sum()) * processes() / count
    var = average((seen - mean).square().sum()) * processes() / (count - 1)
    return (x - mean) / (var.sqrt() + 1e-8)


def gather(x: torch.Tensor) -> torch.Tensor:
    """The rows (n, ...) of all processes, which may have differently many, (sum of n, ...)."""
    if processes() == 1:
        return x
    counts = [torch.zeros(1, dtype=torch.long, device=x.device) for _ in range(processes())]
    dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
    most = max(int(count) for count in counts)
    padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])])
    rows = [torch.empty_like(padded) for _ in range(processes())]
    dist.all_gather(rows, padded.contiguous())
    return torch.cat([part[: int(count)] for part, count in zip(rows, counts, strict=True)])
