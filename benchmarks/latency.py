"""From a sensor message to the command that rests on it, over ROS 2 between two processes, idle and with every core busy.

The sensor process sends JointState and Imu at absolute deadlines and counts them in the position of the first joint, a milliradian each.
The policy process is `python -m bridge.deploy`, unchanged; its network is the shipped one plus a path that hands that position through
to the target, so each command says which message it rests on. Both processes share the steady clock.

    sensor-to-command   arrival of a command - sending of the newest message that its tick saw
    tick-to-wire        arrival of a command - deadline of its tick
    echo                the same messages with nothing between: a process that answers each JointState at once

The loop is driven by time: a message waits for the next tick, up to a period. `aligned` moves the ticks to just after the messages.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Entry, Options, entry, say
from bridge.isolation import LOOPBACK_CYCLONE, isolate
from bridge.priority import raise_priority

POLICY = Path(__file__).resolve().parent.parent / "policies" / "zoo" / "go1-velocity.onnx"
CODES, CODE = 50, 0.001  # messages told apart; radians each
CASES = ((50, 50, False), (50, 50, True), (50, 500, False), (200, 200, False), (500, 500, False))
"""Rate of the policy, of the sensors [Hz], aligned."""
PATIENT = (
    "sensor_timeout_s=0.5",
    "frozen_s=0.5",
    "max_lateness_s=0.5",
    "max_overruns=1000",
    "stand_s=0.1",
    "gain_ramp_s=0.1",
    "entry_ramp_s=0.001",
)
Result = dict[str, list[float]]


def coded_policy(path: Path, rate_hz: float, light: bool) -> None:
    """Write the shipped policy (`light`: without its network) at a rate, its first target handed through from the measured position."""
    import onnx
    from onnx import helper, numpy_helper

    from policies.file import GOLDEN_KEY, PROVENANCE_KEY, SPEC_KEY, PolicyFile

    base = PolicyFile(POLICY)
    spec = dataclasses.replace(base.spec, control_dt=1 / rate_hz, clock_hz=base.spec.clock_hz if rate_hz == 50 else 1.0)
    model = onnx.load(str(POLICY))
    graph, steps = model.graph, min(40, len(base.golden.action))
    weights = np.zeros((spec.observation_dim, spec.action_dim), np.float32)
    names = [term.name for term in spec.observation]
    term = spec.observation[names.index("joint_position")]
    start = sum(other.dim for other in spec.observation[: names.index("joint_position")])
    weights[start, 0] = 1 / (term.scale * spec.action.scale[0])
    graph.initializer.append(numpy_helper.from_array(weights, "code_weights"))
    handed = helper.make_node("MatMul", ["observation", "code_weights"], ["action" if light else "code"])
    if light:
        seen, done = (
            helper.make_tensor_value_info(*it) for it in (("observation", 1, [1, len(weights)]), ("action", 1, [1, spec.action_dim]))
        )
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
    helper.set_model_props(model, {SPEC_KEY: spec.to_json(), PROVENANCE_KEY: "{}", GOLDEN_KEY: golden.to_json()})
    onnx.save(model, str(path))


def sensor(policy: Path, rate_hz: float, seconds: float, patience_s: float = 20.0) -> Result:
    """The robot's side: publish, listen, and time every command. Returns lists of [ns]."""
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Imu, JointState
    from std_msgs.msg import Float64MultiArray

    from bridge.physics_robot import Sample
    from bridge.transports.ros2_messages import encode_sensors
    from policies.file import PolicyFile

    spec = PolicyFile(policy).spec
    raise_priority()
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node: Any = rclpy.create_node("sensor", context=context, start_parameter_services=False)
    executor: Any = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    joints, imu = node.create_publisher(JointState, "joint_states", newest), node.create_publisher(Imu, "imu", newest)
    sent_ns = [0] * CODES
    result: Result = {"latency": [], "arrival": []}
    coded = False
    home = spec.robot.default_pose[0]

    def on_command(message: Any) -> None:
        nonlocal coded
        now_ns = time.monotonic_ns()
        code = (message.data[0] - home) / CODE
        if message.data[3] < 0.999 * spec.robot.kp[0] or abs(code - round(code)) > 0.1:
            return  # still standing up
        coded = coded or round(code) != 0
        if coded:
            result["latency"].append(now_ns - sent_ns[round(code) % CODES])
            result["arrival"].append(now_ns)

    node.create_subscription(Float64MultiArray, "impedance_command", on_command, QoSProfile(depth=10))
    pose, zero = np.array(spec.robot.default_pose), np.zeros(spec.robot.num_joints)
    period_ns = round(1e9 / rate_hz)
    deadline_ns = begin_ns = time.monotonic_ns()
    gc.collect()
    gc.disable()
    number = 0
    while (deadline_ns - begin_ns) * 1e-9 < patience_s and not (result["arrival"] and deadline_ns - result["arrival"][0] > seconds * 1e9):
        deadline_ns += period_ns
        while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
            executor.spin_once(timeout_sec=left_ns * 1e-9)
        number += 1
        position = pose.copy()
        position[0] += CODE * (number % CODES)
        now_ns = time.monotonic_ns()
        sample = Sample(position, zero, zero, np.array([1.0, 0, 0, 0]), np.zeros(3), now_ns)
        sent_ns[number % CODES] = now_ns
        messages = encode_sensors(sample, spec.robot.joint_names, now_ns, "")
        imu.publish(messages[1])
        joints.publish(messages[0])
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
    return result


