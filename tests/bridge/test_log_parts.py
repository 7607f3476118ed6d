"""A part is not taken for the whole: what cuts, joins, sorts, filters or re-compresses a log never makes `replay` answer wrongly."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from bridge.control.controller import Controller
from bridge.control.reading import Inputs
from bridge.control.safety import Event
from bridge.control.ticks import INFERRED
from bridge.logs.reader import newest_run, read_log
from bridge.logs.replay import Replay, replay
from bridge.logs.writer import LogError, LogWriter
from policies.contract.file import PolicyFile
from robolearn.cli import main
from tests.bridge.test_log import run_logged
from tests.bridge_helpers import good_reading
from tests.log_edits import COMPRESSIONS, UNCHUNKED, Piece, Recording, by_topic, load, save
from tests.make_policy import make_policy

REACH = 31  # ticks that the shipped policies look back, itself included: 2 layers of a window of 16


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5 s of a Go1: stand until 2 s, then the policy, damping at the end."""
    path = tmp_path_factory.mktemp("whole") / "run.mcap"
    run_logged("go1-velocity", path, 5.0)
    return path


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Started by a person twice, with a request that is refused and an emergency stop."""
    path = tmp_path_factory.mktemp("asked") / "run.mcap"
    requests = {3: Event.START, 5: Event.STAND, 115: Event.START, 170: Event.ESTOP, 180: Event.STAND, 185: Event.RESET, 190: Event.STAND}
    run_logged("go1-velocity", path, 8.0, requests=requests | {300: Event.START, 360: Event.STOP})
    return path


@pytest.fixture(scope="module")
def recording(whole: Path) -> Recording:
    return load(whole)


def replayed(recording: Recording, path: Path, **options: Any) -> Replay:
    return replay(read_log(save(recording, path, **options)))


def same_as_the_whole(result: Replay, path: Path, whole: Path) -> None:
    assert result.same(0.0)
    assert not result.notes
    assert result.whole
    ours, theirs = read_log(path), read_log(whole)
    np.testing.assert_array_equal(ours.ticks, theirs.ticks)
    assert [event["event"] for event in ours.events] == [event["event"] for event in theirs.events]


REARRANGED: dict[str, Any] = {
    "by topic": lambda r: Recording(by_topic(r.pieces), r.metadata, r.attachments),
    "backwards": lambda r: Recording(r.pieces[::-1], r.metadata, r.attachments),
    "shuffled": lambda r: Recording(random.Random(1).sample(r.pieces, len(r.pieces)), r.metadata, r.attachments),
    "joined with itself": lambda r: r.joined(r),
    "joined with itself, sorted": lambda r: Recording(by_topic(r.pieces + r.pieces), r.metadata, r.attachments),
    "without sequence numbers": lambda r: r.change(lambda p: p._replace(sequence=0)),
    "shifted": lambda r: r.change(lambda p: p._replace(log_ns=p.log_ns - 10**18, publish_ns=p.publish_ns - 10**18)),
    "logged anew": lambda r: Recording([p._replace(log_ns=10**9 + i) for i, p in enumerate(r.pieces)], r.metadata, r.attachments),
    "in a namespace": lambda r: r.change(lambda p: p._replace(topic=f"/robot1{p.topic}")),
    "with another recording": lambda r: r.joined(
        Recording([Piece("/camera", "sensor_msgs/msg/Image", b"", b"\0", p.log_ns + 7, p.publish_ns, 0) for p in r.pieces[::9]])
    ),
    "with the driver's own messages": lambda r: r.joined(
        Recording([p._replace(data=b"\0\1\0\0short", log_ns=p.log_ns + 7) for p in r.pieces if p.topic in ("/joint_states", "/imu")])
    ),
    "text topic left out": lambda r: r.without("/policy/state"),
}


@pytest.mark.parametrize("how", REARRANGED)
def test_a_whole_log_in_another_order_replays_whole(how: str, whole: Path, recording: Recording, tmp_path: Path) -> None:
    same_as_the_whole(replayed(REARRANGED[how](recording), tmp_path / "run.mcap"), tmp_path / "run.mcap", whole)


OTHERWISE_WRITTEN: dict[str, dict[str, Any]] = {
    **{f"compression {name}": {"compression": kind} for name, kind in COMPRESSIONS.items()},
    "small chunks": {"chunk_size": 2000},
    "no chunks": UNCHUNKED,
    "no index": {"index": False},
    "no check sums": {"enable_crcs": False},
    "other channel numbers": {"renumber": 40},
}


@pytest.mark.parametrize("how", OTHERWISE_WRITTEN)
def test_a_log_written_otherwise_replays_whole(how: str, whole: Path, recording: Recording, tmp_path: Path) -> None:
    same_as_the_whole(replayed(recording, tmp_path / "run.mcap", **OTHERWISE_WRITTEN[how]), tmp_path / "run.mcap", whole)


@pytest.mark.parametrize("name", ["go1-velocity", "panda-reach", "g1-velocity"])
def test_a_log_without_its_begin_is_judged_from_where_the_memory_is_known(name: str, tmp_path: Path) -> None:
    run_logged(name, tmp_path / "run.mcap", 5.0)
    result = replayed(load(tmp_path / "run.mcap").cut(3.0), tmp_path / "cut.mcap")
    first = int(read_log(tmp_path / "cut.mcap").ticks["index"][0])
    assert len(result.notes) == 1
    assert result.notes[0].startswith(
        f"begins at tick {first}, so the memory before is unknown; compared are actions from tick {first + REACH - 1} on"
    )
    assert result.same(0.0)
    assert result.worst == 0.0
    assert result.judged.sum() == result.inferred.sum() - (REACH - 1)
    assert not result.judged[: REACH - 1].any()
    assert not result.whole


def test_the_command_line_says_what_it_has_judged(recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = save(recording.cut(3.0), tmp_path / "cut.mcap")
    assert main(["replay", str(cut), "--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "plot.png")]) == 0
    said = capsys.readouterr().out
    assert "part of a run: begins at tick 150, so the memory before is unknown; compared are actions from tick 180 on (0.60 s), " in said
    assert "the same within 1e-05, at the " in said
    assert "first difference" not in said
    assert '"judged": ' in (tmp_path / "out.json").read_text()
    assert main(["replay", str(save(recording.cut(4.6, 4.9), tmp_path / "short.mcap"))]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "can be judged: begins at tick" in said
    assert "nothing after it can be compared" in said


def test_a_difference_in_a_part_is_still_found(recording: Recording, tmp_path: Path) -> None:
    """Of an action, where the policy runs alone; of what was sent and of the state, where the controller is followed."""
    log = read_log(save(recording.cut(3.0), tmp_path / "cut.mcap"))
    log.ticks["action"][60, 3] += 1e-3
    result = replay(log)
    assert not result.same()
    assert result.first() == 60
    log = read_log(save(recording.cut(0.5), tmp_path / "stand.mcap"))
    row = int(np.flatnonzero(log.ticks["flags"] & INFERRED)[3])
    log.ticks["action"][row, 3] += 1e-3
    assert replay(log).first() == row


def test_an_entry_into_the_policy_empties_its_memory_so_all_is_judged_from_there(recording: Recording, tmp_path: Path) -> None:
    result = replayed(recording.cut(0.5), tmp_path / "cut.mcap")
    assert result.same(0.0)
    assert result.judged.sum() == result.inferred.sum() > 100


def test_from_damping_on_all_is_judged_again(asked: Path, tmp_path: Path) -> None:
    result = replayed(load(asked).cut(2.6), tmp_path / "cut.mcap")  # in the first run of the policy
    first_tick = int(read_log(tmp_path / "cut.mcap").ticks["index"][0])
    assert result.same(0.0), (result.first(), result.states, result.command_difference.max())
    assert not result.states
    followed = int(np.flatnonzero(result.followed)[0])
    assert result.followed[followed:].all()
    assert 185 <= followed + first_tick <= 190
    assert result.judged[followed:].sum() == result.inferred[followed:].sum() > 50
    assert f"states and commands from tick {followed + first_tick} on" in result.notes[0]


@pytest.mark.parametrize("length_s", [1.0, 9.0])
def test_wherever_a_log_is_cut_it_is_never_called_different(length_s: float, asked: Path, tmp_path: Path) -> None:
    recorded = load(asked)
    for begin_s in np.arange(0.1, 7.9, 0.43):
        cut = save(recorded.cut(float(begin_s), float(begin_s) + length_s), tmp_path / "cut.mcap")
        try:
            result = replay(read_log(cut))
        except LogError as error:
            if "can be judged: begins at tick" not in str(error):
                raise
        else:
            assert result.same(0.0), (result.first(), result.states)
            assert result.notes[0].startswith("begins at")


def test_a_hole_is_told_and_judged_around(recording: Recording, asked: Path, tmp_path: Path) -> None:
    first = min(piece.log_ns for piece in recording.pieces)
    holed = recording.keep(lambda piece: not 2.99e9 < piece.log_ns - first < 3.15e9)
    result = replayed(holed, tmp_path / "run.mcap")
    assert result.same(0.0)
    assert result.notes[0].startswith("lacks 8 ticks after tick 149")
    assert result.judged.sum() == result.inferred.sum() - (REACH - 1)
    assert not result.whole
    recorded = load(asked)
    first = min(piece.log_ns for piece in recorded.pieces)
    for begin in np.arange(0.2e9, 7.8e9, 0.53e9):  # wherever it is, also over a request
        kept = recorded.keep(lambda piece, begin=begin: not begin < piece.log_ns - first < begin + 0.3e9)
        result = replayed(kept, tmp_path / "holed.mcap")
        assert result.same(0.0), (begin, result.first(), result.states, result.notes)
        assert result.notes[0].startswith("lacks 1")


def test_the_end_may_be_missing(recording: Recording, tmp_path: Path) -> None:
    result = replayed(recording.cut(0.0, 4.0), tmp_path / "run.mcap")
    assert result.same(0.0)
    assert result.notes == ["ends at tick 199 of 250"]


def test_single_messages_may_be_missing(recording: Recording, tmp_path: Path) -> None:
    at = next(index for index, piece in enumerate(recording.pieces) if index > 2500 and piece.topic == "/imu")
    recording = Recording(recording.pieces[:at] + recording.pieces[at + 1 :], recording.metadata, recording.attachments)
    result = replayed(recording, tmp_path / "run.mcap")
    assert result.same(0.0)
    assert "1 ticks have a missing message" in result.notes[1]
    assert "that of /imu" in result.notes[1]
    assert "lacks 1 ticks after tick" in result.notes[0]


@pytest.mark.parametrize("topic", ["/policy/tick", "/joint_states", "/imu", "/cmd_vel", "/policy/action", "/impedance_command"])
def test_a_topic_that_was_filtered_out_is_named(topic: str, recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=rf"lacks (the topic )?{topic}\b"):
        replayed(recording.without(topic), tmp_path / "run.mcap")


def test_observations_are_only_needed_where_the_begin_is_missing(recording: Recording, tmp_path: Path) -> None:
    lean = recording.without("/policy/observation", "/policy/asked")
    assert replayed(lean, tmp_path / "lean.mcap").same(0.0)
    assert np.isnan(read_log(tmp_path / "lean.mcap").ticks["observation"]).any()
    with pytest.raises(LogError, match="can be judged: begins at tick 150"):
        replayed(lean.cut(3.0), tmp_path / "cut.mcap")


def test_without_the_events_only_what_follows_from_the_rest_is_judged(asked: Path, tmp_path: Path) -> None:
    result = replayed(load(asked).without("/policy/event"), tmp_path / "run.mcap")
    assert result.same(0.0)
    assert not result.states
    assert "lacks the events of tick 5 on /policy/event, in which the state became stand" in result.notes[0]
    assert result.judged.sum() == result.inferred.sum()  # each time from its entry on


def test_two_runs_in_one_file_are_told_apart(whole: Path, asked: Path, recording: Recording, tmp_path: Path) -> None:
    other = load(asked)
    with pytest.raises(LogError, match="holds 2 runs, joined by another tool"):
        replayed(recording.joined(other), tmp_path / "joined.mcap")
    other.metadata = recording.metadata  # the same policy under the same thresholds
    for name, part in (("after", other), ("later part", other.cut(5.5))):
        with pytest.raises(LogError, match="holds more than one run"):
            replayed(Recording(recording.pieces + part.pieces, recording.metadata, recording.attachments), tmp_path / f"{name}.mcap")
    named = other.change(lambda piece: piece._replace(topic=f"/robot2{piece.topic}"))
    with pytest.raises(LogError, match="/robot2/policy/tick"):
        replayed(Recording(recording.pieces + named.pieces, recording.metadata, recording.attachments), tmp_path / "robots.mcap")


def test_times_that_were_changed_one_by_one_are_no_other_answer(recording: Recording, tmp_path: Path) -> None:
    moved = [piece._replace(log_ns=10**9 + 3 * i, publish_ns=10**9 + 3 * i) for i, piece in enumerate(recording.pieces)]
    with pytest.raises(LogError, match=r"lacks |more than one run"):
        replayed(Recording(moved, recording.metadata, recording.attachments), tmp_path / "run.mcap")


def test_a_copy_without_metadata_or_policy_says_so(
    whole: Path, recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Recording(recording.pieces, [], recording.attachments)
    with pytest.raises(LogError, match="lacks its metadata"):
        replayed(bare, tmp_path / "bare.mcap")
    cut = save(Recording(recording.pieces, recording.metadata), tmp_path / "cut.mcap")
    sha256 = read_log(whole).policy.sha256
    with pytest.raises(LogError, match=f"lacks the policy that ran.*{sha256[:12]}"):
        read_log(cut)
    assert main(["replay", str(cut), "--policy", "go1-velocity"]) == 0
    assert "the same within 1e-05, at every tick" in capsys.readouterr().out
    assert main(["replay", str(cut), "--policy", "go1-velocity-flat"]) == 2
    assert "lacks the policy that ran" in capsys.readouterr().err


def test_rosbags_convert_leaves_a_copy_that_is_refused_for_what_it_lacks(whole: Path, tmp_path: Path) -> None:
    from rosbags.convert.converter import convert

    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "run.mcap").write_bytes(whole.read_bytes())
    options = {"exclude_topics": [], "include_topics": [], "exclude_msgtypes": [], "include_msgtypes": []}
    try:
        convert([whole], tmp_path / "out", dst_storage="mcap", dst_version=9, compress=None, compress_mode="none",
                default_typestore=None, typestore=None, **options)  # fmt: skip
    except TypeError as error:  # its arguments changed between versions
        pytest.skip(f"rosbags.convert takes other arguments here: {error}")
    copies = list((tmp_path / "out").glob("*.mcap"))
    assert copies
    with pytest.raises(LogError, match="lacks its metadata"):
        read_log(copies[0])
    assert newest_run(tmp_path / "out")[0] == copies[0]


@pytest.mark.parametrize(
    ("begin", "said"), [(b"\x1f\x8b\x08", "gunzip"), (b"SQLite format 3\0", "SQLite"), (b"#ROSBAG V2.0\n", "ROS 1"), (b"", "too soon")]
)
def test_what_is_no_mcap_is_named(begin: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "run.mcap").write_bytes(begin)
    with pytest.raises(LogError, match=f"is not an MCAP log: .*{said}"):
        read_log(tmp_path / "run.mcap")


def test_a_log_that_was_compressed_as_a_whole_says_how_to_open_it(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "run.mcap.zstd").write_bytes(zstandard.compress(whole.read_bytes()))
    with pytest.raises(LogError, match="zstd -d"):
        read_log(tmp_path / "run.mcap.zstd")


def test_a_robot_in_this_process_waits_for_its_recorder_and_another_loses_ticks(tmp_path: Path) -> None:
    """Nothing paces a simulation; it had run away from the recorder, and its log lacked ticks without a word."""
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    for patient, lost in ((True, False), (False, True)):
        controller = Controller(policy)
        controller.arm()
        recorder = LogWriter(tmp_path / f"{patient}.mcap", controller, transport="test", patient=patient)
        inputs = Inputs(good_reading(policy.spec, 1), np.zeros(3), 1)
        sent = controller.tick(1, inputs)
        for tick in range(3000):
            recorder.tick(1 + tick, inputs, controller, sent, 0, 0, 0)
        recorder.close()
        assert recorder.failure is None
        assert (recorder.lost > 0) == lost
        assert len(read_log(recorder.path).ticks) == 3000 - recorder.lost
