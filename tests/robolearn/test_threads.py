"""How torch uses the CPU in training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from envs.engines.cores import available_cores
from robolearn.learning import threads
from tests.pairs import make_env

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _as_before():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    threads.choose_matmul_precision.cache_clear()
    yield
    torch.set_float32_matmul_precision(before)
    threads.choose_matmul_precision.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the mode is left alone")
@pytest.mark.parametrize(("error", "mode"), [(4e-7, "medium"), (3e-3, "highest")])
def test_the_faster_mode_is_taken_where_it_is_fp32_in_fact(error: float, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "matmul_error", lambda: error)
    assert threads.choose_matmul_precision() == torch.get_float32_matmul_precision() == mode


def test_products_are_accurate_in_the_mode_of_this_computer() -> None:
    threads.choose_matmul_precision()
    assert threads.matmul_error() <= threads.ACCURATE


def test_rounding_to_bf16_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    product = torch.Tensor.__matmul__

    def rounded(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return product(a, b) if a.dtype == torch.float64 else product(a.bfloat16().float(), b.bfloat16().float())

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert threads.matmul_error() > 1e-3


@pytest.mark.parametrize("package", ["policies", "envs", "robolearn", "bridge", "benchmarks"])
def test_pools_of_threads_do_not_spin_beside_other_programs(package: str) -> None:
    """What libgomp itself says that it was told, when torch loads it; and that a user's own choice stays."""
    if sys.platform != "linux":
        pytest.skip("torch brings libgomp on Linux")
    told = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT")}
    code = f"import {package}, os, torch; print(os.environ['OPENBLAS_THREAD_TIMEOUT'], os.environ.get('OMP_WAIT_POLICY'))"
    for own, policy in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE"), ({"GOMP_SPINCOUNT": "5"}, None)):
        environment = told | {"OMP_DISPLAY_ENV": "verbose"} | own
        ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        if policy is not None:
            assert f"OMP_WAIT_POLICY = '{policy}'" in ran.stderr
        else:
            assert ran.stdout.split()[1] == "None"
            assert "GOMP_SPINCOUNT = '5'" in ran.stderr
        assert ran.stdout.split()[0] == "4"


def test_cores_are_those_that_the_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)))
    quota = tmp_path / "cpu.max"
    assert available_cores(quota) == 12
    for text, cores in (("max 100000", 12), ("600000 100000", 6), ("50000 100000", 1), ("nonsense", 12)):
        quota.write_text(text, encoding="ascii")
        assert available_cores(quota) == cores
    quota.write_text("800000 100000", encoding="ascii")
    for processes, cores in (("4", 2), ("16", 1), ("x", 8)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)  # as torchrun sets it
        assert available_cores(quota) == cores
        assert threads.Threads()._count == available_cores()


def test_the_simulation_takes_no_more_threads_than_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    import envs.engines.mujoco
    import envs.engines.registry

    asked: list[int] = []
    batch = envs.engines.mujoco.Batch
    monkeypatch.setattr(envs.engines.mujoco, "Batch", lambda model, worlds, count: asked.append(count) or batch(model, worlds, count))
    monkeypatch.setattr(envs.engines.registry, "available_cores", lambda: 1)
    make_env("panda-reach", num_worlds=2)
    make_env("panda-reach", num_worlds=2, num_threads=2)
    assert asked == [1, 2]
