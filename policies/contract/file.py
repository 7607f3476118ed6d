"""The policy file: one ONNX file with the network, its normaliser, its contract, its provenance and its own test.

Reading and running it only needs numpy and ONNX Runtime. The graph has one input (1, *shape) for each observation group, named after the
group (`state` is the flat vector that every policy has), and the output `action` (1, J). The network's memory consists of named arrays:
explicit inputs, each input `x` with an output `x_out`. Metadata keys:

- `robolearn.spec`: the `PolicySpec`, JSON
- `robolearn.memory`: name, shape, dtype and value after a reset of each remembered array, JSON
- `robolearn.provenance`: commit, resolved config, seeds, engine, evaluation results, JSON
- `robolearn.golden`: a recorded sequence of sensor readings with the observations and actions that must result, packed arrays
- `robolearn.encoder.<group>`: a camera's encoder, if the file has it apart from the step, see `policies.contract.encoders`; the graph's
  input of that group is then the latent (1, D)
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from policies.contract.encoders import EncoderError, read_encoders
from policies.contract.golden import Array, FloatArray, Golden, memory_from_text
from policies.contract.instead import found_instead, missing
from policies.contract.observation import ActionConstants, Sensors, clock, clock_phase, joint_targets, observe
from policies.contract.spec import STATE, ObservationGroup, OldSpecError, PolicySpec, SpecError
from policies.files import reason

GOLDEN_TOLERANCE = 1e-4
ONNX_RUNTIME: str = ort.__version__
SPEC_KEY, MEMORY_KEY = "robolearn.spec", "robolearn.memory"
PROVENANCE_KEY, GOLDEN_KEY = "robolearn.provenance", "robolearn.golden"


ELEMENTS = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
"""Valid types of a graph's inputs and outputs, by ONNX Runtime's name."""


class PolicyFileError(ValueError):
    """A file that is missing, is not a policy file, or contradicts itself."""


class GoldenMismatchError(PolicyFileError):
    """The file does not reproduce its recorded actions: wrong runtime, wrong file or broken arithmetic."""


class PolicyFile:
    """A policy file in memory, ready to run one step at a time on one thread.

    Attributes:
        path: where it was read from.
        spec: the contract.
        provenance: its provenance, as plain JSON values.
        golden: its recorded run.
        sha256: hash of the whole file.
        data: its bytes, as read.
    """

    def __init__(self, path: str | Path, data: bytes | None = None) -> None:
        """Read a policy file.

        Args:
            path: path of the file.
            data: its bytes, if they come from elsewhere (e.g. from a log); `path` then only names their origin.

        Raises:
            PolicyFileError: the file is missing, unreadable, without metadata, of an older contract, or its graph contradicts its spec.
        """
        self.path = Path(path)
        if data is None:
            if not self.path.is_file():
                raise PolicyFileError(f"no policy file at {self.path}{missing(self.path)}")
            try:
                data = self.path.read_bytes()
            except OSError as error:
                raise PolicyFileError(f"{self.path} cannot be read: {reason(error)}") from error
        self.data = data
        self.sha256 = hashlib.sha256(data).hexdigest()
        try:
            self._session = ort.InferenceSession(data, _session_options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common public base class
            raise PolicyFileError(_unreadable(self.path, data, error)) from error
        meta = self._session.get_modelmeta().custom_metadata_map
        lacks = [key for key in (SPEC_KEY, PROVENANCE_KEY, GOLDEN_KEY) if key not in meta]
        if lacks:
            raise PolicyFileError(f"{self.path} is an ONNX file but not a policy file: it lacks the metadata {', '.join(lacks)}")
        try:
            self.spec = PolicySpec.from_json(meta[SPEC_KEY])
            self._initial = memory_from_text(meta.get(MEMORY_KEY, "[]"))
            self.provenance: dict[str, Any] = json.loads(meta[PROVENANCE_KEY])
            self.golden = Golden.from_text(meta[GOLDEN_KEY])
        except OldSpecError as error:
            raise PolicyFileError(f"{self.path} {error}") from error
        except (SpecError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise PolicyFileError(f"{self.path} has broken metadata: {reason(error)}") from error
        try:
            self._encoders = read_encoders(meta, [group for group in self.spec.observation if group.image is not None], _session_options())
        except EncoderError as error:
            raise PolicyFileError(f"{self.path}: {error}") from error
        self._check_graph()
        self._bind()
        self._constants = ActionConstants.of(self.spec, lambda values: np.asarray(values, np.float32))
        self._check_golden()
        self.reset()

    def _check_graph(self) -> None:
        """Check that the graph's inputs and outputs are those of spec and memory, with their shapes and types."""
        inputs = {group.name: (list(shape), dtype) for group in self.spec.observation for shape, dtype in [self._input(group)]}
        if both := [name for name in self._initial if name in inputs]:
            raise PolicyFileError(f"{self.path}: {', '.join(both)} is both an observation group and a memory array")
        inputs |= {name: (list(value.shape), "float32") for name, value in self._initial.items()}
        outputs = {"action": ([1, self.spec.action_dim], "float32")}
        outputs |= {f"{name}_out": (list(value.shape), "float32") for name, value in self._initial.items()}
        self._agree("input", self._session.get_inputs(), inputs)
        self._agree("output", self._session.get_outputs(), outputs)

    def _input(self, group: ObservationGroup) -> tuple[tuple[int, ...], str]:
        """Shape and type of the graph's input for a group: the latent's where the file has its encoder, else the group's own."""
        encoder = self._encoders.get(group.name)
        return ((1, *group.shape), group.dtype) if encoder is None else ((1, encoder.width), "float32")

    def _agree(self, what: str, nodes: Sequence[Any], said: Mapping[str, tuple[list[int], str]]) -> None:
        graph = {node.name: (node.shape, ELEMENTS.get(node.type, node.type)) for node in nodes}
        for name, (shape, dtype) in said.items():
            if name not in graph:
                raise PolicyFileError(f"{self.path}: the graph has no {what} {name}; it has {', '.join(graph)}")
            if graph[name] != (shape, dtype):
                has = f"is {graph[name][1]} of shape {graph[name][0]}"
                raise PolicyFileError(f"{self.path}: graph {what} {name} {has}, but the metadata say {dtype} of shape {shape}")
        if more := [name for name in graph if name not in said]:
            raise PolicyFileError(
                f"{self.path}: graph {what} {', '.join(more)} is neither the action, an observation group nor a memory array"
            )

    def _check_golden(self) -> None:
        """Check the golden run: an empty one would prove nothing, and one that does not fit the contract cannot be replayed."""
        golden, steps = self.golden, len(self.golden.action)
        shapes = (golden.observation.shape, golden.action.shape)
        if steps == 0 or shapes != ((steps, self.spec.observation_dim), (steps, self.spec.action_dim)):
            raise PolicyFileError(f"{self.path}: its golden run has observations and actions of shapes {shapes}")
        try:
            for group in self._others:
                want = (-(-steps // group.every), *group.shape), group.dtype
                given = golden.groups[group.name]
                if (given.shape, str(given.dtype)) != want:
                    raise ValueError(f"group {group.name} is {given.dtype} of shape {given.shape}, not {want[1]} of shape {want[0]}")
            if any(len(value) != steps for value in golden.sensors.values()):
                raise ValueError(f"sensors of other than {steps} steps")
            self.observe(Sensors(**{name: value[0] for name, value in golden.sensors.items()}))
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyFileError(f"{self.path}: its golden run does not fit its contract: {reason(error)}") from error

    def _bind(self) -> None:
        """Bind all inputs and outputs once, memory twice: each step reads one set of its buffers and writes the other."""
        self._others = [group for group in self.spec.observation if group.name != STATE]
        given = {group.name: self._input(group) for group in self.spec.observation}
        self._inputs: dict[str, Array] = {name: np.zeros(shape, np.dtype(dtype)) for name, (shape, dtype) in given.items()}
        self._observation = self._inputs[STATE]
        self._action = np.zeros((1, self.spec.action_dim), np.float32)
        self._memory = [{name: value.copy() for name, value in self._initial.items()} for _ in range(2)]
        self._bindings: list[ort.IOBinding] = []
        for index in range(2):
            binding = self._session.io_binding()
            for name, array in self._inputs.items():
                _bind_array(binding.bind_input, name, array)
            _bind_array(binding.bind_output, "action", self._action)
            for name in self._initial:
                _bind_array(binding.bind_input, name, self._memory[index][name])
                _bind_array(binding.bind_output, f"{name}_out", self._memory[1 - index][name])
            self._bindings.append(binding)

    def fork(self) -> PolicyFile:
        """The same policy with its own memory, for another robot; the weights are shared."""
        twin = copy.copy(self)
        twin._bind()
        twin.reset()
        return twin

    def reset(self) -> None:
        """Clear the memory to its value before the first step."""
        self._turn = 0
        for memory in self._memory:
            for name, array in memory.items():
                array[...] = self._initial[name]
        for group in self._others:
            self._inputs[group.name].fill(0)

    @property
    def memory(self) -> dict[str, FloatArray]:
        """The memory after the last step, by name: views that later steps overwrite; empty for a policy without memory."""
        return self._memory[self._turn]

    @property
    def latents(self) -> dict[str, int]:
        """The images that the file encodes apart from the step, and the number of entries of their latents."""
        return {name: encoder.width for name, encoder in self._encoders.items()}

    def encode(self, group: str, picture: Array) -> FloatArray:
        """The latent (D,) of a picture (height, width, channels) of one of `latents`. Another thread may call it while this one steps."""
        return self._encoders[group](picture)

    def act(
        self, observation: FloatArray, groups: Mapping[str, Array] | None = None, latents: Mapping[str, FloatArray] | None = None
    ) -> FloatArray:
        """Advance one control step.

        Args:
            observation: the group `state`, (O,).
            groups: readings of other groups by name, in their shape; groups that are not given keep their last reading. Pictures are
                encoded here where the file has their encoder.
            latents: latents (D,) of groups whose pictures were encoded before, see `encode`.

        Returns:
            The action (J,), a view that the next call overwrites.
        """
        self._observation[0] = observation
        for name, value in (groups or {}).items():
            self._inputs[name][0] = self.encode(name, value) if name in self._encoders else value
        for name, value in (latents or {}).items():
            self._inputs[name][0] = value
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        return self._action[0]

    def observe(self, sensors: Sensors) -> FloatArray:
        """The group `state` (O,) from one robot's sensors, float32."""
        return observe(sensors, self.spec, self._constants.default_pose)

    def observe_others(self, sensors: Sensors, step: int) -> dict[str, FloatArray]:
        """The other groups of terms that are due at a control step counted from the reset, by name, without images."""
        due = [group.name for group in self._others if group.image is None and step % group.every == 0]
        return {name: observe(sensors, self.spec, self._constants.default_pose, name) for name in due}

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the groups that are images."""
        return tuple(group.name for group in self._others if group.image is not None)

    def clock(self, step: int, command: FloatArray) -> FloatArray | None:
        """The gait's clock (2,) at a step counted from the reset, under a command (C,); None for a policy without one."""
        if not self.spec.clock_hz:
            return None
        return clock(np.array([clock_phase(step, self.spec)], np.float32), command, self.spec)

    def targets(self, action: FloatArray, previous_target: FloatArray) -> FloatArray:
        """Joint position targets [rad] (J,) of an action."""
        return joint_targets(action, previous_target, self.spec, self._constants)

    def verify(self) -> float:
        """Replay the golden run, as every runtime does before it moves a robot.

        Returns:
            The largest difference found.

        Raises:
            GoldenMismatchError: an observation or action differs by more than `GOLDEN_TOLERANCE`.
        """
        golden, worst = self.golden, 0.0
        self.reset()
        for step in range(len(golden.action)):
            sensors = Sensors(**{name: value[step] for name, value in golden.sensors.items()})
            observation, others = self.observe(sensors), self.observe_others(sensors, step)
            due = [group for group in self._others if step % group.every == 0]
            given: dict[str, Array] = {group.name: golden.groups[group.name][step // group.every] for group in due}
            action = self.act(observation, given | others)
            pairs = [("observation", observation, golden.observation[step]), ("action", action, golden.action[step])]
            pairs += [(f"observation group {name}", value, given[name]) for name, value in others.items()]
            for what, got, want in pairs:
                error = float(np.max(np.abs(got - want)))
                if not error <= GOLDEN_TOLERANCE:
                    raise GoldenMismatchError(
                        f"{self.path}: {what} at golden step {step} differs by {error:.3g} (allowed {GOLDEN_TOLERANCE:g}); "
                        "do not run this file on a robot; export it again or check the runtime"
                    )
                worst = max(worst, error)
        self.reset()
        return worst


def _unreadable(path: Path, data: bytes, error: Exception) -> str:
    """The message for a file that ONNX Runtime refuses, in one line, with what to do about a newer format."""
    said = " ".join(str(error).split())
    if re.search(r"Unsupported model IR version|Opset \d+ is under development", said):
        hint = f"ONNX Runtime {ONNX_RUNTIME} is too old for its format; upgrade onnxruntime (at least 1.19)"
        return f"{path} cannot be loaded: {hint}: {said}"
    what = f"it is {found}" if (found := found_instead(data)) else f"{said}; if it once was one, it may be cut off: copy it again"
    return f"{path} is not an ONNX file that ONNX Runtime can load: {what}"


def _bind_array(bind: Any, name: str, array: Array) -> None:
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _session_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
