"""Writes a trained network as a policy file: graph, contract, provenance and golden run in one ONNX file.

Normaliser and memory are inside the graph. The file is written to a temporary name, read back by ONNX Runtime, compared with
torch over the golden run, and only then renamed into place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from policies.contract.encoders import ENCODER_KEY, IMAGE, LATENT, SAME, encoder_text
from policies.contract.file import GOLDEN_KEY, MEMORY_KEY, PROVENANCE_KEY, SPEC_KEY, PolicyFile, PolicyFileError
from policies.contract.golden import Golden, memory_to_text
from policies.contract.observation import Sensors, observe
from policies.contract.spec import STATE, NormalizerSpec, PolicySpec
from policies.export.exporter import onnx_of
from policies.files import whole
from policies.networks.protocol import Memory, Network

EXPORT_TOLERANCE = 1e-5


class StepGraph(nn.Module):
    """One step of a network with groups and memory as explicit tensors in a fixed order, shaped for a single robot."""

    def __init__(self, net: Network, memory: Memory) -> None:
        super().__init__()
        self._net = net.prepared()
        self._groups, self._names = list(net.groups), list(memory)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The groups (1, *shape), then the memory (1, ...) -> action (1, A), then the memory."""
        count = len(self._groups)
        groups, memory = dict(zip(self._groups, inputs[:count], strict=True)), dict(zip(self._names, inputs[count:], strict=True))
        action, after = self._net.step(groups, memory)
        return action, *(after[name] for name in self._names)


