"""The policy file: one ONNX file that holds the network, its normaliser, its contract, its origin and its own test.

Reading and running it needs numpy and ONNX Runtime alone. The graph takes `observation` (1, O) and, for a network with memory, its
state as explicit inputs; every state input `x` has an output `x_out`, and all states start at zero. Metadata keys hold JSON:

- `robolearn.spec`: the `PolicySpec`
- `robolearn.provenance`: commit, resolved config, seeds, engine, evaluation results
- `robolearn.golden`: a recorded sequence of sensor readings with the observations and actions that they must give
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from policies.contract.observation import ActionConstants, Sensors, clock_phase, joint_targets, observe
from policies.contract.spec import PolicySpec, SpecError
from policies.files import reason

GOLDEN_TOLERANCE = 1e-4
ONNX_RUNTIME: str = ort.__version__
SPEC_KEY, PROVENANCE_KEY, GOLDEN_KEY = "robolearn.spec", "robolearn.provenance", "robolearn.golden"

FloatArray = np.ndarray[Any, np.dtype[np.float32]]


class PolicyFileError(ValueError):
    """A file that is missing, is not a policy file, or contradicts itself."""


class GoldenMismatchError(PolicyFileError):
    """The file does not give the actions that it recorded: wrong runtime, wrong file or broken arithmetic."""


@dataclass(frozen=True, slots=True)
class Golden:
    """A recorded run: T steps from a reset.

    Attributes:
        sensors: name of a `Sensors` field -> (T, n) readings, float32.
        observation: (T, O).
        action: (T, J).
    """

    sensors: dict[str, FloatArray]
    observation: FloatArray
    action: FloatArray

    def to_json(self) -> str:
        data = {"observation": self.observation.tolist(), "action": self.action.tolist()}
        return json.dumps({"sensors": {name: value.tolist() for name, value in self.sensors.items()}, **data})

    @staticmethod
    def from_json(text: str) -> Golden:
        raw = json.loads(text)
        sensors = {name: np.asarray(value, dtype=np.float32) for name, value in raw["sensors"].items()}
        return Golden(sensors, np.asarray(raw["observation"], np.float32), np.asarray(raw["action"], np.float32))


class PolicyFile:
    """A policy file in memory, ready to run one step at a time on one thread.

    Attributes:
        path: where it was read.
        spec: the contract.
        provenance: where it comes from, as plain JSON values.
        golden: its recorded run.
        sha256: hash of the whole file.
        data: its bytes, as they were read.
    """

    def __init__(self, path: str | Path, data: bytes | None = None) -> None:
        """Read a policy file.

        Args:
            path: of the file.
            data: its bytes, where they come from elsewhere (from inside a log); `path` then only names their origin.

        Raises:
            PolicyFileError: missing, unreadable, without metadata, or with a graph that contradicts its spec.
        """
        self.path = Path(path)
        if data is None:
            if not self.path.is_file():
                raise PolicyFileError(f"no policy file at {self.path}")
            try:
                data = self.path.read_bytes()
            except OSError as error:
                raise PolicyFileError(f"{self.path} cannot be read: {reason(error)}") from error
        self.data = data
        self.sha256 = hashlib.sha256(data).hexdigest()
        try:
            self._session = ort.InferenceSession(data, _session_options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise PolicyFileError(_unreadable(self.path, error)) from error
        meta = self._session.get_modelmeta().custom_metadata_map
        missing = [key for key in (SPEC_KEY, PROVENANCE_KEY, GOLDEN_KEY) if key not in meta]
        if missing:
            raise PolicyFileError(f"{self.path} is an ONNX file but no policy file: it lacks the metadata {', '.join(missing)}")
        try:
            self.spec = PolicySpec.from_json(meta[SPEC_KEY])
            self.provenance: dict[str, Any] = json.loads(meta[PROVENANCE_KEY])
            self.golden = Golden.from_json(meta[GOLDEN_KEY])
        except (SpecError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise PolicyFileError(f"{self.path} has broken metadata: {reason(error)}") from error
        self._check_graph()
        self._bind()
        self._constants = ActionConstants.of(self.spec, lambda values: np.asarray(values, np.float32))
        self._check_golden()
        self.reset()

    def _check_graph(self) -> None:
        shapes = {node.name: node.shape for node in self._session.get_inputs()}
        outputs = {node.name: node.shape for node in self._session.get_outputs()}
        expected = {"observation": [1, self.spec.observation_dim]}
        for name, shape in expected.items():
            if shapes.get(name) != shape:
                raise PolicyFileError(f"{self.path}: graph input {name} has shape {shapes.get(name)}, the spec says {shape}")
        if outputs.get("action") != [1, self.spec.action_dim]:
            raise PolicyFileError(f"{self.path}: graph output action has shape {outputs.get('action')}, not [1, {self.spec.action_dim}]")
        for node in (*self._session.get_inputs(), *self._session.get_outputs()):
            if node.type != "tensor(float)" or not all(isinstance(size, int) and size >= 0 for size in node.shape):
                raise PolicyFileError(f"{self.path}: {node.name} is {node.type} of shape {node.shape}, not float32 of a fixed shape")
        for name in shapes:
            if name != "observation" and outputs.get(f"{name}_out") != shapes[name]:
                raise PolicyFileError(f"{self.path}: state {name} has no output {name}_out of shape {shapes[name]}")

    def _check_golden(self) -> None:
        """An empty golden run would prove nothing; one that does not fit the contract can't be replayed."""
        golden, steps = self.golden, len(self.golden.action)
        shapes = (golden.observation.shape, golden.action.shape)
        if steps == 0 or shapes != ((steps, self.spec.observation_dim), (steps, self.spec.action_dim)):
            raise PolicyFileError(f"{self.path}: its golden run has observations and actions of shapes {shapes}")
        try:
            if any(len(value) != steps for value in golden.sensors.values()):
                raise ValueError(f"sensors of other than {steps} steps")
            self.observe(Sensors(**{name: value[0] for name, value in golden.sensors.items()}))
        except (TypeError, ValueError) as error:
            raise PolicyFileError(f"{self.path}: its golden run does not fit its contract: {reason(error)}") from error

    def _bind(self) -> None:
        """Bind all inputs and outputs once, states twice: each step reads one set of state buffers and writes the other."""
        self._observation = np.zeros((1, self.spec.observation_dim), np.float32)
        self._action = np.zeros((1, self.spec.action_dim), np.float32)
        states = [node for node in self._session.get_inputs() if node.name != "observation"]
        self._states = [{node.name: np.zeros(node.shape, np.float32) for node in states} for _ in range(2)]
        self._bindings: list[ort.IOBinding] = []
        for index in range(2):
            binding = self._session.io_binding()
            _bind_array(binding.bind_input, "observation", self._observation)
            _bind_array(binding.bind_output, "action", self._action)
            for node in states:
                _bind_array(binding.bind_input, node.name, self._states[index][node.name])
                _bind_array(binding.bind_output, f"{node.name}_out", self._states[1 - index][node.name])
            self._bindings.append(binding)

    def fork(self) -> PolicyFile:
        """The same policy with a memory of its own, for another robot; the weights are shared."""
        twin = copy.copy(self)
        twin._bind()
        twin.reset()
        return twin

    def reset(self) -> None:
        """Forget the past: all states to zero."""
        self._turn = 0
        for states in self._states:
            for array in states.values():
                array.fill(0.0)

    @property
    def state(self) -> dict[str, FloatArray]:
        """The memory that the last step left, by name: views that later steps overwrite; empty for a policy without one."""
        return self._states[self._turn]

    def act(self, observation: FloatArray) -> FloatArray:
        """Advance one control step.

        Args:
            observation: (O,).

        Returns:
            The action (J,), a view that the next call overwrites.
        """
        self._observation[0] = observation
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        return self._action[0]

    def observe(self, sensors: Sensors) -> FloatArray:
        """The observation (O,) of one robot's sensors, float32."""
        return observe(sensors, self.spec, self._constants.default_pose)

    def clock(self, step: int) -> FloatArray | None:
        """Sine and cosine of the gait's phase (2,) at a control step counted from the reset; None for a policy without a clock."""
        if not self.spec.clock_hz:
            return None
        phase = clock_phase(step, self.spec)
        return np.array([math.sin(phase), math.cos(phase)], np.float32)

    def targets(self, action: FloatArray, previous_target: FloatArray) -> FloatArray:
        """Joint position targets [rad] (J,) of an action."""
        return joint_targets(action, previous_target, self.spec, self._constants)

    def verify(self) -> float:
        """Replay the golden run; every runtime does so before it arms.

        Returns:
            The largest difference found.

        Raises:
            GoldenMismatchError: an observation or action differs by more than `GOLDEN_TOLERANCE`.
        """
        self.reset()
        worst = 0.0
        for step in range(len(self.golden.action)):
            sensors = Sensors(**{name: value[step] for name, value in self.golden.sensors.items()})
            observation = self.observe(sensors)
            action = self.act(observation)
            for what, got, want in (
                ("observation", observation, self.golden.observation[step]),
                ("action", action, self.golden.action[step]),
            ):
                error = float(np.max(np.abs(got - want)))
                if not error <= GOLDEN_TOLERANCE:
                    raise GoldenMismatchError(
                        f"{self.path}: {what} at golden step {step} differs by {error:.3g} (allowed {GOLDEN_TOLERANCE:g}); "
                        "do not run this file on a robot; export it again or check the runtime"
                    )
                worst = max(worst, error)
        self.reset()
        return worst


def _unreadable(path: Path, error: Exception) -> str:
    """What to say of a file that ONNX Runtime refuses, in one line; of a newer format, what to do."""
    said = " ".join(str(error).split())
    if re.search(r"Unsupported model IR version|Opset \d+ is under development", said):
        hint = f"ONNX Runtime {ONNX_RUNTIME} is too old for its format; upgrade onnxruntime (at least 1.19)"
        return f"{path} cannot be loaded: {hint}: {said}"
    return f"{path} is not an ONNX file that ONNX Runtime can load: {said}"


def _bind_array(bind: Any, name: str, array: FloatArray) -> None:
    bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)


def _session_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
