"""From a sensor message to the command that rests on it, over ROS 2 and Unitree's DDS between two processes, idle and with every core busy.

The robot's process sends its sensors at absolute deadlines and counts them in the position of the first joint. The policy process is
`python -m bridge.deploy`, unchanged; its network is the shipped one plus a path that hands that position through to the target, so each
command says which message it rests on. Both processes share the steady clock.

    sensor-to-command   arrival of a command - sending of the newest message that its tick saw
    tick-to-wire        arrival of a command - deadline of its tick
    echo                the same messages with nothing between: a process that answers each at once

The loop is driven by time: a message waits for the next tick, up to a period. `aligned` lets the ticks fall on the messages. Over
Unitree's DDS a command waits for the stream's next write too, up to 2 ms.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import Entry, Options, entry, say
from benchmarks.latency_codes import Result
from bridge.isolation import LOOPBACK_CYCLONE
from policies.install import install_command

POLICY = Path(__file__).resolve().parent.parent / "policies" / "zoo" / "go1-velocity.onnx"


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        wire: `ros2` or `unitree`.
        policy_hz, sensor_hz: rates.
        aligned: whether the ticks fall on the messages.
    """

    wire: str
    policy_hz: int
    sensor_hz: int
    aligned: bool = False

    @property
    def name(self) -> str:
        """As in the results."""
        wire = {"ros2": "ROS 2", "unitree": "Unitree's DDS"}[self.wire]
        return f"{wire}, policy {self.policy_hz} Hz, sensors {self.sensor_hz} Hz{', aligned' * self.aligned}"


CASES = (
    Case("ros2", 50, 50, aligned=True),
    Case("ros2", 50, 50),
    Case("ros2", 50, 500),
    Case("ros2", 50, 500, aligned=True),
    Case("ros2", 200, 200),
    Case("ros2", 500, 500),
    Case("unitree", 50, 500),
    Case("unitree", 50, 500, aligned=True),
    Case("unitree", 200, 500),
    Case("unitree", 500, 500),
)
PATIENT = (
    "sensor_timeout_s=0.5",
    "frozen_s=0.5",
    "max_lateness_s=0.5",
    "max_overruns=1000",
    "stand_s=0.1",
    "gain_ramp_s=0.1",
    "entry_ramp_s=0.001",
)


