"""bf16 matrix products in the differentiated passes of training, if this CPU has them: chosen by accuracy and speed.

Layers round their inputs, weights and results to bf16 and accumulate in fp32. Everything else stays fp32: the weights that the optimiser
moves, its moments, losses, log-probabilities, KL divergences, advantages, and what the environment and a policy file compute.
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
"""Relative error between that of rounding to bf16 (at most 3e-3) and that of accumulating in bf16."""
ALIKE = 0.1
"""Relative difference up to which a whole network's output counts as the same."""
FASTER = 0.85
"""Ratio of times in bf16 and fp32 below which bf16 is chosen; a resumed training that has it keeps it up to 1."""
LEAST_WORK = 2 * 10**7
"""Multiplications per pass below which there is no gain."""
MOST_ROWS = 2048
"""Rows of the trial."""


@dataclass(frozen=True, kw_only=True)
class Products:
    """The precision of an update's passes.

    Attributes:
        name: `fp32` or `bf16`.
        why: the reason, as a clause.
        device: torch's kind of device.
    """

    name: Literal["fp32", "bf16"]
    why: str
    device: str = "cpu"

    def passes(self) -> contextlib.AbstractContextManager[object]:
        """A context for the passes of one minibatch; leave it before the optimiser's step, since it caches the rounded weights."""
        return torch.autocast(self.device, torch.bfloat16) if self.name == "bf16" else contextlib.nullcontext()

    def narrowed(self, x: torch.Tensor) -> torch.Tensor:
        """The input as the first layer rounds it, once for all passes."""
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
    """The precision of a training; all its processes choose the same.

    Args:
        asked: the config's `precision`.
        net: everything that is trained.
        rows: rows of a minibatch.
        device: the device.
        trial: a pass of a network with other than linear layers; it must not draw random numbers.
        before: the precision of the training that is resumed, which is kept.
    """
    if asked == "fp32":
        return Products(name="fp32", why="as asked")
    layers = tuple(sorted({(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)}))
    work = rows * sum(inputs * outputs for inputs, outputs in layers)
    if asked == "auto" and before == "fp32":
        return Products(name="fp32", why="as before")
    if asked == "auto" and device.type != "cpu":
        return Products(name="fp32", why="bf16 is only used on CPUs")
    if asked == "auto" and work < LEAST_WORK:
        return Products(name="fp32", why="the networks are too small to benefit from bf16")
    bf16 = Products(name="bf16", why="as asked", device=device.type)
    rows = min(rows, MOST_ROWS)
    fault, share = fault_of(bf16, net, layers, rows, trial), 0.0
    if asked == "auto":
        share = time_share(layers, rows) if fault is None else 1.0
        if fault is None and share > (1.0 if before == "bf16" else FASTER):
            fault = f"bf16 takes {share:.2f} of the time here"
        bf16 = Products(name="bf16", why=f"{share:.2f} of the time of fp32's here; --precision=fp32 switches it off", device=device.type)
    if distributed.largest(int(fault is not None)):
        return Products(name="fp32", why=fault or "another process cannot use bf16")
    return bf16


def fault_of(bf16: Products, net: nn.Module, layers: Layers, rows: int, trial: Callable[[], torch.Tensor] | None) -> str | None:
    """What is wrong with the results of bf16 here; None if nothing is."""
    if bf16.device == "cpu" and (error := layer_error(layers, rows)) > ACCURATE:
        return f"this computer's bf16 products are wrong by {error:.1e}"
    if trial is not None and (error := trial_error(bf16, trial, net)) > ALIKE:
        return "the network cannot run in bf16" if error == float("inf") else f"in bf16 the network's output differs by {error:.1e}"
    return None


@functools.cache
def layer_error(layers: Layers, rows: int) -> float:
    """The largest relative error of linear layers (inputs, outputs) in bf16, forward and backward, against float64.

    No mean is zero, so that sums grow: a sum accumulated in bf16 stops growing halfway.
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
    """The relative difference of a network's output from fp32's; infinite if it cannot run forward or backward."""
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
    """Ratio of the times of linear layers (inputs, outputs) in bf16, casts included, and in fp32.

    The best of alternating repetitions, in CPU time of one thread, so that other load on the computer does not matter.
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
