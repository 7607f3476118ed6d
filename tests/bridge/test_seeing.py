"""A policy that sees in the bridge: every fault of a camera by injection, holding and damping, and logs that replay to the bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.camera_guards import CAMERA_GUARDS, SightWatch
from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.motion import Motion, MotionController
from bridge.control.safety import Mode, SafetyLimits
from bridge.control.sight import TIMES, Sight
from bridge.faults.injection import FaultyTransport
from bridge.faults.kinds import PICTURE_KINDS, Fault, FaultKind
from bridge.faults.pictures import FaultyEyes
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.logs.writer import LogError, LogWriter
from bridge.simulated.scenery import SimulatedCameras
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile
from policies.contract.spec import ImageSpec, ObservationGroup
from tests.bridge_helpers import good_inputs
from tests.make_policy import arm_spec
from tests.seeing_arm import Noise, StubArm, exported, seeing

K = FaultKind
GOAL = np.array([0.1, 0.2, 0.3])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("policy") / "seeing.onnx", apart=True).path


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its encoders inside the step."""
    return exported(tmp_path_factory.mktemp("policy") / "inside.onnx", apart=False).path


@dataclass
class Run:
    """What happened, tick by tick, at 50 Hz of simulated time."""

    controller: Controller
    events: list[Mapping[str, Any]]
    modes: list[Mode]
    waits: list[str | None]
    sent: list[JointCommand]
    eyes: FaultyEyes
    transport: FaultyTransport

    @property
    def policy_s(self) -> float:
        return self.modes.count(Mode.POLICY) * 0.02


def run(
    path: Path,
    *faults: Fault,
    seconds: float = 3.0,
    image_fault: Any = "damp",
    log: Path | None = None,
    pictures: Any = "png",
    limits: Mapping[str, float] | None = None,
    period: Mapping[str, int] | None = None,
) -> Run:
    """Deploy in lock-step: stands for 0.2 s, then the policy."""
    policy = PolicyFile(path)
    spec = policy.spec
    events: list[Mapping[str, Any]] = []
    controller = Controller(
        policy, SafetyLimits.of(spec, {"stand_s": 0.2, **(limits or {})}), on_event=events.append, image_fault=image_fault
    )
    controller.arm()
    controller.auto_start()
    eyes = FaultyEyes(policy)
    cameras = SimulatedCameras(eyes, Noise(spec), spec.control_dt)
    if period is not None:
        cameras._period_ns |= period
    wire = SimTransport(StubArm(spec), spec.robot.joint_names, GOAL, cameras=cameras)
    transport = FaultyTransport(wire, spec, faults, message_period_s=0.005)
    eyes.transport = transport
    recorder = None
    if log is not None:
        recorder = LogWriter(log, controller, transport="sim", auto_start=True, patient=True, pictures=pictures)
        eyes.on_sight = recorder.sight

        def listen(event: Mapping[str, Any]) -> None:
            events.append(event)
            recorder.event(event)

        controller.on_event = listen
    result = Run(controller, events, [], [], [], eyes, transport)
    write = transport.write

    def watched(command: JointCommand) -> None:
        result.modes.append(controller.mode)
        result.waits.append(controller.waited)
        result.sent.append(command)
        write(command)

    transport.write = watched  # type: ignore[method-assign]
    try:
        ControlLoop(controller, transport, recorder).run(seconds)
    finally:
        if recorder is not None:
            recorder.close()
            assert recorder.failure is None
    return result


def test_a_policy_that_sees_runs_and_each_picture_is_given_once(path: Path) -> None:
    done = run(path)
    assert done.policy_s == pytest.approx(2.75, abs=0.1)
    assert {name: sight.number for name, sight in done.eyes.newest.items()} == {"left": 32, "right": 32}  # at 10 Hz, also in the farewell
    assert done.eyes.newest["left"].hz == pytest.approx(10, rel=0.05)
    moved = np.abs(done.sent[-20].position - np.array(done.controller.spec.robot.default_pose)).max()
    assert moved > 0.2, "nothing could be frozen in a robot that stands still"


