"""From a trained network to a policy file: the graph, its contract, its origin and its golden run, in one ONNX file.

Normaliser and key-value cache are inside the graph. The file is written to a temporary name, read back by ONNX Runtime, compared with
torch over the golden run, and only then renamed into place.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import logging
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

from policies.contract.file import GOLDEN_KEY, MEMORY_KEY, PROVENANCE_KEY, SPEC_KEY, PolicyFile, PolicyFileError
from policies.contract.golden import Golden, memory_to_text
from policies.contract.observation import Sensors, observe
from policies.contract.spec import NormalizerSpec, PolicySpec
from policies.files import whole
from policies.networks.transformer import Transformer

EXPORT_TOLERANCE = 1e-5
OPSET, IR_VERSION = 20, 10
"""What every policy file is written in, whatever the installed exporter prefers: the oldest opset with Gelu, and the IR version that ONNX
Runtime reads since 1.18, older than the least that pyproject.toml asks for. A robot's runtime need not be as new as the trainer's."""


class StepGraph(nn.Module):
    """One token through the transformer with the memory as explicit tensors, shaped for a single robot.

    The same arithmetic as `Transformer.encode` with N = T = 1, written with few operations, since at this size an operation costs
    ONNX Runtime about as much as its arithmetic: keys and values are kept by head, so that nothing is transposed, and the scale of the
    scores is folded into the queries' weights. States, all zero at the start: `age`, the tokens seen; `key_l`, `value_l` of each layer,
    (H, W - 1, K), oldest first.
    """

    distance: torch.Tensor

    def __init__(self, net: Transformer) -> None:
        super().__init__()
        net = copy.deepcopy(net)
        width, window = net.cfg.width, net.cfg.window
        for block in net.layers():
            block.qkv.weight.data[:width] *= (width / block.heads) ** -0.5
            block.qkv.bias.data[:width] *= (width / block.heads) ** -0.5
        self.net = net
        self.register_buffer("distance", torch.arange(window - 1, -1, -1, dtype=torch.float32))  # of each slot, oldest first
        self.bias = [block.distance_bias.detach().flip(-1)[:, None] for block in net.layers()]  # by slot, (H, 1, W)

    def states(self) -> dict[str, torch.Tensor]:
        """The states at the start of an episode, by name."""
        cfg = self.net.cfg
        shape = (cfg.heads, cfg.window - 1, cfg.width // cfg.heads)
        names = [f"{kind}_{layer}" for layer in range(cfg.layers) for kind in ("key", "value")]
        return {"age": torch.zeros(1, 1), **{name: torch.zeros(shape) for name in names}}

    def forward(self, observation: torch.Tensor, age: torch.Tensor, *cache: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """observation (1, O), age (1, 1), keys and values (H, W - 1, K) of each layer -> action (1, A), age, keys and values."""
        net = self.net
        x = net.embed(net.normalizer(observation))  # (1, D)
        reach = torch.where(self.distance <= age, 0.0, -1e9)  # (1, W)
        after: list[torch.Tensor] = []
        for layer, block in enumerate(net.layers()):
            q, k, v = (part.reshape(block.heads, 1, -1) for part in block.qkv(block.norm1(x)).split(net.cfg.width, dim=-1))  # (H, 1, K)
            keys = torch.cat([cache[2 * layer], k], dim=1)  # (H, W, K)
            values = torch.cat([cache[2 * layer + 1], v], dim=1)
            after += [keys[:, 1:], values[:, 1:]]
            attended = torch.softmax(q @ keys.transpose(1, 2) + (self.bias[layer] + reach), dim=-1) @ values  # (H, 1, K)
            x = x + block.project(attended.reshape(1, -1))
            x = x + block.down(F.gelu(block.up(block.norm2(x)), approximate="tanh"))
        action = net.head(net.norm(x))
        return action, torch.clamp(age + 1.0, max=float(net.cfg.window)), *after


def record_golden(net: Transformer, spec: PolicySpec, sensors: dict[str, np.ndarray]) -> Golden:
    """Run the network in torch over recorded sensor readings (T, n) from a reset."""
    tensors = {name: torch.from_numpy(value) for name, value in sensors.items()}
    default_pose = torch.tensor(spec.robot.default_pose, dtype=torch.float32)
    observation = observe(Sensors(**tensors), spec, default_pose)  # (T, O)
    memory = net.start(1)
    actions = []
    with torch.no_grad():
        for row in observation:
            action, memory = net(row[None, None], memory)
            actions.append(action[0, 0])
    return Golden(sensors, observation.numpy(), torch.stack(actions).numpy())


def exportable(net: nn.Module) -> Transformer:
    """The network itself, if it is of the kind that becomes a policy file.

    Raises:
        PolicyFileError: it is not.
    """
    if not isinstance(net, Transformer):
        raise PolicyFileError(f"only a transformer becomes a policy file, not a {type(net).__name__}: it is there for comparison")
    return net


def export_student(
    net: nn.Module, spec: PolicySpec, golden_sensors: dict[str, np.ndarray], provenance: dict[str, Any], path: str | Path
) -> PolicyFile:
    """Write a policy file and read it back.

    Args:
        net: the trained student.
        spec: the contract of its task; normaliser and history are filled in here.
        golden_sensors: a recorded run, `Sensors` field -> (T, n) float32.
        provenance: plain JSON values; `weights_sha256` is added.
        path: where to; replaced only by a file that passed.

    Returns:
        The file as ONNX Runtime reads it.

    Raises:
        PolicyFileError: the network is no transformer, or ONNX Runtime and torch differ by more than `EXPORT_TOLERANCE` on the golden run.
    """
    net = exportable(net).cpu().eval()
    mean, std = net.normalizer.mean.tolist(), net.normalizer.std.tolist()
    history = net.cfg.layers * (net.cfg.window - 1) + 1
    spec = dataclasses.replace(spec, normalizer=NormalizerSpec(mean=tuple(mean), std=tuple(std)), history_steps=history)
    golden = record_golden(net, spec, golden_sensors)
    graph = StepGraph(net).eval()
    states = graph.states()
    example = (torch.zeros(1, spec.observation_dim), *states.values())
    names = (["state", *states], ["action", *(f"{name}_out" for name in states)])
    return _write(graph, example, names, spec, states, golden, provenance, Path(path))


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Without what torch's exporter says about packages that are not needed here."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        log.setLevel(level)


def _write(
    graph: nn.Module,
    example: tuple[torch.Tensor, ...],
    names: tuple[list[str], list[str]],
    spec: PolicySpec,
    states: dict[str, torch.Tensor],
    golden: Golden,
    provenance: dict[str, Any],
    path: Path,
) -> PolicyFile:
    with whole(path) as temporary:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                graph, example, input_names=names[0], output_names=names[1], dynamo=True, verbose=False, opset_version=OPSET
            )
        assert program is not None
        model = program.model_proto
        _forget_source(model)
        weights = hashlib.sha256()
        for tensor in model.graph.initializer:
            weights.update(tensor.name.encode() + tensor.raw_data)
        meta = {
            SPEC_KEY: spec.to_json(),
            PROVENANCE_KEY: json.dumps(provenance | {"weights_sha256": weights.hexdigest()}, allow_nan=False),
            MEMORY_KEY: memory_to_text({name: value.numpy() for name, value in states.items()}),
            GOLDEN_KEY: golden.to_text(),
        }
        onnx.helper.set_model_props(model, meta)
        model.producer_name = "robolearn"
        _settle_versions(model)
        onnx.save(model, temporary)
        file = PolicyFile(temporary)
        worst = file.verify()
        if worst > EXPORT_TOLERANCE:
            raise PolicyFileError(f"the exported graph differs from torch by {worst:.3g} on the golden run (allowed {EXPORT_TOLERANCE:g})")
    return PolicyFile(path)


def _settle_versions(model: onnx.ModelProto) -> None:
    """Put the model into `IR_VERSION`.

    Raises:
        PolicyFileError: the exporter gave another opset, or something that this IR version does not have.
    """
    opsets = {item.domain: item.version for item in model.opset_import}
    if opsets != {"": OPSET}:
        raise PolicyFileError(f"torch's exporter gave opsets {opsets} where {OPSET} was asked for; install the versions of constraints.txt")
    model.ir_version = IR_VERSION
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise PolicyFileError(f"torch's exporter gave a graph that IR version {IR_VERSION} does not have: {error}") from error


def _forget_source(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes of where each node came from: they hold paths of the machine and double the file."""
    graph = model.graph
    for group in ([graph], graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        for item in group:
            item.ClearField("metadata_props")
            item.ClearField("doc_string")


def annotate(path: str | Path, **entries: Any) -> PolicyFile:
    """Add entries to a policy file's provenance; the graph and its weights stay as they are.

    Args:
        path: of the file, which is replaced whole.
        entries: plain JSON values, e.g. `evaluation=[...]`.
    """
    path = Path(path)
    model = onnx.load(path)
    meta = {prop.key: prop.value for prop in model.metadata_props}
    meta[PROVENANCE_KEY] = json.dumps(json.loads(meta[PROVENANCE_KEY]) | entries, allow_nan=False)
    onnx.helper.set_model_props(model, meta)
    with whole(path) as temporary:
        onnx.save(model, temporary)
        PolicyFile(temporary).verify()
    return PolicyFile(path)