def record_golden(net: Network, spec: PolicySpec, sensors: dict[str, np.ndarray], groups: dict[str, np.ndarray] | None = None) -> Golden:
    """Run the network in torch over recorded readings from a reset.

    Args:
        net: the network; one with only `state` is run by its `forward`, which the exported step must match.
        spec: its contract.
        sensors: `Sensors` field -> (T, n).
        groups: images by name, one per `every` steps.
    """
    tensors = Sensors(**{name: torch.from_numpy(value) for name, value in sensors.items()})
    default_pose = torch.tensor(spec.robot.default_pose, dtype=torch.float32)
    others = {name: torch.from_numpy(value) for name, value in (groups or {}).items()}
    for group in spec.observation:
        if group.image is None and group.name != STATE:
            others[group.name] = observe(tensors, spec, default_pose, group.name)[:: group.every]
    state = observe(tensors, spec, default_pose)  # (T, O)
    memory, actions = net.start(1), list[torch.Tensor]()
    with torch.no_grad():
        for step, row in enumerate(state):
            if net.groups == (STATE,):
                action, memory = net(row[None, None], memory)
                actions.append(action[0, 0])
            else:
                now = {name: value[step // spec.group(name).every][None] for name, value in others.items()}
                action, memory = net.step({STATE: row[None], **now}, memory)
                actions.append(action[0])
    return Golden(sensors, state.numpy(), torch.stack(actions).numpy(), {name: value.numpy() for name, value in others.items()})


def export_student(
    net: Network,
    spec: PolicySpec,
    golden_sensors: dict[str, np.ndarray],
    provenance: dict[str, Any],
    path: str | Path,
    golden_images: dict[str, np.ndarray] | None = None,
) -> PolicyFile:
    """Write a policy file and read it back.

    Args:
        net: the trained student.
        spec: the contract of its task; normaliser and history are filled in here.
        golden_sensors: a recorded run, `Sensors` field -> (T, n) float32.
        provenance: plain JSON values; `weights_sha256` is added.
        path: the file to write; only replaced by a file that passed.
        golden_images: camera images of that run, for each group that is an image: (ceil(T / every), height, width, channels).

    Returns:
        The file as ONNX Runtime reads it.

    Raises:
        PolicyFileError: network and contract do not fit, or ONNX Runtime and torch differ on the golden run by more than
            `EXPORT_TOLERANCE`.
    """
    net = net.cpu().eval()
    spec = dataclasses.replace(spec, normalizer=_statistics(net), history_steps=net.history_steps)
    memory = net.start(1)
    _check(net, spec, memory)
    golden = record_golden(net, spec, golden_sensors, golden_images)
    graph = StepGraph(net, memory).eval()
    dtypes = {"float32": torch.float32, "uint8": torch.uint8}
    groups = [spec.group(name) for name in net.groups]
    pictures = {group.name: torch.zeros(1, *group.shape, dtype=dtypes[group.dtype]) for group in groups}
    encoders = _encoders(net, pictures)
    with torch.no_grad():
        latents = {name: encoder(pictures[name]) for name, encoder in encoders.items()}
    example = (*(pictures | latents).values(), *memory.values())
    names = ([*net.groups, *memory], ["action", *(f"{name}_out" for name in memory)])
    meta = {
        SPEC_KEY: spec.to_json(),
        MEMORY_KEY: memory_to_text({name: value.numpy() for name, value in memory.items()}),
        GOLDEN_KEY: golden.to_text(),
        **_encoder_texts(encoders, pictures),
    }
    return _write(graph, example, names, meta, provenance, Path(path))


def _encoders(net: Network, pictures: dict[str, torch.Tensor]) -> dict[str, nn.Module]:
    """The network's encoders by image group, each of which gets a model of its own; none for a network that encodes inside its step.

    Raises:
        PolicyFileError: an encoder of no image, or one whose latent is no vector.
    """
    found = dict(net.apart)
    for name, encoder in found.items():
        if name not in pictures or pictures[name].dim() != 4:
            raise PolicyFileError(f"{type(net).__name__}.apart has {name!r}, which is no image among its groups {', '.join(pictures)}")
        with torch.no_grad():
            latent = encoder(pictures[name])
        if latent.dim() != 2 or latent.shape[0] != 1 or latent.dtype != torch.float32:
            raise PolicyFileError(f"the encoder of {name} gives {latent.dtype} of shape {tuple(latent.shape)}, not float32 of shape (1, D)")
    return found


def _encoder_texts(encoders: dict[str, nn.Module], pictures: dict[str, torch.Tensor]) -> dict[str, str]:
    """The encoders as metadata; one that several cameras share is written once."""
    texts: dict[str, str] = {}
    for name, encoder in encoders.items():
        written = [other for other in encoders if ENCODER_KEY + other in texts and encoders[other] is encoder]
        same = next((other for other in written if pictures[other].shape == pictures[name].shape), None)
        if same is not None:
            texts[ENCODER_KEY + name] = SAME + same
            continue
        model = onnx_of(encoder.eval(), (pictures[name],), ([IMAGE], [LATENT]))
        texts[ENCODER_KEY + name] = encoder_text(model.SerializeToString())
    return texts


def _statistics(net: Network) -> NormalizerSpec | None:
    if net.normalizer is None:
        return None
    return NormalizerSpec(mean=tuple(net.normalizer.mean.tolist()), std=tuple(net.normalizer.std.tolist()))


def _check(net: Network, spec: PolicySpec, memory: Memory) -> None:
    """Check a custom network, which may contradict its contract or itself, with clearer messages than the exporter's."""
    kind = type(net).__name__
    given = [group.name for group in spec.observation]
    if set(net.groups) != set(given):
        raise PolicyFileError(f"{kind} takes the groups {', '.join(net.groups)}; its task gives {', '.join(given)}")
    for name, value in memory.items():
        if value.dtype != torch.float32 or value.shape[:1] != (1,):
            raise PolicyFileError(f"{kind}.start(1): {name} is {value.dtype} of shape {tuple(value.shape)}, not float32 of shape (1, ...)")
    zeros = {group.name: torch.zeros(1, *group.shape, dtype=getattr(torch, group.dtype)) for group in spec.observation}
    with torch.no_grad():
        action, after = net.step(zeros, memory)
    if action.shape != (1, spec.action_dim):
        raise PolicyFileError(f"{kind}.step returns actions of shape {tuple(action.shape)}, not (1, {spec.action_dim})")
    shapes = [{name: tuple(value.shape) for name, value in part.items()} for part in (memory, after)]
    if shapes[0] != shapes[1]:
        raise PolicyFileError(f"{kind}.step returns the memory {shapes[1]}, but start returns {shapes[0]}: they must have the same arrays")


def _write(
    graph: nn.Module,
    example: tuple[torch.Tensor, ...],
    names: tuple[list[str], list[str]],
    meta: dict[str, str],
    provenance: dict[str, Any],
    path: Path,
) -> PolicyFile:
    with whole(path) as temporary:
        model = onnx_of(graph, example, names)
        weights = hashlib.sha256()
        for tensor in model.graph.initializer:
            weights.update(tensor.name.encode() + tensor.raw_data)
        for key in sorted(key for key in meta if key.startswith(ENCODER_KEY)):
            weights.update((key + meta[key]).encode())
        origin = json.dumps(provenance | {"weights_sha256": weights.hexdigest()}, allow_nan=False)
        onnx.helper.set_model_props(model, meta | {PROVENANCE_KEY: origin})
        onnx.save(model, temporary)
        file = PolicyFile(temporary)
        worst = file.verify()
        if worst > EXPORT_TOLERANCE:
            raise PolicyFileError(f"the exported graph differs from torch by {worst:.3g} on the golden run (allowed {EXPORT_TOLERANCE:g})")
    return PolicyFile(path)


def annotate(path: str | Path, **entries: Any) -> PolicyFile:
    """Add entries to a policy file's provenance; the graph and its weights do not change.

    Args:
        path: path of the file, which is replaced as a whole.
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