def test_apart_or_inside_the_step_gives_the_same_run(path: Path, inside: Path) -> None:
    apart, whole = run(path, seconds=1.5), run(inside, seconds=1.5)
    assert whole.eyes.newest["left"].latent is None
    for one, two in zip(apart.sent, whole.sent, strict=True):
        np.testing.assert_allclose(one.position, two.position, atol=1e-6)


CASES = [
    (Fault(kind=K.PICTURE_LOSS, at_s=1.0, duration_s=9), {"stale_picture"}, 0.45),
    (Fault(kind=K.PICTURE_FROZEN, at_s=1.0, duration_s=9), {"frozen_picture"}, 1.2),
    (Fault(kind=K.PICTURE_STAMP, at_s=1.0, duration_s=9), {"late_picture", "frozen_picture"}, 0.45),
    (Fault(kind=K.PICTURE_DELAY, at_s=1.0, duration_s=9, size=0.5), {"late_picture"}, 0.15),
    (Fault(kind=K.PICTURE_DELAY, at_s=1.0, duration_s=9, size=-0.5), {"late_picture"}, 0.15),
    (Fault(kind=K.PICTURE_BLACK, at_s=1.0, duration_s=9), {"black_picture"}, 0.15),
    (Fault(kind=K.PICTURE_BLACK, at_s=1.0, duration_s=9, size=200, index=1), {"black_picture"}, 0.15),
    (Fault(kind=K.PICTURE_SIZE, at_s=1.0, duration_s=9, size=1), {"picture_fault"}, 0.15),
]


def test_every_kind_of_fault_has_its_case() -> None:
    assert {fault.kind for fault, *_ in CASES} == PICTURE_KINDS
    guards = {guard.name for guard in CAMERA_GUARDS} - {"slow_camera"}  # which has a test of its own
    assert set().union(*(names for _, names, _ in CASES)) == guards


@pytest.mark.parametrize(("fault", "guards", "within_s"), CASES)
def test_a_fault_of_a_camera_damps(path: Path, fault: Fault, guards: set[str], within_s: float, tmp_path: Path) -> None:
    done = run(path, fault, log=tmp_path / "run.mcap")
    last = next(event for event in done.events if event["event"] == "transition" and event["to"] == "damping" and event["from"] == "policy")
    assert {part.split(":")[0] for part in last["cause"].split("; ")} & guards, last["cause"]
    assert 0 <= last["t_ns"] * 1e-9 - 1.0 <= within_s
    assert done.modes[-1] is Mode.DAMPING
    assert not done.sent[-1].drives
    result = replay(read_log(tmp_path / "run.mcap"))
    assert result.whole
    assert result.worst == 0
    assert not result.states
    assert float(result.command_difference.max()) == 0


def test_one_picture_that_is_lost_harms_nothing(path: Path) -> None:
    done = run(path, Fault(kind=K.PICTURE_LOSS, at_s=1.0, duration_s=0.15))
    assert done.modes[-1] is Mode.POLICY or done.modes[-10] is Mode.POLICY


def test_a_quiet_scene_is_not_a_frozen_camera(path: Path) -> None:
    """The same picture again and again while the robot stands still: only one that moves has to see a change."""
    done = run(path, Fault(kind=K.PICTURE_FROZEN, at_s=0.4, duration_s=9), limits={"picture_motion": 100.0})
    assert done.modes[-10] is Mode.POLICY
    waiting = run(path, Fault(kind=K.PICTURE_FROZEN, at_s=0.05, duration_s=9), limits={"stand_s": 2.0}, seconds=2.3)
    assert waiting.modes[-10] is Mode.POLICY, "it stood for two seconds before one picture"


def test_a_robot_that_sets_off_is_not_ahead_of_its_camera() -> None:
    """After a long quiet time a joint moves far before the next picture comes, and the one after may still show the time before."""
    spec = seeing(arm_spec())
    watch, now_ns = SightWatch(spec), 0

    def see(number: int, position: float) -> float:
        nonlocal now_ns
        now_ns += 100_000_000
        reading = good_inputs(spec, now_ns).reading
        assert reading is not None
        reading.position = np.array([position, 0.0])
        watch.update({"left": Sight(number, 0, now_ns, now_ns, 1, 0, 0.5, 0.5, 10.0)}, reading)
        return watch.moved["left"]

    assert [see(1, 0.0), see(2, 0.0), see(2, 0.3), see(3, 0.5)] == [0, 0, 0, 0]
    assert see(3, 0.6) == 0
    assert see(4, 0.6) == 0.5


