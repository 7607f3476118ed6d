"""bf16 matrix products in the passes that training differentiates, where this CPU has them: judged by their result and by their time.

Layers round their inputs, weights and results to bf16 and add up in fp32. All else stays fp32: the weights that the optimiser moves, its
moments, losses, log-probabilities, KL divergences, advantages, and what the environment and a policy file compute.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from robolearn.learning import distributed

Layers = tuple[tuple[int, int], ...]
"""Inputs and outputs of linear layers."""
Asked = Literal["auto", "fp32", "bf16"]
"""A config's `precision`."""

ACCURATE = 5e-3
"""Relative error that rounding to bf16 explains (it gives 3e-3 at most), and that adding up in bf16 exceeds."""
ALIKE = 0.1
"""Relative difference of a whole network's output that is still taken for the same."""
FASTER = 0.85
"""Time of a pass in bf16 over its time in fp32 from which on bf16 is taken; a training that has it already keeps it up to 1."""
LEAST_WORK = 2 * 10**7
"""Multiplications of a pass below which nothing is to be gained."""
MOST_ROWS = 2048
"""Rows that are tried."""


@dataclass(frozen=True, kw_only=True)
class Products:
    """How the passes of an update multiply.

    Attributes:
        name: `fp32` or `bf16`.
        why: a clause for people.
        device: torch's kind of device.
    """

    name: Literal["fp32", "bf16"]
    why: str
    device: str = "cpu"

    def passes(self) -> contextlib.AbstractContextManager[object]:
        """To be entered around the passes of one minibatch and left before the optimiser's step, for it keeps the rounded weights."""
        return torch.autocast(self.device, torch.bfloat16) if self.name == "bf16" else contextlib.nullcontext()

    def narrowed(self, x: torch.Tensor) -> torch.Tensor:
        """What a first layer would make of its input, once and for all passes."""
        return x.bfloat16() if self.name == "bf16" else x

    def __str__(self) -> str:
        return f"matrix products in {self.name}: {self.why}"


FP32 = Products(name="fp32", why="as ever")


def choose(
    asked: Asked,
    net: nn.Module,
    rows: int,
    device: torch.device,
    trial: Callable[[], torch.Tensor] | None = None,
    before: str | None = None,
) -> Products:
    """How a training multiplies; all processes of one choose the same.

    Args:
        asked: what the config says.
        net: all that is trained.
        rows: of a minibatch.
        device: where.
        trial: a pass of a network that is not only made of linear layers; it may draw nothing at random.
        before: what the training that is gone on with did, so that it stays what it was.
    """
    if asked == "fp32":
        return Products(name="fp32", why="as asked")
    layers = tuple(sorted({(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)}))
    work = rows * sum(inputs * outputs for inputs, outputs in layers)
    if asked == "auto" and before == "fp32":
        return Products(name="fp32", why="as before")
    if asked == "auto" and device.type != "cpu":
        return Products(name="fp32", why="bf16 is judged on CPUs alone")
    if asked == "auto" and work < LEAST_WORK:
        return Products(name="fp32", why="the networks are too small to gain by bf16")
    bf16 = Products(name="bf16", why="as asked", device=device.type)
    rows = min(rows, MOST_ROWS)
    fault, share = fault_of(bf16, net, layers, rows, trial), 0.0
    if asked == "auto":
        share = time_share(layers, rows) if fault is None else 1.0
        if fault is None and share > (1.0 if before == "bf16" else FASTER):
            fault = f"bf16 takes {share:.2f} of the time here"
        bf16 = Products(name="bf16", why=f"{share:.2f} of the time of fp32's here; --precision=fp32 switches it off", device=device.type)
    if distributed.largest(int(fault is not None)):
        return Products(name="fp32", why=fault or "another process cannot do bf16")
    return bf16


def fault_of(bf16: Products, net: nn.Module, layers: Layers, rows: int, trial: Callable[[], torch.Tensor] | None) -> str | None:
    """What is wrong with the results of bf16 here; None where nothing is."""
    if bf16.device == "cpu" and (error := layer_error(layers, rows)) > ACCURATE:
        return f"this computer's bf16 products are wrong by {error:.1e}"
    if trial is not None and (error := trial_error(bf16, trial, net)) > ALIKE:
        return "the network cannot be passed in bf16" if error == float("inf") else f"in bf16 the network's output differs by {error:.1e}"
    return None


@functools.cache
def layer_error(layers: Layers, rows: int) -> float:
    """The largest relative error of what linear layers (inputs, outputs) give in bf16, forward and backward, against float64.

    No mean is zero, so that sums grow: one that is added up in bf16 stands still halfway.
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for inputs, outputs in layers:
        x, weight, gradient = (1 + torch.randn(size, generator=generator) for size in ((rows, inputs), (outputs, inputs), (rows, outputs)))
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16):
            y = F.linear(x.requires_grad_(), weight.requires_grad_())
        dx, dweight = torch.autograd.grad(y, (x, weight), gradient.to(y.dtype))
        x, weight, gradient = x.detach().double(), weight.detach().double(), gradient.double()
        for got, exact in ((y.detach(), x @ weight.T), (dx, gradient @ weight), (dweight, gradient.T @ x)):
            error = float((got.double() - exact).norm() / exact.norm())
            worst = max(worst, error) if error == error else float("inf")
    return worst


def trial_error(products: Products, trial: Callable[[], torch.Tensor], net: nn.Module) -> float:
    """The relative difference of a network's output from fp32's; infinite where it cannot be passed, or not backward."""
    with torch.enable_grad():
        exact = trial()
        try:
            with products.passes():
                got = trial().float()
            torch.autograd.grad(got.square().sum(), [p for p in net.parameters() if p.requires_grad], allow_unused=True)
        except (RuntimeError, TypeError):
            return float("inf")
    error = float((got - exact).detach().norm() / exact.detach().norm().clamp(min=1e-12))  # a last layer of zeros gives zeros in both
    return error if error == error else float("inf")


@functools.cache
def time_share(layers: Layers, rows: int, repetitions: int = 15) -> float:
    """How long linear layers (inputs, outputs) take in bf16, casts included, over how long they take in fp32.

    The best of repetitions in turns, of one thread's own time on the CPU: whoever else computes meanwhile must not decide it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        best = {True: 0.0, False: 0.0}
        for inputs, outputs in layers:
            x, weight, bias, gradient = (torch.ones(size) for size in ((rows, inputs), (outputs, inputs), (outputs,), (rows, outputs)))
            moved = [tensor.requires_grad_() for tensor in (x, weight, bias)]
            times: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(repetitions):
                for narrow in times:
                    start = time.thread_time()
                    with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                        y = F.linear(x, weight, bias)
                    torch.autograd.grad(y, moved, gradient.to(y.dtype))
                    times[narrow].append(time.thread_time() - start)
            for narrow, values in times.items():
                best[narrow] += min(values)
    finally:
        torch.set_num_threads(threads)
    return best[True] / best[False]