def coded_policy(path: Path, rate_hz: float, light: bool) -> None:
    """Write the shipped policy (`light`: without its network) at a rate, its first target handed through from the measured position."""
    import onnx
    from onnx import helper, numpy_helper

    from policies.contract.file import GOLDEN_KEY, MEMORY_KEY, PROVENANCE_KEY, SPEC_KEY, PolicyFile
    from policies.contract.golden import memory_to_text

    base = PolicyFile(POLICY)
    spec = dataclasses.replace(base.spec, control_dt=1 / rate_hz, clock_hz=base.spec.clock_hz if rate_hz == 50 else 1.0)
    model = onnx.load(str(POLICY))
    graph, steps = model.graph, min(40, len(base.golden.action))
    weights = np.zeros((spec.observation_dim, spec.action_dim), np.float32)
    names = [term.name for term in spec.terms]
    term = spec.terms[names.index("joint_position")]
    start = sum(other.dim for other in spec.terms[: names.index("joint_position")])
    weights[start, 0] = 1 / (term.scale * spec.action.scale[0])
    graph.initializer.append(numpy_helper.from_array(weights, "code_weights"))
    handed = helper.make_node("MatMul", ["state", "code_weights"], ["action" if light else "code"])
    if light:
        seen, done = (helper.make_tensor_value_info(*it) for it in (("state", 1, [1, len(weights)]), ("action", 1, [1, spec.action_dim])))
        graph = helper.make_graph([handed], "policy", [seen], [done], [numpy_helper.from_array(weights, "code_weights")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    else:
        for node in graph.node:
            node.output[:] = ["network_action" if name == "action" else name for name in node.output]
            node.input[:] = ["network_action" if name == "action" else name for name in node.input]
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
        graph.node.append(helper.make_node("Mul", ["network_action", "nothing"], ["quiet"]))
        graph.node.append(handed)
        graph.node.append(helper.make_node("Add", ["quiet", "code"], ["action"]))
    golden = dataclasses.replace(
        base.golden,
        sensors={name: value[:steps] for name, value in base.golden.sensors.items()},
        observation=base.golden.observation[:steps],
        action=base.golden.observation[:steps] @ weights,
    )
    del model.metadata_props[:]
    memory = "[]" if light else memory_to_text(base.memory)
    meta = {SPEC_KEY: spec.to_json(), MEMORY_KEY: memory, PROVENANCE_KEY: "{}", GOLDEN_KEY: golden.to_text()}
    helper.set_model_props(model, meta)
    onnx.save(model, str(path))


@contextmanager
def busy_cores(load: bool) -> Iterator[None]:
    """One process a core that never rests."""
    children = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range((os.cpu_count() or 1) if load else 0)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def measure(case: Case, role: str, policy: Path, load: bool, seconds: float) -> Result:
    """One pair of processes. Adds `tick`: tick-to-wire [ns]."""
    environment = {
        **os.environ,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(random.SystemRandom().randrange(102)),
        "CYCLONEDDS_URI": LOOPBACK_CYCLONE,
        "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
        "OMP_NUM_THREADS": "1",
    }
    here = [sys.executable, "-m", f"benchmarks.latency_{case.wire}"]
    events = policy.with_suffix(".jsonl")
    events.unlink(missing_ok=True)
    start = [sys.executable, "-m", "bridge.deploy", str(policy), "--transport", case.wire, "--ungated", "--auto-start"]
    start += ["--command", "0", "0", "0", "--events", str(events), "--log", str(policy.with_suffix(".mcap"))]
    start += [f"--limit={limit}" for limit in PATIENT] + (["--align-hz", str(case.sensor_hz)] if case.aligned else [])
    policy.with_suffix(".mcap").unlink(missing_ok=True)
    if role == "echo":
        start = [*here, "echo", str(policy)]
    with busy_cores(load), policy.with_suffix(".log").open("w") as output:
        child = subprocess.Popen(start, env=environment, stdout=output, stderr=output)
        try:
            command = [*here, "sensor", str(policy), "--rate", str(case.sensor_hz), "--seconds", str(seconds)]
            said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        finally:
            child.terminate()
            child.wait(10)
    result: Result = json.loads(said)
    if not result["latency"]:
        raise RuntimeError(f"no command came back; the policy process said:\n{policy.with_suffix('.log').read_text()}")
    if role != "echo" and not case.aligned:
        period = round(1e9 / case.policy_hz)
        told = [json.loads(line) for line in events.read_text().splitlines()]
        start_ns = next(event["t_ns"] for event in told if event["event"] == "transition" and event["to"] == "policy")
        phase = start_ns - np.median(told[-1]["late_us"]) * 1e3
        result["tick"] = [float((arrival - phase) % period) for arrival in result["arrival"]]
    return result


def run(options: Options) -> list[Entry]:
    """All cases, idle and loaded, each against the echo at the same rates in the same run."""
    entries: list[Entry] = []
    seconds = 0.5 if options.quick else options.seconds or 6.0
    installed = importlib.util.find_spec("cyclonedds") is not None and importlib.util.find_spec("unitree_sdk2py") is not None
    if not installed:
        say(f"Unitree's DDS is left out: {install_command('unitree')}")
    with tempfile.TemporaryDirectory() as folder:
        for case in (case for case in (CASES[:1] if options.quick else CASES) if installed or case.wire != "unitree"):
            policy = Path(folder) / f"{case.policy_hz}.onnx"
            coded_policy(policy, case.policy_hz, light=case.policy_hz != 50)
            for load in (False,) if options.quick else (False, True):
                name = f"latency: {case.name}, {'all cores busy' if load else 'idle'}"
                say(name)
                peer = measure(case, "echo", policy, load, min(seconds, 4.0))["latency"]
                ours = measure(case, "deploy", policy, load, seconds)
                for what, key in (("sensor-to-command", "latency"), ("tick-to-wire", "tick")):
                    for which, share in (("p50", 50), ("p99", 99), ("max", 100)) if key in ours else ():
                        value, other = np.percentile(ours[key], share), np.percentile(peer, share)
                        entries.append(entry(f"{name}: {what}, {which}", value * 1e-6, "ms", f"an echo, {which}", value / other))
    return entries