def test_pictures_that_come_too_rarely_are_noticed(path: Path) -> None:
    slow = {"left": 250_000_000}
    done = run(path, seconds=3.0, period=slow)
    causes = [str(event["cause"]) for event in done.events if event["event"] == "transition"]
    assert any(cause.startswith("slow_camera: pictures of left come at 4.0") for cause in causes), "it ran until the rate was known"
    assert done.controller.waited is None or "slow_camera" in done.controller.waited
    assert run(path, seconds=3.0, period=slow, limits={"picture_rate": 0.3}).modes[-10] is Mode.POLICY


def test_it_does_not_start_blind(path: Path) -> None:
    done = run(path, Fault(kind=K.PICTURE_LOSS, at_s=0.0, duration_s=0.95), seconds=2.0)
    began = next(event for event in done.events if event["event"] == "transition" and event["to"] == "policy")
    assert 0.95 <= began["t_ns"] * 1e-9 <= 1.1
    assert "start: stale_picture: no picture of left yet" in done.waits


def test_it_holds_still_and_goes_on(path: Path, tmp_path: Path) -> None:
    done = run(path, Fault(kind=K.PICTURE_BLACK, at_s=1.0, duration_s=0.75), image_fault="hold", log=tmp_path / "run.mcap")
    remarks = [(event["t_ns"] * 1e-9, event["text"]) for event in done.events if event["event"] == "remark"]
    (begin_s, begun), (end_s, ended) = remarks
    assert begun.startswith("holding still: black_picture: the picture of left is black")
    assert ended == "pictures are good again: the policy starts anew"
    assert (begin_s, end_s) == (pytest.approx(1.0, abs=0.11), pytest.approx(1.8, abs=0.11))
    held = done.sent[round(begin_s / 0.02) + 2 : round(end_s / 0.02) - 2]
    assert len(held) > 20
    assert all(command.drives for command in held)
    assert np.ptp([command.position for command in held], axis=0).max() < 1e-9
    steps = np.abs(np.diff([command.position for command in done.sent[30:-10]], axis=0)).max()
    assert steps < 0.02, "a jump where it holds or goes on"
    assert done.modes[-10] is Mode.POLICY
    result = replay(read_log(tmp_path / "run.mcap"))
    assert result.whole
    assert (result.worst, result.states, float(result.command_difference.max())) == (0, [], 0)


def test_a_hold_ends_in_damping(path: Path) -> None:
    done = run(path, Fault(kind=K.PICTURE_LOSS, at_s=1.0, duration_s=9), image_fault="hold", limits={"picture_hold_s": 0.5})
    last = next(event for event in done.events[::-1] if event["event"] == "transition")
    assert (last["from"], last["to"]) == ("policy", "damping")
    assert 1.7 <= last["t_ns"] * 1e-9 <= 1.8  # the last picture is of 0.9 s; 0.3 to notice, 0.5 of holding
    other = run(path, Fault(kind=K.TILT, at_s=9), Fault(kind=K.LOSS, at_s=1.2, duration_s=9, size=1.0), image_fault="hold")
    assert other.modes[-1] is Mode.DAMPING, "holding is for pictures alone"


def test_a_motion_needs_no_pictures(path: Path) -> None:
    policy = PolicyFile(path)
    joints = policy.spec.robot.num_joints
    still = np.zeros((2, joints))
    motion = Motion(name="still", time_s=np.array([0.0, 1.0]), target=still, kp=still + 50, kd=still + 5, base_held=False)
    moving = MotionController(policy, motion)
    moving.arm()
    moving.tick(20_000_000, good_inputs(policy.spec, 20_000_000))
    assert not moving.problems
    seeing_one = Controller(policy)
    seeing_one.arm()
    seeing_one.tick(20_000_000, good_inputs(policy.spec, 20_000_000))
    assert [problem.guard.name for problem in seeing_one.problems] == ["stale_picture"]


