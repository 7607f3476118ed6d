"""Turns a torch module into an ONNX graph of one fixed format, whatever exporter is installed; for policy files and for encoders' files."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Generator
from typing import Any

import onnx
import torch
from torch import nn

from policies.contract.file import PolicyFileError

OPSET, IR_VERSION = 20, 10
"""Format of every file, independent of the installed exporter: the oldest opset with Gelu, and an IR version that ONNX Runtime reads
since 1.18, which is older than pyproject.toml requires. So a robot's runtime can be older than the trainer's."""


def onnx_of(
    graph: nn.Module,
    example: tuple[torch.Tensor, ...],
    names: tuple[list[str], list[str]],
    dynamic: dict[str, Any] | None = None,
    optimize: bool = True,
) -> onnx.ModelProto:
    """The module as an ONNX model without metadata.

    Args:
        graph: the module, in evaluation mode.
        example: one value for each input.
        names: of the inputs and of the outputs.
        dynamic: torch's `dynamic_shapes`; None for the example's shapes.
        optimize: whether constants are folded; without, every weight is in the graph as it is, and ONNX Runtime folds when it loads.

    Raises:
        PolicyFileError: torch's exporter made a graph of another format.
    """
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            graph,
            example,
            input_names=names[0],
            output_names=names[1],
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            dynamic_shapes=dynamic,
            optimize=optimize,
        )
    assert program is not None
    model = program.model_proto
    _forget_source(model)
    model.producer_name = "robolearn"
    _settle_versions(model)
    return model


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Silence the exporter's messages about packages that are not needed here."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        log.setLevel(level)


def _settle_versions(model: onnx.ModelProto) -> None:
    """Convert the model to `IR_VERSION`.

    Raises:
        PolicyFileError: the exporter used another opset, or something that this IR version lacks.
    """
    opsets = {item.domain: item.version for item in model.opset_import}
    if opsets != {"": OPSET}:
        raise PolicyFileError(f"torch's exporter used opsets {opsets} in place of {OPSET}; install the versions of constraints.txt")
    model.ir_version = IR_VERSION
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise PolicyFileError(f"torch's exporter made a graph that IR version {IR_VERSION} cannot represent: {error}") from error


def _forget_source(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on the source of each node, which contain local paths and double the file's size."""
    graph = model.graph
    for group in ([graph], graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        for item in group:
            item.ClearField("metadata_props")
            item.ClearField("doc_string")