def echo(policy: Path) -> None:
    """The peer: answer each JointState with a command of the same size, as soon as it comes."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Imu, JointState
    from std_msgs.msg import Float64MultiArray

    del policy
    raise_priority()
    rclpy.init()
    node: Any = rclpy.create_node("echo", start_parameter_services=False)
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(Float64MultiArray, "impedance_command", QoSProfile(depth=1))

    def answer(message: Any) -> None:
        publisher.publish(Float64MultiArray(data=[message.position[0], 0.0, 0.0, 1e9, 1.0] * len(message.position)))

    node.create_subscription(JointState, "joint_states", answer, newest)
    node.create_subscription(Imu, "imu", lambda message: None, newest)
    while True:
        rclpy.spin_once(node, timeout_sec=0.1)


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


def measure(case: tuple[int, int, bool], role: str, policy: Path, load: bool, seconds: float) -> Result:
    """One pair of processes. Adds `tick`: tick-to-wire [ns]."""
    policy_hz, sensor_hz, aligned = case
    environment = {
        **os.environ,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(random.SystemRandom().randrange(102)),
        "CYCLONEDDS_URI": LOOPBACK_CYCLONE,
        "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
        "OMP_NUM_THREADS": "1",
    }
    here = [sys.executable, "-m", "benchmarks.latency"]
    log = policy.with_suffix(".jsonl")
    limits = [f"--limit={limit}" for limit in PATIENT]
    deploy = [str(policy), "--transport", "ros2", "--ungated", "--auto-start", "--command", "0", "0", "0", "--events", str(log), *limits]
    start = [sys.executable, "-m", "bridge.deploy", *deploy]
    if role == "echo":
        start = [*here, "echo", str(policy)]
    elif aligned:
        start = [sys.executable, "-m", "bridge.deploy", *deploy, "--align-hz", str(sensor_hz)]
    with busy_cores(load), policy.with_suffix(".log").open("w") as output:
        child = subprocess.Popen(start, env=environment, stdout=output, stderr=output)
        try:
            command = [*here, "sensor", str(policy), "--rate", str(sensor_hz), "--seconds", str(seconds)]
            said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        finally:
            child.terminate()
            child.wait(10)
    result: Result = json.loads(said)
    if not result["latency"]:
        raise RuntimeError(f"no command came back; the policy process said:\n{policy.with_suffix('.log').read_text()}")
    if role != "echo" and not aligned:
        period = round(1e9 / policy_hz)
        events = [json.loads(line) for line in log.read_text().splitlines()]
        start_ns = next(event["t_ns"] for event in events if event["event"] == "transition" and event["to"] == "policy")
        phase = start_ns - np.median(events[-1]["late_us"]) * 1e3
        result["tick"] = [float((arrival - phase) % period) for arrival in result["arrival"]]
    return result


def run(options: Options) -> list[Entry]:
    """All cases, idle and loaded, each against the echo at the same rates in the same run."""
    entries: list[Entry] = []
    seconds = 0.5 if options.quick else options.seconds or 6.0
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES[:1] if options.quick else CASES:
            policy = Path(folder) / f"{case[0]}.onnx"
            coded_policy(policy, case[0], light=case[0] != 50)
            for load in (False,) if options.quick else (False, True):
                name = f"latency: policy {case[0]} Hz, sensors {case[1]} Hz{', aligned' * case[2]}, {'all cores busy' if load else 'idle'}"
                say(name)
                peer = measure(case, "echo", policy, load, min(seconds, 4.0))["latency"]
                ours = measure(case, "deploy", policy, load, seconds)
                for what, key in (("sensor-to-command", "latency"), ("tick-to-wire", "tick")):
                    for which, share in (("p50", 50), ("p99", 99), ("max", 100)) if key in ours else ():
                        value, other = np.percentile(ours[key], share), np.percentile(peer, share)
                        entries.append(entry(f"{name}: {what}, {which}", value * 1e-6, "ms", f"an echo, {which}", value / other))
    return entries


def main() -> None:
    """A child process of the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("sensor", "echo"))
    parser.add_argument("policy", type=Path)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    isolate()
    if options.role == "sensor":
        print(json.dumps(sensor(options.policy, options.rate, options.seconds)))
    else:
        echo(options.policy)


if __name__ == "__main__":
    main()