def test_thresholds_follow_the_slowest_camera() -> None:
    spec = seeing(arm_spec())
    assert SafetyLimits.of(spec).picture_timeout_s == pytest.approx(0.3)
    slow = tuple(group if group.image is None else dataclasses.replace(group, every=25) for group in spec.observation)
    assert SafetyLimits.of(dataclasses.replace(spec, observation=slow)).picture_timeout_s == pytest.approx(1.5)


# the log ----------------------------------------------------------------------------------------------------------------


def test_the_log_holds_each_picture_once_and_replays_to_the_bit(inside: Path, path: Path, tmp_path: Path) -> None:
    for name, file in (("apart", path), ("inside", inside)):
        done = run(file, seconds=2.0, log=tmp_path / f"{name}.mcap")
        log = read_log(tmp_path / f"{name}.mcap")
        assert len(log.pictures["left"]) == done.eyes.newest["left"].number
        numbers = log.ticks["sight_times"][:, 0, TIMES.index("number")]
        assert numbers.max() == len(log.pictures["left"]) - 1  # one came in the farewell
        result = replay(log)
        assert result.whole
        assert (result.worst, result.states) == (0, [])
        assert result.inferred.sum() > 50


def test_depth_and_labels_replay_to_the_bit(tmp_path: Path) -> None:
    spec = arm_spec()
    common = {"width": 8, "height": 6, "frame": "eye", "fx": 5.0, "fy": 5.0, "cx": 3.5, "cy": 2.5}
    groups = (
        ObservationGroup(name="left", image=ImageSpec(kind="depth", near=0.1, far=3.0, **common), dtype="float32", every=5),
        ObservationGroup(name="right", image=ImageSpec(kind="rgb", **common), dtype="uint8", every=2),
    )
    spec = dataclasses.replace(spec, observation=(*spec.observation, *groups), history_steps=0)
    file = mixed(tmp_path / "mixed.onnx", spec)
    run(file.path, seconds=1.0, log=tmp_path / "run.mcap", pictures="jpeg")
    log = read_log(tmp_path / "run.mcap")
    assert log.metadata["pictures"] == "jpeg"
    assert len(log.pictures["right"]) > 2 * len(log.pictures["left"])
    run(file.path, seconds=1.0, log=tmp_path / "exact.mcap")
    result = replay(read_log(tmp_path / "exact.mcap"))
    assert (result.worst, result.states) == (0, [])
    assert 0 < replay(log).worst < 0.05, "JPEG changes pictures a little, and so actions"


def mixed(path: Path, spec: Any) -> PolicyFile:
    """A file with a camera of depth and one of colours, both encoded apart."""
    import torch

    from policies.export.onnx_graph import export_student
    from tests.make_policy import make_policy
    from tests.seeing_arm import Seeing, Small

    class Depth(torch.nn.Module):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return picture.flatten(1)[:, :4]

    torch.manual_seed(0)
    net = Seeing(spec, {"left": Depth(), "right": Small()}, apart=True)
    sensors = {name: value[:12] for name, value in PolicyFile(make_policy(path.with_name("plain.onnx"), arm_spec())).golden.sensors.items()}
    rng = np.random.default_rng(1)
    pictures = {"left": rng.uniform(0, 1, (3, 6, 8, 1)).astype("f4"), "right": rng.integers(0, 256, (6, 6, 8, 3), np.uint8)}
    return export_student(net, spec, sensors, {}, path, pictures)


