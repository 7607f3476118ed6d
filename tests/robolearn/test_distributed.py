"""Two processes with half of the worlds each take the same step as one with all of them (gloo, loopback)."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch

from policies.networks.teacher import TeacherPolicy
from robolearn.learning import distributed
from robolearn.learning.ppo import Ppo, PpoCfg, Rollout
from robolearn.learning.precision import Products

STEPS, WORLDS, OBSERVATION, ACTION = 6, 8, 5, 3
# one full batch, so that the order of samples does not matter
CFG = PpoCfg(rollout_steps=STEPS, epochs=3, minibatches=1, learning_rate=1e-3, target_kl=0.01, symmetry="none")


def update(worlds: slice, products: Literal["fp32", "bf16"] = "fp32") -> tuple[TeacherPolicy, Ppo]:
    """A PPO update on some worlds of a made-up rollout."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    policy = TeacherPolicy(OBSERVATION, ACTION, (16,), 0.5)
    generator = torch.Generator().manual_seed(1)
    whole = {name: torch.randn(STEPS, WORLDS, *size, generator=generator) for name, size in
             (("observation", (OBSERVATION,)), ("action", (ACTION,)), ("reward", ()), ("last", ()))}  # fmt: skip
    mine = {name: value[:, worlds] for name, value in whole.items()}
    rollout = Rollout(STEPS, mine["reward"].shape[1], OBSERVATION, ACTION, torch.device("cpu"))
    rollout.observation, rollout.action, rollout.reward = mine["observation"], mine["action"], mine["reward"]
    ppo = Ppo(CFG, policy, torch.Generator().manual_seed(2), products=Products(name=products, why="as asked"))
    with torch.no_grad():
        rollout.mean = ppo.means(rollout.observation)
        rollout.log_prob = policy.distribution.log_prob(rollout.mean, rollout.action)
        rollout.value = policy.critic(rollout.observation).squeeze(-1)
    rollout.finish(mine["last"][0], CFG)
    ppo.update(rollout)
    return policy, ppo


def loopback(rank: int, port: int) -> dict[str, str]:
    root = str(Path(__file__).parent)
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
           "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}  # fmt: skip
    return {**os.environ, **own, "PYTHONPATH": os.pathsep.join([root, str(Path(root).parent)])}


def two_processes(arguments: list[str], codes: tuple[int, int] = (0, 0)) -> list[str]:
    """Run a command twice as torchrun would; their outputs. They must end with these exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    jobs = [subprocess.Popen([sys.executable, *arguments], env=loopback(rank, port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True) for rank in range(2)]  # fmt: skip
    try:
        outputs = [job.communicate(timeout=240)[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    assert tuple(job.returncode for job in jobs) == codes, outputs
    return outputs


HALF = """
import atexit, os, sys, torch
from test_distributed import WORLDS, update
from robolearn.learning import distributed
atexit.register(os.abort)  # the interpreter's own end, on which gloo's threads abort a process now and then
distributed.start("cpu")
half = WORLDS // 2
policy, ppo = update(slice(0, half) if distributed.rank() == 0 else slice(half, WORLDS), sys.argv[2])
torch.save((policy.state_dict(), ppo.learning_rate), f"{sys.argv[1]}/{distributed.rank()}.pt")
print("done")
distributed.end(0)
"""

PROGRAM = """
import atexit, os, sys, torch
from robolearn import cli
from robolearn.learning import distributed
atexit.register(os.abort)
def answer(arguments):
    distributed.start("cpu")
    torch.distributed.barrier()  # both are there
    print("answered", flush=False)
    return int(arguments[int(os.environ["RANK"])])
cli._dispatch = answer
sys.exit(cli.main())
"""
"""The command line around a training that ends with a code of its own in each process."""


def test_two_processes_take_the_step_of_one(tmp_path):
    assert two_processes(["-c", HALF, str(tmp_path), "fp32"]) == ["done\n", "done\n"]
    joint, ppo = update(slice(None))
    for rank in range(2):
        weights, rate = torch.load(tmp_path / f"{rank}.pt")
        assert rate == ppo.learning_rate
        for name, value in joint.state_dict().items():
            torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6)
    alone, _ = update(slice(0, WORLDS // 2))  # the comparison has teeth: half of the worlds alone lead elsewhere
    moved = max(float((a - b).abs().max()) for a, b in zip(alone.state_dict().values(), joint.state_dict().values(), strict=True))
    assert moved > 1e-4


def test_two_processes_take_the_step_of_one_in_bf16(tmp_path):
    """But for rounding, which is much less than what half of the worlds would do alone; and both take the same to the last bit."""
    assert two_processes(["-c", HALF, str(tmp_path), "bf16"]) == ["done\n", "done\n"]
    both = [torch.cat([value.flatten() for value in torch.load(tmp_path / f"{rank}.pt")[0].values()]) for rank in range(2)]
    assert torch.equal(*both)
    joint, alone = (
        torch.cat([value.flatten() for value in update(worlds, "bf16")[0].state_dict().values()])
        for worlds in (slice(None), slice(0, WORLDS // 2))
    )
    assert (both[0] - joint).norm() < 0.3 * (alone - joint).norm()


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (2, 0)])
def test_processes_of_a_group_end_without_the_interpreters_end(codes):
    outputs = two_processes(["-c", PROGRAM, *map(str, codes)], codes)
    assert all("answered" in output for output in outputs)  # what was printed has been let out


def test_the_end_of_a_process_alone_is_left_to_it():
    distributed.end(3)


@pytest.mark.slow
def test_a_training_of_two_processes_writes_one_run(tmp_path):
    cfg = ["--threads=1", "--env.num_worlds=4", "--env.num_threads=1", "--teacher.iterations=2", "--teacher.hidden=[8]",
           "--teacher.ppo.rollout_steps=4", "--teacher.ppo.epochs=1", "--teacher.ppo.minibatches=1"]  # fmt: skip
    two_processes(["-m", "robolearn", "train", "go1-velocity-flat", "--runs", str(tmp_path / "runs"), *cfg])
    folders = list((tmp_path / "runs" / "go1-velocity-flat").iterdir())
    assert len(folders) == 1
    lines = (folders[0] / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert '"steps": 64.0' in lines[-1]  # 2 processes x 4 worlds x 4 steps x 2 iterations