def test_groups_of_terms_beside_the_state_are_given_too(tmp_path: Path) -> None:
    """Each at its own rate, as in training: what the network gets is what it would get there."""
    import torch

    from policies.contract.spec import ObservationTerm
    from policies.export.onnx_graph import export_student
    from policies.networks.protocol import Memory, Network, NetworkCfg
    from tests.make_policy import make_policy

    class Slow(Network):
        groups = ("state", "slow")

        def __init__(self) -> None:
            super().__init__()
            self.cfg = NetworkCfg(kind="slow")

        def start(self, worlds: int) -> Memory:
            return {"none": torch.zeros(worlds, 1)}

        def step(self, observations: Any, memory: Memory) -> tuple[torch.Tensor, Memory]:
            return 0.1 + 0.01 * observations["slow"][:, :2] + 0.0 * observations["state"][:, :2], memory

    slow = ObservationGroup(name="slow", terms=(ObservationTerm(name="joint_position", dim=2, unit="rad", frame="joint"),), every=4)
    spec = dataclasses.replace(arm_spec(), observation=(*arm_spec().observation, slow), history_steps=0)
    sensors = {name: value[:12] for name, value in PolicyFile(make_policy(tmp_path / "plain.onnx", arm_spec())).golden.sensors.items()}
    file = export_student(Slow(), spec, sensors, {}, tmp_path / "slow.onnx")
    controller = Controller(file, SafetyLimits.of(spec, {"stand_s": 0.2}))
    controller.arm()
    controller.auto_start()
    transport = SimTransport(StubArm(spec), spec.robot.joint_names, GOAL)
    actions: list[Any] = []
    transport.on_tick = lambda status: actions.append(controller.action.copy()) if controller.inferred else None
    ControlLoop(controller, transport).run(1.0)
    values = np.array(actions)
    assert len(values) > 30
    changes = np.flatnonzero(np.diff(values[:, 0]) != 0) + 1
    assert (changes % 4 == 0).all()
    assert len(changes) > 5


def edited(source: Path, target: Path, keep: Any) -> Path:
    """A copy of a log by another tool, with the messages that `keep(topic, index)` wants."""
    from mcap.reader import make_reader
    from mcap.writer import Writer

    with source.open("rb") as file, target.open("wb") as out:
        reader, writer = make_reader(file), Writer(out)
        writer.start()
        schemas: dict[int, int] = {}
        channels: dict[int, int] = {}
        count: dict[str, int] = {}
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            if channel.id not in channels:
                schemas.setdefault(schema.id, writer.register_schema(schema.name, schema.encoding, schema.data))
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, schemas[schema.id])
            index = count[channel.topic] = count.get(channel.topic, -1) + 1
            if keep(channel.topic, index):
                writer.add_message(channels[channel.id], message.log_time, message.data, message.publish_time, message.sequence)
        for item in reader.iter_attachments():
            writer.add_attachment(item.create_time, item.log_time, item.name, item.media_type, item.data)
        for meta in reader.iter_metadata():
            writer.add_metadata(meta.name, meta.metadata)
        writer.finish()
    return target


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (lambda topic, index: topic != "/sensors/left/image", "lacks picture 1 of left: /sensors/left/image was removed"),
        (lambda topic, index: topic != "/sensors/right/image" or index != 4, "lacks picture 5 of right"),
        (lambda topic, index: topic != "/policy/pictures", "lacks /policy/pictures"),
    ],
)
def test_a_log_without_its_pictures_says_which(path: Path, tmp_path: Path, keep: Any, said: str) -> None:
    run(path, seconds=1.0, log=tmp_path / "run.mcap")
    assert replay(read_log(edited(tmp_path / "run.mcap", tmp_path / "whole.mcap", lambda topic, index: True))).worst == 0
    with pytest.raises(LogError, match=said):
        replay(read_log(edited(tmp_path / "run.mcap", tmp_path / "cut.mcap", keep)))


def test_a_part_of_a_log_is_replayed_on_its_pictures(path: Path, tmp_path: Path) -> None:
    run(path, seconds=2.5, log=tmp_path / "run.mcap")
    ticks = read_log(tmp_path / "run.mcap").ticks
    begin = int(np.flatnonzero(ticks["flags"] & 16)[0]) - 3
    per_tick: Sequence[str] = ("/policy/tick",)
    cut = edited(tmp_path / "run.mcap", tmp_path / "part.mcap", lambda topic, index: topic not in per_tick or index >= begin)
    result = replay(read_log(cut))
    assert result.judged.sum() > 50
    assert result.worst == 0
